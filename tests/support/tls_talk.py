"""TLS conversations made with Python's ssl in memory, as turns that built packets carry, with their key log."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.support.stories import Channel, Story

__all__ = ["Identity", "Talk", "client_context", "encrypt", "identity", "server_context", "talk"]

NO_ENCRYPT_THEN_MAC = 1 << 19
NO_EXTENDED_MASTER = 1
NO_TICKET = ssl.OP_NO_TICKET
NAMES = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
NOW = datetime.datetime(2026, 3, 2, 9, 15, tzinfo=datetime.UTC)
"""When the stories take place."""


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, as PEM."""

    certificate: bytes
    key: bytes
    der: bytes

    @contextmanager
    def file(self) -> Iterator[str]:
        with tempfile.NamedTemporaryFile(suffix=".pem") as made:
            made.write(self.key + self.certificate)
            made.flush()
            yield made.name


@cache
def identity(
    kind: str = "rsa",
    name: str = "scanner.example",
    first: datetime.datetime = NOW - datetime.timedelta(days=30),
    days: int = 365,
    serial: int = 7,
    bits: int = 2048,
) -> Identity:
    """A self-signed certificate; ``kind`` "rsa" or "ec"."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = (
        rsa.generate_private_key(65537, bits) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    )
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(first)
        .not_valid_after(first + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    return Identity(
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        made.public_bytes(serialization.Encoding.DER),
    )


def server_context(who: Identity, version: str = "", ciphers: str = "", options: int = 0) -> ssl.SSLContext:
    # The ciphers first: with them goes how strong the key has to be.
    made = _set(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), version, ciphers, options)
    with who.file() as file:
        made.load_cert_chain(file)
    return made


def client_context(version: str = "", ciphers: str = "", options: int = 0) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return _set(made, version, ciphers, options)


def _set(made: ssl.SSLContext, version: str, ciphers: str, options: int) -> ssl.SSLContext:
    made.options |= options
    # Even SSLContext warns about old versions, though that is what is tested.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.minimum_version = NAMES.get(version, ssl.TLSVersion.TLSv1_2)
        if version:
            made.maximum_version = NAMES[version]
    if version != "1.3":
        made.set_ciphers((ciphers or "ALL") + ":@SECLEVEL=0")
    return made


@dataclass
class Talk:
    """What went over the wire, in order, as (from the server, bytes); and the key log's text."""

    pieces: list[tuple[bool, bytes]] = field(default_factory=list)
    keylog: bytes = b""
    failure: ssl.SSLError | None = None
    session: ssl.SSLSession | None = None
    cipher: str = ""
    version: str = ""

    def story(self, client: str = "192.0.2.10", server: str = "192.0.2.20", port: int = 5362) -> Story:
        story = Story(channels={"tls": Channel(client, server, port)})
        for back, data in self.pieces:
            story.say("tls", data, back=back)
        return story


class _Ends:
    """Both ends of one connection, joined in memory."""

    def __init__(
        self, client: ssl.SSLContext, server: ssl.SSLContext, name: str | None, session: ssl.SSLSession | None
    ) -> None:
        self.bios = [[ssl.MemoryBIO(), ssl.MemoryBIO()], [ssl.MemoryBIO(), ssl.MemoryBIO()]]
        self.client = client.wrap_bio(*self.bios[0], server_side=False, server_hostname=name, session=session)
        self.server = server.wrap_bio(*self.bios[1], server_side=True)
        self.made = Talk()

    def carry(self) -> bool:
        """Hand over what was written; whether there was any."""
        some = False
        for back in (False, True):
            data = self.bios[back][1].read()
            if data:
                some = True
                self.made.pieces.append((back, data))
                self.bios[not back][0].write(data)
        return some

    def until(self, *steps: Callable[[], object]) -> None:
        """Call both steps until none of them wants more."""
        left = list(steps)
        while left:
            for step in list(left):
                try:
                    step()
                    left.remove(step)
                except ssl.SSLWantReadError:
                    pass
                finally:
                    moved = self.carry()
            if left and not moved:
                # Nothing on the way: once more, then it hangs.
                for step in list(left):
                    try:
                        step()
                        left.remove(step)
                    except ssl.SSLWantReadError:
                        continue
                if left and not self.carry():
                    raise AssertionError("the handshake hangs")


def talk(
    client: ssl.SSLContext,
    server: ssl.SSLContext,
    turns: list[tuple[bool, bytes]],
    *,
    name: str | None = "scanner.example",
    session: ssl.SSLSession | None = None,
    between: Callable[[_Ends, int], None] | None = None,
    close: bool = True,
) -> Talk:
    """A handshake, then turns of (from the server, plain bytes), then close_notify.

    Args:
        between: called before each turn with its number.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "keys"
        client.keylog_filename = str(log)
        ends = _Ends(client, server, name, session)
        made = ends.made
        try:
            ends.until(ends.client.do_handshake, ends.server.do_handshake)
            made.cipher, made.version = ends.client.cipher()[0], ends.client.version() or ""
            for number, (back, data) in enumerate(turns):
                if between is not None:
                    between(ends, number)
                source, sink = (ends.server, ends.client) if back else (ends.client, ends.server)
                source.write(data)
                ends.carry()
                got = b""
                while len(got) < len(data):
                    got += sink.read(1 << 20)
                assert got == data
                ends.carry()
            if close:
                made.session = ends.client.session
                for one in (ends.client, ends.server):
                    with suppress(ssl.SSLError):
                        one.unwrap()
                    ends.carry()
        except ssl.SSLError as failure:
            made.failure = failure
            ends.carry()
        made.keylog = log.read_bytes() if log.exists() else b""
    return made


def encrypt(story: Story, client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[Story, bytes]:
    """The story with each TCP channel over TLS, and the key log of all of them. Turns keep their order: what a
    connection says in the handshake comes with its first turn."""
    made = Story(channels=dict(story.channels), jobs=story.jobs)
    keys = b""
    channels = [name for name, channel in story.channels.items() if not channel.udp]
    spoken: dict[str, Iterator[list[tuple[bool, bytes]]]] = {}
    for name in channels:
        turns = [(turn.back, turn.data) for turn in story.turns if turn.channel == name]
        marks: list[int] = []
        done = talk(client, server, turns, between=lambda ends, _, marks=marks: marks.append(len(ends.made.pieces)))
        keys += done.keylog
        edges = [0, *marks[1:], len(done.pieces)]
        spoken[name] = iter([done.pieces[a:b] for a, b in pairwise(edges)])
    for turn in story.turns:
        if turn.channel not in spoken:
            made.turns.append(turn)
            continue
        pieces = next(spoken[turn.channel])
        for number, (back, data) in enumerate(pieces):
            last = number == len(pieces) - 1
            made.say(turn.channel, data, back=back, pause=0 if number else turn.pause, close=turn.close and last)
    return made, keys
