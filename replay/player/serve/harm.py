"""Behaviour that is ordered of a virtual device, done to recorded bytes.

What needs a device that thinks (another end state, another image, a wrong token) cannot be had of a recording; the
recording's own files are edited instead, and a rule that asks for it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dissector.base.errors import UsageError
from replay.behaviour.effects import Effects, WirePlan, apply_to_wire, malform
from replay.behaviour.rules import Rule

__all__ = ["check_rules", "harmed"]

UNFIT = ("token", "end_state", "image", "relates_to", "reordered", "expire")
"""Orders that a recording cannot carry out."""


def check_rules(rules: Iterable[Rule]) -> None:
    """Refuse rules that a recording cannot carry out.

    Raises:
        UsageError: there is one.
    """
    for rule in rules:
        for name in UNFIT:
            if getattr(rule.effects, name) not in (None, False, ""):
                raise UsageError(
                    f"{rule.on}: {name}: a recording cannot do that; edit the files of the scenario instead"
                )


def harmed(pieces: Sequence[bytes], effects: Effects) -> WirePlan:
    """A message as it goes out when something is ordered for it."""
    if not effects.malformed and not effects.wire:
        return WirePlan(pieces)
    head, mark, body = b"".join(pieces).partition(b"\r\n\r\n")
    if effects.malformed:
        body = _malformed(body)
    return apply_to_wire(head + mark, body, effects.wire)


def _malformed(body: bytes) -> bytes:
    """The envelope without its last end tag; the length of the body stays, so that nothing else is wrong."""
    end = body.rfind(b"Envelope>")
    start = body.rfind(b"</", 0, end) if end >= 0 else -1
    if start < 0:
        return malform(body)
    return body[:start] + b" " * (end + 9 - start) + body[end + 9 :]
