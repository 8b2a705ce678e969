"""Writes the emulator's own traffic as pcapng, without the right to capture.

The sockets tell what they sent and received; the packets around it are made here: TCP with handshake, segments and
acknowledgements (RFC 9293), UDP, IPv4 and IPv6, with right check sums, as raw IP (LINKTYPE_RAW). So times, ports,
addresses and every byte of the streams are true; how the bytes were cut into packets, sequence numbers and
acknowledgements are not.

Rules: times grow strictly (Wireshark and our own reader go by them); packets of an encrypted connection are written
after the decryption secrets that open them, and since the order of packets is kept, all packets wait meanwhile, up to
:data:`HELD_BYTES`; trouble with the file never disturbs the traffic: it ends the capture, see ``PacketTap.failure``.
One event loop only: nothing is locked.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from pathlib import Path
from typing import BinaryIO

from dissector.base.origin import Endpoint
from dissector.capture.building import TCP, Address, address_pair, checksum, ip_packet, pseudo_header, tcp_segment
from dissector.capture.writer import TLS_KEY_LOG, PcapngWriter
from replay.base.clock import Clock

__all__ = ["PacketTap", "TcpTap"]

LINKTYPE_RAW = 101

HELD_BYTES = 16 << 20
"""Bytes of packets that wait for secrets; beyond it those at the head are written without."""

UNACKNOWLEDGED = 32 << 10
"""Bytes after which the other side acknowledges; the window is 65535, so it never fills."""

LARGEST_DATAGRAM = {4: 65507, 6: 65527}
"""UDP payload, by IP version: 65535 less the headers that the length field counts."""

COMMENT = 4096
"""Bytes of one comment."""

KEYLOG_READ = 4 << 20
"""Bytes of the key log that are read at once; a connection's secrets take about 1 KiB."""

_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_UDP = 17


class _End:
    """One side of a TCP connection.

    Attributes:
        seq: sequence number of its next byte.
        told: acknowledgement number that it sent last.
        fin: it has ended its direction.
    """

    __slots__ = ("address", "fin", "port", "seq", "told")

    def __init__(self, address: Address, port: int, seq: int) -> None:
        self.address = address
        self.port = port
        self.seq = seq
        self.told = -1
        self.fin = False


class TcpTap:
    """One TCP connection; made by :meth:`PacketTap.connection`. Sides are ``client`` and ``server``."""

    def __init__(self, tap: PacketTap, client: Endpoint, server: Endpoint, number: int, waiting: bool) -> None:
        self._tap = tap
        self.waiting = waiting
        """Its packets wait for secrets."""
        from_, to = address_pair(client, server)
        # Small numbers, and others for each connection: a port that is used again is not taken for a retransmission.
        first = number * 0x10000 + 1 & 0xFFFFFFFF
        self._client = _End(from_, client.port, first)
        self._server = _End(to, server.port, first + 0x8000 & 0xFFFFFFFF)
        self._mss = 1460 if from_.version == 4 else 1440
        self._reset = False
        self._comment = ""
        option = struct.pack(">BBH", 2, 4, self._mss)
        self._packet(self._client, self._server, _SYN, options=option)
        self._packet(self._server, self._client, _SYN | _ACK, options=option)
        self._packet(self._client, self._server, _ACK)

    def sent(self, side: str, data: bytes) -> None:
        """Bytes that this side put on the wire (cipher text where it is encrypted). Nothing after its end is taken."""
        this, other = self._ends(side)
        if self._reset or this.fin:
            return
        view = memoryview(data)
        for at in range(0, len(view), self._mss):
            piece = view[at : at + self._mss]
            if (this.seq + len(piece) - other.told & 0xFFFFFFFF) > UNACKNOWLEDGED:
                self._packet(other, this, _ACK)
            self._packet(this, other, _ACK | (_PSH if at + self._mss >= len(view) else 0), bytes(piece))

    def fin(self, side: str) -> None:
        """This side ended its direction in order."""
        this, other = self._ends(side)
        if self._reset or this.fin:
            return
        this.fin = True
        self._packet(this, other, _FIN | _ACK)
        self._packet(other, this, _ACK)
        if other.fin:
            self.secrets_ready()

    def reset(self, side: str) -> None:
        """This side cut the connection."""
        this, other = self._ends(side)
        if self._reset or (this.fin and other.fin):
            return
        self._reset = True
        self._packet(this, other, _RST | _ACK)
        self.secrets_ready()

    def comment(self, text: str) -> None:
        """Attach a comment to this connection's next packet; several are put together, one a line."""
        self._comment = f"{self._comment}\n{text}" if self._comment else text

    def secrets_ready(self) -> None:
        """The TLS handshake is over, or failed: what the key log has of it can be written. Harmless when repeated."""
        self._tap._ready(self)

    def _ends(self, side: str) -> tuple[_End, _End]:
        if side == "client":
            return self._client, self._server
        if side == "server":
            return self._server, self._client
        raise ValueError(f"a side is “client” or “server”, not {side!r}")

    def _packet(self, this: _End, other: _End, flags: int, data: bytes = b"", options: bytes = b"") -> None:
        acknowledged = other.seq if flags & _ACK else 0
        segment = tcp_segment(
            (this.address, this.port), (other.address, other.port), (this.seq, acknowledged), flags, data, options
        )
        this.seq = this.seq + len(data) + bool(flags & (_SYN | _FIN)) & 0xFFFFFFFF
        if flags & _ACK:
            this.told = acknowledged
        comment, self._comment = self._comment, ""
        self._tap._put(self, ip_packet(this.address, other.address, TCP, segment, self._tap._next_ident()), comment)


