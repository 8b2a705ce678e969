"""Failed handshakes and doubtful certificates, made by Python's ssl: what is said of them, without keys."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from itertools import product

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from dissector.base.findings import Finding
from dissector.output.tls_text import connection_lines
from dissector.transport.model import StreamEnd
from dissector.transport.tls import ciphers
from dissector.transport.tls.alerts import WORDS
from dissector.transport.tls.ending import end
from dissector.transport.tls.model import Alert, TlsFacts
from dissector.transport.tls.names import RETRY_RANDOM, TLS13
from dissector.transport.tls.sizes import Sealed, guess
from tests.support.authority import issue
from tests.support.tls_feed import CLIENT, SERVER, TlsFeed, read_talk
from tests.support.tls_talk import NOW, Identity, client_context, identity, server_context, talk

GET = [(False, b"GET / HTTP/1.1\r\n\r\n")]
DAY = datetime.timedelta(days=1)
NANO = int(NOW.timestamp()) * 1_000_000_000
EXPIRED = identity("ec", "old.example", NOW - 400 * DAY, 365, 8)
EARLY = identity("ec", "new.example", NOW + 1 * DAY, 365, 9)


def issued(usage: x509.ObjectIdentifier | None, authority: bool = True) -> Identity:
    """A certificate of an authority, for that use."""
    made = issue("scanner.example", issue("Lab", authority=True) if authority else None, usage=usage)
    key = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(made.pem, key, made.der)


PEOPLE: dict[str, Callable[[], Identity]] = {
    "plain": lambda: identity("ec"),
    "early": lambda: EARLY,
    "expired": lambda: EXPIRED,
    "small": lambda: identity("rsa", bits=1024),
    "clients": lambda: issued(ExtendedKeyUsageOID.CLIENT_AUTH),
    "servers": lambda: issued(ExtendedKeyUsageOID.SERVER_AUTH, authority=False),
    "issued": lambda: issued(None),
}


def found(feed: TlsFeed, rule: str) -> Finding:
    (finding,) = [one for one in feed.findings if one.rule == rule]
    return finding


def failed(feed: TlsFeed) -> str:
    finding = found(feed, "tls.handshake-failed")
    assert finding.severity.value == "error"
    assert finding.frames
    assert not feed.facts.finished
    return finding.text


def trusting(version: str = "1.2") -> ssl.SSLContext:
    """A client that trusts one authority, and not the server's."""
    context = client_context(version)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=identity("ec", "authority.example").certificate.decode())
    return context


def test_a_certificate_that_the_client_does_not_trust() -> None:
    done = talk(trusting(), server_context(identity("ec"), "1.2"), GET)
    text = failed(read_talk(done.pieces))
    assert "the client broke the handshake off with unknown_ca" in text
    assert "the server's certificate is signed by itself (CN=scanner.example, O=Example)" in text


def test_in_tls_13_an_alert_behind_the_handshake_is_told_by_its_size() -> None:
    server = server_context(identity("ec"), "1.3")
    server.verify_mode = ssl.CERT_REQUIRED
    done = talk(client_context("1.3"), server, GET)
    finding = found(read_talk(done.pieces), "tls.handshake-failed")
    assert "what can only be an encrypted alert" in finding.text
    # Where all is well there is none.
    well = talk(client_context("1.3"), server_context(identity("ec"), "1.3"), GET)
    assert "tls.handshake-failed" not in read_talk(well.pieces).rules()


@pytest.mark.parametrize(
    ("who", "rule", "words"),
    [
        (EXPIRED, "tls.certificate-expired", "expired on 2026-01-26; it was shown on 2026-03-02"),
        (EARLY, "tls.certificate-early", "is valid from 2026-03-03 on; it was shown on 2026-03-02"),
    ],
)
def test_validity_is_judged_by_the_time_of_the_capture(who, rule, words) -> None:
    done = talk(client_context("1.2"), server_context(who, "1.2"), GET, name=None)
    finding = found(read_talk(done.pieces), rule)
    assert words in finding.text
    assert finding.severity.value == "error"


