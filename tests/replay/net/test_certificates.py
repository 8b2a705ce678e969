"""Certificates are made once, found again, made anew when due, and never at the cost of somebody's own."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from dissector.base.errors import UnreadableInput, UnwritableOutput, UsageError
from replay.net.certificates import (
    CertificateInfo,
    Identity,
    describe,
    issue,
    load_identity,
    make_authority,
    own_certificate,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ["Scans.Example.test", "192.0.2.7", "fe80::1%eth0", "[2001:db8::5]"]
NORMAL = ("scans.example.test", "192.0.2.7", "fe80::1", "2001:db8::5")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return own_certificate(tmp_path_factory.mktemp("own") / "deep" / "folder", NAMES, NOW)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_authority(tmp_path_factory.mktemp("authority"), NOW)


@pytest.fixture
def copy(own: Identity, tmp_path: Path) -> Path:
    """A folder with the certificate already in it."""
    for path in (own.cert_path, own.key_path):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def read(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.cert_path.read_bytes())


def der(identity: Identity) -> bytes:
    return ssl.PEM_cert_to_DER_cert(identity.cert_path.read_text())


def test_the_first_call_makes_an_rsa_server_certificate_for_five_years(own: Identity) -> None:
    certificate = read(own)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == ["scans.example.test"]
    addresses = [ip_address(address) for address in ("192.0.2.7", "fe80::1", "2001:db8::5")]
    assert alternative.get_values_for_type(x509.IPAddress) == addresses
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert certificate.not_valid_before_utc < NOW
    assert own.not_after == certificate.not_valid_after_utc == NOW + timedelta(days=1825)
    assert own.subject == "CN=scans.example.test"
    assert own.names == NORMAL
    assert own.note == ""
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    assert own.fingerprint == ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper()


def test_the_key_is_for_its_owner_only(own: Identity) -> None:
    assert stat.S_IMODE(own.key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.key_path.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in own.key_path.parent.iterdir()) == ["server-key.pem", "server.pem"]


def test_later_calls_find_it_again(own: Identity) -> None:
    folder = own.cert_path.parent
    assert own_certificate(folder, NAMES, NOW + timedelta(days=400)) == own
    assert own_certificate(folder, ["192.0.2.7"], NOW) == own


def test_an_expired_one_is_made_anew(copy: Path, own: Identity) -> None:
    later = own.not_after + timedelta(seconds=1)
    made = own_certificate(copy, ["192.0.2.7"], later)
    assert made.fingerprint != own.fingerprint
    assert made.not_after > later
    assert "expired on 2031-02-28" in made.note


def test_missing_names_are_added_to_those_it_had(copy: Path, own: Identity) -> None:
    made = own_certificate(copy, ["other.example.test"], NOW)
    assert made.names == ("other.example.test", *NORMAL)
    assert "does not name other.example.test" in made.note
    assert own_certificate(copy, NAMES, NOW) == replace(made, note="")


@pytest.mark.parametrize("damage", ["key missing", "key of another", "no PEM", "passphrase"])
def test_files_that_cannot_be_used_are_put_aside(copy: Path, own: Identity, authority: Identity, damage: str) -> None:
    key = copy / "server-key.pem"
    if damage == "key missing":
        key.unlink()
    elif damage == "key of another":
        key.write_bytes(authority.key_path.read_bytes())
    elif damage == "no PEM":
        key.write_bytes(b"\0hello")
    else:
        secret = serialization.load_pem_private_key(own.key_path.read_bytes(), None)
        locked = serialization.BestAvailableEncryption(b"pass")
        key.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    before = key.read_bytes() if key.exists() else None
    made = own_certificate(copy, NAMES, NOW)
    assert made.fingerprint != own.fingerprint
    assert str(key) in made.note
    assert (copy / "server.pem.old").read_bytes() == own.cert_path.read_bytes()
    if before is not None:
        assert (copy / "server-key.pem.old").read_bytes() == before
    assert load_identity(made.cert_path, made.key_path) == replace(made, note="")


def test_a_certificate_that_somebody_put_there_stays(tmp_path: Path, authority: Identity) -> None:
    given = issue(authority, tmp_path, "box", ["box.example.test"], client=False, now=NOW)
    given.cert_path.rename(tmp_path / "server.pem")
    given.key_path.rename(tmp_path / "server-key.pem")
    used = own_certificate(tmp_path, ["192.0.2.7"], NOW)
    assert used.fingerprint == given.fingerprint
    assert "does not name 192.0.2.7" in used.note
    assert "used as it is" in used.note


def test_names_of_people_hosts_and_addresses(tmp_path: Path, authority: Identity) -> None:
    user = issue(authority, tmp_path, "anna@corp.example", ["anna@corp.example"], client=True, now=NOW)
    assert user.names == ("anna@corp.example",)
    assert user.cert_path.name == "client-anna@corp.example.pem"
    certificate = read(user)
    certificate.verify_directly_issued_by(read(authority))
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.RFC822Name) == ["anna@corp.example"]
    assert certificate.not_valid_after_utc <= authority.not_after


def test_file_names_stay_in_the_folder(tmp_path: Path, authority: Identity) -> None:
    made = issue(authority, tmp_path, "../../x y/ü", ["x.example.test"], client=False, now=NOW)
    assert made.cert_path == tmp_path / "server-.._.._x_y__.pem"
    assert describe(der(made)).subject == "CN=../../x y/ü"


@pytest.mark.parametrize("name", ["", "two words", "a\nb", "@", "anna@ü.example", "x" * 300])
def test_names_that_can_stand_in_no_certificate(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="in no certificate"):
        own_certificate(tmp_path, [name], NOW)


def test_host_names_of_other_scripts_are_written_in_ascii(tmp_path: Path) -> None:
    assert own_certificate(tmp_path, ["bücher.example."], NOW).names == ("xn--bcher-kva.example",)


def test_a_common_name_has_64_characters_at_most(tmp_path: Path, authority: Identity) -> None:
    long = "h" * 60 + ".example.test"
    assert own_certificate(tmp_path, [long], NOW).subject == "CN=dsmreplay"
    with pytest.raises(UsageError, match="1 to 64"):
        issue(authority, tmp_path, long, [long], client=False, now=NOW)


def test_an_authority_is_kept_and_its_end_is_the_end_of_all(authority: Identity, tmp_path: Path) -> None:
    folder = authority.cert_path.parent
    assert make_authority(folder, NOW + timedelta(days=100)) == authority
    basic = read(authority).extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value.ca
    late = authority.not_after - timedelta(days=10)
    assert issue(authority, tmp_path, "late", [], client=True, now=late).not_after == authority.not_after
    with pytest.raises(UsageError, match="the authority expired"):
        issue(authority, tmp_path, "later", [], client=True, now=authority.not_after)


def test_an_authority_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_text("mine")
    with pytest.raises(UnreadableInput, match="no certificate in PEM form"):
        make_authority(tmp_path, NOW)
    assert (tmp_path / "authority.pem").read_text() == "mine"


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutput, match="no folder for certificates"):
        own_certificate(tmp_path / "file", ["x.example.test"], NOW)


def test_files_that_are_not_there(tmp_path: Path, own: Identity) -> None:
    with pytest.raises(UnreadableInput, match=r"none\.pem: No such file"):
        load_identity(tmp_path / "none.pem", own.key_path)
    with pytest.raises(UnreadableInput, match=r"none\.pem: No such file"):
        load_identity(own.cert_path, tmp_path / "none.pem")


def test_describe_tells_what_a_certificate_says(authority: Identity, tmp_path: Path) -> None:
    user = issue(authority, tmp_path, "anna", ["anna@corp.example"], client=True, now=NOW)
    assert describe(der(user)) == CertificateInfo(
        "CN=anna", "CN=dsmreplay test authority", ("anna@corp.example",),
        NOW - timedelta(days=1), user.not_after, user.fingerprint,
    )  # fmt: skip


@pytest.fixture(scope="module")
def build() -> Callable[..., bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "card")])

    def make(*names: x509.GeneralName) -> bytes:
        return (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        )  # fmt: skip

    return make


def test_a_smart_card_names_its_user_by_principal_name(build: Callable[..., bytes]) -> None:
    upn = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
    long = "x" * 200 + "@corp.example"
    names = [
        x509.OtherName(upn, b"\x0c\x11anna@corp.example"),
        x509.OtherName(upn, b"\x0c\x81\xd5" + long.encode()),
        x509.OtherName(upn, b"\x16\x01x"),
        x509.OtherName(ObjectIdentifier("1.2.3"), b"\x0c\x01x"),
    ]
    assert describe(build(*names)).names == ("anna@corp.example", long)


def test_names_of_a_peer_are_bounded(build: Callable[..., bytes]) -> None:
    found = describe(build(*(x509.DNSName(f"{number}.{'x' * 300}") for number in range(150)))).names
    assert len(found) == 100
    assert {len(name) for name in found} == {255}


def test_describe_takes_anything(own: Identity) -> None:
    whole = der(own)
    for broken in (b"", b"\0", b"hello", whole[:-1], whole[: len(whole) // 2], b"\x30\x80" + whole):
        assert describe(broken).subject == ""
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        assert len(describe(bytes(changed)).fingerprint) == 95
