"""Connections of which the capture holds one direction only: a mirrored port that shows what is received and not what
is sent, or answers that come back by another route.

Without a word on it a person believes that the device, or the server, never answered. What proves it is what the seen
side acknowledged (RFC 9293 3.4): bytes that are not in the capture although none of the other side's packets is. A peer
that is really silent acknowledges at least what it is told, and accepted the connection: such packets are there, and
nothing is said of it here.

Memory: :data:`MOST` connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dissector.base.findings import Finding, rule
from dissector.transport.model import Conversation

__all__ = ["OneWay"]

MOST = 10_000
"""Connections remembered; the others are counted."""
SHOWN = 10
"""Findings told; the connections of the others are counted."""
STREAMS = 5
"""Connections named by one finding."""

ONE_WAY = rule("tcp.one-way", "warn", "of a connection only one direction is in the capture", "RFC 9293 3.4")


_Key = tuple[str, str, bool]
"""Host seen, host not seen, and whether that one said something."""


class OneWay:
    """Gathers such connections of a pass."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[_Key, int]] = {}
        self._more = 0

    def add(self, conversation: Conversation, size: int) -> None:
        """One that is over; ``size``: bytes of its unseen direction that were acknowledged."""
        if len(self._found) >= MOST:
            self._more += 1
            return
        hosts = conversation.first.address, conversation.second.address
        self._found[conversation.number] = (*hosts, size > 0), size

    def drop(self, number: int) -> None:
        """Behind the end of this conversation there were packets of the other side."""
        self._found.pop(number, None)

    def findings(self) -> list[Finding]:
        """What is to be said, the hosts with most connections first; complete after the pass."""
        groups: dict[_Key, list[tuple[int, int]]] = {}
        for number, (key, size) in sorted(self._found.items()):
            groups.setdefault(key, []).append((number, size))
        ranked = sorted(groups.items(), key=lambda one: (-len(one[1]), one[1]))
        found = [_told(*key, streams) for key, streams in ranked[:SHOWN]]
        more = self._more + sum(len(streams) for _, streams in ranked[SHOWN:])
        if more:
            found.append(ONE_WAY(f"of {more:,} more connections only one direction is in the capture"))
        return found


def _told(seen: str, unseen: str, spoke: bool, streams: Sequence[tuple[int, int]]) -> Finding:
    numbers = ", ".join(str(number) for number, _ in streams[:STREAMS]) + (", …" if len(streams) > STREAMS else "")
    which = f"TCP stream {numbers}" if len(streams) == 1 else f"{len(streams):,} connections (TCP streams {numbers})"
    text = f"{which}: nothing that {unseen} sent is in the capture, only what {seen} sent: a mirrored port that shows"
    text += " one direction, or another route back; "
    if spoke:
        size = sum(size for _, size in streams)
        text += f"{unseen} did say something: {seen} acknowledged {size:,} bytes that are missing here"
    else:
        text += f"{unseen} accepted the connection and, it seems, said no more: {seen} acknowledged no byte"
    return replace(ONE_WAY(text), hosts=(seen, unseen))