def refusing(code: int, who: Identity, *, name: str | None = "scanner.example", client: bool = False) -> str:
    """What is said where a side refuses this certificate of the other one with an alert of that code."""
    server, asks = server_context(identity("ec") if client else who, "1.2"), client_context("1.2")
    if client:
        server.verify_mode = ssl.CERT_OPTIONAL
        server.load_verify_locations(cadata=who.certificate.decode())
        with who.file() as file:
            asks.load_cert_chain(file)
    done = talk(asks, server, GET, name=name)
    alert = b"\x15\3\3\0\2\2" + bytes([code])
    return failed(read_talk([*done.pieces[: 3 if client else 2], (client, alert)]))


@pytest.mark.parametrize(
    ("code", "who", "words"),
    [
        (42, "early", "the server's certificate is not valid before 2026-03-03"),
        (42, "small", "the server's certificate has a key of 1024 bits"),
        (43, "clients", "the server's certificate may not be used by servers (extended key usage)"),
        (45, "plain", "by the time of the capture it is valid (2026-01-31 to 2027-01-31): is a clock wrong?"),
        (45, "expired", "the server's certificate expired on 2026-01-26"),
        (48, "expired", "the server's certificate is signed by itself (CN=old.example, O=Example)"),
        (48, "issued", "the server's chain ends at the authority CN=Lab, and no intermediate was sent"),
        (44, "expired", "the certificate was revoked"),
    ],
)
def test_what_is_blamed_fits_the_alert(code: int, who: str, words: str) -> None:
    assert refusing(code, PEOPLE[who](), name={"early": "new.example"}.get(who, "scanner.example")).endswith(words)


def test_a_name_that_does_not_fit_is_blamed() -> None:
    fits = "the server's certificate is for scanner.example"
    assert refusing(42, identity("ec"), name="printer.example").endswith(
        f"the client asked for printer.example; {fits}"
    )
    assert refusing(42, identity("ec"), name=None).endswith(
        f"the client named no host; {fits}, its address is 192.0.2.20"
    )


def test_a_use_that_the_client_has_not_is_blamed() -> None:
    text = refusing(43, PEOPLE["servers"](), client=True)
    assert text.endswith("the client's certificate may not be used by clients (extended key usage)")


def test_an_expired_certificate_explains_the_alert() -> None:
    client = client_context("1.2")
    client.verify_mode = ssl.CERT_REQUIRED
    client.load_verify_locations(cadata=EXPIRED.certificate.decode())
    done = talk(client, server_context(EXPIRED, "1.2"), GET, name=None)
    text = failed(read_talk(done.pieces))
    assert "certificate_expired" in text
    assert "the server's certificate expired on 2026-01-26" in text


def test_no_shared_cipher_suite() -> None:
    done = talk(client_context("1.2", "AES128-SHA"), server_context(identity(), "1.2", "AES256-SHA"), GET)
    text = failed(read_talk(done.pieces))
    assert "the server broke the handshake off with handshake_failure" in text
    assert "most likely no version, cipher suite, group or signature algorithm is shared" in text
    # The number that says that a renegotiation is safe is no suite.
    assert "(the client offers TLS 1.2; TLS_RSA_WITH_AES_128_CBC_SHA; " in text
    assert text.endswith(" signature algorithms; for the name scanner.example)")


def test_no_shared_version() -> None:
    done = talk(client_context("1.1"), server_context(identity(), "1.2"), GET)
    text = failed(read_talk(done.pieces))
    assert "protocol_version" in text
    assert "the client offers TLS 1.1" in text


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_client_certificate_is_missing(version: str) -> None:
    server = server_context(identity("ec"), version)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=identity("ec", "authority.example").certificate.decode())
    done = talk(client_context(version), server, GET)
    feed = read_talk(done.pieces, done.keylog)
    finding = found(feed, "tls.handshake-failed")
    assert "the server asked for a client certificate and got none" in finding.text
    assert (feed.facts.asked, feed.facts.given) == (True, False)


