"""The command ``dsmreplay``."""

from __future__ import annotations

from replay.cli.main import main

__all__ = ["main"]
