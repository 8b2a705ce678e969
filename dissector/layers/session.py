"""A Scapy session that gives WSD messages: ``sniff(offline="trace.pcap", session=WsdSession)``, or live.

It stands on the dissector's own stream rebuilding: a lost segment stays lost, and the message says so. Each packet
that it gives is one message (:class:`HTTPMessage` / :class:`SOAPEnvelope` / body, or :class:`SOAPEnvelope` / body over
UDP), with the time of the packet that completed it and the dissector's message in ``packet.wsd``.

A file that Scapy was given by its path is read by the dissector's own reader, since Scapy's loses the link types of a
second section of pcapng; packets of sockets, pipes and lists are taken from Scapy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary, finalize

import numpy as np

# Scapy knows the link types of packets only when these are imported.
import scapy.layers.inet
import scapy.layers.l2  # noqa: F401
from scapy.config import conf
from scapy.packet import NoPayload, Packet, Raw
from scapy.plist import PacketList
from scapy.sessions import DefaultSession
from scapy.supersocket import IterSocket
from scapy.utils import EDecimal, RawPcapReader

from dissector.assembly import MessagePass
from dissector.base.errors import DsmsharkError
from dissector.capture.model import Block, FrameSource, Interface, SourceInfo
from dissector.capture.source import open_source
from dissector.http.model import BodyPolicy
from dissector.layers.layer import Layer
from dissector.layers.messages import HTTPMessage, SOAPEnvelope, http_fields, xml_content
from dissector.messages import Message
from dissector.reader import Paths, open_capture

__all__ = ["WsdSession", "read_wsd", "to_scapy"]

BATCH = 500
"""Packets of a pipe or list handed on at once: one by one, numpy's fixed costs are about 1 ms a packet."""


def to_scapy(message: Message) -> Packet:
    """A message as Scapy layers. What is no readable envelope is kept as ``Raw``."""
    below: Packet | None = None
    if message.envelope is not None:
        below = SOAPEnvelope.of(message.envelope)
    elif message.http is not None:
        content = xml_content(message.http)
        below = Raw(content.data()) if content.kept and content.size else None
    else:
        below = Raw(message.datagram or b"")
    packet: Any = below
    if message.http is not None:
        packet = HTTPMessage()
        packet.fields.update(http_fields(message.http), frames=list(message.frames))
        if below is not None:
            packet.add_payload(below)
    packet.time = EDecimal(message.time) / 10**9
    packet.wsd = message
    layer = packet.payload
    while not isinstance(layer, NoPayload):
        if isinstance(layer, Layer):
            layer.wsd = message
        layer = layer.payload
    return packet


def read_wsd(paths: Paths) -> PacketList:
    """All WSD messages of a capture, attachments with their bytes: what ``rdpcap`` is for packets."""
    with open_capture(paths, keep=True) as capture:
        return PacketList([to_scapy(message) for message in capture.messages], name="WSD messages")


