"""What went wrong with TLS, in words for people: what, whose fault, what to do.

OpenSSL's reasons name its own insides ("wrong version number" is a server that speaks plain HTTP). The tables here turn
them, the alerts of the peer and the results of the verification into sentences and a short ``kind`` for programs.
"""

from __future__ import annotations

import re
import ssl

from dissector.base.errors import DsmsharkError, ExitCode

__all__ = ["FIRST", "TlsFailure", "failure_of"]

FIRST = 16
"""First bytes of the peer that are needed to tell what it speaks when it does not speak TLS."""

_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"CONNECT ", b"TRACE ", b"PATCH ")


class TlsFailure(DsmsharkError):
    """No TLS connection came about, or it broke. The text is for people.

    Attributes:
        kind: ``expired``, ``not-yet-valid``, ``unknown-authority``, ``name``, ``purpose``, ``weak``, ``certificate``
            (wrong otherwise), ``no-certificate``, ``fingerprint``, ``not-tls``, ``version``, ``cipher``, ``cut``,
            ``closed``, ``refused`` (the peer gives another reason), ``broken``.
        by_peer: the peer said so in an alert.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, kind: str, words: str, by_peer: bool = False) -> None:
        super().__init__(words)
        self.kind = kind
        self.by_peer = by_peer


_VERIFY = {
    9: ("not-yet-valid", "is not valid yet: compare the clocks of both machines"),
    10: ("expired", "has expired"),
    18: ("unknown-authority", "is self-signed and not among those trusted here: trust its file or pin its fingerprint"),
    23: ("certificate", "is revoked"),
    26: ("purpose", "is not made for this use (its extended key usage)"),
    66: ("weak", "has a key that is too short"),
    67: ("weak", "comes from an authority whose key is too short"),
    68: ("weak", "is signed with a hash that is too weak"),
}
"""X509_V_ERR_ codes (OpenSSL, x509_vfy.h) → kind, and what is wrong with the peer's certificate."""

_UNKNOWN_AUTHORITY = (2, 19, 20, 21)
_NAME_MISMATCH = (62, 63, 64)

_ALERTS = {
    "UNKNOWN_CA": ("unknown-authority", "it does not know the authority of our certificate"),
    "CERTIFICATE_EXPIRED": ("expired", "our certificate has expired"),
    "CERTIFICATE_REVOKED": ("certificate", "our certificate is revoked"),
    "CERTIFICATE_UNKNOWN": ("certificate", "it does not accept our certificate"),
    "BAD_CERTIFICATE": ("certificate", "it does not accept our certificate"),
    "UNSUPPORTED_CERTIFICATE": ("purpose", "it cannot use our certificate's kind"),
    "CERTIFICATE_REQUIRED": ("no-certificate", "it wants a client certificate, and none was given"),
    "PROTOCOL_VERSION": ("version", "it speaks none of the TLS versions allowed here"),
    "HANDSHAKE_FAILURE": ("cipher", "no cipher or version in common, or it wants a client certificate"),
    "INSUFFICIENT_SECURITY": ("cipher", "it wants stronger ciphers"),
    "UNRECOGNIZED_NAME": ("name", "it does not know the host name that was asked for"),
    "ACCESS_DENIED": ("refused", "access denied"),
    "DECRYPT_ERROR": ("broken", "a signature or a check sum of the handshake is wrong"),
    "INTERNAL_ERROR": ("refused", "an error inside it"),
}
"""Alerts (RFC 8446, 6.2) → kind, and why the peer refuses."""

_TOO_OLD = ("version", "the {peer} speaks only TLS versions that are not allowed here (oldest: {oldest})")

_OWN = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("no-certificate", "the client gave no certificate, and one is required"),
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "VERSION_TOO_LOW": _TOO_OLD,
    "WRONG_SSL_VERSION": _TOO_OLD,
    "NO_SHARED_CIPHER": ("cipher", "the {peer} offers no cipher that is allowed here"),
    "NO_SUITABLE_SIGNATURE_ALGORITHM": ("cipher", "the {peer} knows no kind of signature that our key can make"),
    "DH_KEY_TOO_SMALL": ("weak", "the {peer} uses a key exchange that is too weak"),
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": ("version", "the {peer} is too old: allow TLS versions before 1.2"),
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": ("broken", "what the {peer} sent was changed or damaged on the way"),
}
"""Reasons that OpenSSL gives at this end → kind and words."""


def failure_of(error: ssl.SSLError, peer: str, hostname: str, oldest: str, first: bytes) -> TlsFailure:
    """The failure behind an exception of ``ssl``.

    Args:
        error: the exception.
        peer: what the other end is: ``client`` or ``server``.
        hostname: the name that the server's certificate must have.
        oldest: the oldest TLS version allowed here.
        first: the first bytes that the peer sent (up to :data:`FIRST`); b"" once the handshake was over.
    """
    reason = str(error.reason or "")
    if isinstance(error, ssl.SSLCertVerificationError):
        whose = f"the {peer}'s certificate"
        code = error.verify_code
        if code in _NAME_MISMATCH:
            return TlsFailure("name", f"{whose} is for other names than {hostname}")
        if code in _UNKNOWN_AUTHORITY:
            return TlsFailure("unknown-authority", f"{whose} comes from an authority that is not trusted here")
        kind, words = _VERIFY.get(code, ("certificate", f"is not accepted: {error.verify_message}"))
        return TlsFailure(kind, f"{whose} {words}")
    other = _other_speech(first, peer)
    if other:
        return TlsFailure("not-tls", other)
    alert = re.fullmatch(r"(?:SSLV3|TLSV\d+)_(?:ALERT_)?(\w+)", reason)
    if alert is not None:
        kind, words = _ALERTS.get(alert[1], ("refused", alert[1].lower().replace("_", " ")))
        return TlsFailure(kind, f"the {peer} refused: {words}", by_peer=True)
    if reason in _OWN:
        kind, words = _OWN[reason]
        return TlsFailure(kind, words.format(peer=peer, oldest=oldest))
    return TlsFailure("broken", f"TLS with the {peer} broke: {reason.lower().replace('_', ' ') or error}")


def _other_speech(first: bytes, peer: str) -> str:
    """What the peer speaks, "" for TLS: it begins with a record of handshake or alert, or an old hello (SSL 2)."""
    if not first or first[0] in (0x15, 0x16) or first[0] & 0x80:
        return ""
    if any(first.startswith(method) or method.startswith(first) for method in _METHODS):
        return f"the {peer} speaks plain HTTP to the https port: its address must begin with https://"
    if first.startswith(b"HTTP/") or b"HTTP/".startswith(first):
        return f"the {peer} answers in plain HTTP, not TLS: use an address that begins with http://"
    return f"the {peer} does not speak TLS: its first bytes are {first.hex(' ')}"
