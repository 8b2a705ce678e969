"""What is at rest: jobs, exchanges and events of which no message comes now, packed to a twentieth.

A capture can hold ten thousands of jobs, and each takes 10 kB as objects; any of them may go on at any time, and all
are judged at the end. So the stories that were touched last are objects, the others some 500 bytes each, and whoever
asks one that is at rest for anything wakes it (70 µs to pack, 60 µs to wake).

Exchanges and events are small and many: they are packed by the hundred, those that came last stay objects. A hundred
of which one is changed, and later another one, is packed one by one from then on: else each answer to what waits since
long, on connections that take turns, would cost the packing of a hundred (6 ms; of one 50 µs).

Rule: between two messages nobody holds a part of a story (a call, a report), only stories, and no exchange or event,
only its place: an object that is held would be a stranger to what was unpacked since.
"""

from __future__ import annotations

import pickle
import zlib
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, overload

from dissector.analysis.model import Job

__all__ = ["AWAKE", "Archive", "JobList", "Packer", "Resting", "Sleeper"]

AWAKE = 500
"""Stories of each kind that are objects; the others are at rest. (With 2,000, 8,000 jobs took 139 MB, not 127, and the
same time: few jobs are under way at once.)"""

BLOCK = 256
"""Items of an archive that are packed together."""

OPEN = 16
"""Blocks of an archive that are objects."""

LOOSE = 64
"""Items of blocks that are packed one by one that are objects."""

WINDOW = 32 << 10
"""Bytes of a dictionary that deflate looks at."""


_Item = TypeVar("_Item")


class Packer:
    """Objects ↔ bytes. What is packed is our own and never leaves the process, so pickle is safe here."""

    def __init__(self) -> None:
        self._model = b""

    def pack(self, thing: object) -> bytes:
        """The object as bytes."""
        raw = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
        if not self._model:
            # Jobs are like each other: with the first one as dictionary each takes a third of what it takes alone.
            self._model = raw[:WINDOW]
        deflate = zlib.compressobj(1, zdict=self._model)
        return deflate.compress(raw) + deflate.flush()

    def unpack(self, packed: bytes) -> Any:
        """The object again."""
        return pickle.loads(zlib.decompressobj(zdict=self._model).decompress(packed))


class Sleeper(Protocol):
    """What can be put to rest, and wakes when it is asked for something."""

    def rest(self) -> None:
        """Pack what it holds."""


class Resting:
    """Puts those to rest that were made, or woken, longest ago.

    Args:
        most: how many stay awake.
    """

    def __init__(self, most: int | None = None) -> None:
        self.packer = Packer()
        self._most = AWAKE if most is None else most
        self._awake: deque[Sleeper] = deque()

    def awake(self, one: Sleeper) -> None:
        """It was made, or it woke."""
        self._awake.append(one)

    def settle(self) -> None:
        """Between two messages: put to rest what is too much."""
        while len(self._awake) > self._most:
            self._awake.popleft().rest()


class _Split:
    """A block of which each item is packed by itself."""

    __slots__ = ("items", "packer")

    def __init__(self, items: Iterable[object]) -> None:
        self.packer = Packer()
        self.items = [self.packer.pack(item) for item in items]


