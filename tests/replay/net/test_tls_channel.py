"""TLS over memory: what goes in comes out, and each failure is told in words and by an alert."""

from __future__ import annotations

import contextlib
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from dissector.base.errors import ExitCode, UnreadableInput, UnwritableOutput, UsageError
from replay.net.certificates import Identity, issue, make_authority, own_certificate
from replay.net.fingerprints import check_fingerprint
from replay.net.tls import (
    TlsChannel,
    TlsFailure,
    client_context,
    server_context,
)
from tests.support.tls_pair import Pair

HOST = "scans.example.test"
HANDSHAKE, ALERT = 22, 21
LARGE = bytes(range(256)) * 4096


@dataclass(frozen=True)
class Papers:
    """Certificates for the tests. OpenSSL asks the machine's clock, so they are made by it."""

    server: Identity
    expired: Identity
    future: Identity
    authority: Identity
    user: Identity
    stranger: Identity


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    now = datetime.now(UTC)
    folder = tmp_path_factory.mktemp("papers")
    names = [HOST, "192.0.2.7"]
    authority = make_authority(folder, now)
    other = make_authority(folder / "other", now, "somebody")
    return Papers(
        own_certificate(folder / "server", names, now),
        own_certificate(folder / "expired", names, now - timedelta(days=4000)),
        own_certificate(folder / "future", names, now + timedelta(days=30)),
        authority,
        issue(authority, folder, "anna", ["anna@corp.example"], client=True, now=now),
        issue(other, folder / "other", "eve", ["eve@corp.example"], client=True, now=now),
    )


@pytest.fixture
def pair(papers: Papers) -> Callable[..., Pair]:
    def make(
        *,
        version: str | None = None,
        identity: Identity = papers.server,
        trust: str | Path | None = None,
        host: str | None = HOST,
        asked: str = "none",
        user: Identity | None = None,
        step: int | None = None,
        oldest: str = "1.2",
        newest: ssl.TLSVersion | None = None,
    ) -> Pair:
        server = server_context(identity, asked, papers.authority.cert_path, oldest=oldest)
        client = client_context(identity.cert_path if trust is None else trust, user, oldest=oldest)
        if version == "TLSv1.2":
            client.maximum_version = ssl.TLSVersion.TLSv1_2
        if newest is not None:
            client.maximum_version = newest
        return Pair(TlsChannel(client, False, host), TlsChannel(server, True), step)

    return make


def der(identity: Identity) -> bytes:
    return ssl.PEM_cert_to_DER_cert(identity.cert_path.read_text())


def fails(pair: Pair) -> TlsFailure:
    with pytest.raises(TlsFailure) as caught:
        pair.run()
    return caught.value


@pytest.mark.parametrize("step", [None, 1, 1000])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_what_goes_in_comes_out(pair: Callable[..., Pair], papers: Papers, version: str, step: int | None) -> None:
    both = pair(version=version, step=step)
    both.client.send(b"sent before the handshake, ")
    assert not both.client.handshake_done
    assert both.client.version is None
    both.run()
    assert both.client.handshake_done
    assert both.server.handshake_done
    assert both.client.version == both.server.version == version
    assert both.client.cipher == both.server.cipher
    assert both.client.peer_certificate == der(papers.server)
    assert both.server.peer_certificate is None
    both.client.send(b"and after it")
    both.server.send(LARGE if step != 1 else LARGE[:20000])
    both.run()
    assert both.at_server == b"sent before the handshake, and after it"
    assert both.at_client == (LARGE if step != 1 else LARGE[:20000])


def test_cipher_text_is_given_once_and_hides_the_plain_text(pair: Callable[..., Pair]) -> None:
    both = pair()
    both.client.start()
    hello = both.client.outgoing()
    assert hello[0] == HANDSHAKE
    assert both.client.outgoing() == b""
    both.client.start()
    assert both.client.outgoing() == b""
    assert both.server.receive(hello) == b""
    both.run()
    both.client.send(b"the secret")
    wire = both.client.outgoing()
    assert b"secret" not in wire
    assert both.server.receive(wire) == b"the secret"


