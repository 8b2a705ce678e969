"""Copies the frames of a capture into another one: interfaces and secrets go along."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dissector.capture.model import Block, FrameSource
from dissector.capture.writer import PcapngWriter

__all__ = ["FrameCopier"]


class FrameCopier:
    """Writes frames of a source.

    Args:
        source: where they come from.
        writer: where they go; interfaces that are added here come behind those that it has.
        secrets: write the decryption secrets blocks of the source too.
    """

    def __init__(self, source: FrameSource, writer: PcapngWriter, *, secrets: bool = True) -> None:
        self._source = source
        self._writer = writer
        self._secrets = secrets
        self._numbers: list[int] = []
        self._told = 0

    def begin(self, block: Block) -> None:
        """Write what has to stand before the frames of a block."""
        for interface in self._source.interfaces[len(self._numbers) :]:
            self._numbers.append(
                self._writer.add_interface(
                    interface.link_type, tsresol=9, snaplen=interface.snaplen, name=interface.name
                )
            )
        if self._secrets:
            for kind, text in self._source.info.secrets[self._told :]:
                self._writer.write_secrets(kind, text)
            self._told = len(self._source.info.secrets)

    def frame(self, block: Block, row: int) -> None:
        """Write one frame of a block that was begun."""
        start, size = int(block.offset[row]), int(block.caplen[row])
        self._writer.write_packet(
            int(block.time[row]),
            bytes(block.data[start : start + size]),
            self._numbers[int(block.interface[row])],
            wirelen=int(block.wirelen[row]),
        )

    def copy(self, block: Block, keep: npt.NDArray[np.bool_] | None = None) -> None:
        """Write the frames of a block, or those to keep."""
        self.begin(block)
        rows = range(len(block)) if keep is None else np.flatnonzero(keep).tolist()
        for row in rows:
            self.frame(block, row)