def test_a_client_certificate_that_the_server_does_not_trust() -> None:
    server, client = server_context(identity("ec"), "1.2"), client_context("1.2")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=identity("ec", "authority.example").certificate.decode())
    with identity("ec", "device.example").file() as file:
        client.load_cert_chain(file)
    feed = read_talk(talk(client, server, GET).pieces)
    text = failed(feed)
    assert "unknown_ca" in text
    assert "the client's certificate is signed by itself (CN=device.example" in text
    assert feed.facts.client_certificates[0].names == ("device.example",)


def test_another_name_than_asked_for() -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET, name="printer.example")
    finding = found(read_talk(done.pieces), "tls.certificate-name")
    assert finding.text == "the client asked for printer.example; the server's certificate is for scanner.example"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_client_that_says_nothing_behind_the_handshake(version: str) -> None:
    """As curl, which checks the name then. Where nothing is wrong it may have been opened in advance."""
    for name, told in (("printer.example", True), ("scanner.example", False)):
        done = talk(client_context(version), server_context(identity("ec"), version), [], name=name)
        feed = read_talk(done.pieces, done.keylog)
        assert ("tls.unused" in feed.rules()) is told
        if told:
            assert found(feed, "tls.unused").text == (
                "the client ended the connection after the handshake and had said nothing; most likely it did not "
                "accept the server's certificate (the client asked for printer.example; the server's certificate is "
                "for scanner.example)"
            )
    done = talk(client_context(version), server_context(identity("ec"), version), GET, name="printer.example")
    assert "tls.unused" not in read_talk(done.pieces, done.keylog).rules()


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "“HTTP/1.1 400 Bad Request”: it expects http on this port, not https"),
        (b"<!DOCTYPE HTML>\n<html>", "“<!DOCTYPE HTML>”: it expects no TLS on this port, most likely http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "“SSH-2.0-OpenSSH_9.2”: it expects no TLS on this port"),
        (b"\r\nlogin: ", "“login: ”: it expects no TLS on this port"),
    ],
)
def test_an_answer_in_the_clear(answer: bytes, means: str) -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET)
    for pieces in ([answer], [answer[:1], answer[1:]], [answer[at : at + 1] for at in range(len(answer))]):
        feed = read_talk([*done.pieces[:1], *((True, piece) for piece in pieces)])
        assert failed(feed) == f"the server answered the ClientHello in the clear, with {means}"
        assert found(feed, "tls.handshake-failed").frames == (2,)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"\x03\0\0\x13\x0e\xd0\0\0\0\0", "03 00 00 13 0e d0 00 00"),
        (b"\x80\0\0\0\0", "80 00 00 00 00"),
        (b"\xff\xff\4\0\0", "ff ff 04 00 00"),
        (b"\0", "00"),
        (b"\x16\5\0\0\1\2", "16 05 00 00 01 02"),
    ],
)
def test_an_answer_that_is_neither_tls_nor_text(answer: bytes, shown: str) -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET)
    feed = read_talk([*done.pieces[:1], (True, answer)])
    what = f"with bytes that are no TLS ({shown})"
    assert failed(feed) == f"the server answered the ClientHello {what}: it expects no TLS on this port"
    # Where the capture does not have the beginning, they may stand in the midst of something.
    late = TlsFeed()
    late.data(False, done.pieces[0][1])
    late.gap(True, 0, "start")
    late.data(True, answer)
    late.end()
    assert "tls.handshake-failed" not in late.rules()


def test_an_alert_behind_the_end_of_the_other_side_is_not_the_reason() -> None:
    done = talk(client_context("1.2"), server_context(EXPIRED, "1.2"), GET, name="old.example")
    feed = TlsFeed()
    for back, data in done.pieces[:2]:
        feed.data(back, data)
    client, server = feed.ends
    client.consumer.end(StreamEnd.FIN, 3, NANO)
    feed.frame = 3
    feed.data(True, b"\x15\3\3\0\2\2\x0a")
    server.consumer.end(StreamEnd.FIN, 5, NANO)
    assert "tls.handshake-failed" not in feed.rules()
    assert found(feed, "tls.handshake-unfinished").text.startswith(
        "the client closed the connection in the midst of the"
    )
    assert found(feed, "tls.handshake-unfinished").frames == (3,)


