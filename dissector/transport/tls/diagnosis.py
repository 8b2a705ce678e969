"""What went wrong with a connection, in sentences: why a handshake failed, and what is wrong with certificates.

It judges by what both sides said, by who broke off and where, and by the time of the capture, never by today's.
"""

from __future__ import annotations

from collections.abc import Iterator

from dissector.base.findings import Finding
from dissector.transport.model import StreamEnd
from dissector.transport.tls.alerts import ABOUT_CERTIFICATES, HARMLESS, WORDS, alert_text
from dissector.transport.tls.certificates import Certificate, day
from dissector.transport.tls.model import Alert, TlsFacts
from dissector.transport.tls.names import TLS12, TLS13, version_name
from dissector.transport.tls.rules import (
    ALERT,
    CERTIFICATE_EARLY,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NAME,
    CERTIFICATE_UNREADABLE,
    CERTIFICATE_WEAK,
    HANDSHAKE_FAILED,
    HANDSHAKE_UNFINISHED,
    OLD_VERSION,
    SELF_SIGNED,
    WEAK_SUITE,
)
from dissector.transport.tls.suites import suite

__all__ = ["findings_of"]

_WEAK_HASHES = ("md5", "sha1", "md2", "md4")
_WEAK_RSA = 2048


def findings_of(facts: TlsFacts) -> list[Finding]:
    """The findings on a connection that is over."""
    return [*_end(facts), *_certificates(facts), *_strength(facts)]


# -- how it ended ----------------------------------------------------------------------------------------------------


def _end(facts: TlsFacts) -> Iterator[Finding]:
    if facts.answered and facts.version is None:
        yield HANDSHAKE_FAILED(
            f"the server answered the ClientHello in the clear, with “{facts.answered}”: it expects http on this port, "
            "not https",
            frames=(facts.answer_frame,) if facts.answer_frame else (),
        )
        return
    fatal = [a for a in facts.alerts if a.description not in HARMLESS and not _warning(a)]
    told = [a for a in fatal if a.description is not None]
    who = {True: "client", False: "server"}
    for alert in (told or fatal)[:1]:
        words = WORDS.get(alert.description if alert.description is not None else -1, ("", "it does not say why"))[1]
        side = who[alert.from_client]
        if alert.description is None:
            yield from _sealed(facts, alert)
        elif not facts.finished or alert.description in ABOUT_CERTIFICATES:
            yield HANDSHAKE_FAILED(
                f"the {side} broke the handshake off with {alert_text(alert.description)}: {words}"
                f"{_reason(facts, alert)}",
                frames=(alert.frame,),
            )
        else:
            yield ALERT(
                f"the {side} ended the connection with {alert_text(alert.description)}: {words}", frames=(alert.frame,)
            )
    if fatal or facts.finished or not facts.handshakes:
        return
    ends = [talk.end for talk in facts.talks]
    if StreamEnd.CAPTURE in ends or None in ends:
        return
    first = "reset" if StreamEnd.RESET in ends else "closed"
    frames = (facts.last_frame,) if facts.last_frame else ()
    if facts.version is None and facts.offered:
        yield HANDSHAKE_UNFINISHED(
            f"the connection was {first} before the server answered the ClientHello: it may expect no TLS on this "
            f"port, or refuse without a word what was offered ({_offer(facts)})",
            frames=frames,
        )
    elif facts.offered and not facts.talks[0].finished:
        yield HANDSHAKE_UNFINISHED(
            f"the connection was {first} in the midst of the handshake, without an alert{_guess(facts, True)}",
            frames=frames,
        )


def _sealed(facts: TlsFacts, alert: Alert) -> Iterator[Finding]:
    """An alert that is encrypted: only its place tells something."""
    side = "client" if alert.from_client else "server"
    if not facts.finished:
        yield HANDSHAKE_FAILED(
            f"the {side} broke the handshake off with an encrypted alert{_guess(facts, alert.from_client)}",
            frames=(alert.frame,),
        )
    elif facts.version == TLS13 and not alert.from_client and facts.state != "opened":
        yield HANDSHAKE_FAILED(
            "the server answered the end of the handshake with what can only be an encrypted alert; most likely it "
            "does not accept the client's certificate, or wants one (keys would tell)",
            frames=(alert.frame,),
        )


def _warning(alert: Alert) -> bool:
    # no_certificate is sent as a warning, and is what matters; TLS 1.3 does without levels.
    return alert.level == 1 and alert.description not in (41, 112)


def _offer(facts: TlsFacts) -> str:
    versions = ", ".join(version_name(v) for v in sorted(facts.offered))
    return f"{versions}, {len(facts.suites)} cipher suites"


