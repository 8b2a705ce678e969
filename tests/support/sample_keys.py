"""The keys that lie beside sample captures: ``NAME.keys`` a key log, ``NAME.key`` a private RSA key."""

from __future__ import annotations

from pathlib import Path

from dissector.keyfiles import KeyFiles

__all__ = ["key_files", "key_options"]


def _beside(sample: Path, suffix: str) -> list[str]:
    name = sample.parent / (sample.name.split(".pcap")[0] + suffix)
    return [str(name)] if name.exists() else []


def key_options(sample: Path) -> list[str]:
    """The options of the commands."""
    options: list[str] = []
    for option, suffix in (("--keylog", ".keys"), ("--rsa-key", ".key")):
        for path in _beside(sample, suffix):
            options += [option, path]
    return options


def key_files(sample: Path) -> KeyFiles:
    """The keys, read."""
    return KeyFiles(_beside(sample, ".keys"), _beside(sample, ".key"))
