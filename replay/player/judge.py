"""Does a message mean the same as the recorded one? Messages are compared as what they say, not as text.

From the outside in: HTTP status, envelope, action or fault, header blocks, body, attachments. Elements are compared in
:mod:`~replay.player.elements`, by rules of :mod:`~replay.player.rules`: those of the scenario first, then defaults that
are read off the catalogue. That a fault came that was recorded is no difference; its words for people are never one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dissector.catalog import FAULT, canonical_action, decode_all, fault
from dissector.messages import Message
from dissector.soap.model import Fault, QName
from replay.player.attachments import compare_attachments
from replay.player.difference import Difference, shown
from replay.player.elements import Elements
from replay.player.rules import Rules, ValueRule, header_matters
from replay.player.translation import Translation

__all__ = ["MAX_DIFFERENCES", "UNFIT", "Difference", "Judge", "ValueRule"]

MAX_DIFFERENCES = 100
"""Differences that are told of one message."""

UNFIT = ("unreadable", "damaged", "cut")
"""What is received where the state of its envelope hinders a comparison."""

_CODES = {"Client": "Sender", "Server": "Receiver"}
"""Fault code of SOAP 1.1 → that of SOAP 1.2 (SOAP 1.2 part 1, A.2)."""


class Judge:
    """Compares messages.

    Args:
        rules: of the scenario; the first that fits a path holds.
        translate: recorded text → text that is expected now; None: it is handed out here, and may be anything.
    """

    def __init__(self, rules: Sequence[ValueRule] = (), *, translate: Mapping[str, str | None] | None = None) -> None:
        self._rules = Rules(rules)
        self._translation = Translation(translate or {})

    def compare(self, recorded: Message, received: Message) -> list[Difference]:
        """What differs; empty where both mean the same."""
        if (recorded.fault is None) != (received.fault is None):
            # Whatever else differs follows from this.
            return [_fault_or_not(recorded, received)]
        found = _status(recorded, received)
        damaged = _damaged(recorded, received)
        if damaged is not None:
            return [*found, damaged]
        found += _versions(recorded, received)
        was, came = _action(recorded), _action(received)
        if was != came:
            one, other = (uri.rpartition("/")[2] for uri in (was, came))
            if one == other:
                one, other = was, came
            text = f"the action is {shown(other) or 'missing'}, was {shown(one) or 'none'}"
            found.append(Difference("action", "", was or None, came or None, text))
        found += self._headers(recorded, received)
        if recorded.fault is not None and received.fault is not None:
            found += self._faults(recorded.fault, received.fault)
        else:
            bodies = self._bodies(recorded, received)
            found += [_uncertain()] if bodies and _only_recorded_damaged(recorded, received) else bodies
        if len(found) > MAX_DIFFERENCES:
            more = len(found) - MAX_DIFFERENCES
            text = "1 more difference" if more == 1 else f"{more} more differences"
            text += f", which {'is' if more == 1 else 'are'} not listed"
            found[MAX_DIFFERENCES:] = [Difference("body", "", None, None, text)]
        return found

    def _headers(self, recorded: Message, received: Message) -> list[Difference]:
        one, other = ([block for block in side.headers if header_matters(block)] for side in (recorded, received))
        return Elements(self._rules, self._translation, "").children(one, other, "Header/")

    def _bodies(self, recorded: Message, received: Message) -> list[Difference]:
        one, other = recorded.body, received.body
        if one is None or other is None:
            if one is other:
                return self._attachments(recorded, received)
            was, came = (None if body is None else body.name for body in (one, other))
            text = f"the Body holds {shown(came) or 'nothing'}, was {shown(was) or 'empty'}"
            return [Difference("body", "", was, came, text)]
        if (one.namespace, one.name) != (other.namespace, other.name):
            was, came = one.name, other.name
            if was == came:
                was, came = (f"{body.name} of {body.namespace or 'no namespace'}" for body in (one, other))
            return [Difference("body", "", was, came, f"{shown(came)} came, {shown(was)} was recorded")]
        attachments = self._attachments(recorded, received)
        counted = len(recorded.attachments) == len(received.attachments)
        return Elements(self._rules, self._translation, one.name, images=counted).compare(one, other) + attachments

    def _attachments(self, recorded: Message, received: Message) -> list[Difference]:
        # The elements that declare formats are compared as elements.
        return compare_attachments(
            recorded.attachments, received.attachments, lambda number: self._rules.attachment(number, "type"),
            declared=False,
        )  # fmt: skip

    def _faults(self, recorded: Fault, received: Fault) -> list[Difference]:
        found = []
        # The fault code of SOAP 1.1 is the subcode, where there is one.
        plain = not any(one.soap11_form and one.subcodes for one in (recorded, received))
        was, came = (_CODES.get(one.code, one.code) for one in (recorded, received))
        if plain and was != came:
            text = f"the fault code is {shown(came) or 'missing'}, was {shown(was) or 'none'}"
            found.append(Difference("fault", "Code/Value", was, came, text))
        before, now = (tuple(map(_subcode, one.subcodes)) for one in (recorded, received))
        if before != now:
            was, came = recorded.subcode or recorded.code, received.subcode or received.code
            if was == came:
                was, came = (" / ".join(map(str, one.subcodes)) or one.code for one in (recorded, received))
            reason = f" ({shown(received.reason)})" if received.reason else ""
            text = f"the fault is {shown(came) or 'without a code'}{reason}, was {shown(was) or 'without a code'}"
            found.append(Difference("fault", "Code/Subcode/Value", was, came, text))
        one, other = (decode_all(side.detail) if side.detail is not None else [] for side in (recorded, received))
        return found + Elements(self._rules, self._translation, "Fault").children(one, other, "Detail/")


def _status(recorded: Message, received: Message) -> list[Difference]:
    was, came = recorded.status, received.status
    if was == came or was is None or came is None:
        return []
    return [Difference("status", "", str(was), str(came), f"HTTP status {came} came, {was} was recorded")]


def _fault_or_not(recorded: Message, received: Message) -> Difference:
    was, came = (
        f"the fault {shown(side.fault.subcode or side.fault.code) or 'without a code'}" if side.fault is not None
        else shown(side.name)
        for side in (recorded, received)
    )  # fmt: skip
    reason = f" ({shown(received.fault.reason)})" if received.fault is not None and received.fault.reason else ""
    return Difference("fault", "", was, came, f"{came} came{reason}, {was} was recorded")


def _damaged(recorded: Message, received: Message) -> Difference | None:
    """What hinders a comparison."""
    one, other = recorded.envelope, received.envelope
    if one is None or other is None:
        if one is other:
            return None
        was, came = ("unreadable" if side is None else side.version for side in (one, other))
        text = "what came cannot be read as XML" if other is None else "what was recorded cannot be read as XML"
        return Difference("envelope", "", was, came, text)
    if other.recovered and not one.recovered:
        return Difference("envelope", "", "well-formed", "damaged", "the XML that came is damaged")
    if recorded.complete and not received.complete and not received.attachments:
        return Difference("envelope", "", "whole", "cut", "what came ends before its end")
    return None


def _only_recorded_damaged(recorded: Message, received: Message) -> bool:
    one, other = recorded.envelope, received.envelope
    return one is not None and other is not None and one.recovered and not other.recovered


def _uncertain() -> Difference:
    """In place of differences of bodies where it is not known which elements the recorded one had."""
    text = "what was recorded is no well-formed XML (cut, or sent so): elements cannot be compared with it"
    return Difference("envelope", "", "damaged", "well-formed", text)


def _versions(recorded: Message, received: Message) -> list[Difference]:
    one, other = recorded.envelope, received.envelope
    if one is None or other is None:
        return []
    pairs = [("SOAP", one.version, other.version), ("WS-Addressing", one.addressing.version, other.addressing.version)]
    return [
        Difference("envelope", "", was, came, f"{name} {shown(came) or 'nothing'} came, {name} {was} was recorded")
        for name, was, came in pairs
        if was != came and was and came
    ]


def _action(message: Message) -> str:
    """The action, canonical; all those of faults are one (WS-Addressing and each service have their own)."""
    action = canonical_action(message.action)[0] if message.action else ""
    return "fault" if message.fault is not None and action in FAULT.actions else action


def _subcode(name: QName) -> tuple[str, str]:
    """What a subcode means: by its local name where the catalogue knows it, since peers write all kinds of prefixes."""
    row = fault(name.local)
    if row is not None:
        return "", row.subcode
    return name.namespace, name.local