def test_a_server_says_nothing_first(pair: Callable[..., Pair]) -> None:
    server = pair().server
    server.start()
    assert server.outgoing() == b""


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_the_end_is_said_in_order(pair: Callable[..., Pair], version: str) -> None:
    both = pair(version=version)
    both.run()
    both.client.send(b"the last words")
    both.client.close()
    both.client.close()
    both.run()
    assert both.at_server == b"the last words"
    assert both.server.closed
    assert not both.client.closed
    both.server.send(b"an answer still")
    both.server.close()
    both.run()
    assert both.at_client == b"an answer still"
    assert both.client.closed
    both.client.end()
    assert not both.client.truncated
    assert both.client.receive(b"noise after the end") == b""
    with pytest.raises(TlsFailure, match="this end has closed"):
        both.client.send(b"more")


def test_a_connection_that_breaks_off_is_truncated(pair: Callable[..., Pair]) -> None:
    both = pair()
    both.run()
    both.server.send(b"first")
    both.server.send(b"x" * 5000)
    wire = both.server.outgoing()
    assert both.client.receive(wire[:-100]) == b"first"
    both.client.end()
    assert both.client.truncated
    assert not both.client.closed


def test_the_end_inside_the_handshake(pair: Callable[..., Pair]) -> None:
    both = pair()
    both.client.start()
    both.server.receive(both.client.outgoing()[:50])
    with pytest.raises(TlsFailure, match="the client closed the connection in the TLS handshake; often because") as one:
        both.server.end()
    assert one.value.kind == "cut"
    assert both.server.error is one.value
    with pytest.raises(TlsFailure, match="the server closed"):
        both.client.end()
    both.client.close()
    assert both.client.outgoing() == b""


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("asked", ["asked", "required"])
def test_a_client_certificate_is_seen(pair: Callable[..., Pair], papers: Papers, version: str, asked: str) -> None:
    both = pair(version=version, asked=asked, user=papers.user)
    both.run()
    assert both.server.peer_certificate == der(papers.user)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_client_without_certificate(pair: Callable[..., Pair], version: str) -> None:
    both = pair(version=version, asked="asked")
    both.run()
    assert both.server.handshake_done
    assert both.server.peer_certificate is None
    both = pair(version=version, asked="required")
    failure = fails(both)
    assert (failure.kind, failure.by_peer) == ("no-certificate", False)
    assert str(failure) == "the client gave no certificate, and one is required"
    assert both.server.error is failure
    assert both.client.error is not None
    assert both.client.error.by_peer
    # Before TLS 1.3 there is no alert of its own for this (RFC 8446, 6.2: certificate_required).
    assert "client certificate" in str(both.client.error)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_client_certificate_of_another_authority(pair: Callable[..., Pair], papers: Papers, version: str) -> None:
    both = pair(version=version, asked="asked", user=papers.stranger)
    failure = fails(both)
    assert (failure.kind, failure.by_peer) == ("unknown-authority", False)
    assert str(failure) == "the client's certificate comes from an authority that is not trusted here"
    assert str(both.client.error) == "the server refused: it does not know the authority of our certificate"


def test_a_server_certificate_is_none_for_clients(pair: Callable[..., Pair], papers: Papers, tmp_path: Path) -> None:
    wrong = issue(papers.authority, tmp_path, "box", ["box.example.test"], client=False)
    assert fails(pair(asked="required", user=wrong)).kind == "purpose"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_an_expired_certificate(pair: Callable[..., Pair], papers: Papers, version: str) -> None:
    both = pair(version=version, identity=papers.expired)
    failure = fails(both)
    assert (failure.kind, str(failure)) == ("expired", "the server's certificate has expired")
    assert both.server.error is not None
    assert (both.server.error.kind, both.server.error.by_peer) == ("expired", True)
    assert str(both.server.error) == "the client refused: our certificate has expired"


def test_a_certificate_of_tomorrow(pair: Callable[..., Pair], papers: Papers) -> None:
    failure = fails(pair(identity=papers.future))
    assert failure.kind == "not-yet-valid"
    assert "compare the clocks" in str(failure)


