"""The kept inputs: ``corpus/TARGET.zip``, minimised, and ``regressions/TARGET/``, one file for each defect that was
found.

The corpus is one archive for each target: thousands of files of some bytes would take more room in the repository
than what is in them. It is written the same way each time, so that what did not change makes no difference.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["REGRESSIONS", "kept", "regressions", "store"]

_HERE = Path(__file__).parent
CORPUS = _HERE / "corpus"
REGRESSIONS = _HERE / "regressions"
LARGEST = 95_000
"""Bytes of one archive: all of them together stay below 2 MB."""


def kept(target: str) -> dict[str, bytes]:
    """The inputs kept for a target, by their names."""
    path = CORPUS / f"{target}.zip"
    if not path.exists():
        return {}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def store(target: str, inputs: Iterable[bytes]) -> Path:
    """Keep these inputs, the smallest first, as many as fit."""
    CORPUS.mkdir(exist_ok=True)
    path = CORPUS / f"{target}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        size = 0
        for data in sorted(set(inputs), key=lambda one: (len(one), one)):
            entry = zipfile.ZipInfo(hashlib.sha1(data).hexdigest()[:10], (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
            size += entry.compress_size + 130
            if size > LARGEST:
                break
    return path


def regressions() -> Mapping[str, list[Path]]:
    """The inputs that went wrong once, by target."""
    return {folder.name: sorted(folder.iterdir()) for folder in sorted(REGRESSIONS.iterdir()) if folder.is_dir()}
