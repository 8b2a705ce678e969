"""What the connections that are being read hold together, and which are given up where that is too much.

Each connection has its own bounds (bytes behind a gap, a head, a document), but a capture may have any number of them.
So their number is bounded, and what they hold in all. What is kept only to compare copies with goes first, and nothing
is said of it. Then those that were idle for longest go: to an attacker's thousand half-open requests a message that is
under way just now is never sacrificed.

Frame maps have a bound of their own (:data:`MAPS`): that of one image of 2 GB takes 45 MB, and nothing is wrong with
it.

It is looked at between blocks (for their number also within one), and only where it could be too much: what was counted
last plus what was read since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dissector.base.findings import Finding, rule
from dissector.base.limits import Limits
from dissector.transport.flow import Flow
from dissector.transport.model import StreamEnd, TransportStats
from dissector.transport.tcp import PIECE

__all__ = ["Burden"]

CONNECTION = 3000
"""Bytes that a connection being read costs, whatever it says."""

MAPS = 3 / 2
"""Of the limit ``held``: what all frame maps may take besides. 60 MiB are the segments of 2.8 GB under way."""

CONNECTIONS = rule(
    "tcp.connections", "warn", "more connections were being read at once than the limit: those idle for longest ended"
)
HELD = rule(
    "tcp.held", "warn", "the connections held more bytes at once than the limit: those idle for longest were given up"
)


class Burden:
    """Counts what flows hold.

    Args:
        limits: ``connections`` and ``held``.
        stats: take a finding, once for each limit, and tell how many frames there were so far.
        kept: bytes that the consumers keep of what was decoded (which may be more than what came in).
    """

    def __init__(self, limits: Limits, stats: TransportStats, kept: Callable[[], int]) -> None:
        self._limits = limits
        self._stats = stats
        self._kept = kept
        self._read: dict[int, Flow] = {}
        self._weighed: dict[int, Flow] = {}
        self._held = 0
        self._since = 0
        self._said: set[str] = set()

    def taken(self, flow: Flow) -> None:
        """A flow is read from now on."""
        self._read[flow.number] = flow

    def over(self, flow: Flow) -> None:
        """It has ended."""
        self._read.pop(flow.number, None)

    def weighed(self, flow: Flow) -> None:
        """A flow holds segments until it is known what they are."""
        self._weighed[flow.number] = flow

    @property
    def crowded(self) -> bool:
        """So many connections, or so much kept, that it cannot wait for the end of the block."""
        return len(self._read) > self._limits.connections * 5 // 4 or self._kept() > self._limits.held // 2

    def relieve(self, size: int = 0) -> None:
        """Between two flows: give others up where it is too much. ``size``: bytes that what was read may take."""
        limits = self._limits
        self._since += size
        many = len(self._read) > limits.connections
        if not many and self._held + self._since <= limits.held and self._kept() <= limits.held // 2:
            return
        self._read = {n: flow for n, flow in self._read.items() if flow.pair is not None and not flow.pair.ended}
        self._weighed = {n: flow for n, flow in self._weighed.items() if flow.held}
        self._give_up(many and len(self._read) > limits.connections)

    def _give_up(self, many: bool) -> None:
        sizes = {number: _held(flow) for number, flow in (*self._read.items(), *self._weighed.items())}
        held, mapped = sum(size for size, _ in sizes.values()), sum(size for _, size in sizes.values())
        total = self._load(held, mapped)
        tails = self._forget_tails(total)
        much = total > self._limits.held or self._kept() > self._limits.held // 2
        if many:
            self._say(
                CONNECTIONS(f"more than {self._limits.connections} connections at once: those idle for longest ended")
            )
        if much:
            self._say(
                HELD(f"connections held more than {self._limits.held} bytes: those idle for longest were given up")
            )
        count = len(self._read)
        for flow in self._idlest():
            many = many and count > self._limits.connections * 3 // 4
            much = much and (total > self._limits.held * 3 // 4 or self._kept() > self._limits.held // 4)
            if not many and not much:
                break
            held, mapped = held - sizes[flow.number][0], mapped - sizes[flow.number][1]
            total = self._load(held, mapped)
            if flow.number in self._read:
                count -= 1
                del self._read[flow.number]
            if flow.pair is not None:
                # Known later than all that was told, as at the end of the capture.
                flow.pair.stop(StreamEnd.CAPTURE, 0, 0, self._stats.frames)
                for side in flow.pair.sides:
                    side.forget()
                flow.pair = None
            flow.dismiss()
        self._held, self._since = total + tails, 0

    @staticmethod
    def _load(held: int, mapped: int) -> int:
        """What is held, or the frame maps, whichever is nearer to its bound."""
        return max(held, int(mapped / MAPS))

    def _forget_tails(self, held: int) -> int:
        """Those of the idlest, where they are too much with what else is held; gives what is left of them."""
        tails = {n: sum(s.tail for s in flow.pair.sides) for n, flow in self._read.items() if flow.pair is not None}
        left = sum(tails.values())
        if held + left <= self._limits.held:
            return left
        for flow in self._idlest():
            if left <= self._limits.held // 4:
                break
            if flow.pair is not None:
                left -= tails[flow.number]
                for side in flow.pair.sides:
                    side.forget()
        return left

    def _idlest(self) -> Iterator[Flow]:
        flows = {**self._read, **self._weighed}
        yield from sorted(flows.values(), key=lambda flow: (flow.last, flow.number))

    def _say(self, finding: Finding) -> None:
        if finding.rule not in self._said:
            self._said.add(finding.rule)
            self._stats.findings.append(finding)


def _held(flow: Flow) -> tuple[int, int]:
    """What a flow holds, and its frame maps."""
    if flow.pair is None:
        return sum(len(segment.data) + PIECE for segment in flow.held or ()), 0
    sides = flow.pair.sides
    held = CONNECTION + sum(side.burden + int(getattr(side.consumer, "held", 0)) for side in sides)
    return held, sum(side.mapped for side in sides)
