"""Which message this is: by its body element first, the action confirms.

The sources disagree about actions (responses that repeat the action of their request, WS-DSD events in the scan
namespace, no published action for the events of WS-DSP), so every action that some source gives is accepted, and only
a contradiction is a finding. Some namespaces occur with the local names of another service; the local name then tells.
"""

from __future__ import annotations

from functools import lru_cache

from dissector.base.findings import Finding, rule
from dissector.catalog.model import MessageDecl, Recognised
from dissector.catalog.prefixes import FAMILIES, WSD_NAMESPACES
from dissector.catalog.registry import ALIASES, BY_ACTION, BY_BODY, BY_LOCAL, FAULT
from dissector.soap.model import QName
from dissector.soap.namespaces import canonical

__all__ = ["canonical_action", "recognise"]

MISMATCH = rule("soap.action-mismatch", "warn", "the action does not belong to the body", "WS-Scan rule S02")
ACTION_SPELLING = rule("soap.action-spelling", "note", "the action is under a misspelt namespace")
BODY_NAMESPACE = rule("soap.body-namespace", "warn", "the body element is in another namespace than its message's")
BODY_UNKNOWN = rule("soap.body-unknown", "warn", "the body is not that of the action")
FAULT_ACTION = rule("soap.fault-action", "note", "a fault without a fault action", "WS-Scan rule F01")

_MARKS = ("/wdp/scan", "/wdp/distributedscan/", "/wdp/repository/", "/ws/2005/04/discovery", "/ws/2004/08/eventing")
"""Parts of a namespace that say WSD even where the whole URI is not known."""


_LONG = 512
"""Longer actions are none of ours, and are not remembered."""


def canonical_action(action: str) -> tuple[str, str | None]:
    """An action with its namespace as it should be, and what was mended (None: nothing)."""
    action = action.strip()
    return _canonical_action(action) if len(action) <= _LONG else (action, None)


@lru_cache(maxsize=512)
def _canonical_action(action: str) -> tuple[str, str | None]:
    if action in BY_ACTION:
        return action, None
    base, slash, name = action.rpartition("/")
    mended, why = canonical(base)
    if why is None and base.endswith(("/GetMetadata", "/soap")):
        base, middle = base.rsplit("/", 1)
        mended, why = canonical(base)
        name = f"{middle}/{name}"
    return (f"{mended}/{name}", why) if why is not None and slash else (action, None)


def recognise(
    name: QName | None, action: str | None, *, is_fault: bool = False, is_response: bool | None = None
) -> Recognised:
    """Recognise a message.

    Args:
        name: canonical name of the body element, None for an empty Body.
        action: wsa:Action, None without one.
        is_fault: the body is a fault.
        is_response: it came as the answer of an exchange (HTTP response), None where that is not known. Used only
            where body and action leave it open.

    Returns:
        The message and what told it; ``message`` is None where neither the body nor the action is known.
    """
    if len(action or "") + (len(name.namespace) + len(name.local) if name else 0) > _LONG:
        return _recognise.__wrapped__(name, action, is_fault, is_response)
    return _recognise(name, action, is_fault, is_response)


@lru_cache(maxsize=2048)
def _recognise(name: QName | None, action: str | None, is_fault: bool, is_response: bool | None) -> Recognised:
    uri, mended = canonical_action(action) if action else ("", None)
    findings = []
    if mended is not None:
        findings.append(ACTION_SPELLING(f"the action {(action or '').strip()} has {mended}"))
    if is_fault:
        if uri and uri not in FAULT.actions:
            findings.append(FAULT_ACTION(f"the fault has the action {_short(uri)}"))
        return Recognised(FAULT, "fault", tuple(findings))
    said = BY_ACTION.get(uri, ())
    if name is None:
        found = _by_action(said, is_response)
        if found is not None and found.body and not found.any_body:
            findings.append(BODY_UNKNOWN(f"the Body is empty, {found.body} is the body of {found.name}"))
        return Recognised(found, "action", tuple(findings))
    found = _by_body(name, said, is_response, findings)
    if found is not None:
        if uri and uri not in found.actions:
            meant = said[0].name if said else _short(uri)
            findings.append(MISMATCH(f"the body is {_short(name.local)}, but the action is that of {meant}"))
        return Recognised(found, "body", tuple(findings))
    found = _by_action(said, is_response)
    if found is not None and not found.any_body:
        due = f"{found.body} is the body" if found.body else "an empty Body is that"
        findings.append(BODY_UNKNOWN(f"the body is {_short(str(name))}, {due} of {found.name}"))
    return Recognised(found, "action", tuple(findings))


def _short(text: str) -> str:
    return text if len(text) <= _LONG else text[:80] + "…"


def _by_action(said: tuple[MessageDecl, ...], is_response: bool | None) -> MessageDecl | None:
    if is_response is not None:
        kinds = ("response", "discovery") if is_response else ("request", "event", "discovery")
        for row in said:
            if row.kind in kinds:
                return row
    return said[0] if said else None


def _by_body(
    name: QName, said: tuple[MessageDecl, ...], is_response: bool | None, findings: list[Finding]
) -> MessageDecl | None:
    namespace, local = name.namespace, name.local
    rows = BY_BODY.get((namespace, local), ())
    if not rows and (namespace, local) in ALIASES:
        target, right = ALIASES[namespace, local]
        rows = BY_BODY.get((target, right), ())
    if not rows:
        rows = _elsewhere(name, said)
        if rows:
            findings.append(
                BODY_NAMESPACE(
                    f"the body {local} is in {_short(namespace) or 'no namespace'}, not in {rows[0].namespace}"
                )
            )
    if len(rows) < 2:
        return rows[0] if rows else None
    # One body element, several messages: wsx:Metadata answers Get and GetMetadata.
    return next((row for row in rows if row in said), None) or _by_action(rows, is_response)


def _elsewhere(name: QName, said: tuple[MessageDecl, ...]) -> tuple[MessageDecl, ...]:
    """Messages of this local name in another namespace: where the action agrees, or where the namespace is one of WSD.

    Names such as Subscribe or Hello are those of other protocols too, so the local name alone is not enough.
    """
    rows = BY_LOCAL.get(name.local, ())
    agreed = tuple(row for row in rows if row in said)
    if agreed:
        return agreed
    if name.namespace in WSD_NAMESPACES or any(mark in name.namespace for mark in _MARKS):
        family = FAMILIES.get(name.namespace)
        near = tuple(row for row in rows if family is not None and FAMILIES.get(row.namespace) == family)
        return (near or rows)[:1]
    return ()
