"""Element names → names of Python and JSON."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["snake_case"]

_LONG = 256
"""Longer names come from nobody honest, and are not remembered."""

_SPECIAL = {"XAddrs": "xaddrs", "XAddr": "xaddr"}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[^0-9a-z]+")


def snake_case(name: str) -> str:
    """The snake_case form of an element name: ``PSP_Identifier`` → ``psp_identifier``, ``ADFBack`` → ``adf_back``.

    A run of capitals is one word (``ShareUNC`` → ``share_unc``), its last letter begins the next one where a small
    letter follows (``ScanRegionXOffset`` → ``scan_region_x_offset``). Only ``XAddrs`` is an exception: ``xaddrs``.
    """
    return _snake(name) if len(name) <= _LONG else _snake.__wrapped__(name)


@lru_cache(maxsize=4096)
def _snake(name: str) -> str:
    special = _SPECIAL.get(name)
    if special is not None:
        return special
    return _OTHER.sub("_", _WORDS.sub("_", name).lower()) if name.isascii() else _WORDS.sub("_", name).lower()
