"""What is remembered of one TCP flow, and who looks at those that are not taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dissector.base.origin import Endpoint
from dissector.transport.model import ACK, SYN, PacketColumns
from dissector.transport.pair import Pair
from dissector.transport.segment import Segment

__all__ = ["LET_GO", "NOISE", "TAKEN", "UNDECIDED", "Flow", "Observer"]

NOISE, UNDECIDED, TAKEN = 0, 1, 2
LET_GO = 3
"""Noise that was taken for an opened protocol: only a word takes it again."""


_ASLEEP = Struct("<IIi?bqq")
_IDLE = Struct("<II")


class Flow:
    """What is remembered of a flow: as little as possible, since there may be a million.

    The two ``base`` values are each side's initial sequence number, as far as the capture tells it (of the SYN; one
    less than the first number seen; one less than the first acknowledgement by the peer): they tell when the ports
    are used again. The two ``syn`` values are number and frame of the SYNs, while those still say where the data
    begins. ``last``: the block that last had packets of it. ``early``: packets so far, -1 once one carried data.
    ``remains``: of a conversation that was taken and has ended.
    """

    __slots__ = (
        "base_false",
        "base_true",
        "client",
        "client_frame",
        "early",
        "first_side",
        "held",
        "last",
        "number",
        "opaque",
        "opened",
        "pair",
        "remains",
        "state",
        "syn_false",
        "syn_true",
    )

    def __init__(self, number: int, first_side: bool) -> None:
        self.number = number
        self.first_side = first_side
        self.client: bool | None = None
        self.client_frame = 0
        self.opened = False
        self.state = UNDECIDED
        self.base_false: int | None = None
        self.base_true: int | None = None
        self.syn_false: tuple[int, int] | None = None
        self.syn_true: tuple[int, int] | None = None
        self.last = 0
        self.early = 0
        self.held: list[Segment] | None = None
        self.opaque: tuple[str, Endpoint, Endpoint] | None = None
        self.pair: Pair | None = None
        self.remains: bytes | None = None

    def base(self, side: bool) -> int | None:
        """Initial sequence number of a side."""
        return self.base_true if side else self.base_false

    def tell(self, side: bool, seq: int, ack: int, bits: int, frame: int) -> None:
        """A segment that may tell the initial sequence numbers. The first value of a side counts, unless a SYN tells a
        better one. All in one place, since every new flow comes here several times."""
        syn = bits & SYN
        base = seq if syn else seq - 1 & 0xFFFFFFFF
        if side:
            if syn or self.base_true is None:
                self.base_true = base
            if bits & ACK and self.base_false is None:
                self.base_false = ack - 1 & 0xFFFFFFFF
        else:
            if syn or self.base_false is None:
                self.base_false = base
            if bits & ACK and self.base_true is None:
                self.base_true = ack - 1 & 0xFFFFFFFF
        if not syn:
            return
        if self.state == UNDECIDED:
            if side:
                self.syn_true = self.syn_true or (seq, frame)
            else:
                self.syn_false = self.syn_false or (seq, frame)
        if self.client is None:
            self.opened = not bits & ACK
            self.client = side if self.opened else not side
            self.client_frame = frame

    def syn(self, side: bool, frame: int) -> int | None:
        """Sequence number of the side's SYN, if that came not after the frame."""
        seen = self.syn_true if side else self.syn_false
        return seen[0] if seen is not None and seen[1] <= frame else None

    @property
    def syn_seen(self) -> bool:
        """Where the data of one of the sides begins is known."""
        return self.syn_true is not None or self.syn_false is not None

    @property
    def opaque_taken(self) -> bool:
        """It is taken for an opaque protocol that there are keys for: its packets are counted too."""
        return self.pair is not None and bool(self.pair.conversation.protocol)

    def retire(self, remains: bytes) -> None:
        """Its conversation has ended."""
        self.remains = remains
        self.pair = None
        self.syn_true = self.syn_false = None
        # Of use only until the consumers were made.
        self.client_frame = 0

    def asleep(self) -> bytes:
        """A flow whose conversation has ended, packed: a third of the memory, for as long as no packet comes."""
        assert self.remains is not None
        client = -1 if self.client is None else int(self.client) | self.opened << 1
        bases = (-1 if base is None else base for base in (self.base_false, self.base_true))
        return _ASLEEP.pack(self.last, self.number, self.early, self.first_side, client, *bases) + self.remains

    @classmethod
    def awake(cls, packed: bytes) -> Flow:
        """What :meth:`asleep` packed."""
        _, number, early, first_side, client, *bases = _ASLEEP.unpack_from(packed)
        flow = cls(number, first_side)
        flow.state = TAKEN
        if client >= 0:
            flow.client, flow.opened = bool(client & 1), bool(client & 2)
        flow.base_false, flow.base_true = (None if base < 0 else base for base in bases)
        flow.early = early
        flow.remains = packed[_ASLEEP.size :]
        return flow

    @staticmethod
    def idle_since(packed: bytes) -> tuple[int, int]:
        """``last`` and ``number`` of a packed one: by these the idlest is told."""
        return _IDLE.unpack_from(packed)

    def dismiss(self, state: int = NOISE) -> None:
        """It is noise. Where it is taken after all, later, that is in the middle of it."""
        self.state = state
        self.held = self.remains = None
        self.syn_true = self.syn_false = None
        self.early = -1


class Observer(Protocol):
    """Looks at the packets of connections that are not taken."""

    def feed(
        self,
        c: PacketColumns,
        rows: npt.NDArray[np.int64],
        word: npt.NDArray[np.uint32],
        order: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        flow_of: Sequence[Flow],
        reopened: Mapping[int, Sequence[tuple[int, Flow]]],
    ) -> None:
        """The TCP packets of the next block, behind those that were taken of it.

        Args:
            c: columns of the block.
            rows: the TCP packets, ``word`` the first four payload bytes of each.
            order: of these, grouped by flow; each group begins at ``starts``.
            flow_of: the flow of each group.
            reopened: flow hash → rows from which on it is another flow.
        """
        ...

    def finish(self) -> None:
        """The capture is over."""
        ...
