"""What in the capture explains that a side refused: which of the things that it was shown is visibly wrong.

It judges by the time of the capture, never by today's. Nothing here knows what the sides trust.
"""

from __future__ import annotations

from dissector.transport.tls.alerts import ABOUT_CERTIFICATES, NO_CERTIFICATE
from dissector.transport.tls.certificates import Certificate, day
from dissector.transport.tls.model import Alert, TlsFacts
from dissector.transport.tls.names import SSL20, TLS13, group_name, signature_name, version_name
from dissector.transport.tls.suites import suite, suite_name

__all__ = ["WEAK_HASHES", "WEAK_RSA", "accepted", "flaw", "guess", "offer", "reason", "refused_client", "whose"]

WEAK_HASHES = ("md5", "sha1", "md2", "md4")
WEAK_RSA = 2048
"""Bits below which an RSA key is weak."""
NAMED = 4
"""Things of one kind in a ClientHello that are named; of more their number is told."""
_SIGNALS = frozenset([0x00FF, 0x5600])
"""Numbers among the cipher suites that are none (RFC 5746 3.3, RFC 7507 4)."""

HANDSHAKE_FAILURE, BAD_CERTIFICATE, UNSUPPORTED, REVOKED, EXPIRED, UNKNOWN_CA = 40, 42, 43, 44, 45, 48
ACCESS_DENIED, DECRYPT_ERROR, PROTOCOL_VERSION, INSUFFICIENT, FALLBACK, NAME, PROTOCOL = 49, 51, 70, 71, 86, 112, 120
BAD_MAC, ILLEGAL, UNKNOWN_PSK = 20, 47, 115


def whose(side: str, place: int) -> str:
    """A certificate of a chain, in words."""
    return f"the {side}'s certificate" if not place else f"certificate {place + 1} of the {side}'s chain"


def reason(facts: TlsFacts, alert: Alert) -> str:
    """What explains an alert, begun with a semicolon; "" for nothing."""
    code, by_server = alert.description, not alert.from_client
    if code in ABOUT_CERTIFICATES:
        if by_server:
            return refused_client(facts, code or 0)
        said = _wrong(facts, "server", code or 0)
    elif code == HANDSHAKE_FAILURE and by_server and facts.asked and not _taken(facts):
        return refused_client(facts, 0)
    elif code in (HANDSHAKE_FAILURE, INSUFFICIENT) and facts.version is None and by_server and facts.offered:
        said = (
            f"most likely no version, cipher suite, group or signature algorithm is shared (the client offers "
            f"{offer(facts)})"
        )
    elif code in (PROTOCOL_VERSION, FALLBACK) and facts.offered:
        said = f"the client offers {offer(facts) if facts.offered == (SSL20,) else _versions(facts)}"
        if alert.from_client and facts.version is not None:
            said = f"the server chose {version_name(facts.version)}, {said}"
    elif code in (HANDSHAKE_FAILURE, ILLEGAL) and facts.retried and facts.wanted_group:
        offered = ", ".join(map(group_name, facts.groups)) or "none"
        said = f"the server asked for a key of the group {group_name(facts.wanted_group)}, the client offers {offered}"
    elif code == NAME and facts.server_name:
        said = f"the client asked for {facts.server_name}"
    elif code == PROTOCOL and facts.alpn_offered:
        said = f"the client offers {', '.join(facts.alpn_offered)}"
    elif code in NO_CERTIFICATE and by_server and facts.asked and facts.given is False and not _taken(facts):
        return refused_client(facts)
    elif code == ACCESS_DENIED and facts.client_certificates:
        said = _wrong(facts, "client", 0)
        if not facts.client_certificates[0].self_signed:
            said = f"the client's certificate is that of {facts.client_certificates[0].subject or '?'}; {said}"
    elif code in (BAD_MAC, DECRYPT_ERROR) and _shared_key(facts):
        said = "the two sides most likely have different pre-shared keys"
    else:
        said = ""
    return f"; {said}" if said else ""


def refused_client(facts: TlsFacts, code: int = 0) -> str:
    """Why a server does not accept a client, begun with a semicolon; "" where nothing tells."""
    if facts.asked and facts.given is False:
        said = "the server asked for a client certificate and got none"
        more = accepted(facts)
    elif facts.asked is False and facts.by_size:
        said, more = "it had not asked for a client certificate", ""
    elif facts.by_size:
        said, more = "it had asked for a client certificate and got one, which it most likely does not accept", ""
    else:
        said, more = _wrong(facts, "client", code), ""
    if not said:
        return ""
    return f"; {said}{more}" + (" (as the sizes of the encrypted records tell)" if facts.by_size else "")


def accepted(facts: TlsFacts) -> str:
    """Whose client certificates the server accepts, in brackets."""
    if not facts.authorities:
        return ""
    more = f" and {len(facts.authorities) - 3} more" if len(facts.authorities) > 3 else ""
    return f" (accepted are those of {'; '.join(facts.authorities[:3])}{more})"


def guess(facts: TlsFacts, from_client: bool) -> str:
    """What most likely was the matter where a side broke off without a word, begun with a semicolon."""
    if not from_client:
        return refused_client(facts)
    if facts.version is None or facts.resumed == "psk" or _shared_key(facts):
        # There is no certificate.
        return ""
    said = _wrong(facts, "server", 0)
    if facts.certificates and not said:
        return ""
    return "; most likely it did not accept the server's certificate" + (f" ({said})" if said else "")


