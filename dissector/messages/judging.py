"""What a message lacks that its receiver needs: ids, and addresses that can be reached.

Each of these makes a client drop a message that is there in the capture, which is why a device "is seen in Wireshark
and yet not found". Nothing is said of damaged documents, where what is missing may have been there.

Sources: WS-Addressing 2004/08 3, DPWS R0019 and R0040 (RelatesTo), WS-Discovery 2005/04 4 to 6; fact table rules A03 to
A05 and D17.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from itertools import islice

from dissector.base.findings import Finding, rule
from dissector.messages.kinds import Kind
from dissector.soap.addressing import text_of
from dissector.soap.model import Envelope

__all__ = ["judge"]

NO_MESSAGE_ID = rule("wsa.no-message-id", "error", "a request or discovery message without MessageID", "rule A03")
NO_RELATES_TO = rule("wsa.no-relates-to", "error", "an answer without RelatesTo", "DPWS R0019, rule A05")
SAME_ID = rule("wsa.same-id", "warn", "an answer has the MessageID of its request", "rule A04")
XADDRS = rule("discovery.xaddrs", "warn", "an address in XAddrs is none that others can use", "rule D17")
ZONE = rule("discovery.zone", "note", "an address in XAddrs has a zone, which only its sender knows", "RFC 6874 4")

_ANSWERS = frozenset({"ProbeMatches", "ResolveMatches"})
_DISCOVERY = frozenset({"Hello", "Bye", "Probe", "Resolve"}) | _ANSWERS
_URL = re.compile(r"https?://(?:\[([^\]/]*)\]|([^/:?#]*))", re.IGNORECASE)
MAX_ADDRESSES = 100
"""Addresses of one message that are judged."""


def judge(told: Kind, envelope: Envelope, source: str) -> list[Finding]:
    """Findings of a message of WSD that came whole.

    Args:
        told: what it is.
        envelope: the message.
        source: the address of its sender.
    """
    addressing = envelope.addressing
    answers = told.kind in ("response", "fault") or told.name in _ANSWERS
    found: list[Finding] = []
    if not answers and (told.kind == "request" or told.name in _DISCOVERY) and not addressing.message_id:
        found.append(NO_MESSAGE_ID(f"{told.name} has no MessageID"))
    # A fault without an envelope has no place for headers.
    if answers and envelope.body is not None:
        related = [ident for _, ident in addressing.relates_to]
        if not any(related):
            found.append(NO_RELATES_TO(f"{told.name} has no RelatesTo"))
        elif addressing.message_id in related:
            found.append(SAME_ID(f"{told.name} has the MessageID of the message that it answers"))
    if told.name in _DISCOVERY and envelope.content is not None:
        texts = (text_of(element) for element in envelope.content.iter("{*}XAddrs"))
        addresses = (address for text in texts for address in text.split())
        found.extend(_addresses(islice(addresses, MAX_ADDRESSES), source))
    return found


def _addresses(addresses: Iterable[str], source: str) -> list[Finding]:
    found = []
    for address in addresses:
        shown = address[:200]
        url = _URL.match(address)
        if url is None:
            found.append(XADDRS(f"{shown!r} in XAddrs is no http or https URL", path="XAddrs"))
            continue
        if re.search(r"[,;]https?://", address, re.IGNORECASE) or address.endswith((",", ";")):
            found.append(XADDRS(f"the addresses in XAddrs are not separated by blanks: {shown!r}", path="XAddrs"))
        bracketed, name = url.groups()
        host, zone, _ = (bracketed if bracketed is not None else name).partition("%")
        if zone:
            found.append(ZONE(f"{shown!r} in XAddrs has a zone, which only its sender knows", path="XAddrs"))
        try:
            number = ip_address(host)
        except ValueError:
            if not host or bracketed is not None:
                found.append(XADDRS(f"{shown!r} in XAddrs names no host", path="XAddrs"))
            continue
        inner = number.ipv4_mapped if isinstance(number, IPv6Address) and number.ipv4_mapped else number
        if inner.is_unspecified:
            found.append(XADDRS(f"{shown!r} in XAddrs is the address of no host", path="XAddrs"))
        elif inner.is_loopback and not _loopback(source):
            found.append(XADDRS(f"{shown!r} in XAddrs is loopback, which others cannot reach", path="XAddrs"))
    return found


def _loopback(address: str) -> bool:
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
