"""Alerts in words. Source: RFC 8446 6 and B.2, RFC 5246 7.2, RFC 6066, RFC 7301 3.2, RFC 7507."""

from __future__ import annotations

__all__ = ["ABOUT_CERTIFICATES", "HARMLESS", "NO_CERTIFICATE", "WORDS", "alert_text"]

HARMLESS = frozenset([0, 90, 100])
"""Those that say that all is well: the end, a user's cancel, no renegotiation."""

ABOUT_CERTIFICATES = frozenset([41, 42, 43, 44, 45, 46, 48, 116])

NO_CERTIFICATE = ABOUT_CERTIFICATES | {40, 50}
"""Those by which servers say that a certificate of the client is missing: handshake_failure (up to TLS 1.2), and GnuTLS
by decode_error."""

WORDS: dict[int, tuple[str, str]] = {
    0: ("close_notify", "it has said all"),
    10: ("unexpected_message", "a message came that does not belong there"),
    20: ("bad_record_mac", "a record was not authentic"),
    21: ("decryption_failed", "a record could not be decrypted"),
    22: ("record_overflow", "a record was too long"),
    30: ("decompression_failure", "a record could not be decompressed"),
    40: ("handshake_failure", "it cannot agree to what was offered"),
    41: ("no_certificate", "it has no certificate"),
    42: (
        "bad_certificate",
        (
            "the certificate is not acceptable: damaged, not valid yet, its name, key or signature is wrong, or nobody "
            "it trusts has signed it (as GnuTLS and Go say)"
        ),
    ),
    43: ("unsupported_certificate", "the certificate is of a kind it does not support"),
    44: ("certificate_revoked", "the certificate was revoked"),
    45: ("certificate_expired", "the certificate has expired or is not valid yet"),
    46: ("certificate_unknown", "the certificate is not acceptable for a reason it does not say"),
    47: ("illegal_parameter", "a field of the handshake is out of range or contradicts another"),
    48: ("unknown_ca", "it does not know, or does not trust, the authority that signed the certificate"),
    49: (
        "access_denied",
        "the certificate's owner may not do this, or (as GnuTLS says) the certificate is not trusted",
    ),
    50: ("decode_error", "a message could not be read"),
    51: ("decrypt_error", "a signature or a Finished message does not verify"),
    60: ("export_restriction", "export rules forbid it"),
    70: ("protocol_version", "it does not support the version"),
    71: ("insufficient_security", "it wants stronger cipher suites"),
    80: ("internal_error", "something is wrong inside it"),
    86: ("inappropriate_fallback", "the client tried an older version than it had to"),
    90: ("user_canceled", "it was cancelled"),
    100: ("no_renegotiation", "it does not renegotiate"),
    109: ("missing_extension", "an extension is missing"),
    110: ("unsupported_extension", "an extension came that it did not ask for"),
    111: ("certificate_unobtainable", "the certificate could not be fetched"),
    112: ("unrecognized_name", "it does not know the name that was asked for"),
    113: ("bad_certificate_status_response", "the certificate's status is not acceptable"),
    114: ("bad_certificate_hash_value", "the certificate's hash does not match"),
    115: ("unknown_psk_identity", "it does not know the pre-shared key"),
    116: ("certificate_required", "it wants a client certificate, and none was given"),
    120: ("no_application_protocol", "it supports none of the application protocols offered"),
    121: ("ech_required", "it wants Encrypted Client Hello"),
}


def alert_text(description: int | None) -> str:
    """``unknown_ca``; the number of an unknown one; ``encrypted`` where it could not be opened."""
    if description is None:
        return "encrypted"
    return WORDS[description][0] if description in WORDS else f"alert {description}"