def test_a_group_that_the_client_does_not_have() -> None:
    """The server asks for another key share, and the client refuses."""
    hello = talk(client_context("1.3"), server_context(identity("ec"), "1.3"), []).pieces[0]
    session = hello[1][44 : 44 + 32]
    body = (
        b"\3\3" + RETRY_RANDOM + b"\x20" + session + b"\x13\1\0" + b"\0\x0c" + b"\0\x2b\0\2\3\4" + b"\0\x33\0\2\0\x19"
    )
    message = b"\2" + len(body).to_bytes(3, "big") + body
    retry = b"\x16\3\3" + len(message).to_bytes(2, "big") + message
    text = failed(read_talk([hello, (True, retry), (False, b"\x15\3\3\0\2\2\x2f")]))
    assert "the client broke the handshake off with illegal_parameter" in text
    assert "; the server asked for a key of the group P-521, the client offers X25519, P-256, " in text


def test_an_application_protocol_that_nobody_speaks_is_shown() -> None:
    client, server = client_context("1.2"), server_context(identity("ec"), "1.2")
    client.set_alpn_protocols(["h2", "http/1.1"])
    server.set_alpn_protocols(["http/1.1"])
    facts = read_talk(talk(client, server, GET).pieces).facts
    assert (facts.alpn_offered, facts.alpn) == (("h2", "http/1.1"), "http/1.1")


@pytest.mark.parametrize("how", [StreamEnd.RESET, StreamEnd.FIN])
def test_a_server_that_closes_without_an_answer(how: StreamEnd) -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET)
    finding = found(read_talk(done.pieces[:1], end=how, server_first=True), "tls.handshake-unfinished")
    ended = "reset" if how is StreamEnd.RESET else "closed"
    assert finding.text.startswith(
        f"the server {ended} the connection without an answer to the ClientHello: it may expect"
    )
    assert finding.frames == (2,)


@pytest.mark.parametrize("how", [StreamEnd.RESET, StreamEnd.FIN])
def test_a_server_that_never_answers(how: StreamEnd) -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET)
    ended = "reset" if how is StreamEnd.RESET else "closed"
    text = found(read_talk(done.pieces[:1], end=how, after=4), "tls.handshake-unfinished").text
    assert text == f"the server did not answer the ClientHello within 4.0 s: the client {ended} the connection"
    text = found(read_talk(done.pieces[:3], end=how, after=30), "tls.handshake-unfinished").text
    assert text == (
        f"the server did not answer the client's part of the handshake within 30.0 s: the client {ended} the connection"
    )


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("how", [StreamEnd.RESET, StreamEnd.FIN])
@pytest.mark.parametrize("keys", [False, True])
def test_a_server_that_refuses_the_client_without_an_alert(version: str, how: StreamEnd, keys: bool) -> None:
    """As servers of Windows do."""
    server = server_context(identity("ec"), version)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=identity("ec", "authority.example").certificate.decode())
    done = talk(client_context(version), server, GET)
    feed = read_talk(done.pieces[:3], done.keylog if keys else None, end=how, server_first=True)
    finding = found(feed, "tls.handshake-unfinished")
    ended = "reset" if how is StreamEnd.RESET else "closed"
    assert finding.text.startswith(
        f"the server {ended} the connection in answer to the client's part of the handshake, without an alert; "
        "the server asked for a client certificate and got none"
    )
    assert finding.frames == (4,)
    by_size = version == "1.3" and not keys
    assert (feed.facts.asked, feed.facts.given, feed.facts.by_size) == (True, False, by_size)
    assert ("(as the sizes of the encrypted records tell)" in finding.text) is by_size


def test_a_server_that_says_that_it_closes_refuses_nobody() -> None:
    """With keys: a close_notify behind the handshake is an end like any other, though nothing else was said."""
    server = server_context(identity("ec"), "1.3")
    server.num_tickets = 0
    done = talk(client_context("1.3"), server, [])
    closing = next(piece for piece in done.pieces[3:] if piece[0])
    feed = read_talk([*done.pieces[:3], closing], done.keylog, server_first=True)
    assert [alert.description for alert in feed.facts.alerts] == [0]
    assert not {"tls.handshake-failed", "tls.handshake-unfinished"} & set(feed.rules())


