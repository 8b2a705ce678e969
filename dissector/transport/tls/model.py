"""What is known of one TLS connection, with keys or without: the facts that ``dsmshark tls`` shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from dissector.base.findings import Finding
from dissector.base.origin import Endpoint
from dissector.transport.model import StreamEnd
from dissector.transport.tls.certificates import Certificate

__all__ = ["Alert", "Flight", "Judged", "RecordSeen", "Talk", "TlsFacts", "Trust"]

_CONNECT = re.compile(r"CONNECT \[?([^\]/]+?)\]?(?::[0-9]+)?\Z")

RECORDS = 1000
"""Records of one connection whose sizes and times are kept; all are counted."""


class RecordSeen(NamedTuple):
    """One record: who sent it, content type as on the wire and (opened) inside, bytes of its fragment, place, types of
    the handshake messages that end in it."""

    from_client: bool
    type: int
    inner: int | None
    size: int
    frame: int
    time: int
    messages: tuple[int, ...] = ()


class Alert(NamedTuple):
    """An alert. ``level`` and ``description`` are None where it was encrypted and could not be opened."""

    from_client: bool
    level: int | None
    description: int | None
    frame: int
    time: int


@dataclass(slots=True)
class Talk:
    """What one side sent: records by content type, bytes of fragments, bytes of application data where opened."""

    records: dict[int, int] = field(default_factory=dict)
    bytes: int = 0
    plain: int = 0
    lost: int = 0
    """Places where records are missing or damaged."""
    cut: bool = False
    """The capture length cut some of it: it was not lost on the way."""
    finished: bool = False
    """Its part of the handshake ended: Finished was seen, or encrypted records that can be nothing else."""
    opened: bool = False
    spoke: bool | None = None
    """It said something behind the handshake (other than an alert), None: not known."""
    last: int = 0
    """Time of its last record."""
    end: StreamEnd | None = None
    end_frame: int = 0
    end_time: int = 0


class Flight(NamedTuple):
    """A handshake message, for the order of things: who sent it, type, frame, time."""

    from_client: bool
    type: int
    frame: int
    time: int


@dataclass(frozen=True, slots=True)
class Trust:
    """What is said of one side's certificate.

    Attributes:
        anchor: the authority of the store that it leads to, "" for none.
        problems: why it is not trusted; empty where it is.
        strict: what strict verifiers refuse besides, "" for nothing.
        remark: what else one has to know.
    """

    anchor: str = ""
    problems: tuple[str, ...] = ()
    strict: str = ""
    remark: str = ""

    @property
    def trusted(self) -> bool:
        """Nothing speaks against it."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said of both sides; None where no certificate was seen. ``store``: who was asked."""

    store: str
    server: Trust | None
    client: Trust | None


@dataclass(slots=True)
class TlsFacts:
    """One connection.

    Attributes:
        number: as Wireshark's tcp.stream.
        client, server: by the hellos; where none was seen, by who opened the connection.
        frame, time: of the first record.
        server_name: SNI.
        offered: versions that the client offers; ``suites`` its cipher suites; ``alpn_offered`` its protocols;
            ``groups`` and ``signatures`` numbers of the groups and signature algorithms.
        hidden: the client offers Encrypted Client Hello, or pretends to: ``server_name`` may be the name of another.
        version, suite, alpn: what the server chose; None, "" where its hello was not seen.
        answered: the first bytes that the server said, where no ServerHello was seen; b"" for nothing.
        resumed: "", "id", "ticket" or "psk" (which may also have been agreed upon before).
        compression: how certificates were compressed, "" for not at all; of those that cannot be read nothing is known.
        retried: the server asked for a second ClientHello, with a key of ``wanted_group`` (0: not said).
        early: of early data: "", "offered", "accepted", "rejected".
        certificates: of the server, its own first; empty where they were encrypted or not sent.
        client_certificates: of the client.
        asked: the server asked for a client's certificate; None where that is encrypted.
        given: the client gave one; None where that is not known.
        by_size: ``asked`` and ``given`` are concluded from the sizes of encrypted records.
        shown: frame that completed the server's certificates, and the client's; 0: not seen.
        lone: only packets of the client (True) or of the server are in the capture; None: of both.
        reset_by_client: the client (True) or the server reset the TCP connection; None: nobody.
        authorities: names of the authorities that the server accepts for clients.
        tunnel: what the client asked for in HTTP before the TLS, such as ``CONNECT server:5362``; "" for nothing.
        depth: how many TLS connections are around it.
        handshakes: 1, more where it was renegotiated.
        key_updates: of both sides together.
        state: "opened", "partly" (some of it), "no keys", "late keys" (a key log that grows
            got them when the connection was over), "wrong keys", "unsupported", "no handshake".
        keys: where the keys came from: "key log", "traffic secrets", "RSA key", "pre-master secret", "session".
    """

    number: int
    client: Endpoint
    server: Endpoint
    frame: int = 0
    time: int = 0
    last_frame: int = 0
    last_time: int = 0
    tunnel: str = ""
    depth: int = 0
    server_name: str = ""
    offered: tuple[int, ...] = ()
    suites: tuple[int, ...] = ()
    alpn_offered: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    signatures: tuple[int, ...] = ()
    hidden: bool = False
    version: int | None = None
    suite: int | None = None
    alpn: str = ""
    answered: bytes = b""
    answer_frame: int = 0
    resumed: str = ""
    compression: str = ""
    retried: bool = False
    wanted_group: int = 0
    extended_master: bool = False
    encrypt_then_mac: bool = False
    early: str = ""
    certificates: list[Certificate] = field(default_factory=list)
    client_certificates: list[Certificate] = field(default_factory=list)
    asked: bool | None = None
    given: bool | None = None
    by_size: bool = False
    shown: list[int] = field(default_factory=lambda: [0, 0])
    lone: bool | None = None
    reset_by_client: bool | None = None
    authorities: list[str] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    messages: list[Flight] = field(default_factory=list)
    handshakes: int = 0
    key_updates: int = 0
    talks: tuple[Talk, Talk] = field(default_factory=lambda: (Talk(), Talk()))
    """What the client sent, and what the server sent."""
    records: list[RecordSeen] = field(default_factory=list)
    state: str = "no keys"
    keys: str = ""
    secrets: list[str] = field(default_factory=list, repr=False)
    """Key log lines that open it."""
    findings: list[Finding] = field(default_factory=list)
    """Complete when the connection ended."""
    trust: Judged | None = None
    """Whether the certificates are trusted, where that was asked for."""

    @property
    def ends(self) -> str:
        """``client → server``, and the tunnel where it is in one."""
        return f"{self.client} → {self.server}" + (f" ({self.tunnel})" if self.tunnel else "")

    @property
    def named(self) -> str:
        """The host that the client asked for, in its hello or else in its CONNECT; "" for none."""
        found = None if self.server_name else _CONNECT.match(self.tunnel)
        return found[1] if found else self.server_name

    @property
    def finished(self) -> bool:
        """The handshake came to its end on both sides."""
        return self.talks[0].finished and self.talks[1].finished
