"""The row-by-row walk: one frame at a time, through anything that can stand between a link header and TCP or UDP.

Slow (some microseconds a frame), so it is only taken for frames that :mod:`dissector.transport.fastpath` leaves:
fragments, extension headers, tunnels, rare link layers, and whatever is cut or odd. It ends where a TCP or UDP
header begins; that header is read by :mod:`dissector.transport.columns`, for both paths alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from dissector.base.findings import rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.transport import ip, link, tunnel, wlan
from dissector.transport.fragments import FragmentTable, Piece, cut_pieces
from dissector.transport.layers import OTHER, Layer, Step, StepFunction
from dissector.transport.model import TransportStats
from dissector.transport.tally import Tally

__all__ = ["TCP_HEADER", "UDP_HEADER", "Located", "Outcome", "Source", "Walker"]

TOO_DEEP = rule("ip.tunnel-depth", "warn", "frames hold more encapsulations than are opened", "limits.tunnel_depth")

TCP_HEADER = 20
UDP_HEADER = 8

_STEPS: dict[Layer, StepFunction] = {
    Layer.ETHERNET: link.ethernet,
    Layer.VLAN: link.vlan,
    Layer.LLC: link.llc,
    Layer.LINUX_SLL: link.linux_sll,
    Layer.LINUX_SLL2: link.linux_sll2,
    Layer.NULL: link.null,
    Layer.PPP: tunnel.ppp,
    Layer.PPP_HDLC: tunnel.ppp_hdlc,
    Layer.PPP_WITH_DIRECTION: tunnel.ppp_with_direction,
    Layer.PPPOE: tunnel.pppoe,
    Layer.CISCO_HDLC: tunnel.cisco_hdlc,
    Layer.MPLS: tunnel.mpls,
    Layer.GRE: tunnel.gre,
    Layer.VXLAN: tunnel.vxlan,
    Layer.WLAN: wlan.wlan,
    Layer.WLAN_PADDED: wlan.wlan_padded,
    Layer.RADIOTAP: wlan.radiotap,
    Layer.PRISM: wlan.prism,
    Layer.AVS: wlan.avs,
    Layer.PPI: wlan.ppi,
}

_IP_FAMILY: dict[Layer, int] = {Layer.IP: 0, Layer.IPV4: 4, Layer.IPV6: 6}

_IN_IP = {
    ip.IPV4_IN_IP: Layer.IPV4,
    ip.IPV6_IN_IP: Layer.IPV6,
    ip.GRE: Layer.GRE,
    ip.MPLS_IN_IP: Layer.MPLS,
}

_ENCAPSULATIONS = frozenset([Layer.VLAN, Layer.PPPOE, Layer.MPLS, *_IN_IP.values(), Layer.VXLAN])
"""What counts against the depth; an IP header does only inside another one."""

# Bound once: looking a member of an enumeration up costs as much as a step itself.
_LAST_END = Layer.DAMAGED
_VXLAN = Layer.VXLAN

Located = tuple[int, int, int, int, int, int, int]
"""A TCP or UDP header: row of the block, family, protocol, source address, header, end, wire (all in bytes of its
buffer)."""


class Outcome(IntEnum):
    """What became of a frame; the more telling is the greater."""

    OTHER = 0
    DAMAGED = 1
    WAITING = 2
    """A fragment of a datagram that is not complete yet."""
    FOUND = 3


@dataclass(slots=True)
class Source:
    """The bytes under a walk.

    Attributes:
        data: the block's bytes, or a rebuilt datagram behind its addresses.
        row, frame, time: of the frame in hand.
        start: where the frame begins in ``data``.
        base: where ``data`` begins in the buffer of rebuilt datagrams, -1 for the block's bytes.
        pieces: for a rebuilt datagram, where its bytes came from.
    """

    data: bytes
    row: int
    frame: int
    time: int
    start: int
    base: int = -1
    pieces: list[Piece] = field(default_factory=list)

    def cut(self, start: int, end: int) -> list[Piece]:
        """Where the bytes start..end came from."""
        if self.base < 0:
            return [(0, self.frame, start - self.start, end - start)]
        return cut_pieces(self.pieces, start, end)


class Walker:
    """Walks frames, and keeps what it found until it is taken.

    Args:
        stats: counts fragments, and takes findings.
        limits: bounds.

    Attributes:
        located: found in the block's bytes.
        rebuilt: found in rebuilt datagrams, positions counted in all of ``buffers`` joined.
        buffers: the rebuilt datagrams: both addresses, then what the fragments carried.
        origins: for each of ``rebuilt``, its source.
        fragments: the datagrams under reassembly.
    """

    def __init__(self, stats: TransportStats, limits: Limits = DEFAULT_LIMITS) -> None:
        self._stats = stats
        self._depth = limits.tunnel_depth
        self.fragments = FragmentTable(stats.findings, limits)
        self._too_deep = Tally(
            stats.findings,
            TOO_DEEP,
            lambda n: f"{n} frames hold more than {limits.tunnel_depth} encapsulations; they were left closed",
        )
        self.start_block()

    def start_block(self) -> None:
        """Forget what was found in the block before."""
        self.located: list[Located] = []
        self.rebuilt: list[Located] = []
        self.buffers: list[bytes] = []
        self.origins: list[Source] = []
        self._base = 0

    def walk(self, source: Source, step: Step, depth: int = 0) -> Outcome:
        """Follow one frame from a layer on; see the attributes for what is found."""
        data = source.data
        layer, pos, end, wire = step
        while layer > _LAST_END:
            function = _STEPS.get(layer)
            if function is not None:
                layer, pos, end, wire = function(data, pos, end, wire)
                outer = False
            elif layer in _IP_FAMILY:
                packet = ip.open_ip(data, pos, end, wire, _IP_FAMILY[layer])
                if packet is None:
                    return Outcome.DAMAGED
                if packet.fragment is not None:
                    return self._fragment(source, packet, packet.fragment, depth)
                found = self._transport(source, packet)
                if isinstance(found, Outcome):
                    return found
                layer, pos, end, wire = found
                outer = True
            else:
                return max(
                    (self.walk(source, inner, depth) for inner in wlan.amsdu(data, pos, end, wire)),
                    default=Outcome.DAMAGED,
                )
            if layer in _ENCAPSULATIONS and (outer or layer not in _IP_FAMILY):
                depth += 1
                if depth > self._depth:
                    self._too_deep.add(source.frame)
                    return Outcome.OTHER
        return Outcome.DAMAGED if layer == Layer.DAMAGED else Outcome.OTHER

    def _transport(self, source: Source, packet: ip.IpPacket) -> Outcome | Step:
        """Keep a TCP or UDP packet, or say what is tunnelled in this one."""
        family, address, protocol, pos, end, wire, _ = packet
        if protocol == ip.UDP:
            if end - pos < UDP_HEADER:
                return Outcome.DAMAGED
            port = source.data[pos + 2] << 8 | source.data[pos + 3]
            if port in tunnel.VXLAN_PORTS and tunnel.looks_like_vxlan(source.data, pos + UDP_HEADER, end):
                return (_VXLAN, pos + UDP_HEADER, end, wire)
        elif protocol == ip.TCP:
            if end - pos < TCP_HEADER:
                return Outcome.DAMAGED
        else:
            return (_IN_IP[protocol], pos, end, wire) if protocol in _IN_IP else OTHER
        base = source.base
        if base < 0:
            self.located.append((source.row, family, protocol, address, pos, end, wire))
        else:
            self.rebuilt.append((source.row, family, protocol, base + address, base + pos, base + end, base + wire))
            self.origins.append(source)
        return Outcome.FOUND

    def _fragment(self, source: Source, packet: ip.IpPacket, part: ip.FragmentPart, depth: int) -> Outcome:
        """Take a fragment; walk on in the datagram that it completes."""
        self._stats.fragments += 1
        family, address, protocol, pos, end, wire, _ = packet
        rebuilt = self.fragments.add(
            part.key,
            protocol,
            part.offset,
            part.more,
            source.data[pos:end],
            wire - pos,
            source.cut(pos, end),
            source.frame,
            source.time,
        )
        if rebuilt is None:
            return Outcome.WAITING
        addresses = source.data[address : address + (8 if family == 4 else 32)]
        size = len(addresses)
        data = addresses + rebuilt.data
        pieces = [(at + size, frame, inside, length) for at, frame, inside, length in rebuilt.pieces]
        whole = Source(data, source.row, source.frame, source.time, 0, self._base, pieces)
        self.buffers.append(data)
        self._base += len(data)
        inner = ip.open_extensions(
            data, ip.IpPacket(family, 0, rebuilt.protocol, size, len(data), size + rebuilt.size, None)
        )
        if inner is None:
            return Outcome.DAMAGED
        if inner.fragment is not None:
            # A fragment header inside the fragmentable part: no sender makes this.
            return Outcome.DAMAGED
        found = self._transport(whole, inner)
        if isinstance(found, Outcome):
            return found
        return self._tunnelled(whole, found, depth)

    def _tunnelled(self, source: Source, step: Step, depth: int) -> Outcome:
        """Walk on inside a rebuilt datagram."""
        if step[0] in _ENCAPSULATIONS:
            depth += 1
            if depth > self._depth:
                self._too_deep.add(source.frame)
                return Outcome.OTHER
        return self.walk(source, step, depth)
