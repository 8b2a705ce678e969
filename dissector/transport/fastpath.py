"""The fast path: TCP and UDP headers of the frequent kinds of frames, found for all frames of a batch at once.

Ethernet with up to two tags, Linux cooked, raw IP, null and loop; IPv4 with or without options, IPv6 without extension
headers; not fragmented. Whatever is not plainly one of these, or plainly of no interest (ARP, ICMP …), is left to
:mod:`dissector.transport.walk`, which alone decides what is damaged. A frame gets the same columns on both paths;
tests hold them to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dissector.transport import ip, link, tunnel
from dissector.transport.columns import Rows
from dissector.transport.gather import IPV4, IPV6, Gather, one_of
from dissector.transport.layers import Layer
from dissector.transport.walk import TCP_HEADER, UDP_HEADER

__all__ = ["FAST_LAYERS", "Frames", "Located", "locate", "vxlan_candidates"]

I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

FAST_LAYERS = frozenset([Layer.ETHERNET, Layer.LINUX_SLL, Layer.LINUX_SLL2, Layer.NULL, Layer.IP])

_FOUR, _SIX = np.uint8(4), np.uint8(6)
_UINT8 = np.dtype("u1")
_UINT16 = np.dtype(">u2")
_UINT32 = np.dtype(">u4")

_TYPE_AT = {Layer.ETHERNET: (12, 14), Layer.LINUX_SLL: (14, 16), Layer.LINUX_SLL2: (0, 20)}
"""Where the EtherType is, and where the bytes that it speaks of begin."""

_LINK_SIZE = {Layer.ETHERNET: 14, Layer.LINUX_SLL: 16, Layer.LINUX_SLL2: 20, Layer.NULL: 4, Layer.IP: 1}

_TAGS = 2
"""802.1Q tags that are opened here."""


def _table(numbers: frozenset[int], size: int) -> Bool:
    table = np.zeros(size, np.bool_)
    table[sorted(numbers)] = True
    return table


def _null_table(numbers: frozenset[int]) -> list[int]:
    """Address families as four big-endian bytes, written in either byte order."""
    return [v for n in sorted(numbers) for v in (n, n << 24)]


_TAGGED = _table(link.VLAN_ETHERTYPES, 1 << 16)
_WALKED_TYPES = _table(
    link.VLAN_ETHERTYPES | frozenset(link.TUNNEL_ETHERTYPES) | frozenset(range(link.ETHERTYPE_MIN)), 1 << 16
)
"""EtherTypes (and 802.3 lengths) behind which there may be a packet that only the walk finds."""
_WALKED_IPV4 = _table(ip.IN_IP | {ip.AUTHENTICATION}, 256)
_WALKED_IPV6 = _table(ip.IN_IP | {ip.AUTHENTICATION, ip.FRAGMENT} | ip.EXTENSION_HEADERS, 256)
_NULL_IPV4 = _null_table(link.AF_INET)
_NULL_IPV6 = _null_table(link.AF_INET6)


@dataclass(slots=True)
class Frames:
    """Frames of one link type: row in the block, first byte, behind the last captured, behind the last on the wire."""

    row: I64
    start: I64
    end: I64
    wire: I64

    def __len__(self) -> int:
        return len(self.row)

    def pick(self, keep: Bool) -> Frames:
        """Some of the frames."""
        index = np.flatnonzero(keep)
        return Frames(self.row[index], self.start[index], self.end[index], self.wire[index])


@dataclass(slots=True)
class Located:
    """What became of the frames: headers found (in row order), rows to walk, number of frames of no interest."""

    found: Rows
    walk: I64
    other: int


@dataclass(slots=True)
class _Network:
    """IP headers; members as in :class:`Rows`.

    ``plain``: the header is whole, in order, and none of a fragment.
    ``walked``: what it carries may hold another packet.
    """

    address: I64
    protocol: npt.NDArray[np.uint8]
    pos: I64
    end: I64
    wire: I64
    plain: Bool
    walked: Bool


_NETWORK = tuple(_Network.__slots__)


def locate(gather: Gather, layer: Layer, frames: Frames, tunnel_depth: int) -> Located:
    """Find the TCP and UDP headers.

    Args:
        gather: the block's bytes.
        layer: what the frames begin with, one of :data:`FAST_LAYERS`.
        frames: the frames.
        tunnel_depth: encapsulations that may be opened.
    """
    whole = frames.end - frames.start >= _LINK_SIZE[layer]
    short = frames.row[~whole]
    if len(short):
        frames = frames.pick(whole)
    if layer in _TYPE_AT:
        network, ethertype = _behind_type(gather, layer, frames, tunnel_depth)
        four = ethertype == link.ETHERTYPE_IPV4
        six = ethertype == link.ETHERTYPE_IPV6
        walk = _WALKED_TYPES[ethertype]
    elif layer == Layer.NULL:
        network = frames.start + 4
        head = gather.take(frames.start, _UINT32).astype(np.int64)
        four, six = one_of(head, _NULL_IPV4), one_of(head, _NULL_IPV6)
        walk = np.zeros(len(frames), np.bool_)
    else:
        network = frames.start
        version = gather.take(network, _UINT8) >> 4
        four, six = version == 4, version == 6
        walk = ~(four | six)
    headers = _headers(gather, frames, network, four, six)
    tcp = headers.protocol == ip.TCP
    carried = tcp | (headers.protocol == ip.UDP)
    ready = headers.plain & carried & (headers.end - headers.pos >= np.where(tcp, TCP_HEADER, UDP_HEADER))
    family = np.where(four, _FOUR, _SIX)
    rows = Rows(frames.row, family, headers.protocol, headers.address, headers.pos, headers.end, headers.wire)
    if ready.all():
        return Located(rows, short, 0)
    of_no_interest = headers.plain & ~carried & ~headers.walked
    walk |= (four | six) & ~(ready | of_no_interest)
    left = frames.row[walk]
    found = rows.pick(ready)
    return Located(found, np.concatenate([short, left]), len(frames) - len(found) - len(left))


def _behind_type(gather: Gather, layer: Layer, frames: Frames, tunnel_depth: int) -> tuple[I64, npt.NDArray[np.uint16]]:
    """Where the network layer begins, and its EtherType, behind the tags."""
    at, behind = _TYPE_AT[layer]
    ethertype = gather.take(frames.start + at, _UINT16).astype(np.uint16)
    network = frames.start + behind
    for _ in range(min(_TAGS, tunnel_depth)):
        tagged = _TAGGED[ethertype]
        if not tagged.any():
            break
        tagged &= network + 4 <= frames.end
        where = network[tagged]
        ethertype[tagged] = gather.take(where + 2, _UINT16)
        network[tagged] = where + 4
    return network, ethertype


def _headers(gather: Gather, frames: Frames, network: I64, four: Bool, six: Bool) -> _Network:
    """The IP headers of all frames; those of frames that are neither IPv4 nor IPv6 are not ``plain``."""
    if four.all():
        return _ipv4(gather, network, frames.end, frames.wire)
    if six.all():
        return _ipv6(gather, network, frames.end, frames.wire)
    size = len(frames)
    number, flag = np.zeros(size, np.int64), np.zeros(size, np.bool_)
    both = _Network(number, np.zeros(size, np.uint8), number.copy(), number.copy(), number.copy(), flag, flag.copy())
    for chosen, read in ((four, _ipv4), (six, _ipv6)):
        index = np.flatnonzero(chosen)
        if len(index):
            some = read(gather, network[index], frames.end[index], frames.wire[index])
            for name in _NETWORK:
                getattr(both, name)[index] = getattr(some, name)
    return both


def _ipv4(gather: Gather, network: I64, end: I64, wire: I64) -> _Network:
    records = gather.take(network, IPV4)
    version = records["version"]
    size = (version & 15).astype(np.int64) << 2
    total = records["total"].astype(np.int64)
    protocol = records["protocol"].copy()
    wire = network + total if total.all() else np.where(total > 0, network + total, wire)
    end = np.minimum(end, wire)
    pos = network + size
    plain = (version >> 4 == 4) & (size >= 20) & (records["fragment"].astype(np.uint16) & 0x3FFF == 0) & (pos <= end)
    return _Network(network + 12, protocol, pos, end, wire, plain, _WALKED_IPV4[protocol])


def _ipv6(gather: Gather, network: I64, end: I64, wire: I64) -> _Network:
    records = gather.take(network, IPV6)
    length = records["length"].astype(np.int64)
    protocol = records["next"].copy()
    pos = network + 40
    wire = np.where(length > 0, pos + length, wire)
    end = np.minimum(end, wire)
    plain = (records["version"] >> 4 == 6) & (pos <= end)
    return _Network(network + 8, protocol, pos, end, wire, plain, _WALKED_IPV6[protocol])


def vxlan_candidates(dport: npt.NDArray[np.uint16], protocol: npt.NDArray[np.uint8]) -> Bool:
    """The rows whose UDP destination port is one of VXLAN's: the walk tells whether they are."""
    found = one_of(dport, tunnel.VXLAN_PORTS)
    found &= protocol == ip.UDP
    return found
