"""Blocks of frames → columns of TCP and UDP packets.

Most packets of a capture are noise, so no packet is an object here: :mod:`~dissector.transport.fastpath` finds the
TCP and UDP headers of ordinary frames by numpy, :mod:`~dissector.transport.walk` those of the others one by one, and
:mod:`~dissector.transport.columns` reads them. The only state kept from block to block are IP fragments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dissector.base.findings import rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture.linktypes import link_name
from dissector.capture.model import Block, Interface
from dissector.transport.columns import FlowHash, Headers, Rows, concatenated, ports_of, read_headers
from dissector.transport.fastpath import FAST_LAYERS, Frames, locate, vxlan_candidates
from dissector.transport.fragments import cut_pieces
from dissector.transport.gather import Gather, one_of
from dissector.transport.ip import UDP
from dissector.transport.layers import Layer
from dissector.transport.link import LINK_LAYERS
from dissector.transport.model import PacketColumns, TransportStats
from dissector.transport.walk import Outcome, Source, Walker

__all__ = ["PacketDecoder"]

I64 = npt.NDArray[np.int64]

UNKNOWN_LINK = rule("link.unknown", "warn", "frames of a link type that is not read were skipped")

_BATCH = 1 << 14
"""Frames that go through the fast path at once. Larger batches fall out of the processor's cache."""


