"""Certificates: what people have to know of one, read tolerantly.

Real devices show certificates that strict readers refuse (negative serial numbers, wrong encodings): what cannot be
read is left out and said, and the fingerprint is always there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

__all__ = ["Certificate", "day", "name_text", "read_certificate", "read_raw_key"]

_NAMES = 100
"""Names of one certificate that are kept."""
_LONG = 500
"""Characters of one name that are kept."""

SERVER_USE, CLIENT_USE, ANY_USE = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "2.5.29.37.0"
"""Extended key usages (RFC 5280 4.2.1.12)."""

_SHORT = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.10": "O", "2.5.4.11": "OU", "1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.25": "DC",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes:
        sha256: fingerprint, hexadecimal.
        subject, issuer: such as ``CN=printer, O=Example``; "" where they cannot be read.
        serial: hexadecimal, "" where it cannot be read.
        first, last: validity in nanoseconds since 1970, None where it cannot be read.
        names: host names and addresses it is for (subjectAltName).
        key: such as ``RSA 2048``, ``EC secp256r1``.
        signature: hash of its signature, such as ``sha256``; "" where there is none.
        serves, asks: whether it may be used by servers, and by clients (extended key usage).
        modulus: of an RSA key.
        problem: why it could not be read, or not whole; "".
        raw: it is no certificate but a public key alone (RFC 7250).
        der: its bytes.
    """

    sha256: str
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    first: int | None = None
    last: int | None = None
    names: tuple[str, ...] = ()
    key: str = ""
    signature: str = ""
    authority: bool | None = None
    serves: bool = True
    asks: bool = True
    modulus: int | None = field(default=None, repr=False)
    problem: str = ""
    raw: bool = False
    der: bytes = field(default=b"", repr=False)

    @property
    def self_signed(self) -> bool:
        """It names itself as its issuer."""
        return bool(self.subject) and self.subject == self.issuer

    def fits(self, host: str) -> bool:
        """Whether it is for the host: by its names, or where it has none by the common name (RFC 9525 6.3)."""
        names = self.names or tuple(part[3:] for part in self.subject.split(", ") if part.startswith("CN="))
        wanted = host.rstrip(".").lower()
        for name in names:
            known = name.rstrip(".").lower()
            if known == wanted:
                return True
            if known.startswith("*.") and "." in wanted and wanted.split(".", 1)[1] == known[2:]:
                return True
        return False


def day(ns: int | None) -> str:
    """A date such as ``2026-03-01``; years beyond the calendar as they are told."""
    if ns is None:
        return "?"
    try:
        return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return f"{ns // 1_000_000_000} s after 1970"


@lru_cache(maxsize=1000)
def read_certificate(der: bytes) -> Certificate:
    """A certificate out of its bytes; never raises."""
    import warnings

    from cryptography import x509

    digest = hashlib.sha256(der).hexdigest()
    try:
        with warnings.catch_warnings():
            # What is odd about a stranger's certificate is no matter of this program.
            warnings.simplefilter("ignore")
            return _read(x509.load_der_x509_certificate(der), digest, der)
    except Exception as error:  # the library raises much, and by no single base
        return Certificate(digest, problem=f"{type(error).__name__}: {error}"[:200], der=der)


@lru_cache(maxsize=1000)
def read_raw_key(der: bytes) -> Certificate:
    """A raw public key; never raises."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    digest = hashlib.sha256(der).hexdigest()
    try:
        key, modulus = _key(load_der_public_key(der))
    except Exception as error:  # the library raises much, and by no single base
        return Certificate(digest, raw=True, problem=f"{type(error).__name__}: {error}"[:200], der=der)
    return Certificate(digest, key=key, modulus=modulus, raw=True, der=der)


def _read(found: Any, digest: str, der: bytes) -> Certificate:
    problems: list[str] = []

    def field_of(get: Any, default: Any) -> Any:
        try:
            return get()
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}"[:200])
            return default

    key, modulus = field_of(lambda: _key(found.public_key()), ("", None))
    uses = field_of(lambda: _uses(found), None)
    return Certificate(
        sha256=digest,
        subject=field_of(lambda: _name(found.subject), ""),
        issuer=field_of(lambda: _name(found.issuer), ""),
        serial=field_of(lambda: f"{found.serial_number:x}", ""),
        first=field_of(lambda: _time(found.not_valid_before_utc), None),
        last=field_of(lambda: _time(found.not_valid_after_utc), None),
        names=field_of(lambda: _names(found), ()),
        key=key,
        signature=field_of(lambda: getattr(found.signature_hash_algorithm, "name", ""), ""),
        authority=field_of(lambda: _authority(found), None),
        serves=uses is None or not uses.isdisjoint((SERVER_USE, ANY_USE)),
        asks=uses is None or not uses.isdisjoint((CLIENT_USE, ANY_USE)),
        modulus=modulus,
        problem="; ".join(problems),
        der=der,
    )


def _time(moment: Any) -> int:
    # Whole seconds: a float of nanoseconds would not be exact.
    return int(moment.timestamp()) * 1_000_000_000


def _name(name: Any) -> str:
    text = ", ".join(f"{_SHORT.get(one.oid.dotted_string, one.oid.dotted_string)}={_text(one.value)}" for one in name)
    return text[:_LONG]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()


def _names(found: Any) -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    made = [str(one.value)[:_LONG] for one in names if isinstance(one, (x509.DNSName, x509.IPAddress))]
    return tuple(made[:_NAMES])


def _authority(found: Any) -> bool:
    from cryptography import x509

    try:
        return bool(found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _uses(found: Any) -> set[str] | None:
    from cryptography import x509

    try:
        return {one.dotted_string for one in found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value}
    except x509.ExtensionNotFound:
        return None


def _key(key: Any) -> tuple[str, int | None]:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}", key.public_numbers().n
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}", None
    return type(key).__name__.removesuffix("PublicKey").lstrip("_") or "unknown", None


# -- distinguished names outside certificates -----------------------------------------------------------------------


def name_text(der: bytes) -> str:
    """A distinguished name (X.501, DER) as text; hexadecimal where it cannot be read."""
    try:
        parts: list[str] = []
        for _, rdn in _items(_only(der)):
            for _, pair in _items(rdn):
                (_, oid), (kind, value) = _items(pair)
                number = _oid(oid)
                text = value.decode("utf-16-be" if kind == 0x1E else "utf-8", "backslashreplace")
                parts.append(f"{_SHORT.get(number, number)}={text}")
        return ", ".join(parts)[:_LONG]
    except (IndexError, ValueError):
        return der[:64].hex()


def _only(der: bytes) -> bytes:
    items = _items(der)
    if len(items) != 1:
        raise ValueError("not one element")
    return items[0][1]


def _items(der: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(der[at : at + count], "big")
            at += count
        if at + size > len(der):
            raise ValueError("an element ends behind the bytes")
        found.append((tag, der[at : at + size]))
        at += size
    return found


def _oid(der: bytes) -> str:
    numbers = [min(der[0] // 40, 2)]
    numbers.append(der[0] - 40 * numbers[0])
    value = 0
    for byte in der[1:]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    return ".".join(map(str, numbers))