@pytest.mark.parametrize("wants", [False, True])
@pytest.mark.parametrize("gives", [False, True])
def test_the_sizes_of_records_tell_of_client_certificates(wants: bool, gives: bool) -> None:
    server, client = server_context(identity("ec"), "1.3"), client_context("1.3")
    device = identity("ec", "device.example")
    if wants:
        server.verify_mode = ssl.CERT_OPTIONAL
        server.load_verify_locations(cadata=device.certificate.decode())
    if gives:
        with device.file() as file:
            client.load_cert_chain(file)
    facts = read_talk(talk(client, server, GET).pieces).facts
    assert (facts.asked, facts.given, facts.by_size) == (wants, gives if wants else None, True)
    assert (facts.talks[0].spoke, facts.talks[1].spoke) == (True, True)


@pytest.mark.parametrize(
    ("suite", "sizes", "asked", "given"),
    [
        (0x1301, (53,), False, None),
        (0x1301, (25, 53), True, False),
        (0x1301, (61,), True, False),
        (0x1303, (700, 281, 53), True, True),
        (0x1302, (69,), False, None),
        (0x1302, (25, 69), True, False),
        (0x1302, (77,), True, False),
        (0x1302, (1200, 93, 69), True, True),
        # As Java pads them.
        (0x1301, (69,), False, None),
        (0x1301, (41, 69), True, False),
        (0x1301, (77,), True, False),
        (0x1302, (85,), False, None),
        (0x1302, (716, 297, 85), True, True),
        # None of them: cut, padded in another way, an alert in its place (padded, too), another length of tags.
        (0x1302, (53,), None, None),
        (0x1301, (35, 69), None, None),
        (0x1301, (70,), None, None),
        (0x1301, (19, 53), None, None),
        (0x1305, (45,), None, None),
    ],
)
def test_sizes_by_suite(suite: int, sizes: tuple[int, ...], asked: bool | None, given: bool | None) -> None:
    facts = TlsFacts(0, CLIENT, SERVER, version=TLS13, suite=suite)
    sealed = [Sealed(5, 0, False, 900), *(Sealed(7 + number, 0, True, size) for number, size in enumerate(sizes))]
    guess(facts, [*sealed, Sealed(12, 0, False, 255)])
    assert (facts.asked, facts.given, facts.by_size) == (asked, given, asked is not None)
    spoke = (False, True) if asked is not None else (None, None)
    assert (facts.talks[0].spoke, facts.talks[1].spoke) == spoke


@pytest.mark.parametrize(
    ("suite", "sizes", "given"),
    [(0x1301, (53, 69), None), (0x1302, (69, 85), None), (0x1301, (25, 53, 69), False), (0x1301, (61, 69), False)],
)
def test_what_a_client_says_may_be_as_long_as_a_padded_finished(
    suite: int, sizes: tuple[int, ...], given: bool | None
) -> None:
    facts = TlsFacts(0, CLIENT, SERVER, version=TLS13, suite=suite)
    guess(facts, [Sealed(7 + number, 0, True, size) for number, size in enumerate(sizes)])
    assert (facts.asked, facts.given, facts.talks[0].spoke) == (given is not None, given, True)