class PacketDecoder:
    """Decodes the blocks of one capture, in order.

    Args:
        interfaces: the capture's interfaces; may grow between blocks.
        stats: counts ``frames``, ``bytes`` (on the wire), ``link_types``, ``tcp``, ``udp``, ``other``,
            ``unknown_link``, ``damaged`` (a header is cut or contradicts itself), ``fragments`` (all IP fragments; the
            frame that completes a datagram counts as what it carries too), ``cut`` (frames shortened by the capture
            length), ``first_time``, ``last_time`` (the smallest and greatest), and takes findings.
        limits: ``tunnel_depth``, ``fragments`` and ``fragment_bytes`` are used.
        fast: False sends every frame through the row-by-row walk; tests compare.
        flow_hash: makes ``flow``; with a salt of its own if not given.
    """

    def __init__(
        self,
        interfaces: Sequence[Interface],
        stats: TransportStats,
        limits: Limits = DEFAULT_LIMITS,
        *,
        fast: bool = True,
        flow_hash: FlowHash | None = None,
    ) -> None:
        self._interfaces = interfaces
        self._stats = stats
        self._limits = limits
        self._fast = fast
        self._hash = flow_hash or FlowHash()
        self._walker = Walker(stats, limits)
        self._named: set[int] = set()

    def decode(self, block: Block) -> PacketColumns:
        """The TCP and UDP packets of one block, in frame order.

        A frame gives one entry, or none; an 802.11 frame that aggregates several packets gives one for each. The
        entry of a fragmented datagram stands at the frame that completed it.
        """
        self._count(block)
        walker = self._walker
        walker.start_block()
        gather = Gather(block.data)
        parts: list[Headers] = []
        for start in range(0, len(block), _BATCH):
            rows, records = self._batch(block, slice(start, min(start + _BATCH, len(block))), gather)
            if len(rows):
                self._read(gather, rows, parts, records)
        buffers = [block.data]
        in_block = sum(len(part) for part in parts)
        origins: dict[int, Source] = {}
        if walker.rebuilt:
            buffers.append(b"".join(walker.buffers))
            rows = Rows.made(walker.rebuilt)
            # The row's number says which source it came from, until the sources are found again.
            rows.row = np.arange(len(rows), dtype=np.int64)
            self._read(Gather(buffers[1]), rows, parts)
            kept = parts[-1].row.tolist()
            parts[-1].row = np.array([walker.origins[i].row for i in kept], np.int64)
            origins = {in_block + n: walker.origins[i] for n, i in enumerate(kept)}
        return self._columns(block, buffers, parts, in_block, origins)

    def finish(self) -> None:
        """The capture ended: datagrams that still lack fragments become a finding."""
        self._walker.fragments.finish()

    def _count(self, block: Block) -> None:
        stats = self._stats
        if not len(block):
            return
        stats.frames += len(block)
        stats.bytes += int(block.wirelen.sum())
        stats.cut += int(np.count_nonzero(block.caplen < block.wirelen))
        first, last = int(block.time.min()), int(block.time.max())
        stats.first_time = first if stats.first_time is None else min(stats.first_time, first)
        stats.last_time = last if stats.last_time is None else max(stats.last_time, last)

    def _batch(self, block: Block, batch: slice, gather: Gather) -> tuple[Rows, npt.NDArray[np.void] | None]:
        """The headers of some frames, in order, and the records at them where they were gathered already."""
        interface = block.interface[batch]
        start = block.offset[batch]
        row = np.arange(batch.start, batch.stop, dtype=np.int64)
        end = start + block.caplen[batch]
        frames = Frames(row, start, end, np.maximum(start + block.wirelen[batch], end))
        # numpy's unique() would do, and imports all of numpy.ma, a twentieth of the start-up.
        one = (interface == interface[0]).all()
        numbers = [int(interface[0])] if one else np.flatnonzero(np.bincount(interface)).tolist()
        by_link: dict[int, list[int]] = {}
        found: list[Rows] = []
        left: list[tuple[Layer, I64]] = []
        records = None
        for number in numbers:
            by_link.setdefault(self._interfaces[number].link_type, []).append(number)
        for link_type, members in by_link.items():
            chosen = frames if len(by_link) == 1 else frames.pick(one_of(interface, members))
            counts = self._stats.link_types
            counts[link_type] = counts.get(link_type, 0) + len(chosen)
            layer = LINK_LAYERS.get(link_type)
            if layer is None:
                self._unknown(link_type, block.first + int(chosen.row[0]), len(chosen))
            elif self._fast and layer in FAST_LAYERS:
                located = locate(gather, layer, chosen, self._limits.tunnel_depth)
                self._stats.other += located.other
                rows, records = located.found, ports_of(gather, located.found)
                tunnels = vxlan_candidates(records["dport"], rows.protocol)
                if tunnels.any():
                    left.append((layer, rows.row[tunnels]))
                    rows, records = rows.pick(~tunnels), records[~tunnels]
                found.append(rows)
                left.append((layer, located.walk))
            else:
                left.append((layer, chosen.row))
        self._walker.located.clear()
        self._walk(block, left)
        if self._walker.located or not found:
            found.append(Rows.made(self._walker.located))
        return (found[0], records) if len(found) == 1 else (Rows.merged(found), None)

    def _walk(self, block: Block, left: list[tuple[Layer, I64]]) -> None:
        """Walk the rows in frame order, so that of two equal fragments the earlier is the first."""
        if not any(len(part) for _, part in left):
            return
        rows = np.concatenate([part for _, part in left])
        layers = np.concatenate([np.full(len(part), layer, np.int64) for layer, part in left])
        order = np.argsort(rows, kind="stable")
        rows, layers = rows[order], layers[order]
        data, walk = block.data, self._walker.walk
        members = list(Layer)
        outcomes = [0] * len(Outcome)
        columns = (rows, layers, block.offset[rows], block.caplen[rows], block.wirelen[rows], block.time[rows])
        for row, layer, start, caplen, wirelen, time in zip(*(column.tolist() for column in columns), strict=True):
            source = Source(data, row, block.first + row, time, start)
            end = start + caplen
            outcomes[walk(source, (members[layer], start, end, max(start + wirelen, end)))] += 1
        self._stats.other += outcomes[Outcome.OTHER]
        self._stats.damaged += outcomes[Outcome.DAMAGED]

    def _read(
        self, gather: Gather, rows: Rows, parts: list[Headers], records: npt.NDArray[np.void] | None = None
    ) -> None:
        headers, damaged = read_headers(gather, rows, self._hash, records)
        self._stats.damaged += damaged
        udp = int(np.count_nonzero(headers.protocol == UDP))
        self._stats.udp += udp
        self._stats.tcp += len(headers) - udp
        parts.append(headers)

    def _columns(
        self, block: Block, buffers: list[bytes], parts: list[Headers], in_block: int, origins: dict[int, Source]
    ) -> PacketColumns:
        """Put the parts into one set of columns in frame order."""
        headers = concatenated(parts) if parts else _nothing()
        buffer = np.zeros(len(headers), np.int32)
        buffer[in_block:] = 1
        row = headers.row
        if len(row) > 1 and (row[1:] < row[:-1]).any():
            order = np.argsort(row, kind="stable")
            headers, buffer = headers.pick(order), buffer[order]
            row = headers.row
            if origins:
                place = np.empty(len(order), np.int64)
                place[order] = np.arange(len(order))
                origins = {int(place[n]): source for n, source in origins.items()}
        at = headers.payload - block.offset[row]
        fragments = {}
        for n, source in origins.items():
            at[n] = -1
            start = int(headers.payload[n]) - source.base
            pieces = cut_pieces(source.pieces, start, start + int(headers.length[n]))
            fragments[n] = tuple((frame, inside, length) for _, frame, inside, length in pieces)
        return PacketColumns(
            buffers=buffers,
            frame=row + block.first,
            time=block.time[row],
            protocol=headers.protocol,
            flow=headers.flow,
            side=headers.side,
            sport=headers.sport.astype(np.int32),
            dport=headers.dport.astype(np.int32),
            family=headers.family,
            address=headers.address,
            seq=headers.seq,
            ack=headers.ack,
            flags=headers.flags,
            buffer=buffer,
            payload=headers.payload,
            length=headers.length,
            wire=headers.wire,
            at=at,
            multicast=headers.multicast,
            fragments=fragments,
        )

    def _unknown(self, link_type: int, frame: int, count: int) -> None:
        self._stats.unknown_link += count
        if link_type not in self._named:
            self._named.add(link_type)
            self._stats.findings.append(
                UNKNOWN_LINK(
                    f"link type {link_type} ({link_name(link_type)}) is not read; its frames are skipped",
                    frames=[frame],
                )
            )


def _nothing() -> Headers:
    return read_headers(Gather(b""), Rows.made([]), FlowHash())[0]
