"""TCP connections to ports of WSD that never came about: refused (RST), or asked for and never answered.

They carry no byte, so nothing of them is ever a message, and yet they are why there are none: a scan server that is not
running, a firewall. Only rows of those ports are looked at, and of these only the handshakes.

Memory: :data:`WAITING` connections that wait for an answer, :data:`GROUPS` pairs of hosts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dissector.base.findings import Finding, Rule, rule
from dissector.base.origin import Endpoint
from dissector.transport.model import ACK, RST, SYN, TCP, PacketColumns
from dissector.transport.tls.failing import PORTS

__all__ = ["Unreached"]

WAITING = 1000
"""Connections remembered that were asked for and not answered yet; of more at once the others are not looked at."""
GROUPS = 1000
"""Pairs of client and server that are told apart."""
SHOWN = 10
"""Findings told; the others are counted."""
FRAMES = 20
"""Frames named by one finding."""
PATIENCE = 3_000_000_000
"""Nanoseconds without an answer after which one is not waited for any more: a first SYN is repeated after one second
(RFC 6298 2.1), and a capture may end while it is on its way."""

REFUSED = rule("tcp.refused", "warn", "a connection to a port of WSD was refused: nothing accepts connections there")
UNANSWERED = rule("tcp.unanswered", "warn", "a connection to a port of WSD was asked for, and never answered")
MORE = rule("tcp.more-unreached", "warn", "more connections to ports of WSD did not come about than are told")

_AT_HOME = np.zeros(1 << 16, dtype=np.bool_)
_AT_HOME[sorted(PORTS)] = True


@dataclass(slots=True)
class _Asked:
    """A connection that was asked for; ``frames`` of its SYNs."""

    client: Endpoint
    server: Endpoint
    side: bool
    first: int
    last: int
    frames: list[int] = field(default_factory=list)
    count: int = 0
    seq: int = 0
    last_frame: int = 0


@dataclass(slots=True)
class _Group:
    """Connections of one client to one server that did not come about for the same reason."""

    client: Endpoint
    server: Endpoint
    first: int
    last: int
    frames: list[int] = field(default_factory=list)
    count: int = 0
    syns: int = 0


class Unreached:
    """Watches the handshakes at ports of WSD."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Asked] = {}
        self._groups: dict[tuple[str, Endpoint, str], _Group] = {}
        self._more = 0
        self._time = 0

    def feed(self, c: PacketColumns) -> None:
        """The packets of the next block."""
        if len(c):
            self._time = max(self._time, int(c.time[-1]))
        rows = np.flatnonzero((c.protocol == TCP) & (_AT_HOME[c.dport & 0xFFFF] | _AT_HOME[c.sport & 0xFFFF]))
        if not len(rows):
            return
        telling = (c.flags[rows] & (SYN | RST)) != 0
        hands = rows[telling]
        columns = (hands, c.flow[hands], c.side[hands], c.flags[hands], c.seq[hands], c.ack[hands], c.time[hands])
        for row in zip(*(column.tolist() for column in columns), strict=True):
            self._handshake(c, *row)
        if self._waiting:
            # In a capture of one direction, or where the SYN and ACK was lost, what follows tells that it came about.
            # Each flow is asked for its last row: a connection before it may have used the same ports.
            rows = rows[~telling]
            rows = rows[np.isin(c.flow[rows], np.fromiter(self._waiting, np.uint64, len(self._waiting)))]
            for flow, frame in dict(zip(c.flow[rows].tolist(), c.frame[rows].tolist(), strict=True)).items():
                if frame > self._waiting[flow].last_frame:
                    del self._waiting[flow]

    def _handshake(
        self, c: PacketColumns, row: int, flow: int, side: bool, flags: int, seq: int, ack: int, time: int
    ) -> None:
        asked = self._waiting.get(flow)
        if flags & (SYN | ACK | RST) == SYN:
            if asked is None:
                if int(c.dport[row]) not in PORTS or len(self._waiting) >= WAITING:
                    return
                client, server = c.endpoints(row)
                asked = self._waiting[flow] = _Asked(client, server, side, time, time)
            if side == asked.side:
                asked.seq, asked.last, asked.last_frame = seq, time, int(c.frame[row])
                asked.count += 1
                if len(asked.frames) < FRAMES:
                    asked.frames.append(asked.last_frame)
        elif asked is not None and (flags & SYN or side == asked.side or ack == asked.seq + 1 & 0xFFFFFFFF):
            del self._waiting[flow]
            if flags & RST and side != asked.side:
                asked.frames.append(int(c.frame[row]))
                self._add("refused", asked, time)

    def _add(self, why: str, asked: _Asked, last: int) -> None:
        key = (asked.client.address, asked.server, why)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS:
                self._more += 1
                return
            group = self._groups[key] = _Group(asked.client, asked.server, asked.first, last)
        group.first, group.last = min(group.first, asked.first), max(group.last, last)
        group.count += 1
        group.syns += asked.count
        group.frames += asked.frames[: FRAMES - len(group.frames)]

    def finish(self) -> None:
        """The capture is over."""
        waiting, self._waiting = self._waiting, {}
        for asked in waiting.values():
            if asked.count > 1 or self._time - asked.first >= PATIENCE:
                self._add("unanswered", asked, asked.last)

    def findings(self) -> list[Finding]:
        """What is to be said, by frame; complete after :meth:`finish`."""
        groups = sorted(self._groups.items(), key=lambda one: (-one[1].count, one[1].frames, one[0][2]))
        told = sorted(groups[:SHOWN], key=lambda one: (one[1].frames, one[0][2]))
        found = [_told(why, group) for (_, _, why), group in told]
        more = self._more + sum(group.count for _, group in groups[SHOWN:])
        if more:
            found.append(MORE(f"{more:,} more connections to ports of WSD did not come about"))
        return found


def _told(why: str, group: _Group) -> Finding:
    who = f"{group.client.address} → {group.server} ({PORTS[group.server.port]})"
    many = "the connection was" if group.count == 1 else f"{group.count:,} connections were"
    seconds = (group.last - group.first) / 1e9
    kind: Rule
    if why == "refused":
        kind = REFUSED
        text = f"{many} refused: the host is there, but nothing accepts connections at that port"
        text += " (a service that is not running, or a firewall that rejects)"
    else:
        kind = UNANSWERED
        asked = f"asked for {group.syns:,} times within {seconds:.1f} s" if group.syns > 1 else "asked for once"
        text = f"{many} {asked} and not answered: the host is not there, or a firewall drops what goes to that port"
    return kind(f"{who}: {text}", frames=tuple(sorted(group.frames)))
