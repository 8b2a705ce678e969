"""Whether a device is what a Probe looks for: types, and scopes by the matching rule that the Probe names.

All types and all scopes of the Probe must be found at the device. Peer input never raises: a scope that cannot be read
matches nothing, a rule that is not known is told by :func:`rule_of`.

Source: WS-Discovery 2005/04, 5.1 and 5.2; WS-Discovery 1.1, 5.1 (rfc3986, none); DPWS R1019 (rfc2396 and strcmp0 are
asked of every device).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Mapping
from urllib.parse import unquote

from dissector.soap.model import QName
from dissector.soap.namespaces import WSD05, WSD11

__all__ = ["DEFAULT_SCOPE", "RULES", "rule_of", "scopes_match", "supported_rules", "types_match"]

MAX_SCOPES = 200
"""Scopes of one Probe that are compared; one with more is taken for no match."""

LDAP_PORT = "389"

DEFAULT_SCOPE: Mapping[str, str] = {WSD05: f"{WSD05}/adhoc", WSD11: f"{WSD11}/DefaultScope"}
"""Namespace of WS-Discovery → the scope of a device that has no other (5.1)."""

# RFC 2396, appendix B: every text is split by it, so a peer's URI cannot fail here.
_URI = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_RDN = re.compile(r"(?:[^,\\]|\\.)+", re.DOTALL)


def types_match(wanted: Collection[QName], offered: Collection[QName]) -> bool:
    """Whether every wanted type is offered; prefixes are of no matter."""
    has = {(one.namespace, one.local) for one in offered}
    return all((one.namespace, one.local) in has for one in wanted)


def rule_of(match_by: str | None, namespace: str) -> str | None:
    """The name of a matching rule.

    Args:
        match_by: the MatchBy attribute, None where it is missing.
        namespace: of WS-Discovery, which has its own URIs and its own default.

    Returns:
        A key of :data:`RULES` or ``none``; None for a rule that this version does not know.
    """
    known = _KNOWN[namespace]
    if match_by is None or not match_by.strip():
        return known[0]
    uri = match_by.strip()
    return next((name for name in known if uri == f"{namespace}/{name}"), None)


def supported_rules(namespace: str) -> list[str]:
    """URIs of the rules that are known in a version of WS-Discovery, for SupportedMatchingRules."""
    return [f"{namespace}/{name}" for name in _KNOWN[namespace]]


def scopes_match(wanted: Collection[str], offered: Collection[str], rule: str, namespace: str) -> bool:
    """Whether every wanted scope is found among the offered ones by a rule.

    Args:
        wanted: scopes of the Probe; none: any device.
        offered: scopes of the device; none stands for the default scope of the version.
        rule: as :func:`rule_of` gives it.
        namespace: of WS-Discovery.
    """
    if rule == "none":
        return not offered and not wanted
    if len(wanted) > MAX_SCOPES:
        return False
    compare = RULES[rule]
    has = list(offered) or [DEFAULT_SCOPE[namespace]]
    return all(any(compare(one, other) for other in has) for one in wanted)


def _prefix(wanted: str, offered: str) -> bool:
    """rfc2396, rfc3986: scheme and authority without case; the path is a prefix, whole segments, with case."""
    first, second = _split(wanted), _split(offered)
    if first[:2] != second[:2]:
        return False
    return _begins(first[2], second[2])


def _split(uri: str) -> tuple[str, str, list[str]]:
    match = _URI.fullmatch(uri)
    assert match is not None
    scheme, authority, path = match[1] or "", match[2] or "", match[3]
    segments = [unquote(one) for one in path.split("/")]
    # http://a/b/ and http://a/b name the same branch of a tree.
    if len(segments) > 1 and not segments[-1]:
        segments.pop()
    return scheme.lower(), authority.lower(), segments


def _begins(first: list[str], second: list[str]) -> bool:
    if any(one in (".", "..") for one in (*first, *second)):
        return False
    return second[: len(first)] == first


def _same_uuid(wanted: str, offered: str) -> bool:
    """uuid: the same 128 bits, however they are written."""
    first = _uuid(wanted)
    return first is not None and first == _uuid(offered)


def _uuid(text: str) -> int | None:
    bare = re.sub(r"\A(urn:)?uuid:", "", text.strip(), flags=re.IGNORECASE)
    if not re.fullmatch(r"\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?", bare):
        return None
    return uuid.UUID(bare).int


def _ldap(wanted: str, offered: str) -> bool:
    """ldap: the same host and port; the wanted name's RDN sequence begins the other's.

    A distinguished name is written from its end (RFC 2253, 2.1), so the beginning of the sequence is the end of the
    text. RDNs are compared as texts without case; the other ways of writing one (RFC 2253, 4) are left out, as the
    rule says.
    """
    first, second = _ldap_parts(wanted), _ldap_parts(offered)
    if first is None or second is None or first[0] != second[0]:
        return False
    return second[1][: len(first[1])] == first[1]


def _ldap_parts(uri: str) -> tuple[tuple[str, str], list[str]] | None:
    match = _URI.fullmatch(uri)
    assert match is not None
    if (match[1] or "").lower() != "ldap":
        return None
    host, _, port = (match[2] or "").lower().partition(":")
    name = unquote(match[3].removeprefix("/"))
    return (host, port or LDAP_PORT), [one.strip().casefold() for one in reversed(_RDN.findall(name))]


def _identical(wanted: str, offered: str) -> bool:
    """strcmp0: the same characters."""
    return wanted == offered


RULES: Mapping[str, Callable[[str, str], bool]] = {
    "rfc2396": _prefix, "rfc3986": _prefix, "uuid": _same_uuid, "ldap": _ldap, "strcmp0": _identical,
}  # fmt: skip
"""Name of a matching rule → whether a wanted scope is found in an offered one."""

_KNOWN = {
    WSD05: ("rfc2396", "uuid", "ldap", "strcmp0"),
    WSD11: ("rfc3986", "uuid", "ldap", "strcmp0", "none"),
}
"""Namespace → its rules, the default first."""
