"""TCP connections to ports of WSD that never came about: refused (RST), or asked for and never answered.

They carry no byte, so nothing of them is ever a message, and yet they are why there are none: a scan server that is not
running, a firewall. Only rows of those ports are looked at, and of these only the handshakes.

Memory: :data:`WAITING` connections that wait for an answer, :data:`GROUPS` pairs of hosts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dissector.base.findings import Finding, Rule, rule
from dissector.base.origin import Endpoint
from dissector.transport.model import ACK, RST, SYN, TCP, PacketColumns
from dissector.transport.tls.failing import PORTS

__all__ = ["Unreached"]

WAITING = 1000
"""Connections remembered that were asked for and not answered yet; with more at once, the one that is quiet for longest
is judged as at the end of the capture."""
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
MORE = rule(
    "tcp.more-unreached", "warn", "more connections to ports of WSD did not come about than are told, or may not have"
)

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
        self._unknown = 0
        self._time = 0

    def feed(self, c: PacketColumns) -> None:
        """The packets of the next block."""
        if len(c):
            self._time = max(self._time, int(c.time[-1]))
        rows = np.flatnonzero((c.protocol == TCP) & (_AT_HOME[c.dport & 0xFFFF] | _AT_HOME[c.sport & 0xFFFF]))
        if not len(rows):
            return
        telling = (c.flags[rows] & (SYN | RST)) != 0
        if not self._waiting and not telling.any():
            return
        rows = rows[telling | self._concerned(c.flow[rows], telling)]
        columns = (rows, c.flow[rows], c.side[rows], c.flags[rows], c.seq[rows], c.ack[rows], c.time[rows])
        for row in zip(*(column.tolist() for column in columns), strict=True):
            self._handshake(c, *row)

    def _concerned(self, flow: NDArray[np.uint64], telling: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows of data are the first behind a handshake of their flow, or of a flow that waits.

        In a capture of one direction, or where the SYN and ACK was lost, these tell that the connection came about.
        The rows behind them say nothing more, and there are as many of them as an image has segments.
        """
        found = np.zeros(len(flow), np.bool_)
        waiting = np.fromiter(self._waiting, np.uint64, len(self._waiting))
        at = np.flatnonzero(np.isin(flow, np.concatenate((waiting, flow[telling]))))
        at = at[np.argsort(flow[at], kind="stable")]
        first = np.ones(len(at), np.bool_)
        first[1:] = (flow[at[1:]] != flow[at[:-1]]) | telling[at[:-1]]
        found[at[first]] = True
        return found

    def _handshake(
        self, c: PacketColumns, row: int, flow: int, side: bool, flags: int, seq: int, ack: int, time: int
    ) -> None:
        asked = self._waiting.get(flow)
        if not flags & (SYN | RST):
            self._waiting.pop(flow, None)
        elif flags & (SYN | ACK | RST) == SYN:
            if asked is None:
                if int(c.dport[row]) not in PORTS:
                    return
                if len(self._waiting) >= WAITING:
                    self._unknown += not self._judge(next(iter(self._waiting)), time)
                client, server = c.endpoints(row)
                asked = self._waiting[flow] = _Asked(client, server, side, time, time)
            elif side == asked.side:
                self._waiting[flow] = self._waiting.pop(flow)  # the quietest stands first
            if side == asked.side:
                asked.seq, asked.last = seq, time
                asked.count += 1
                if len(asked.frames) < FRAMES:
                    asked.frames.append(int(c.frame[row]))
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

    def _judge(self, flow: int, now: int) -> bool:
        """Wait no longer for an answer: whether it is beyond doubt at ``now`` (nanoseconds) that there was none."""
        asked = self._waiting.pop(flow)
        unanswered = asked.count > 1 or now - asked.first >= PATIENCE
        if unanswered:
            self._add("unanswered", asked, asked.last)
        return unanswered

    def finish(self) -> None:
        """The capture is over. Of those that were just asked for nothing is said: the answer may be on its way."""
        for flow in list(self._waiting):
            self._judge(flow, self._time)

    def findings(self) -> list[Finding]:
        """What is to be said, by frame; complete after :meth:`finish`."""
        groups = sorted(self._groups.items(), key=lambda one: (-one[1].count, one[1].frames, one[0][2]))
        told = sorted(groups[:SHOWN], key=lambda one: (one[1].frames, one[0][2]))
        found = [_told(why, group) for (_, _, why), group in told]
        more = self._more + sum(group.count for _, group in groups[SHOWN:])
        if more:
            found.append(MORE(f"{more:,} more connections to ports of WSD did not come about"))
        if self._unknown:
            found.append(
                MORE(
                    f"of {self._unknown:,} connections to ports of WSD it is not known whether they came about:"
                    f" more than {WAITING:,} waited for an answer at the same time"
                )
            )
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
    hosts = group.client.address, group.server.address
    return replace(kind(f"{who}: {text}", frames=tuple(sorted(group.frames))), hosts=hosts)
