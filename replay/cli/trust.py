"""``--trust``: whose certificates are good."""

from __future__ import annotations

from pathlib import Path

from replay.net.tls import client_context

__all__ = ["checked_trust", "trust_of"]


def trust_of(text: str) -> str | Path:
    """The option → what :func:`client_context` takes."""
    if text in ("system", "none"):
        return text
    return text.removeprefix("sha256:") if text.startswith("sha256:") else Path(text)


def checked_trust(trust: str | Path) -> str | Path:
    """The same; a file or fingerprint that is none is told now, and not when the first peer is met.

    Raises:
        UsageError, UnreadableInput: as :func:`client_context`.
    """
    if trust not in ("system", "none"):
        client_context(trust)
    return trust
