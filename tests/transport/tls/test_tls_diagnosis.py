"""Failed handshakes and doubtful certificates, made by Python's ssl: what is said of them, without keys."""

from __future__ import annotations

import datetime
import ssl

import pytest

from dissector.base.findings import Finding
from dissector.transport.model import StreamEnd
from tests.support.tls_feed import TlsFeed, read_talk
from tests.support.tls_talk import NOW, client_context, identity, server_context, talk

GET = [(False, b"GET / HTTP/1.1\r\n\r\n")]
DAY = datetime.timedelta(days=1)
EXPIRED = identity("ec", "old.example", NOW - 400 * DAY, 365, 8)
EARLY = identity("ec", "new.example", NOW + 1 * DAY, 365, 9)


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
    assert "most likely no cipher suite or no version is shared (the client offers TLS 1.2, 2 cipher suites" in text


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


def test_an_application_protocol_that_nobody_speaks_is_shown() -> None:
    client, server = client_context("1.2"), server_context(identity("ec"), "1.2")
    client.set_alpn_protocols(["h2", "http/1.1"])
    server.set_alpn_protocols(["http/1.1"])
    facts = read_talk(talk(client, server, GET).pieces).facts
    assert (facts.alpn_offered, facts.alpn) == (("h2", "http/1.1"), "http/1.1")


@pytest.mark.parametrize("how", [StreamEnd.RESET, StreamEnd.FIN])
def test_a_server_that_closes_without_an_answer(how: StreamEnd) -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET)
    finding = found(read_talk(done.pieces[:1], end=how), "tls.handshake-unfinished")
    assert "before the server answered the ClientHello" in finding.text


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


def test_old_versions_and_weak_suites_are_noted() -> None:
    done = talk(client_context("1.0", "NULL-SHA"), server_context(identity(), "1.0", "NULL-SHA"), GET)
    feed = read_talk(done.pieces)
    assert found(feed, "tls.old-version").text == "the connection uses TLS 1.0"
    assert found(feed, "tls.weak-suite").text == "the cipher suite TLS_RSA_WITH_NULL_SHA encrypts nothing"


def test_a_suite_that_cannot_be_opened_is_said() -> None:
    cipher = "ARIA128-GCM-SHA256"
    done = talk(client_context("1.2", cipher), server_context(identity(), "1.2", cipher), GET)
    feed = read_talk(done.pieces, done.keylog)
    finding = found(feed, "tls.unsupported")
    assert finding.text == (
        "records of TLS_RSA_WITH_ARIA_128_GCM_SHA256 cannot be opened, whatever keys there are: the library has no "
        "ARIA in GCM mode"
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
