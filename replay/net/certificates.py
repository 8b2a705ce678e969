"""Certificates of the emulators: made at first start, found again later; and small authorities for laboratories.

A scan server is reached by https (WS-DSC and WS-DSP, TCP 5362), so an emulated one needs a certificate before anybody
can try it. It makes a self-signed one, keeps it, and prints its fingerprint, which is what a person compares or pins.
Certificates of clients ("strong" mode: the user's smart card) come from an authority made here.

Keys are RSA with 2048 bits and signatures SHA-256: the TLS stacks of multifunction devices from the years of DSM, and
ciphers with RSA key exchange, know no ECDSA.

Rules: keys are written with mode 0600 and whole or not at all; a certificate that a person put into the folder is used
as it is and never overwritten; what peers send (:func:`describe`) never raises.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from dissector.base.errors import UnreadableInput, UnwritableOutput, UsageError
from replay.net.fingerprints import fingerprint

__all__ = ["CertificateInfo", "Identity", "describe", "issue", "load_identity", "make_authority", "own_certificate"]

LIFETIME = timedelta(days=5 * 365)
"""How long a certificate made here is valid."""

EARLIER = timedelta(days=1)
"""A certificate is valid from so long before it was made: clocks of devices are often late."""

KEY_BITS = 2048

MAX_NAMES = 100
"""Names of one certificate that are kept; a peer's further names are not listed."""

MAX_NAME = 255
"""Characters of one name that are kept of a peer's certificate."""

MAX_COMMON_NAME = 64
"""ub-common-name (RFC 5280, appendix A.1)."""