def _reason(facts: TlsFacts, alert: Alert) -> str:
    """What in the capture explains the alert."""
    code = alert.description
    if code in ABOUT_CERTIFICATES:
        if alert.from_client or not facts.asked:
            said = _wrong_with(facts.certificates, facts.time, "server")
            return f"; {said}" if said and alert.from_client else ""
        if facts.given is False:
            return "; the server asked for a client certificate and got none" + _accepted(facts)
        said = _wrong_with(facts.client_certificates, facts.time, "client")
        return f"; {said}" if said else ""
    if code in (40, 71):
        if facts.asked and facts.given is False and not alert.from_client:
            return "; the server asked for a client certificate and got none" + _accepted(facts)
        if facts.version is None and not alert.from_client:
            return (
                f"; most likely no cipher suite or no version is shared (the client offers {_offer(facts)}"
                f"{', for the name ' + facts.server_name if facts.server_name else ''})"
            )
    if code in (70, 86):
        versions = ", ".join(version_name(v) for v in sorted(facts.offered))
        if alert.from_client and facts.version is not None:
            return f"; the server chose {version_name(facts.version)}, the client offers {versions}"
        return f"; the client offers {versions}"
    if code == 112 and facts.server_name:
        return f"; the client asked for {facts.server_name}"
    if code == 120 and facts.alpn_offered:
        return f"; the client offers {', '.join(facts.alpn_offered)}"
    if code == 49 and facts.client_certificates:
        return f"; the client's certificate is that of {facts.client_certificates[0].subject or '?'}"
    return ""


def _accepted(facts: TlsFacts) -> str:
    if not facts.authorities:
        return ""
    more = f" and {len(facts.authorities) - 3} more" if len(facts.authorities) > 3 else ""
    return f" (accepted are those of {'; '.join(facts.authorities[:3])}{more})"


def _wrong_with(chain: list[Certificate], time: int, side: str) -> str:
    """What is visibly wrong with a chain, its strongest reason first."""
    for place, one in enumerate(chain):
        whose = f"the {side}'s certificate" if not place else f"certificate {place + 1} of the {side}'s chain"
        if one.last is not None and one.last < time:
            return f"{whose} expired on {day(one.last)}"
        if one.first is not None and one.first > time:
            return f"{whose} is not valid before {day(one.first)}"
    if chain and chain[0].self_signed:
        return f"the {side}'s certificate is signed by itself ({chain[0].subject})"
    if chain and chain[-1].issuer and not chain[-1].self_signed:
        return f"the {side}'s chain ends at the authority {chain[-1].issuer}"
    return ""


def _guess(facts: TlsFacts, from_client: bool) -> str:
    """What most likely was the matter where nobody says so."""
    if from_client and facts.certificates:
        said = _wrong_with(facts.certificates, facts.time, "server")
        return f"; most likely it did not accept the server's certificate ({said})" if said else ""
    if not from_client and facts.asked and facts.given is False:
        return "; the server asked for a client certificate and got none"
    if from_client and facts.version is not None:
        known = suite(facts.suite) if facts.suite is not None else None
        if facts.resumed == "psk" or (known is not None and known.exchange.endswith(("PSK", "anon"))):
            # There is no certificate.
            return ""
        return "; most likely it did not accept the server's certificate"
    return ""


# -- certificates and strength ---------------------------------------------------------------------------------------


def _certificates(facts: TlsFacts) -> Iterator[Finding]:
    frames = (facts.frame,) if facts.frame else ()
    for side, chain in (("server", facts.certificates), ("client", facts.client_certificates)):
        for place, one in enumerate(chain):
            whose = f"the {side}'s certificate" if not place else f"certificate {place + 1} of the {side}'s chain"
            name = f" ({one.subject})" if one.subject else ""
            if one.problem and one.last is None and not one.raw:
                yield CERTIFICATE_UNREADABLE(f"{whose} cannot be read: {one.problem}", frames=frames)
                continue
            if one.last is not None and one.last < facts.time:
                yield CERTIFICATE_EXPIRED(
                    f"{whose}{name} expired on {day(one.last)}; it was shown on {day(facts.time)}", frames=frames
                )
            elif one.first is not None and one.first > facts.time:
                yield CERTIFICATE_EARLY(
                    f"{whose}{name} is valid from {day(one.first)} on; it was shown on {day(facts.time)}: is a clock "
                    "wrong?",
                    frames=frames,
                )
            if one.signature in _WEAK_HASHES and not one.self_signed:
                yield CERTIFICATE_WEAK(f"{whose}{name} is signed with {one.signature}", frames=frames)
            if one.modulus is not None and one.modulus.bit_length() < _WEAK_RSA:
                yield CERTIFICATE_WEAK(f"{whose}{name} has a key of {one.modulus.bit_length()} bits", frames=frames)
    if facts.certificates:
        own = facts.certificates[0]
        if own.self_signed:
            yield SELF_SIGNED(f"the server's certificate ({own.subject}) is signed by itself", frames=frames)
        if facts.server_name and (own.names or own.subject) and not own.fits(facts.server_name):
            names = ", ".join(own.names[:5]) or own.subject
            yield CERTIFICATE_NAME(
                f"the client asked for {facts.server_name}; the server's certificate is for {names}", frames=frames
            )


def _strength(facts: TlsFacts) -> Iterator[Finding]:
    frames = (facts.frame,) if facts.frame else ()
    if facts.version is not None and facts.version < TLS12:
        yield OLD_VERSION(f"the connection uses {version_name(facts.version)}", frames=frames)
    known = suite(facts.suite) if facts.suite is not None else None
    if known is not None and known.weak:
        yield WEAK_SUITE(f"the cipher suite {known.name} {known.weak}", frames=frames)
