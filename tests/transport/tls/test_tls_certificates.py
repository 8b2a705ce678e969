"""Certificates and names as devices send them, whole, cut and damaged."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.transport.tls.certificates import Certificate, name_text, read_certificate
from dissector.transport.tls.handshake import authorities, certificates
from tests.support.tls_feed import read_talk
from tests.support.tls_talk import NOW, client_context, identity, server_context, talk

DER = identity("ec").der
NAME = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Beispiel Ü"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Scan CA"),
    ]
)


def test_what_a_certificate_says() -> None:
    one = read_certificate(DER)
    assert (one.subject, one.issuer) == ("CN=scanner.example, O=Example", "CN=scanner.example, O=Example")
    assert (one.names, one.key, one.signature, one.serial) == (("scanner.example",), "EC secp256r1", "sha256", "7")
    assert one.self_signed
    assert one.authority
    assert one.first == int((NOW - datetime.timedelta(days=30)).timestamp()) * 1_000_000_000
    assert not one.problem


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DER) - 1), st.integers(0, 255), st.booleans())
def test_a_damaged_certificate_has_a_fingerprint_and_says_why(at: int, value: int, cut: bool) -> None:
    one = read_certificate(DER[:at] if cut else DER[:at] + bytes([value]) + DER[at + 1 :])
    assert len(one.sha256) == 64
    assert one.problem or one.subject


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("scanner.example", True),
        ("SCANNER.example.", True),
        ("a.lab.example", True),
        ("lab.example", False),
        ("a.b.lab.example", False),
        ("192.0.2.7", True),
        ("other.example", False),
    ],
)
def test_which_hosts_it_is_for(host: str, fits: bool) -> None:
    one = Certificate("", "CN=other.example", names=("scanner.example", "*.lab.example", "192.0.2.7"))
    assert one.fits(host) == fits
    # The common name counts only where there are no names.
    assert Certificate("", "CN=scanner.example, O=x").fits("scanner.example")


def test_a_distinguished_name_outside_a_certificate() -> None:
    assert name_text(NAME.public_bytes()) == "C=DE, O=Beispiel Ü, CN=Scan CA"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_name_or_hexadecimal(data: bytes) -> None:
    assert isinstance(name_text(data), str)
    assert name_text(NAME.public_bytes()[:-1] + data)


def test_the_authorities_of_a_certificate_request() -> None:
    name = NAME.public_bytes()
    names = (len(name) + 2).to_bytes(2, "big") + len(name).to_bytes(2, "big") + name
    old = b"\x01\x40" + names
    new = b"\x02\x01\x40" + b"\0\2\4\3" + names
    extension = b"\x00\x2f" + len(names).to_bytes(2, "big") + names
    latest = b"\0" + len(extension).to_bytes(2, "big") + extension
    assert authorities(old, extensions=False, algorithms=False) == [name]
    assert authorities(new, extensions=False, algorithms=True) == [name]
    assert authorities(latest, extensions=True, algorithms=False) == [name]
    for body in (old, new, latest):
        for end in range(len(body)):
            for extensions in (False, True):
                authorities(body[:end], extensions=extensions, algorithms=not extensions)


@given(st.binary(max_size=80), st.booleans())
def test_certificate_messages_take_anything(body: bytes, contexts: bool) -> None:
    assert all(isinstance(der, bytes) for der in certificates(body, contexts=contexts))


def test_a_certificate_that_cannot_be_read_is_a_finding() -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), [])
    pieces = [(back, data.replace(DER[:8], b"\x30\x82\xff\xff" + DER[4:8])) for back, data in done.pieces]
    feed = read_talk(pieces)
    assert "tls.certificate-unreadable" in feed.rules()
    assert feed.facts.certificates[0].problem