def test_an_unknown_certificate(pair: Callable[..., Pair], papers: Papers) -> None:
    both = pair(trust=papers.authority.cert_path)
    failure = fails(both)
    assert failure.kind == "unknown-authority"
    assert "self-signed and not among those trusted here" in str(failure)
    assert str(both.server.error) == "the client refused: it does not know the authority of our certificate"
    assert fails(pair(trust="system")).kind == "unknown-authority"


@pytest.mark.parametrize("host", ["other.example.test", "192.0.2.8", "2001:db8::1"])
def test_a_certificate_for_another_name(pair: Callable[..., Pair], host: str) -> None:
    failure = fails(pair(host=host))
    assert (failure.kind, str(failure)) == ("name", f"the server's certificate is for other names than {host}")


@pytest.mark.parametrize("host", ["SCANS.example.test.", "192.0.2.7"])
def test_names_and_addresses_are_verified(pair: Callable[..., Pair], host: str) -> None:
    both = pair(host=host)
    both.run()
    assert both.client.handshake_done


@pytest.mark.parametrize("host", [".example.test", "x" * 70 + ".test", "a\0b"])
def test_what_is_no_host_name(papers: Papers, host: str) -> None:
    with pytest.raises(TlsFailure, match="is no host name") as caught:
        TlsChannel(client_context("none"), False, host)
    assert caught.value.exit_code == ExitCode.UNREACHABLE


def test_without_verification_and_with_a_fingerprint(pair: Callable[..., Pair], papers: Papers) -> None:
    for trust in ("none", papers.expired.fingerprint):
        both = pair(identity=papers.expired, trust=trust, host="fe80::1%eth0")
        both.run()
        found = both.client.peer_certificate
        assert found is not None
        for pinned in (papers.expired.fingerprint, "sha256:" + papers.expired.fingerprint.replace(":", "").lower()):
            check_fingerprint(found, pinned)
        with pytest.raises(TlsFailure, match=f"fingerprint {papers.expired.fingerprint}, expected is") as caught:
            check_fingerprint(found, papers.server.fingerprint)
        assert caught.value.kind == "fingerprint"
    with pytest.raises(TlsFailure, match="gave no certificate"):
        check_fingerprint(b"", papers.server.fingerprint)


@pytest.mark.parametrize("text", ["", "abc", "sha256:" + "0" * 63, "0" * 65, "ca.pem"])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(UsageError, match="no SHA-256 fingerprint"):
        client_context(text)


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /wsd HTTP/1.1\r\nContent-Length: 0\r\n"])
def test_plain_http_to_the_https_port(papers: Papers, text: bytes, step: int | None) -> None:
    server = TlsChannel(server_context(papers.server), True)
    step = step or len(text)

    def deliver() -> None:
        for at in range(0, len(text), step):
            server.receive(text[at : at + step])

    with pytest.raises(TlsFailure) as caught:
        deliver()
    assert caught.value.kind == "not-tls"
    assert str(caught.value).startswith("the client speaks plain HTTP to the https port")
    with pytest.raises(TlsFailure) as again:
        server.receive(b"more")
    assert again.value is caught.value is server.error
    with pytest.raises(TlsFailure):
        server.send(b"x")


def test_a_server_that_answers_in_plain_http(pair: Callable[..., Pair]) -> None:
    client = pair().client
    client.start()
    with pytest.raises(TlsFailure, match="the server answers in plain HTTP, not TLS") as caught:
        client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert caught.value.kind == "not-tls"


def test_anything_but_tls(papers: Papers) -> None:
    for noise in (b"\0" * 20, b"SSH-2.0-OpenSSH_9.2\r\n", b"\x05\x01\x00" * 9):
        server = TlsChannel(server_context(papers.server), True)
        with pytest.raises(TlsFailure, match="the client does not speak TLS: its first bytes are") as caught:
            server.receive(noise)
        assert caught.value.kind == "not-tls"