class PacketTap:
    """The capture of one emulator.

    Args:
        file: binary file for the pcapng; the caller closes it.
        application: name and version of the program, for the section header.
        keylog: NSS key log that the TLS contexts append to; None: nothing can be decrypted, and nothing waits.
        clock: gives the times.

    Attributes:
        failure: why the capture ended early (disk full, file closed), None while it goes well.
    """

    def __init__(self, file: BinaryIO, *, application: str, keylog: Path | None = None, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._last = 0
        self._ident = 0
        self._connections = 0
        self._queue: deque[tuple[TcpTap | None, int, bytes, str]] = deque()
        self._held = 0
        self._closed = False
        self._keys = _KeyLog(keylog) if keylog is not None else None
        self.failure: OSError | ValueError | None = None
        self._writer = PcapngWriter(file, application=application)
        self._writer.add_interface(
            LINKTYPE_RAW, name="sockets", description="made from what the program's sockets sent and received"
        )

    def connection(self, client: Endpoint, server: Endpoint, encrypted: bool = False) -> TcpTap:
        """A new TCP connection: writes its SYN, SYN/ACK and ACK.

        Args:
            client, server: real addresses and ports; zones (``%eth0``) are left out, an empty address is unspecified.
            encrypted: TLS; its packets wait until :meth:`TcpTap.secrets_ready`.

        Raises:
            ValueError: an address is none, or a port is not below 65536.
        """
        self._connections += 1
        waiting = encrypted and self._keys is not None and not self._closed
        return TcpTap(self, client, server, self._connections, waiting)

    def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """A UDP datagram, in one packet however large.

        Raises:
            ValueError: the data are longer than a datagram can be (65507 bytes, IPv6 65527), or an address is none.
        """
        from_, to = address_pair(source, destination)
        if len(data) > LARGEST_DATAGRAM[from_.version]:
            raise ValueError(f"{len(data)} bytes are more than a datagram of IPv{from_.version} can hold")
        head = struct.pack(">HHHH", source.port, destination.port, 8 + len(data), 0)
        value = checksum(pseudo_header(from_, to, _UDP, 8 + len(data)) + head + data) or 0xFFFF
        segment = head[:6] + struct.pack(">H", value) + data
        self._put(None, ip_packet(from_, to, _UDP, segment, self._next_ident()), "")

    def close(self) -> None:
        """Write what still waits. What is told afterwards is not recorded."""
        if self._closed:
            return
        self._write_secrets()
        while self._queue:
            self._write(*self._queue.popleft()[1:])
        self._held = 0
        self._closed = True
        if self.failure is None:
            try:
                self._file.flush()
            except (OSError, ValueError) as error:
                self.failure = error

    def _next_ident(self) -> int:
        self._ident = self._ident + 1 & 0xFFFF
        return self._ident

    def _put(self, connection: TcpTap | None, packet: bytes, comment: str) -> None:
        if self._closed or self.failure is not None:
            return
        self._last = max(self._clock.time_ns(), self._last + 1)
        if not self._queue and not (connection is not None and connection.waiting):
            self._write(self._last, packet, comment)
            return
        self._queue.append((connection, self._last, packet, comment))
        self._held += len(packet) + len(comment)
        while self._held > HELD_BYTES:
            head = self._queue[0][0]
            assert head is not None
            head.waiting = False
            self._write_secrets()
            self._drain()

    def _ready(self, connection: TcpTap) -> None:
        if connection.waiting:
            connection.waiting = False
            self._write_secrets()
            self._drain()

    def _drain(self) -> None:
        while self._queue:
            connection, time, packet, comment = self._queue[0]
            if connection is not None and connection.waiting:
                return
            self._queue.popleft()
            self._held -= len(packet) + len(comment)
            self._write(time, packet, comment)

    def _write(self, time: int, packet: bytes, comment: str) -> None:
        if self.failure is not None:
            return
        text = comment.encode("utf-8", "replace")[:COMMENT].decode("utf-8", "ignore")
        try:
            self._writer.write_packet(time, packet, comment=text or None)
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            self.failure = error

    def _write_secrets(self) -> None:
        lines = self._keys.new_lines() if self._keys is not None else b""
        if lines and self.failure is None:
            try:
                self._writer.write_secrets(TLS_KEY_LOG, lines)
            except (OSError, ValueError) as error:
                self.failure = error


class _KeyLog:
    """The lines that are added to a key log from now on; what it held before belongs to others."""

    LINE = re.compile(rb"[A-Z0-9_]+ [0-9a-fA-F]+ [0-9a-fA-F]+")

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._at = path.stat().st_size
        except OSError:
            self._at = 0

    def new_lines(self) -> bytes:
        """Whole lines of the NSS form; b"" where there are none or the file cannot be read."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read(KEYLOG_READ)
        except OSError:
            return b""
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and len(data) == KEYLOG_READ:
            whole = data  # no key log: skip it instead of reading it again each time
        self._at += len(whole)
        return b"".join(line.strip() + b"\n" for line in whole.splitlines() if self.LINE.fullmatch(line.strip()))
