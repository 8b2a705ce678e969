"""Whether a certificate would be trusted: judged by the authorities that a user names, at the capture's time.

First in words that help: a chain is built as clients build it (RFC 5280 6.1, RFC 4158), from the certificate over those
that were sent, to an authority of the store, by names and signatures; what breaks it is said. Devices of the field do
that much. Then ``cryptography``'s verifier, which holds to RFC 5280 and the profile of the web, has its say: what
strict clients refuse besides is told apart. Not checked: revocation (a capture cannot tell), policies.
"""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dissector.transport.tls.certificates import Certificate, day, read_certificate
from dissector.transport.tls.model import Judged, TlsFacts, Trust
from dissector.transport.tls.rules import UNTRUSTED

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["NOT_CHECKED", "TrustStore"]

NOT_CHECKED = ("revocation", "certificate policies")

DEPTH = 10
"""Certificates of one chain."""
STEPS = 100
"""Signatures that are looked at for one chain."""
SERVER, CLIENT = "server", "client"
"""Whose certificate it is."""


class TrustStore:
    """Authorities that are trusted.

    Args:
        name: where they are from, for people.
        authorities: certificates (DER); what cannot be read is left out.
    """

    def __init__(self, name: str, authorities: Iterable[bytes]) -> None:
        self.name = name
        self._by_subject: dict[bytes, list[x509.Certificate]] = {}
        self._known: dict[bytes, x509.Certificate] = {}
        self._strict: Any = None
        for der in authorities:
            made = _read(der)
            if made is not None and der not in self._known:
                self._known[der] = made
                self._by_subject.setdefault(_subject(made), []).append(made)

    def __len__(self) -> int:
        return len(self._known)

    def judge(self, facts: TlsFacts) -> None:
        """Judge a connection: the facts and their findings say what came of it."""
        facts.trust = made = Judged(self.name, self.server(facts), self.client(facts))
        frames = (facts.frame,) if facts.frame else ()
        for side, trust in (("server", made.server), ("client", made.client)):
            if trust is not None and not trust.trusted:
                facts.findings.append(
                    UNTRUSTED(f"the {side}'s certificate is not trusted: {'; '.join(trust.problems)}", frames=frames)
                )

    def server(self, facts: TlsFacts) -> Trust | None:
        """The server's certificate; None where it was not seen."""
        return self._judge(facts.certificates, facts.time, SERVER, facts.named, facts.server.address)

    def client(self, facts: TlsFacts) -> Trust | None:
        """The client's certificate; None where it was not seen."""
        return self._judge(facts.client_certificates, facts.time, CLIENT, "", "")

    # -- one chain ---------------------------------------------------------------------------------------------------

    def _judge(self, shown: list[Certificate], time: int, usage: str, named: str, address: str) -> Trust | None:
        if not shown:
            return None
        own = shown[0]
        if own.raw:
            return Trust(problems=("it is a raw public key, which no authority vouches for",))
        leaf = _read(own.der)
        if leaf is None:
            return Trust(problems=(f"it cannot be read: {own.problem or 'its encoding is wrong'}",))
        sent = [one for one in map(_read, (one.der for one in shown[1:])) if one is not None]
        problems: list[str] = []
        chain, broken = self._chain(leaf, sent)
        for place, one in enumerate(chain):
            whose = "it" if not place else f"the authority {_name(one)}"
            first, last = _span(one)
            if last is not None and last < time:
                problems.append(f"{whose} expired on {day(last)}")
            elif first is not None and first > time:
                problems.append(f"{whose} is not valid before {day(first)}")
        if broken:
            problems.append(broken)
        if not (own.serves if usage == SERVER else own.asks):
            problems.append(f"it may not be used by {usage}s (extended key usage)")
        remark = ""
        names = ", ".join(own.names[:5]) or own.subject or "nobody"
        if named and not own.fits(named):
            problems.append(f"it is for {names}, not for {named}")
        elif not named and address and not own.fits(address):
            remark = f"the client named no host; the certificate is for {names}, and the server's address is {address}"
        anchor = "" if broken else _name(chain[-1])
        strict = "" if problems else self._strictly(leaf, sent, time, usage, named)
        return Trust(anchor, tuple(problems), strict, remark)

    def _chain(self, leaf: x509.Certificate, sent: list[x509.Certificate]) -> tuple[list[x509.Certificate], str]:
        """The best chain from the certificate on, and what breaks it, "" where it leads to the store."""
        self._steps = STEPS
        return self._follow([leaf], sent)

    def _follow(
        self, chain: list[x509.Certificate], sent: list[x509.Certificate]
    ) -> tuple[list[x509.Certificate], str]:
        last = chain[-1]
        if _der(last) in self._known:
            return chain, ""
        whose = "it" if len(chain) == 1 else f"the authority {_name(last)}"
        issuer = last.issuer.public_bytes() if _issuer(last) else b""
        if issuer == _subject(last):
            alone = "is signed by itself and" if len(chain) == 1 else "is a root that"
            return chain, f"{whose} {alone} is not in {self.name}"
        best = (chain, "")
        for one in [*self._by_subject.get(issuer, ()), *(one for one in sent if _subject(one) == issuer)]:
            if one in chain or len(chain) >= DEPTH or self._steps <= 0:
                continue
            self._steps -= 1
            wrong = _not_issued(last, one)
            found, broken = (chain, f"{whose} {wrong}") if wrong else self._follow([*chain, one], sent)
            if not broken:
                return found, ""
            if not best[1] or len(found) > len(best[0]):
                best = (found, broken)
        if best[1]:
            return best
        missing = f"{_issuer(last) or '?'}, which issued {'it' if len(chain) == 1 else _name(last)},"
        where = "it was not sent and" if len(chain) > 1 or sent else "no intermediate was sent, and it"
        return chain, f"the chain is incomplete: the authority {missing} is unknown ({where} is not in {self.name})"

    def _strictly(self, leaf: x509.Certificate, sent: list[x509.Certificate], time: int, usage: str, named: str) -> str:
        """What ``cryptography``'s verifier says against it."""
        from cryptography import x509
        from cryptography.x509 import verification

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if self._strict is None:
                    self._strict = verification.Store(list(self._known.values()))
                moment = datetime.fromtimestamp(time // 1_000_000_000, UTC).replace(tzinfo=None)
                policy = verification.PolicyBuilder().store(self._strict).time(moment)
                if usage == CLIENT:
                    policy.build_client_verifier().verify(leaf, sent)
                elif named:
                    subject: Any
                    try:
                        subject = x509.IPAddress(ipaddress.ip_address(named))
                    except ValueError:
                        subject = x509.DNSName(named)
                    policy.build_server_verifier(subject).verify(leaf, sent)
        except Exception as error:  # the library raises much, and by no single base
            return re.sub(r"\s+", " ", str(error))[:200] or type(error).__name__
        return ""


def _not_issued(one: x509.Certificate, issuer: x509.Certificate) -> str:
    """Why the issuer did not issue it, though it bears the name; "" where it did."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return f"is not signed by the key of {_name(issuer)} that is at hand (another authority of the same name?)"
    except Exception as error:  # the library raises much, and by no single base
        return f"has a signature that cannot be checked: {error}"[:200]
    try:
        found = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        # Roots of version 1 are of before these constraints.
        found = issuer.version is x509.Version.v1
    except Exception:
        found = False
    return "" if found else f"is issued by {_name(issuer)}, which is no authority"


def _read(der: bytes) -> x509.Certificate | None:
    from cryptography import x509

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = x509.load_der_x509_certificate(der)
            # Names are read on demand, and may be what cannot be read.
            _subject(made)
            return made
    except Exception:  # the library raises much, and by no single base
        return None


def _der(one: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return one.public_bytes(Encoding.DER)


def _subject(one: x509.Certificate) -> bytes:
    return one.subject.public_bytes()


def _name(one: x509.Certificate) -> str:
    read = read_certificate(_der(one))
    return read.subject or f"without a name (SHA-256 {read.sha256[:16]}…)"


def _issuer(one: x509.Certificate) -> str:
    return read_certificate(_der(one)).issuer


def _span(one: x509.Certificate) -> tuple[int | None, int | None]:
    read = read_certificate(_der(one))
    return read.first, read.last
