"""How one parameter of a ticket is decided: taken as it is, replaced by the nearest that the device can do, filled in
from the default ticket, or refused; and how the answer says which of them.

The marks Override and UsedDefault stand in DocumentFinalParameters; of the two only one is set (rule S15).
Sources: createscanjobrequest.md (MustHonor), documentfinalparameters.md, validatescanticketrequest.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dissector.catalog import Field
from replay.devices.scanner.device import Device, is_number

__all__ = ["Clash", "Mend", "Refusal", "Test", "TicketFault", "TicketReader", "always", "clamp", "one_of", "within"]

Test = Callable[[Any], bool]
"""Whether the device can do a value."""

Mend = Callable[[Any], Any]
"""The value that the device can do and that is nearest; of any value, also one of another type."""


def within(low: int, high: int) -> Test:
    """Whole numbers."""
    return lambda one: is_number(one) and low <= one <= high


def clamp(low: int, high: int, default: int) -> Mend:
    """The nearest whole number, the default for what is none."""
    return lambda one: min(max(one, low), high) if is_number(one) else default


def one_of(known: tuple[str, ...]) -> Test:
    """One of several texts."""
    return lambda one: isinstance(one, str) and one in known


def always(value: Any) -> Mend:
    """The same for all."""
    return lambda one: value


@dataclass(frozen=True, slots=True)
class TicketFault:
    """A ticket is refused: subcode, why, and the element path."""

    subcode: str
    reason: str
    path: str


class Refusal(Exception):
    """Ends the judgement of a ticket."""

    def __init__(self, fault: TicketFault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Clash:
    """Another parameter that stands in the way of a value which the device could do without it.

    Attributes:
        path: of the other parameter.
        alone: whether the value could be done.
    """

    path: str
    alone: Test


class TicketReader:
    """One ticket under judgement.

    Args:
        ticket: decoded ScanTicket.
        device: what it is judged for.
        relaxed: nothing is insisted on, whatever the ticket says.

    Attributes:
        problems: what was replaced, in words.
    """

    def __init__(self, ticket: Field, device: Device, *, relaxed: bool = False) -> None:
        self.device = device
        self.relaxed = relaxed
        self.problems: list[str] = []
        self._parameters = ticket.find("DocumentParameters")
        self._default = device.default_ticket.get("document_parameters")

    # -- asking ------------------------------------------------------------------------------------------------

    def given(self, path: str) -> Field | None:
        """An element below DocumentParameters."""
        return self._parameters.find(path) if self._parameters is not None else None

    def insists(self, path: str) -> bool:
        """Whether an element, or one that it stands in, has MustHonor."""
        if self.relaxed:
            return False
        names = path.split("/")
        places = (self.given("/".join(names[:depth])) for depth in range(1, len(names) + 1))
        return any(one is not None and _must(one) for one in places)

    def insists_within(self, path: str) -> str | None:
        """The first element with MustHonor among an element and those in it."""
        found = None if self.relaxed else self.given(path)
        waiting = [(path, found)] if found is not None else []
        while waiting:
            at, one = waiting.pop()
            if _must(one):
                return at
            waiting.extend((f"{at}/{child.name}", child) for child in reversed(one.children))
        return None

    def fallback(self, *keys: str) -> Any:
        """A value of the default ticket, None where it has none."""
        value: Any = self._default
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value.get("#text") if isinstance(value, Mapping) and "#text" in value else value

    def refuse(self, path: str, why: str, subcode: str = "InvalidArgs") -> Refusal:
        """What to raise."""
        return Refusal(TicketFault(subcode, why, f"ScanTicket/DocumentParameters/{path}"))

    def conflict(self, path: str, why: str, other: str) -> Refusal:
        """What to raise for two parameters that are insisted on and cannot be had together."""
        name = other.rpartition("/")[2]
        return self.refuse(path, f"{why} together with {name}", "ClientErrorConflictingRequiredParameters")

    # -- deciding ----------------------------------------------------------------------------------------------

    def choose(
        self, path: str, key: str, out: dict[str, Any], default: Any, can: Test, nearest: Mend, *,
        clashes: tuple[Clash, ...] = (), quiet: bool = False,
    ) -> Any:  # fmt: skip
        """One simple parameter: noted in ``out`` under ``key``.

        Args:
            default: taken where nothing is given; the nearest to it where the device cannot do it.
            clashes: what can be in the way of a value that is insisted on.
            quiet: replacing it is no reason to call the ticket invalid.

        Raises:
            Refusal: it is insisted on, and cannot be done.
        """
        found = self.given(path)
        if found is None or found.value is None or found.text.strip() == "":
            value = default if can(default) else nearest(default)
            out[key], out[f"{key}@used_default"] = value, True
            return value
        name = path.rpartition("/")[2]
        if can(found.value):
            out[key] = found.value
            return found.value
        if self.insists(path):
            why = f"{name} {found.value} cannot be done"
            for clash in clashes:
                if clash.alone(found.value) and self.insists(clash.path):
                    raise self.conflict(path, why, clash.path)
            raise self.refuse(path, why)
        value = nearest(found.value)
        if not quiet:
            self.problems.append(f"{name} {found.value} replaced by {value}")
        out[key], out[f"{key}@override"] = value, True
        return value


def _must(field: Field) -> bool:
    return field.attributes.get("MustHonor", (False, ""))[0] is True
