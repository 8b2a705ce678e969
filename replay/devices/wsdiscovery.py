"""The messages of WS-Discovery as bytes, for both halves: the device that answers and the client that asks.

Two versions share the port: 2005/04, that of WSD, and 1.1 (2009/01). They differ in namespace, in the version of
WS-Addressing, in the address To, and in the default matching rule; a message is answered in its own version.

Sources: WS-Discovery 2005/04, sections 2.4 and 4 to 6; WS-Discovery 1.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lxml.etree import _Element as Element

from dissector.base.limits import Limits
from dissector.catalog import build
from dissector.soap.build import build_envelope
from dissector.soap.envelope import parse_envelope
from dissector.soap.model import Envelope
from dissector.soap.namespaces import WSD05, WSD11

__all__ = ["MAX_DATAGRAM", "VERSIONS", "Version", "compose", "read_discovery", "version_of"]

MAX_DATAGRAM = 64 << 10
"""Bytes of a message over UDP that are read (Windows reads as many)."""

_LIMITS = Limits(xml=MAX_DATAGRAM, xml_depth=30, xml_elements=4000)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of WS-Discovery.

    Attributes:
        name: ``2005/04`` or ``2009/01``.
        namespace: of its elements; begins its actions as well.
        prefix: that of the catalogue.
        addressing: version of WS-Addressing.
        to: address of all multicast messages.
    """

    name: str
    namespace: str
    prefix: str
    addressing: str
    to: str


VERSIONS: Mapping[str, Version] = {
    one.name: one
    for one in (
        Version("2005/04", WSD05, "wsd", "2004/08", "urn:schemas-xmlsoap-org:ws:2005:04:discovery"),
        Version("2009/01", WSD11, "wsd11", "2005/08", "urn:docs-oasis-open-org:ws-dd:ns:discovery:2009:01"),
    )
}
"""Name → version."""

_BY_NAMESPACE = {one.namespace: one for one in VERSIONS.values()}


def version_of(envelope: Envelope) -> Version | None:
    """The version that a body element belongs to, None where it is none of WS-Discovery."""
    return _BY_NAMESPACE.get(envelope.name.namespace) if envelope.name is not None else None


def compose(
    version: Version,
    name: str,
    data: Mapping[str, Any],
    message_id: str,
    *,
    to: str | None = None,
    relates_to: str | None = None,
    headers: Iterable[Element] = (),
) -> bytes:
    """A message.

    Args:
        name: of the body element, which the action ends with.
        data: of the body, plain JSON form.
        to: default the address of multicast messages.
    """
    return build_envelope(
        build(f"{version.prefix}:{name}", data), action=f"{version.namespace}/{name}", to=to or version.to,
        message_id=message_id, relates_to=relates_to, addressing=version.addressing, headers=headers,
    )  # fmt: skip


def read_discovery(data: bytes) -> Envelope | None:
    """The envelope of a datagram, None where it is too long, damaged, or no SOAP 1.2 of WS-Discovery."""
    if len(data) > MAX_DATAGRAM:
        return None
    envelope, _ = parse_envelope(data, limits=_LIMITS)
    if envelope is None or envelope.recovered or envelope.version != "1.2" or version_of(envelope) is None:
        return None
    return envelope
