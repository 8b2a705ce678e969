"""The rules of TLS findings: those on handshakes and certificates that people act on, and those on damage."""

from __future__ import annotations

from dissector.base.findings import rule

__all__ = [
    "ALERT",
    "BAD_MESSAGE",
    "CERTIFICATE_EARLY",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_NAME",
    "CERTIFICATE_UNREADABLE",
    "CERTIFICATE_USE",
    "CERTIFICATE_WEAK",
    "COMPRESSION",
    "EARLY_REJECTED",
    "HANDSHAKE_FAILED",
    "HANDSHAKE_UNFINISHED",
    "LOST",
    "NOT_OPENED",
    "NOT_TLS",
    "OLD_VERSION",
    "ONE_WAY",
    "PSK_ONLY",
    "RENEGOTIATED",
    "SAID_NOTHING",
    "SELF_SIGNED",
    "UNSUPPORTED",
    "UNTOLD",
    "UNTRUSTED",
    "UNUSED",
    "WEAK_SUITE",
    "WHY",
    "WRONG_KEYS",
]

HANDSHAKE_FAILED = rule("tls.handshake-failed", "error", "the handshake failed", "RFC 8446 6.2, RFC 5246 7.2.2")
HANDSHAKE_UNFINISHED = rule("tls.handshake-unfinished", "warn", "the connection ended before the handshake did")
ONE_WAY = rule("tls.one-way", "note", "only one side's packets are in the capture: how a handshake went cannot be told")
UNUSED = rule(
    "tls.unused", "warn",
    "the client ended the connection after the handshake without a word, and something is wrong with the certificate",
)  # fmt: skip
SAID_NOTHING = rule(
    "tls.said-nothing", "note", "the client ended the connection right after the handshake without a word"
)
ALERT = rule("tls.alert", "error", "a fatal alert ended the connection", "RFC 8446 6")
CERTIFICATE_EXPIRED = rule(
    "tls.certificate-expired", "error", "a certificate was no longer valid when it was shown", "RFC 5280 4.1.2.5"
)
CERTIFICATE_EARLY = rule(
    "tls.certificate-early", "error", "a certificate was not valid yet when it was shown", "RFC 5280 4.1.2.5"
)
CERTIFICATE_NAME = rule(
    "tls.certificate-name", "warn", "the server's certificate does not have the name that the client asked for",
    "RFC 9525 6",
)  # fmt: skip
CERTIFICATE_WEAK = rule("tls.certificate-weak", "note", "a certificate has a weak key or signature", "RFC 9155")
CERTIFICATE_USE = rule(
    "tls.certificate-use", "warn", "a certificate that may not be used by the side that shows it", "RFC 5280 4.2.1.12"
)
CERTIFICATE_UNREADABLE = rule("tls.certificate-unreadable", "warn", "a certificate cannot be read", "RFC 5280 4.1")
SELF_SIGNED = rule(
    "tls.self-signed", "note", "the server's certificate is signed by itself: clients have to be told to trust it"
)
UNTRUSTED = rule(
    "tls.untrusted", "error", "a certificate does not lead to an authority of the trust store (--trust)", "RFC 5280 6.1"
)
OLD_VERSION = rule("tls.old-version", "note", "a version that clients refuse by now", "RFC 8996, RFC 7568")
WEAK_SUITE = rule("tls.weak-suite", "note", "a weak cipher suite", "RFC 9325 4")
PSK_ONLY = rule(
    "tls.psk-only", "note", "the keys come from a pre-shared key alone: who has it can read all", "RFC 8446 4.2.9"
)
COMPRESSION = rule(
    "tls.certificate-compression", "note", "certificates in a compression that is not read", "RFC 8879 3"
)
WRONG_KEYS = rule("tls.wrong-keys", "warn", "the keys given do not open this connection")
UNSUPPORTED = rule("tls.unsupported", "warn", "a cipher suite whose records cannot be opened here")
LOST = rule("tls.lost-records", "warn", "records are not in the capture, or not whole; decoding goes on behind them")
NOT_OPENED = rule("tls.not-opened", "warn", "records that the keys do not open", "RFC 8446 5.2")
NOT_TLS = rule("tls.not-tls", "note", "bytes that are no records", "RFC 8446 5.1")
UNTOLD = rule("tls.more", "note", "more findings on TLS connections than are told one by one")
RENEGOTIATED = rule("tls.handshakes", "warn", "more handshakes of one connection than are followed", "RFC 5246 7.4.1.1")
BAD_MESSAGE = rule("tls.bad-message", "warn", "a handshake message cannot be read", "RFC 8446 4")
EARLY_REJECTED = rule("tls.early-data-rejected", "note", "the server refused early data", "RFC 8446 4.2.10")

WHY = frozenset([HANDSHAKE_FAILED.id, HANDSHAKE_UNFINISHED.id, UNUSED.id, ALERT.id])
"""Those that say why a connection failed, at most one of a connection."""