@pytest.mark.parametrize(
    ("sizes", "alerts"),
    [
        # The server's first word behind the client's Finished is an alert; padded where it padded its Finished.
        ([(False, 53), (True, 53), (False, 19)], [False]),
        ([(False, 69), (True, 53), (False, 35)], [False]),
        ([(False, 53), (True, 69), (False, 19)], [False]),
        ([(False, 53), (True, 53), (False, 35)], []),
        ([(False, 900), (True, 53), (False, 35)], []),
        ([(False, 69), (True, 53), (False, 19)], []),
        # The client's ends the connection, and the server answers that.
        ([(False, 53), (True, 53), (True, 19), (False, 19)], [True]),
        ([(False, 53), (True, 53), (True, 90), (True, 19), (False, 19)], [True]),
        # The client's is one in place of its Finished.
        ([(False, 53), (True, 19)], [True]),
        ([(False, 53), (True, 35)], [True]),
        ([(False, 53), (True, 36)], []),
        ([(False, 53), (True, 53), (True, 35)], []),
    ],
)
def test_alerts_by_size(sizes: list[tuple[bool, int]], alerts: list[bool]) -> None:
    facts = TlsFacts(0, CLIENT, SERVER, version=TLS13, suite=0x1301)
    sealed = [Sealed(number, 0, client, size) for number, (client, size) in enumerate(sizes)]
    assert [alert.from_client for alert in guess(facts, sealed)] == alerts