class _Packets:
    """The packets of a Scapy socket, as a source of blocks."""

    def __init__(self, socket: Any) -> None:
        self.interfaces: list[Interface] = []
        self.info = SourceInfo()
        self.paths: list[str] = []
        self._link = getattr(socket, "linktype", 1) & 0xFFFF
        self._waits = not isinstance(socket, (RawPcapReader, IterSocket))
        self._numbers: dict[int, int] = {}
        self._held: list[tuple[bytes, int, int, int]] = []

    def __iter__(self) -> Iterator[Block]:
        return iter(())

    def close(self) -> None:
        """Scapy closes its socket."""

    def locate(self, frame: int) -> tuple[str, int]:
        """Scapy's packets come from nowhere else."""
        return "", frame

    def place(self, block: Block) -> None:
        """In no file that is known here."""

    def read(self, socket: Any) -> Iterator[Block]:
        """The next packets: one of a socket that waits for more, many of a file.

        Raises:
            EOFError: there are no more, after the last block was given. So with whatever else Scapy raises.
        """
        failed: Exception | None = None
        try:
            for _ in range(1 if self._waits else BATCH):
                packet = socket.recv()
                if packet is None:
                    break
                self._add(packet)
        except Exception as error:  # a damaged file: what was read before counts
            failed = error
        if self._held:
            yield self._block()
        if failed is not None:
            raise failed

    def _add(self, packet: Packet) -> None:
        raw = packet.original or bytes(packet)
        # What Scapy has no layer for comes as Raw; the reader then knows the link type of its file.
        link = conf.l2types.layer2num.get(type(packet), self._link)
        if link not in self._numbers:
            self._numbers[link] = len(self.interfaces)
            self.interfaces.append(Interface(len(self.interfaces), link, digits=6))
        number = self._numbers[link]
        exact = isinstance(packet.time, Decimal)
        time = int(Decimal(packet.time) * 10**9) if exact else round(packet.time * 1e6) * 1000
        if time % 1000 and self.interfaces[number].digits < 9:
            self.interfaces[number] = replace(self.interfaces[number], digits=9)
        self._held.append((raw, packet.wirelen or len(raw), time, number))

    def _block(self) -> Block:
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


class _Input:
    """One of the sockets or files that Scapy sniffs: a capture of its own."""

    def __init__(self, socket: Any) -> None:
        self._packets = _Packets(socket)
        self._blocks: Iterator[Block] | None = None
        source: FrameSource = self._packets
        path = getattr(socket, "filename", None)
        if isinstance(socket, RawPcapReader) and isinstance(path, str) and os.path.isfile(path):
            with suppress(DsmsharkError):
                source = open_source(path)
                self._blocks = iter(source)
        self.close = finalize(self, source.close)
        self._pass = MessagePass(source, policy=BodyPolicy(digest=True, digest_bodies=False, keep=True))
        self._over: Exception | None = None

    def messages(self, socket: Any) -> Iterator[Message]:
        """The messages that the next packets complete; at the end those that are still open.

        Raises:
            EOFError: the input ended, and everything was given. So with whatever else Scapy raises.
        """
        if self._over is not None:
            raise self._over
        try:
            for block in self._read(socket):
                yield from self._pass.feed(block)
        except Exception as error:
            self._over = error
            yield from self.finish()

    def finish(self) -> Iterator[Message]:
        """What is still open."""
        self._over = self._over or EOFError()
        yield from self._pass.finish()
        self.close()

    @property
    def over(self) -> bool:
        """The input ended."""
        return self._over is not None

    def _read(self, socket: Any) -> Iterator[Block]:
        if self._blocks is None:
            yield from self._packets.read(socket)
            return
        block = next(self._blocks, None)
        if block is None:
            raise EOFError
        yield block


class WsdSession(DefaultSession):  # type: ignore[misc]  # Scapy has no types
    """Packets in, WSD messages out.

    From a file the last messages come when it ends; live, each message comes with the packet that completes it. Scapy
    does not tell a session that live sniffing was ended: give ``sniff`` a session of your own (``session=mine``), and
    ``mine.finish()`` gives what is still open. Of several files or interfaces each is a capture of its own, with
    messages and frames numbered from 1.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._inputs: WeakKeyDictionary[Any, _Input] = WeakKeyDictionary()

    def recv(self, sock: Any) -> Iterator[Packet]:
        """The messages that the next packets complete."""
        source = self._inputs.get(sock)
        if source is None:
            source = self._inputs[sock] = _Input(sock)
        yield from self._packets(source.messages(sock))

    def finish(self) -> Iterator[Packet]:
        """What is still open when no more packets come."""
        for source in list(self._inputs.values()):
            if not source.over:
                yield from self._packets(source.finish())

    @staticmethod
    def _packets(messages: Iterator[Message]) -> Iterator[Packet]:
        return (to_scapy(message) for message in messages if message.wsd)
