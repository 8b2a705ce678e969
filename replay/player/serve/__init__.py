"""A virtual device made from a capture: it answers as the recorded parties did, and sends what they sent."""

from __future__ import annotations

from replay.player.serve.device import Served, VirtualDevice

__all__ = ["Served", "VirtualDevice"]