_UPN = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
"""User principal name, in certificates of smart cards (an otherName with a UTF8String)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key, in files.

    Attributes:
        cert_path, key_path: PEM files.
        fingerprint: SHA-256 of the certificate, upper-case hex with colons.
        subject: distinguished name (RFC 4514).
        names: of the subjectAltName: DNS names, addresses, e-mail addresses.
        not_after: end of its validity, UTC.
        note: a sentence for people where something has to be said (it was made anew, and why), else "".
    """

    cert_path: Path
    key_path: Path
    fingerprint: str
    subject: str
    names: tuple[str, ...]
    not_after: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """What a certificate says, for logs.

    Attributes:
        subject, issuer: distinguished names (RFC 4514); "" where the certificate cannot be read.
        names: of the subjectAltName: DNS names, addresses, e-mail addresses, user principal names.
        not_before, not_after: validity, UTC; None where the certificate cannot be read.
        fingerprint: SHA-256, upper-case hex with colons.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime | None
    not_after: datetime | None
    fingerprint: str


def describe(der: bytes) -> CertificateInfo:
    """What a certificate of a peer says. Never raises: what cannot be read is left empty."""
    mark = fingerprint(der)
    # The certificate is the peer's, and the library raises many kinds of exceptions for odd ones.
    try:
        read = x509.load_der_x509_certificate(der)
        subject, issuer = read.subject.rfc4514_string(), read.issuer.rfc4514_string()
        valid = read.not_valid_before_utc, read.not_valid_after_utc
    except Exception:
        return CertificateInfo("", "", (), None, None, mark)
    return CertificateInfo(subject, issuer, _names_of(read), valid[0], valid[1], mark)


def own_certificate(folder: Path, names: Sequence[str], now: datetime, common_name: str = "") -> Identity:
    """The server certificate of this folder; made and saved at the first call.

    It is made anew when it has expired, cannot be read, or lacks one of the names; the names that it had are kept then.
    A certificate that is not self-signed was put there by somebody: it is used whatever it says, with a note.

    Args:
        folder: for ``server.pem`` and ``server-key.pem``; made with mode 0700 where it is missing.
        names: DNS names and addresses under which clients come.
        now: the present time, with its zone.
        common_name: for the subject; "" for the first name (old clients look at nothing else).

    Raises:
        UsageError: a name can stand in no certificate.
        UnwritableOutput: the folder cannot be written.
    """
    wanted = _normal_names(names)
    cert_path, key_path = folder / "server.pem", folder / "server-key.pem"
    note = ""
    with _locked(folder):
        if cert_path.exists() or key_path.exists():
            try:
                found, self_signed = _load(cert_path, key_path)
            except UnreadableInput as error:
                # It may be somebody's (a key with a passphrase), so it is kept.
                _put_aside(cert_path, key_path)
                note = f"made a new certificate: {error} (the old files are kept, with .old behind their names)"
            else:
                missing = [name for name in wanted if name not in found.names]
                trouble = ""
                if found.not_after <= now:
                    trouble = f"{cert_path} expired on {found.not_after:%Y-%m-%d}"
                elif missing:
                    trouble = f"{cert_path} does not name {', '.join(missing)}"
                if not trouble:
                    return found
                if not self_signed:
                    return replace(found, note=f"{trouble}; it is not ours, so it is used as it is")
                note = f"made a new certificate: {trouble}"
                wanted = _unique([*wanted, *found.names])[:MAX_NAMES]
        subject = common_name or next((name for name in wanted if len(name) <= MAX_COMMON_NAME), "dsmreplay")
        key = _new_key()
        certificate = _build(subject, wanted, key, now, usage=(ExtendedKeyUsageOID.SERVER_AUTH,))
        return replace(_save(certificate, key, cert_path, key_path), note=note)


def make_authority(
    folder: Path, now: datetime | None = None, common_name: str = "dsmreplay test authority"
) -> Identity:
    """The authority of this folder, for laboratories and tests; made and saved at the first call.

    Args:
        folder: for ``authority.pem`` and ``authority-key.pem``.
        now: the present time, None for the machine's.
        common_name: for the subject.

    Raises:
        UsageError: the name is too long.
        UnwritableOutput: the folder cannot be written.
        UnreadableInput: what is in the folder cannot be read. It is not replaced: certificates may depend on it.
    """
    now = now or datetime.now(UTC)
    cert_path, key_path = folder / "authority.pem", folder / "authority-key.pem"
    with _locked(folder):
        if cert_path.exists() or key_path.exists():
            found, _ = _load(cert_path, key_path)
            if found.not_after > now:
                return found
            note = f"made a new authority: {cert_path} expired on {found.not_after:%Y-%m-%d}"
        else:
            note = ""
        key = _new_key()
        return replace(_save(_build(common_name, (), key, now, authority=True), key, cert_path, key_path), note=note)


def issue(
    authority: Identity,
    folder: Path,
    common_name: str,
    names: Sequence[str],
    *,
    client: bool,
    now: datetime | None = None,
) -> Identity:
    """A certificate from an authority; replaces one of the same kind and common name in the folder.

    Args:
        authority: of :func:`make_authority`.
        folder: for ``client-NAME.pem`` and ``client-NAME-key.pem`` (or ``server-…``).
        common_name: for the subject.
        names: DNS names, addresses, and e-mail addresses (``user@domain``, as a user's principal name looks).
        client: for a user, else for a server.
        now: the present time, None for the machine's.

    Raises:
        UsageError: a name can stand in no certificate.
        UnwritableOutput: the folder cannot be written.
        UnreadableInput: the authority cannot be read.
    """
    issuer, issuer_key = _read(authority.cert_path, authority.key_path)
    kind = "client" if client else "server"
    stem = f"{kind}-{re.sub(r'[^A-Za-z0-9._@-]', '_', common_name)}"
    key = _new_key()
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    made = _build(
        common_name,
        _normal_names(names),
        key,
        now or datetime.now(UTC),
        usage=(usage,),
        issuer=issuer,
        signer=issuer_key,
    )
    with _locked(folder):
        return _save(made, key, folder / f"{stem}.pem", folder / f"{stem}-key.pem")


def load_identity(cert_path: Path, key_path: Path) -> Identity:
    """A certificate and its key from PEM files that somebody made; both may be in one file.

    Raises:
        UnreadableInput: no such files, no PEM, an encrypted key, or the key of another certificate.
    """
    return _load(cert_path, key_path)[0]


# -- reading -----------------------------------------------------------------------------------------------------


def _read(cert_path: Path, key_path: Path) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """An authority made here: its key is RSA."""
    certificate, key = _read_any(cert_path, key_path)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnreadableInput(f"{key_path}: an authority's key must be RSA")
    return certificate, key


def _read_any(cert_path: Path, key_path: Path) -> tuple[x509.Certificate, object]:
    try:
        certificate = x509.load_pem_x509_certificate(cert_path.read_bytes())
    except OSError as error:
        raise UnreadableInput(f"{cert_path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UnreadableInput(f"{cert_path}: no certificate in PEM form") from error
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except OSError as error:
        raise UnreadableInput(f"{key_path}: {error.strerror or error}") from error
    except TypeError as error:
        raise UnreadableInput(
            f"{key_path}: the key is protected by a passphrase; save it without one: openssl pkey -in OLD -out NEW"
        ) from error
    except Exception as error:
        raise UnreadableInput(f"{key_path}: no private key in PEM form that can be used here") from error
    if _public(certificate.public_key()) != _public(key.public_key()):
        raise UnreadableInput(f"{key_path}: the key is not that of the certificate {cert_path}")
    return certificate, key


def _public(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(serialization.Encoding.DER, form))  # type: ignore[attr-defined]  # of any kind


def _load(cert_path: Path, key_path: Path) -> tuple[Identity, bool]:
    """The identity in two files, and whether it is self-signed."""
    certificate, _ = _read_any(cert_path, key_path)
    return _identity(certificate, cert_path, key_path), certificate.issuer == certificate.subject


def _identity(certificate: x509.Certificate, cert_path: Path, key_path: Path) -> Identity:
    info = describe(certificate.public_bytes(serialization.Encoding.DER))
    end = certificate.not_valid_after_utc
    return Identity(cert_path, key_path, info.fingerprint, info.subject, info.names, end)


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [_name_text(name) for name in list(alternative)[:MAX_NAMES]]
    except Exception:  # of a peer: see describe()
        return ()
    return _unique([name[:MAX_NAME] for name in found if name])


def _name_text(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DNSName):
        return name.value.lower()
    if isinstance(name, x509.IPAddress):
        return str(name.value)
    if isinstance(name, x509.RFC822Name):
        return name.value
    if isinstance(name, x509.OtherName) and name.type_id == _UPN and len(name.value) > 2 and name.value[0] == 0x0C:
        # DER: tag 12 (UTF8String), a length of one byte below 128, else 0x80 plus the number of length bytes.
        first = name.value[1]
        return name.value[2 + (first & 0x7F if first & 0x80 else 0) :].decode("utf-8", "replace")
    return ""


# -- making ------------------------------------------------------------------------------------------------------


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _normal_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a certificate has them: addresses without zone and brackets, host names in lower case (IDNA)."""
    found = []
    for name in names:
        text = name.strip()
        try:
            found.append(str(ip_address(text.strip("[]").partition("%")[0])))
            continue
        except ValueError:
            pass
        if "@" not in text:
            with contextlib.suppress(UnicodeError):
                text = text.rstrip(".").encode("idna").decode("ascii").lower()
        if not re.fullmatch(r"[!-~]{1,255}", text) or (text.startswith("@") or text.endswith("@")):
            raise UsageError(f"{name!r} can stand in no certificate: give a host name, an address or user@domain")
        found.append(text)
    return _unique(found)[:MAX_NAMES]


def _general(name: str) -> x509.GeneralName:
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def _build(
    common_name: str,
    names: Sequence[str],
    key: rsa.RSAPrivateKey,
    now: datetime,
    *,
    usage: Sequence[ObjectIdentifier] = (),
    authority: bool = False,
    issuer: x509.Certificate | None = None,
    signer: rsa.RSAPrivateKey | None = None,
) -> x509.Certificate:
    """A certificate by RFC 5280; self-signed where no issuer is given."""
    if not 0 < len(common_name) <= MAX_COMMON_NAME:
        raise UsageError(f"the common name {common_name!r} must have 1 to {MAX_COMMON_NAME} characters")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    signing = signer or key
    end = now + LIFETIME
    if issuer is not None:
        # A certificate that outlives its authority is refused by some clients.
        end = min(end, issuer.not_valid_after_utc)
        if end <= now:
            raise UsageError(f"the authority expired on {end:%Y-%m-%d}")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=False, key_encipherment=not authority,
                data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    if names:
        try:
            alternative = x509.SubjectAlternativeName([_general(name) for name in names])
        except ValueError as error:
            raise UsageError(f"a name can stand in no certificate: {error}") from error
        builder = builder.add_extension(alternative, critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    return builder.sign(signing, hashes.SHA256())


def _save(certificate: x509.Certificate, key: rsa.RSAPrivateKey, cert_path: Path, key_path: Path) -> Identity:
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    # A crash between the two leaves a key that is not the certificate's: found at the next reading.
    _write(key_path, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain), 0o600)
    _write(cert_path, certificate.public_bytes(pem), 0o644)
    return _identity(certificate, cert_path, key_path)


def _write(path: Path, data: bytes, mode: int) -> None:
    """The whole file or nothing of it."""
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise UnwritableOutput(f"{path} cannot be written: {error.strerror or error}") from error


def _put_aside(*paths: Path) -> None:
    for path in paths:
        try:
            os.replace(path, path.with_name(f"{path.name}.old"))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UnwritableOutput(f"{path} cannot be put aside: {error.strerror or error}") from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder and hold it: two emulators that start at once must not mix their keys and certificates."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UnwritableOutput(f"{folder}: no folder for certificates: {error.strerror or error}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
