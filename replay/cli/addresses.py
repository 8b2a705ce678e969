"""Addresses on the command line."""

from __future__ import annotations

from collections.abc import Iterable

from dissector.base.errors import UsageError

__all__ = ["endpoints_of"]


def endpoints_of(texts: Iterable[str]) -> list[tuple[str, int]]:
    """``HOST:PORT`` texts, IPv6 in brackets.

    Raises:
        UsageError: one is none.
    """
    found = []
    for text in texts:
        host, mark, port = text.rpartition(":")
        number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 65536
        if not mark or not host or number > 65535 or (":" in host and host[:1] != "["):
            raise UsageError(
                f"{text!r} is no address to listen on: HOST:PORT or [HOST]:PORT is expected, port 0 for any"
            )
        found.append((host.strip("[]"), number))
    return found