def flaw(facts: TlsFacts) -> str:
    """What is wrong with the server's certificate whoever is trusted, "" for nothing."""
    chain = facts.certificates
    if not chain:
        return ""
    found = [_validity(chain, facts.time, "server"), _use(chain[0], "server"), _name(facts), _weak(chain, "server")]
    return next((said for said in found if said), "")


def _taken(facts: TlsFacts) -> bool:
    """The server took the client as it is: its part of the handshake ended behind the client's, or it served it."""
    served = facts.talks[1].plain > 0 or (facts.finished and facts.version != TLS13)
    # In a later handshake it may ask for more.
    return served and facts.handshakes < 2


def _shared_key(facts: TlsFacts) -> bool:
    known = suite(facts.suite) if facts.suite is not None else None
    return known is not None and known.exchange.endswith(("PSK", "anon"))


# -- certificates ----------------------------------------------------------------------------------------------------


def _wrong(facts: TlsFacts, side: str, code: int) -> str:
    """What is visibly wrong with a side's chain, the first reason that fits the alert's code (0: none is known)."""
    chain = facts.certificates if side == "server" else facts.client_certificates
    if not chain:
        return ""
    late, alone, end = _validity(chain, facts.time, side), _alone(chain, side), _end(chain, side)
    name = _name(facts) if side == "server" else ""
    other = [_use(chain[0], side), name, _weak(chain, side)]
    if code == REVOKED:
        return ""
    if code == EXPIRED:
        span = f"{day(chain[0].first)} to {day(chain[0].last)}"
        return late or f"by the time of the capture it is valid ({span}): is a clock wrong?"
    if code == UNKNOWN_CA:
        found = [alone, end, late]
    elif code == UNSUPPORTED:
        found = [*other, late, alone, end]
    else:
        # Where the client did not say which name it asks for (Java does not if it has no dot), that is no sure reason.
        sure = name if facts.named else ""
        unsure = "; ".join(said for said in (alone, name) if said)
        found = [late, other[0], sure, other[2], unsure, end]
    return next((said for said in found if said), "")


def _validity(chain: list[Certificate], time: int, side: str) -> str:
    for place, one in enumerate(chain):
        if one.last is not None and one.last < time:
            return f"{whose(side, place)} expired on {day(one.last)}"
        if one.first is not None and one.first > time:
            return f"{whose(side, place)} is not valid before {day(one.first)}"
    return ""


def _use(own: Certificate, side: str) -> str:
    fits = own.serves if side == "server" else own.asks
    return "" if fits else f"{whose(side, 0)} may not be used by {side}s (extended key usage)"


def _name(facts: TlsFacts) -> str:
    own = facts.certificates[0]
    if own.raw or not (own.names or own.subject) or own.fits(facts.named or facts.server.address):
        return ""
    asked = f"the client asked for {facts.named}" if facts.named else "the client named no host"
    address = "" if facts.named else f", its address is {facts.server.address}"
    return f"{asked}; {whose('server', 0)} is for {', '.join(own.names[:5]) or own.subject}{address}"


def _weak(chain: list[Certificate], side: str) -> str:
    for place, one in enumerate(chain):
        if one.modulus is not None and one.modulus.bit_length() < WEAK_RSA:
            return f"{whose(side, place)} has a key of {one.modulus.bit_length()} bits"
        if one.signature in WEAK_HASHES and not one.self_signed:
            return f"{whose(side, place)} is signed with {one.signature}"
    return ""


def _alone(chain: list[Certificate], side: str) -> str:
    own = chain[0]
    return f"{whose(side, 0)} is signed by itself ({own.subject})" if own.self_signed else ""


def _end(chain: list[Certificate], side: str) -> str:
    last = chain[-1]
    if not last.issuer or last.self_signed:
        return ""
    alone = ", and no intermediate was sent" if len(chain) == 1 else ""
    return f"the {side}'s chain ends at the authority {last.issuer}{alone}"


# -- what was offered ------------------------------------------------------------------------------------------------


def _versions(facts: TlsFacts) -> str:
    return ", ".join(version_name(v) for v in sorted(facts.offered))


def offer(facts: TlsFacts) -> str:
    """What a ClientHello offers: a few things by name, many by number."""
    if facts.offered == (SSL20,):
        return "SSL 2.0 alone, which no server may accept (RFC 6176)"
    suites = [number for number in facts.suites if number not in _SIGNALS]
    parts = [
        _versions(facts),
        _few([suite_name(number) for number in suites], "cipher suite"),
        _few([group_name(number) for number in facts.groups], "group") if facts.groups else "",
        _few([signature_name(number) for number in facts.signatures], "signature algorithm")
        if facts.signatures
        else "",
    ]
    name = f"; for the name {facts.server_name}" if facts.server_name else ""
    return "; ".join(part for part in parts if part) + name


def _few(names: list[str], kind: str) -> str:
    if 0 < len(names) <= NAMED:
        return ", ".join(names)
    return f"{len(names)} {kind}s" if names else f"no {kind}"
