"""A recorded notice addressed to the subscriber of today: request line, Host, To, and its reference parameters.

Where the subscriber gave what the recorded one gave, the recorded text holds all of it already and stays as it is, byte
for byte. One that gave other reference parameters (or none) gets these as header blocks in place of the recorded ones.

Sources: WS-Addressing 2004/08, 2.3 (reference parameters come back as header blocks); WS-Eventing 2004/08, 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from lxml import etree

from dissector.soap.addressing import qname_of
from dissector.soap.envelope import parse_envelope
from dissector.soap.model import EndpointReference, QName
from dissector.soap.xml import parse_xml
from replay.net.client import Target

__all__ = ["addressed_head", "addressed_xml"]

_START = re.compile(rb"\A(\S+) \S* ")
_HOST = re.compile(rb"(?im)^(host:[ \t]*)[^\r\n]*")


def addressed_head(head: bytes, target: Target) -> bytes:
    """A head that goes to a target."""
    path, authority = target.path.encode("latin-1", "replace"), target.authority.encode("latin-1", "replace")
    head = _START.sub(lambda match: match[1] + b" " + path + b" ", head, count=1)
    return _HOST.sub(lambda match: match[1] + authority, head, count=1)


def addressed_xml(xml: bytes, to: EndpointReference, recorded: Collection[tuple[str, str]]) -> bytes:
    """An envelope that goes to a subscriber.

    Args:
        xml: with the values of today put in.
        to: its NotifyTo or EndTo.
        recorded: (namespace, local name) of the reference parameters that the recorded one gave.
    """
    envelope, _ = parse_envelope(xml)
    if envelope is None:
        return xml
    echoed = {(name.namespace, name.local): text.strip() for name, text in envelope.addressing.parameters}
    wanted = {(name.namespace, name.local): text.strip() for name, text in to.parameters}
    stale = set(recorded) - wanted.keys()
    fits = wanted.items() <= echoed.items() and not stale & echoed.keys()
    if fits and (envelope.addressing.to or to.address) == to.address:
        return xml
    root = parse_xml(xml).root
    header = next((one for one in root if qname_of(one).local == "Header"), None) if root is not None else None
    if root is None or header is None:
        return xml
    for block in list(header):
        if not isinstance(block.tag, str):
            continue
        name = qname_of(block)
        if name.local == "To" and "addressing" in name.namespace:
            block.text = to.address
        elif (name.namespace, name.local) in (set(recorded) | wanted.keys()) & echoed.keys():
            header.remove(block)
    for name, text in to.parameters:
        header.append(_block(name, text))
    declared = xml.lstrip()[:5] == b"<?xml"
    made = etree.tostring(root, encoding=envelope.encoding, xml_declaration=declared)
    return made if isinstance(made, bytes) else made.encode()


def _block(name: QName, text: str) -> etree._Element:
    block = etree.Element(f"{{{name.namespace}}}{name.local}" if name.namespace else name.local)
    block.text = text
    return block
