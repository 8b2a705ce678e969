"""Sections that are asked for by name (RequestedElements) and answered as ElementData: alike in all four services.

Sources: getscannerelementsresponse.md, getjobelementsresponse.md; MS-BDSRR 3.2.4.1, 3.2.4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dissector.soap.model import QName
from replay.soap.faults import service_fault

if TYPE_CHECKING:
    from replay.devices.host import Call

__all__ = ["element_data", "requested_names"]


def requested_names(call: Call, service: str) -> list[tuple[str, str]]:
    """The QNames in RequestedElements as (namespace, local name).

    Raises:
        SoapFault: InvalidArgs for what is no name.
    """
    names = []
    for one in call.body.find_all("RequestedElements/Name"):
        if not isinstance(one.value, QName):
            raise service_fault(
                service, "InvalidArgs", f"{one.text.strip()[:80]!r} is no name", "RequestedElements/Name"
            )
        names.append((one.value.namespace, one.value.local))
    return names


def element_data(
    names: Sequence[tuple[str, str]],
    known: Mapping[str, tuple[str, Callable[[], Any]]],
    *namespaces: str,
) -> list[dict[str, Any]]:
    """ElementData for the names that are asked for, in their order; Valid false where there is no such section.

    Args:
        names: (namespace, local name).
        known: local name → key of its plain form, and what makes that.
        namespaces: of the sections; a name without one counts as of the first.
    """
    made = []
    for space, local in names:
        one: dict[str, Any] = {"@name": f"{{{space or namespaces[0]}}}{local}", "@valid": False}
        if space in ("", *namespaces) and local in known:
            key, make = known[local]
            one["@valid"] = True
            one[key] = make()
        made.append(one)
    return made
