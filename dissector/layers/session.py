"""A Scapy session that gives WSD messages: ``sniff(offline="trace.pcap", session=WsdSession)``, or live.

It stands on the dissector's own stream rebuilding: a lost segment stays lost, and the message says so. Each packet
that it gives is one message (:class:`HTTPMessage` / :class:`SOAPEnvelope` / body, or :class:`SOAPEnvelope` / body over
UDP), with the time of the packet that completed it and the dissector's message in ``packet.wsd``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scapy.config import conf
from scapy.packet import Packet
from scapy.plist import PacketList
from scapy.sessions import DefaultSession
from scapy.utils import RawPcapReader

from dissector.assembly import MessagePass
from dissector.capture.model import Block, Interface, SourceInfo
from dissector.http.model import BodyPolicy
from dissector.layers.messages import HTTPMessage, SOAPEnvelope, envelope_layers, http_fields
from dissector.messages import Message
from dissector.reader import Paths, open_capture

__all__ = ["WsdSession", "read_wsd", "to_scapy"]

BATCH = 500
"""Packets of a file handed on at once: one by one, numpy's fixed costs are about 1 ms a packet."""


def to_scapy(message: Message) -> Packet:
    """A message as Scapy layers."""
    packet: Packet | None = None
    if message.http is not None:
        packet = HTTPMessage()
        packet.fields.update(http_fields(message.http), frames=list(message.frames))
    if message.envelope is not None:
        soap = SOAPEnvelope()
        layer, body = envelope_layers(soap, message.envelope)
        below = layer(body) if body else layer()
        below.raw_packet_cache = below.raw_packet_cache or b""
        soap.raw_packet_cache = message.envelope.xml
        soap.add_payload(below)
        packet = soap if packet is None else packet / soap
    if packet is None:
        packet = HTTPMessage()
    packet.time = message.time / 1e9
    packet.wsd = message
    return packet


def read_wsd(paths: Paths) -> PacketList:
    """All WSD messages of a capture, attachments with their bytes: what ``rdpcap`` is for packets."""
    with open_capture(paths, keep=True) as capture:
        return PacketList([to_scapy(message) for message in capture.messages], name="WSD messages")


class _Frames:
    """The frames that Scapy read, as a source of blocks."""

    def __init__(self) -> None:
        self.interfaces: list[Interface] = []
        self.info = SourceInfo()
        self._numbers: dict[int, int] = {}
        self._held: list[tuple[bytes, int, int, int]] = []

    def __iter__(self) -> Iterator[Block]:
        return iter(())

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        """Nothing is open."""

    def locate(self, frame: int) -> tuple[str, int]:
        """Scapy's packets come from nowhere else."""
        return "", frame

    def add(self, packet: Packet) -> None:
        """One packet, with the bytes it was dissected from."""
        raw = packet.original or bytes(packet)
        link = conf.l2types.layer2num.get(type(packet), 1)
        if link not in self._numbers:
            self._numbers[link] = len(self.interfaces)
            self.interfaces.append(Interface(len(self.interfaces), link, digits=6))
        self._held.append(
            (raw, packet.wirelen or len(raw), round(float(packet.time) * 1e6) * 1000, self._numbers[link])
        )

    def block(self) -> Block:
        """The held frames."""
        held, self._held = self._held, []
        sizes = np.array([len(raw) for raw, _, _, _ in held], dtype=np.int64)
        first = self.info.frames + 1
        self.info.frames += len(held)
        return Block(
            b"".join(raw for raw, _, _, _ in held),
            np.cumsum(sizes) - sizes,
            sizes,
            np.array([wire for _, wire, _, _ in held], dtype=np.int64),
            np.array([time for _, _, time, _ in held], dtype=np.int64),
            np.array([number for _, _, _, number in held], dtype=np.int64),
            first,
        )


class WsdSession(DefaultSession):  # type: ignore[misc]
    """Packets in, WSD messages out.

    From a file the last messages come when it ends; live, each message comes with the packet that completes it, and
    :meth:`finish` gives what is still open.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._frames = _Frames()
        self._pass = MessagePass(self._frames, policy=BodyPolicy(digest=True, digest_bodies=False, keep=True))
        self._ended = False

    def recv(self, sock: Any) -> Iterator[Packet]:
        """The messages that the next packets complete."""
        many = BATCH if isinstance(sock, RawPcapReader) else 1
        while len(self._frames) < many:
            try:
                packet = sock.recv()
            except EOFError:
                if self._ended:
                    raise
                self._ended = True
                yield from self.finish()
                return
            if packet is None:
                break
            self._frames.add(packet)
        if len(self._frames):
            yield from self._messages(self._pass.feed(self._frames.block()))

    def finish(self) -> Iterator[Packet]:
        """What is still open when no more packets come."""
        if len(self._frames):
            yield from self._messages(self._pass.feed(self._frames.block()))
        yield from self._messages(self._pass.finish())

    @staticmethod
    def _messages(messages: Iterator[Message]) -> Iterator[Packet]:
        return (to_scapy(message) for message in messages if message.wsd)
