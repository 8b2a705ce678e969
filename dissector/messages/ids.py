"""Identifiers of messages, in the form for comparing."""

from __future__ import annotations

__all__ = ["normal_id"]

LONGEST = 2048
"""Characters that are compared."""


def normal_id(text: str | None) -> str:
    """A MessageID or endpoint UUID in the form for comparing: ``uuid:`` and ``urn:uuid:`` mean the same (notes-dsm
    62); "" for None."""
    return text.strip()[:LONGEST].lower().removeprefix("urn:").removeprefix("uuid:") if text else ""