def test_no_version_in_common(papers: Papers) -> None:
    client = client_context("none")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    both = Pair(TlsChannel(client, False, HOST), TlsChannel(server_context(papers.server, oldest="1.3"), True))
    failure = fails(both)
    assert failure.kind == "version"
    assert "not allowed here (oldest: 1.3)" in str(failure)
    assert str(both.client.error) == "the server refused: it speaks none of the TLS versions allowed here"


@pytest.mark.parametrize(("oldest", "newest"), [("1.0", ssl.TLSVersion.TLSv1), ("1.1", ssl.TLSVersion.TLSv1_1)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_devices(pair: Callable[..., Pair], oldest: str, newest: ssl.TLSVersion) -> None:
    both = pair(oldest=oldest, newest=newest)
    both.client.send(b"I am old")
    both.run()
    assert both.at_server == b"I am old"
    assert both.server.version == {"1.0": "TLSv1", "1.1": "TLSv1.1"}[oldest]


def test_no_cipher_in_common(papers: Papers) -> None:
    server, client = server_context(papers.server), client_context("none")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("AES128-SHA256")
    server.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    both = Pair(TlsChannel(client, False, HOST), TlsChannel(server, True))
    assert fails(both).kind == "cipher"
    assert both.client.error is not None
    assert both.client.error.kind == "cipher"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_damage_on_the_way_comes_after_what_was_whole(pair: Callable[..., Pair], version: str) -> None:
    both = pair(version=version)
    both.run()
    both.client.send(b"whole")
    good = both.client.outgoing()
    both.client.send(b"damaged")
    bad = bytearray(both.client.outgoing())
    bad[-1] ^= 1
    assert both.server.receive(good + bytes(bad)) == b"whole"
    assert both.server.error is not None
    assert both.server.error.kind == "broken"
    assert both.server.outgoing()[0] in (ALERT, 23)  # TLS 1.3 hides the type of an alert
    with pytest.raises(TlsFailure, match="changed or damaged on the way"):
        both.server.receive(b"")
    both.server.close()


def test_a_handshake_cut_at_each_place_never_raises_anything_else(pair: Callable[..., Pair]) -> None:
    both = pair()
    both.client.start()
    hello = both.client.outgoing()
    for at in range(0, len(hello), 5):
        server = pair().server
        changed = bytearray(hello)
        changed[at] ^= 0xFF
        with contextlib.suppress(TlsFailure):
            server.receive(bytes(changed))
        assert not server.handshake_done


def test_the_key_log_is_for_its_owner_and_has_the_secrets(papers: Papers, tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    both = Pair(
        TlsChannel(client_context("none"), False, HOST), TlsChannel(server_context(papers.server, keylog=log), True)
    )
    both.run()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    labels = [line.split()[0] for line in log.read_text().splitlines() if not line.startswith("#")]
    assert "CLIENT_TRAFFIC_SECRET_0" in labels
    assert "SERVER_HANDSHAKE_TRAFFIC_SECRET" in labels


def test_contexts_that_cannot_be_made(papers: Papers, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("hello")
    with pytest.raises(UnreadableInput, match=r"broken\.pem: no certificate in PEM form"):
        client_context(broken)
    with pytest.raises(UnreadableInput, match=r"none\.pem: No such file"):
        client_context(tmp_path / "none.pem")
    with pytest.raises(UnreadableInput, match="cannot be used"):
        server_context(replace(papers.server, cert_path=broken))
    with pytest.raises(UnreadableInput, match="cannot be used"):
        server_context(replace(papers.server, key_path=papers.user.key_path))
    with pytest.raises(UsageError, match="none, asked, required"):
        server_context(papers.server, "maybe")
    with pytest.raises(UsageError, match=r"1\.0, 1\.1, 1\.2, 1\.3"):
        client_context("none", oldest="ssl3")
    with pytest.raises(UnwritableOutput, match="key log cannot be written"):
        client_context("none", keylog=tmp_path / "none" / "keys.log")


def test_a_key_with_a_passphrase_does_not_ask_on_the_terminal(papers: Papers, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(papers.server.key_path.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    with pytest.raises(UnreadableInput, match=r"locked\.pem: the key is protected by a passphrase"):
        server_context(replace(papers.server, key_path=locked))
