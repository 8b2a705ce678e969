"""What went wrong with a connection, in sentences: why a handshake failed, and what is wrong with certificates.

It judges by what both sides said, by who broke off and where, and by the time of the capture, never by today's.
"""

from __future__ import annotations

from collections.abc import Iterator

from dissector.base.findings import Finding
from dissector.transport.tls import ending
from dissector.transport.tls.certificates import day
from dissector.transport.tls.model import TlsFacts
from dissector.transport.tls.names import TLS12, version_name
from dissector.transport.tls.reasons import WEAK_HASHES, WEAK_RSA, whose
from dissector.transport.tls.rules import (
    CERTIFICATE_EARLY,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NAME,
    CERTIFICATE_UNREADABLE,
    CERTIFICATE_USE,
    CERTIFICATE_WEAK,
    OLD_VERSION,
    SELF_SIGNED,
    WEAK_SUITE,
)
from dissector.transport.tls.suites import suite

__all__ = ["findings_of"]


def findings_of(facts: TlsFacts) -> list[Finding]:
    """The findings on a connection that is over."""
    return [*ending.end(facts), *_certificates(facts), *_strength(facts)]


# -- certificates and strength ---------------------------------------------------------------------------------------


def _certificates(facts: TlsFacts) -> Iterator[Finding]:
    for side, chain in (("server", facts.certificates), ("client", facts.client_certificates)):
        frame = facts.shown[side == "client"] or facts.frame
        frames = (frame,) if frame else ()
        for place, one in enumerate(chain):
            his = whose(side, place)
            name = f" ({one.subject})" if one.subject else ""
            if one.problem and one.last is None and not one.raw:
                yield CERTIFICATE_UNREADABLE(f"{his} cannot be read: {one.problem}", frames=frames)
                continue
            if one.last is not None and one.last < facts.time:
                yield CERTIFICATE_EXPIRED(
                    f"{his}{name} expired on {day(one.last)}; it was shown on {day(facts.time)}", frames=frames
                )
            elif one.first is not None and one.first > facts.time:
                yield CERTIFICATE_EARLY(
                    f"{his}{name} is valid from {day(one.first)} on; it was shown on {day(facts.time)}: is a clock "
                    "wrong?",
                    frames=frames,
                )
            if one.signature in WEAK_HASHES and not one.self_signed:
                yield CERTIFICATE_WEAK(f"{his}{name} is signed with {one.signature}", frames=frames)
            if one.modulus is not None and one.modulus.bit_length() < WEAK_RSA:
                yield CERTIFICATE_WEAK(f"{his}{name} has a key of {one.modulus.bit_length()} bits", frames=frames)
        if chain and not (chain[0].serves if side == "server" else chain[0].asks):
            yield CERTIFICATE_USE(f"{whose(side, 0)} may not be used by {side}s (extended key usage)", frames=frames)
    if facts.certificates:
        own = facts.certificates[0]
        frame = facts.shown[0] or facts.frame
        frames = (frame,) if frame else ()
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