def test_a_client_that_ends_it_by_and_by_refuses_nothing() -> None:
    """Opened in advance, and closed when it was not used; TLS 1.3 without keys hides why."""
    for seconds, told in ((0, True), (4, True), (60, False)):
        feed = TlsFeed()
        done = talk(client_context("1.3"), server_context(identity("ec"), "1.3"), [])
        for back, data in done.pieces[:4]:
            feed.data(back, data)
        feed.frame += seconds * 1_000_000
        for back, data in done.pieces[4:]:
            feed.data(back, data)
        feed.end()
        assert ("tls.said-nothing" in feed.rules()) is told


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("code", [10, 40, 50, 80])
def test_who_was_served_without_a_certificate_is_not_refused_for_that(version: str, code: int) -> None:
    """The server asks for one, and goes on where there is none."""
    server = server_context(identity("ec"), version)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(cadata=identity("ec", "authority.example").certificate.decode())
    done = talk(client_context(version), server, [*GET, (True, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")])
    facts = read_talk(done.pieces, done.keylog, end=StreamEnd.CAPTURE).facts
    facts.alerts[:] = [Alert(False, 2, code, facts.last_frame, facts.last_time)]
    (finding,) = end(facts)
    assert finding.text == f"the server ended the connection with {WORDS[code][0]}: {WORDS[code][1]}"


@pytest.mark.parametrize(("code", "told"), [(20, False), (50, True), (80, False)])
def test_what_else_a_server_says_behind_a_missing_certificate_keeps_its_meaning(code: int, told: bool) -> None:
    server = server_context(identity("ec"), "1.2")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=identity("ec", "authority.example").certificate.decode())
    done = talk(client_context("1.2"), server, GET)
    text = failed(read_talk([*done.pieces[:3], (True, b"\x15\3\3\0\2\2" + bytes([code]))]))
    assert ("the server asked for a client certificate and got none" in text) is told
    assert (WORDS[code][1] in text) is not told


def test_a_server_that_closes_what_the_client_ended_refuses_nobody() -> None:
    """TLS 1.3 without keys, and without tickets: the server says nothing of its own."""
    server = server_context(identity("ec"), "1.3")
    server.num_tickets = 0
    done = talk(client_context("1.3"), server, [])
    assert [back for back, _ in done.pieces] == [False, True, False, False, True]
    for pieces in (done.pieces, done.pieces[:-1]):
        for server_first in (False, True):
            feed = read_talk(pieces, server_first=server_first)
            assert {"tls.said-nothing", "tls.handshake-unfinished"} & set(feed.rules()) == {"tls.said-nothing"}
            finding = found(feed, "tls.said-nothing")
            assert finding.frames == (4,)
            assert finding.text.startswith("the client ended the connection after the handshake and had said nothing")


def test_a_quiet_connection_that_the_server_closes_is_no_refusal() -> None:
    """TLS 1.3 without keys: a close_notify is as long as a refusal."""
    server = server_context(identity("ec"), "1.3")
    server.num_tickets = 0
    feed = TlsFeed()
    done = talk(client_context("1.3"), server, [])
    for back, data in done.pieces[:3]:
        feed.data(back, data)
    feed.frame += 60_000_000
    for back, data in done.pieces[3:]:
        if back:
            feed.data(back, data)
    feed.end(back=True)
    assert not {"tls.handshake-failed", "tls.handshake-unfinished"} & set(feed.rules())


def test_a_client_that_hangs_up_when_it_sees_the_certificate() -> None:
    done = talk(client_context("1.2"), server_context(EXPIRED, "1.2"), GET, name=None)
    finding = found(read_talk(done.pieces[:2]), "tls.handshake-unfinished")
    assert "most likely it did not accept the server's certificate" in finding.text
    assert "expired on 2026-01-26" in finding.text


def test_the_end_of_the_capture_is_no_failure() -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET)
    for many in range(1, len(done.pieces)):
        rules = read_talk(done.pieces[:many], end=StreamEnd.CAPTURE).rules()
        assert not {"tls.handshake-failed", "tls.handshake-unfinished"} & set(rules)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("back", [False, True])
def test_that_one_side_is_missing_is_said(version: str, back: bool) -> None:
    done = talk(client_context(version), server_context(identity("ec"), version), GET)
    feed = TlsFeed()
    feed.conversation.both = False
    feed.conversation.first = SERVER if back else CLIENT
    feed.conversation.second = CLIENT if back else SERVER
    for sender, data in done.pieces:
        if sender is back:
            feed.data(back, data)
    feed.end()
    who = "server" if back else "client"
    assert found(feed, "tls.one-way").text.startswith(f"only packets of the {who} are in the capture")
    assert {one.severity.value for one in feed.findings} == {"note"}
    assert "tls.bad-message" not in feed.rules()
    head = next(connection_lines(feed.facts, 6))
    assert head.endswith("one side only" if not back else f"TLS {version}, no keys")


SSL2_SUITES = b"\7\0\xc0\5\0\x80\3\0\x80\1\0\x80\6\0\x40\4\0\x80\2\0\x80"
SSL2_HELLO = b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + SSL2_SUITES + b"c" * 16


def test_a_client_that_knows_ssl_2_alone() -> None:
    alone = "SSL 2.0 alone, which no server may accept (RFC 6176)"
    text = failed(read_talk([(False, SSL2_HELLO), (True, b"\x15\3\1\0\2\2\x46")]))
    assert text.endswith(f"with protocol_version: it does not support the version; the client offers {alone}")
    feed = read_talk([(False, SSL2_HELLO)], server_first=True)
    assert feed.facts.offered == (2,)
    assert f"what was offered ({alone})" in found(feed, "tls.handshake-unfinished").text


def test_a_server_that_accepts_ssl_2() -> None:
    hello = b"\4\0\1\0\2" + b"\0\4\0\3\0\x10" + b"cert" + b"\7\0\xc0" + b"i" * 16
    answer = bytes([0x80, len(hello)]) + hello
    sealed = b"\x80\x30" + bytes(range(48))
    feed = read_talk([(False, SSL2_HELLO), (True, answer), (False, sealed), (True, sealed)])
    assert (feed.facts.version, feed.facts.finished) == (2, True)
    assert feed.rules() == ["tls.old-version"]
    assert found(feed, "tls.old-version").text == "the connection uses SSL 2.0"


@pytest.mark.parametrize("at", [4, 6, 10])
def test_what_begins_like_ssl_2_by_chance_is_no_tls(at: int) -> None:
    """Another version, suites that are not three bytes each, a challenge of another length."""
    changed = bytearray(SSL2_HELLO)
    changed[at] += 1
    feed = read_talk([(False, bytes(changed))])
    assert not feed.table.facts


def test_old_versions_and_weak_suites_are_noted() -> None:
    done = talk(client_context("1.0", "NULL-SHA"), server_context(identity(), "1.0", "NULL-SHA"), GET)
    feed = read_talk(done.pieces)
    assert found(feed, "tls.old-version").text == "the connection uses TLS 1.0"
    assert found(feed, "tls.weak-suite").text == "the cipher suite TLS_RSA_WITH_NULL_SHA encrypts nothing"


def test_a_suite_that_cannot_be_opened_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SM4 in CCM mode, which nothing at hand offers."""
    monkeypatch.setattr(ciphers, "supported", lambda _: False)
    cipher = "AES128-GCM-SHA256"
    done = talk(client_context("1.2", cipher), server_context(identity(), "1.2", cipher), GET)
    feed = read_talk(done.pieces, done.keylog)
    finding = found(feed, "tls.unsupported")
    assert finding.text == (
        "records of TLS_RSA_WITH_AES_128_GCM_SHA256 cannot be opened, whatever keys there are: AES in GCM mode is not "
        "read here"
    )
    assert feed.facts.state == "unsupported"
    assert feed.facts.finished


def test_what_is_no_tls_is_told_and_left() -> None:
    feed = TlsFeed()
    feed.data(False, b"\x16\x03\x01\x00\x05hello" + b"x" * 100)
    feed.data(True, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    feed.end()
    assert not feed.table.facts
    assert not feed.plain


def well(version: str) -> list[tuple[bool, bytes]]:
    """A connection that is well, with a client certificate: who sent each segment, and its bytes."""
    device = identity("ec", "device.example")
    client, server = client_context(version), server_context(identity("ec"), version)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=device.certificate.decode())
    with device.file() as file:
        client.load_cert_chain(file)
    done = talk(client, server, [*GET, (True, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"a" * 900)])
    assert done.failure is None
    return [(back, data[at : at + 1448]) for back, data in done.pieces for at in range(0, len(data), 1448)]


def read_lossy(segments: list[tuple[bool, bytes]], keep: Callable[[int], int], reason: str, *, back: bool) -> TlsFeed:
    """Read segments of which the capture holds the first so many bytes; the server (``back``) or the client closes."""
    feed = TlsFeed()
    for number, (sender, data) in enumerate(segments):
        there = data[: keep(number)]
        if there:
            feed.data(sender, there)
        if len(there) < len(data):
            feed.gap(sender, len(data) - len(there), reason)
    feed.end(back=back)
    return feed


BLAMED = {"tls.handshake-failed", "tls.handshake-unfinished", "tls.unused", "tls.said-nothing", "tls.bad-message"}


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_what_the_capture_length_cut_is_no_failure(version: str, back: bool) -> None:
    segments = well(version)
    for size in (46, 134, 260, 400, 600, 934):
        feed = read_lossy(segments, lambda _, size=size: size, "cut", back=back)
        for facts in feed.table.facts:
            assert not BLAMED & {finding.rule for finding in facts.findings}, size
            assert facts.asked is not False, size


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_one_packet_that_was_not_captured_is_no_failure(version: str, back: bool) -> None:
    segments = well(version)
    for lost in range(1, len(segments)):
        feed = read_lossy(segments, lambda number, lost=lost: 0 if number == lost else 1448, "lost", back=back)
        assert not BLAMED & set(feed.rules()), lost
        assert feed.facts.asked is not False, lost


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_where_a_side_is_captured_from_its_midst_on_nobody_is_blamed(version: str, back: bool) -> None:
    """Its part of the handshake of TCP is missing, and the hello behind it."""
    segments = well(version)
    for many, closes in product((1, 2, 3), (False, True)):
        feed, left = TlsFeed(), many
        for sender, data in segments:
            if sender is back and left:
                left -= 1
                if not left:
                    feed.gap(sender, 0, "start")
            else:
                feed.data(sender, data)
        feed.end(back=closes)
        for facts in feed.table.facts:
            assert not BLAMED & {finding.rule for finding in facts.findings}, (many, closes)


def test_who_sent_an_alert_is_told_without_the_hellos() -> None:
    segments = [(False, b"\x16\3\1\0\x9a\1\0\0\x96\3\2" + b"a" * 148), (True, b"\x15\3\3\0\2\2\x46")]
    feed = read_lossy(segments, lambda _: 46, "cut", back=True)
    text = failed(feed)
    assert text == "the server broke the handshake off with protocol_version: it does not support the version"
    lines = list(connection_lines(feed.facts, 6))
    assert lines[0].endswith("without its hellos, which are not in the capture, failed")
    assert any("fatal protocol_version from the server" in line for line in lines)
    assert [one.from_client for one in feed.facts.records] == [False]
