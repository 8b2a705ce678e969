"""The client's half of WS-Discovery: ask for devices, read what they answer.

Rules: what is asked is strict, what is read is tolerant: either version, any prefixes, parts missing; an answer that
cannot be read is no answer and never raises.

Source: WS-Discovery 2005/04, sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dissector.catalog import Field, decode
from dissector.soap.model import QName
from replay.base.ids import Ids
from replay.devices.wsdiscovery import VERSIONS, compose, read_discovery

__all__ = ["Match", "build_probe", "build_resolve", "read_matches"]

MAX_MATCHES = 1000
"""Matches of one answer that are read; only a proxy gives more than one."""


@dataclass(frozen=True, slots=True)
class Match:
    """A device that answered.

    Attributes:
        address: of its endpoint reference, "" where it gave none.
        types, scopes, xaddrs: as given, () where left out; a Resolve gets the addresses that a ProbeMatch leaves out.
        metadata_version: None where left out or no number.
    """

    address: str
    types: tuple[QName, ...] = ()
    scopes: tuple[str, ...] = ()
    xaddrs: tuple[str, ...] = ()
    metadata_version: int | None = None


def build_probe(
    types: Sequence[QName],
    scopes: Sequence[str],
    ids: Ids,
    *,
    match_by: str | None = None,
    version: str = "2005/04",
) -> tuple[str, bytes]:
    """A Probe: who is of all these types and in all these scopes? None of both: everybody.

    Args:
        match_by: URI of the matching rule, None for the version's default.
        version: key of :data:`~replay.devices.wsdiscovery.VERSIONS`.

    Returns:
        Its MessageID and its bytes.
    """
    data: dict[str, Any] = {}
    if types:
        data["types"] = list(types)
    if scopes or match_by is not None:
        data["scopes"] = list(scopes)
    if match_by is not None:
        data["scopes@match_by"] = match_by
    message_id = ids.urn()
    return message_id, compose(VERSIONS[version], "Probe", data, message_id)


def build_resolve(address: str, ids: Ids, *, version: str = "2005/04") -> tuple[str, bytes]:
    """A Resolve: where is the device of this address (``urn:uuid:…``)? Gives MessageID and bytes."""
    message_id = ids.urn()
    data = {"endpoint_reference": {"address": address}}
    return message_id, compose(VERSIONS[version], "Resolve", data, message_id)


def read_matches(data: bytes, message_id: str | None = None) -> list[Match]:
    """The matches of ProbeMatches or ResolveMatches.

    Args:
        data: the envelope.
        message_id: of the question; an answer to another one holds no matches. None: any.

    Returns:
        In order; none for a message that is anything else.
    """
    envelope = read_discovery(data)
    if envelope is None or envelope.name is None or envelope.content is None:
        return []
    name = envelope.name.local
    if name not in ("ProbeMatches", "ResolveMatches"):
        return []
    related = [_bare(one) for _, one in envelope.addressing.relates_to]
    if message_id is not None and _bare(message_id) not in related:
        return []
    body = decode(envelope.content)
    return [_match(one) for one in body.find_all(name.removesuffix("es"))[:MAX_MATCHES]]


def _match(field: Field) -> Match:
    version = field.get("MetadataVersion")
    types = field.get("Types")
    address = field.find("EndpointReference/Address")
    return Match(
        address.text.strip() if address is not None else "",
        tuple(one for one in types if isinstance(one, QName)) if isinstance(types, list) else (),
        _texts(field, "Scopes"),
        _texts(field, "XAddrs"),
        version if isinstance(version, int) else None,
    )


def _texts(field: Field, name: str) -> tuple[str, ...]:
    found = field.find(name)
    return tuple(found.text.split()) if found is not None else ()


def _bare(message_id: str) -> str:
    """A message id without its scheme: the discovery text writes ``uuid:``, the device profile ``urn:uuid:``."""
    return message_id.strip().lower().removeprefix("urn:").removeprefix("uuid:")