class Archive(Sequence[_Item], Generic[_Item]):
    """A list that grows, of which old items are packed. What is read of a packed one is a copy.

    Args:
        opened: blocks that are objects, at least 2; default: :data:`OPEN`.
    """

    def __init__(self, opened: int | None = None) -> None:
        self._most = OPEN if opened is None else opened
        self._blocks: list[list[_Item] | bytes | _Split] = []
        self._open: deque[int] = deque()
        self._packed = False
        self._copy: tuple[int, list[_Item]] = (-1, [])
        self._changed: set[int] = set()
        """Blocks that were opened again once they had been packed."""
        self._loose: OrderedDict[int, _Item] = OrderedDict()
        """Place → item of a split block that is an object."""

    def append(self, item: _Item) -> int:
        """One more; gives its place."""
        last = self._blocks[-1] if self._blocks else None
        if not isinstance(last, list) or len(last) == BLOCK:
            last = []
            self._blocks.append(last)
            self._opened(len(self._blocks) - 1)
        last.append(item)
        return (len(self._blocks) - 1) * BLOCK + len(last) - 1

    def edit(self, place: int) -> _Item:
        """The item itself, to be read and changed until the next message."""
        at = place // BLOCK
        block = self._blocks[at]
        if isinstance(block, bytes):
            items = self._whole(at)
            self._copy = (-1, [])
            if at not in self._changed:
                self._changed.add(at)
                self._blocks[at] = block = items
                self._opened(at)
            else:
                self._blocks[at] = block = _Split(items)
        return block[place % BLOCK] if isinstance(block, list) else self._loosened(block, place)

    def _loosened(self, block: _Split, place: int) -> _Item:
        """The item of a split block, as an object."""
        if place not in self._loose:
            self._loose[place] = block.packer.unpack(block.items[place % BLOCK])
            if len(self._loose) > LOOSE:
                oldest, item = self._loose.popitem(last=False)
                home = self._blocks[oldest // BLOCK]
                assert isinstance(home, _Split)
                home.items[oldest % BLOCK] = home.packer.pack(item)
        return self._loose[place]

    def _opened(self, at: int) -> None:
        self._open.append(at)
        if len(self._open) > self._most:
            oldest = self._open.popleft()
            if oldest == len(self._blocks) - 1:
                # It is still being filled.
                self._open.append(oldest)
                oldest = self._open.popleft()
            self._blocks[oldest] = zlib.compress(pickle.dumps(self._blocks[oldest], pickle.HIGHEST_PROTOCOL), 1)
            self._packed = True

    def _whole(self, at: int) -> list[_Item]:
        block = self._blocks[at]
        if isinstance(block, list):
            return block
        if isinstance(block, _Split):
            return [self._one(block, at * BLOCK + index) for index in range(len(block.items))]
        if self._copy[0] != at:
            self._copy = at, pickle.loads(zlib.decompress(block))
        return self._copy[1]

    def _one(self, block: _Split, place: int) -> _Item:
        if place in self._loose:
            return self._loose[place]
        item: _Item = block.packer.unpack(block.items[place % BLOCK])
        return item

    def _at(self, place: int) -> _Item:
        block = self._blocks[place // BLOCK]
        return self._one(block, place) if isinstance(block, _Split) else self._whole(place // BLOCK)[place % BLOCK]

    @property
    def items(self) -> Sequence[_Item]:
        """As a list of all, where none is packed."""
        return self if self._packed else list(self)

    def __len__(self) -> int:
        return (len(self._blocks) - 1) * BLOCK + len(self._whole(len(self._blocks) - 1)) if self._blocks else 0

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Item]: ...
    def __getitem__(self, index: int | slice) -> _Item | list[_Item]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self._at(place) for place in places]
        return self._at(places)

    def __iter__(self) -> Iterator[_Item]:
        for at in range(len(self._blocks)):
            yield from self._whole(at)


class JobList(Sequence[Job]):
    """Jobs in order; with more than :data:`AWAKE` of them all are packed, and each access makes an object of its own.

    Args:
        jobs: settled, each is taken up at once.
    """

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._packer = Packer()
        self._jobs: list[Job | bytes] = []
        for job in jobs:
            self.append(job)

    @property
    def packed(self) -> bool:
        """There are so many that they are packed."""
        return len(self._jobs) > AWAKE

    def append(self, job: Job) -> None:
        """One more."""
        count = len(self._jobs)
        if count == AWAKE:
            self._jobs = [self._packer.pack(one) for one in self]
        self._jobs.append(job if count < AWAKE else self._packer.pack(job))

    def sort(self, keys: Sequence[int]) -> None:
        """Order by a key for each."""
        order = sorted(range(len(self._jobs)), key=keys.__getitem__)
        self._jobs = [self._jobs[at] for at in order]

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return [self._whole(one) for one in self._jobs[index]]
        return self._whole(self._jobs[index])

    def __iter__(self) -> Iterator[Job]:
        return map(self._whole, self._jobs)

    def _whole(self, one: Job | bytes) -> Job:
        if isinstance(one, Job):
            return one
        job: Job = self._packer.unpack(one)
        return job
