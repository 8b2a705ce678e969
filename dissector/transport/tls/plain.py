"""The plain stream of one direction: what its records held, handed on as runs and gaps like any other stream.

Offsets count application data only. Each byte knows its frame: all ciphers keep length and order, so a plain byte lies
where its ciphertext byte lies. (Compression of old does not: there a byte knows the frame that completed its record.)
"""

from __future__ import annotations

from dissector.base.origin import FrameMap, Gap
from dissector.transport.model import Run, StreamConsumer, StreamEnd

__all__ = ["PlainStream"]

TRIM = 512
"""Entries of the frame map from which on the consumed ones are dropped."""


class PlainStream:
    """Gives the plain bytes of a direction to its consumer.

    Attributes:
        consumer: takes them; set before the first byte.
        missing: bytes that are missing before the next ones; 0: not known how many, None: none.
        before: frame before what is missing.
        released: see :class:`~dissector.transport.model.Run`; of everything so far.
    """

    def __init__(self) -> None:
        self.consumer: StreamConsumer | None = None
        self.missing: int | None = None
        self.before = 0
        self.released = 0
        self._frames = FrameMap()
        self._at = 0
        self._out: list[bytes] = []
        self._out_at = 0
        self._trim_at = TRIM

    def lose(self, size: int | None, before: int) -> None:
        """So many bytes are missing here, None: it is not known how many."""
        self.missing = 0 if self.missing is not None or size is None else size
        self.before = self.before or before

    def add(self, plain: bytes, frames: FrameMap, start: int | None, frame: int, time: int) -> None:
        """The next plain bytes.

        Args:
            plain: the bytes.
            frames: of the encrypted stream.
            start: where in it their first byte lies, None where that is not known.
            frame: completed the record.
            time: of that frame.
        """
        if self.missing is not None:
            self._gap(frame, frame, time)
        if not self._out:
            self._out_at = self._at
        size = len(plain)
        if start is None:
            self._frames.add(self._at, size, frame, -1, time)
        else:
            frames.copy_to(self._frames, self._at, start, start + size)
        self._out.append(plain)
        self._at += size

    def flush(self) -> None:
        """Hand over what came since the last call, as one run."""
        if not self._out or self.consumer is None:
            return
        out, self._out = self._out, []
        data = out[0] if len(out) == 1 else b"".join(out)
        self.consumer.data(Run(self._out_at, data, self._frames, self.released))
        if len(self._frames) > self._trim_at:
            self._frames.drop_before(getattr(self.consumer, "consumed", self._at))
            self._trim_at = max(TRIM, 2 * len(self._frames))

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """No more bytes."""
        if self.consumer is not None:
            if self.missing is not None:
                self._gap(0, frame, time)
            self.flush()
            self.consumer.end(how, frame, time)

    def _gap(self, after: int, released: int, time: int) -> None:
        self.flush()
        length, before = self.missing or 0, self.before
        self.missing, self.before = None, 0
        if self.consumer is None:
            return
        if length:
            self._frames.add(self._at, length, 0, -1, time)
        self.consumer.gap(Gap(self._at, length, "lost", before, after, max(released, self.released)))
        self._at += length
