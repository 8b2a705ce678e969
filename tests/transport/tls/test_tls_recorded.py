"""Certificates refused by libraries that are not OpenSSL, as recorded: each says it in its own way.

Without keys. In ``recorded``: connections over loopback to port 5362, with OpenSSL 3.0 on the other side; the server's
certificate is signed by itself, and so is that of the client "device7", where it gives one. Made with GnuTLS 3.7.9,
OpenJDK 17.0.15, Go 1.19.8, NSS 3.87.1 and Mbed TLS 2.28.8.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.reader import open_capture
from dissector.transport.tls.model import TlsFacts

RECORDED = Path(__file__).parent / "recorded"

# The rule, and what it says.
WHY = {
    "server-gnutls-12-none": """
        tls.handshake-failed the server broke the handshake off with decode_error: the server asked for a client
        certificate and got none (accepted are those of CN=scanserver.lab)""",
    "server-gnutls-12-other": """
        tls.handshake-failed the server broke the handshake off with access_denied: the certificate's owner may not do
        this, or (as GnuTLS says) the certificate is not trusted; the client's certificate is signed by itself
        (CN=device7)""",
    "server-go-12-none": """
        tls.handshake-failed the server broke the handshake off with bad_certificate: the server asked for a client
        certificate and got none (accepted are those of CN=scanserver.lab)""",
    "server-mbedtls-12-none": """
        tls.handshake-unfinished the server closed the connection in answer to the client's part of the handshake,
        without an alert; the server asked for a client certificate and got none (accepted are those of
        CN=scanserver.lab)""",
    # Java pads each record of TLS 1.3.
    "server-java-13-none": """
        tls.handshake-failed the server answered the end of the handshake with what can only be an encrypted alert; the
        server asked for a client certificate and got none (as the sizes of the encrypted records tell)""",
    "server-java-13-other": """
        tls.handshake-failed the server answered the end of the handshake with what can only be an encrypted alert; it
        had asked for a client certificate and got one, which it most likely does not accept (as the sizes of the
        encrypted records tell)""",
    "client-java-13": """
        tls.handshake-failed the client broke the handshake off with an encrypted alert; most likely it did not accept
        the server's certificate""",
    # It does not say which name it asks for if that has no dot: the name is not what it refuses.
    "client-java-12": """
        tls.handshake-failed the client broke the handshake off with certificate_unknown: the certificate is not
        acceptable for a reason it does not say; the server's certificate is signed by itself (CN=scanserver.lab); the
        client named no host; the server's certificate is for scanserver.lab, localhost, its address is 127.0.0.1""",
    "client-gnutls-12": """
        tls.handshake-failed the client broke the handshake off with bad_certificate: the certificate is not
        acceptable: damaged, not valid yet, its name, key or signature is wrong, or nobody it trusts has signed it (as
        GnuTLS and Go say); the server's certificate is signed by itself (CN=scanserver.lab)""",
    "client-mbedtls-12": """
        tls.handshake-unfinished the client closed the connection in the midst of the handshake, without an alert; most
        likely it did not accept the server's certificate (the server's certificate is signed by itself
        (CN=scanserver.lab))""",
    # NSS ends the handshake first.
    "client-nss-12": """
        tls.said-nothing the client ended the connection after the handshake and had said nothing: it tested the port,
        or does not trust the server's certificate, which is signed by itself""",
}


def facts_of(name: str) -> TlsFacts:
    with open_capture(RECORDED / f"{name}.pcap", watch_tls=True) as capture:
        capture.run()
        (facts,) = capture.tls
    return facts


@pytest.mark.parametrize("name", WHY)
def test_why_is_told(name: str) -> None:
    told = [f"{one.rule} {one.text}" for one in facts_of(name).findings if one.rule != "tls.self-signed"]
    assert told == [" ".join(WHY[name].split())]


@pytest.mark.parametrize("name", [name for name in WHY if name != "client-nss-12"])
def test_other_commands_tell_too(name: str) -> None:
    """They do not read the connection unless it looks as if it had failed."""
    rule, text = " ".join(WHY[name].split()).split(" ", 1)
    with open_capture(RECORDED / f"{name}.pcap") as capture:
        capture.run()
        assert [finding.rule for finding in capture.findings] == [rule]
        assert text in capture.findings[0].text


def test_all_recordings_are_used() -> None:
    assert {path.stem for path in RECORDED.glob("*.pcap")} == set(WHY)
