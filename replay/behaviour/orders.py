"""The list of what can be ordered: the name of each order, what it takes, and how that is read.

:data:`ORDERS` is the one place where orders are named: files, command line, JSON, help and errors are made from it.
Each order sets one field of :class:`~replay.behaviour.effects.Effects` or of its ``wire``. A value that could not be
sent (no character of XML, no name, no fault that there is) is refused here, where a person can still mend it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from dissector.base.errors import UsageError
from dissector.catalog import FAULTS
from replay.behaviour.effects import Effects, EndState, FaultOrder, ImageOrder, WireEffects, format_of

__all__ = ["ORDERS", "Order", "effects_of", "in_words", "near", "number", "ordered", "shown", "whole"]

MAX_DELAY = 86400
"""Seconds."""

MAX_BYTES = 1 << 40
"""Of counts of bytes."""

MAX_TEXT = 1000
"""Characters of a text that is sent."""

MAX_DIGITS = 18
"""Of a number that is taken for a text."""

MAX_SHOWN = 60
"""Characters of a wrong value that an error repeats."""

_NAME = re.compile(r"[^\W\d][\w.\-]*")
_OWN = re.compile(r"\{([^{}|\s]+)\}(.+)", re.DOTALL)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


Fits = Callable[[str, str], bool]
"""Whether an order makes sense for an occasion: kind (``request``, ``event``, ``discovery``) and name."""

_SUBSCRIPTIONS = frozenset({"Renew", "GetStatus", "Unsubscribe"})
_IMAGES = frozenset({"SendImage", "RetrieveImage"})
_ENDS = frozenset({"EndPostScanJob", "PostScanJobEndStateEvent", "JobEndStateEvent"})
_TOKENS = frozenset({
    "CreatePostScanJob", "SendImage", "EndPostScanJob", "CancelPostScanJob", "GetPostScanJobElements", "CreateScanJob",
    "Subscribe", "PostScanJobStatusEvent", "PostScanJobEndStateEvent", "ScanAvailableEvent",
})  # fmt: skip


def _always(kind: str, name: str) -> bool:
    return True


def _waiting(kind: str, name: str) -> bool:
    return name != "Bye"  # a device that ends waits for nothing


def _answered(kind: str, name: str) -> bool:
    return name not in ("Hello", "Bye")


def _told(kind: str, name: str) -> bool:
    return kind in ("event", "discovery")


def _event(kind: str, name: str) -> bool:
    return kind == "event"


def _of_subscription(kind: str, name: str) -> bool:
    return kind == "event" or name in _SUBSCRIPTIONS


def _among(names: frozenset[str]) -> Fits:
    return lambda kind, name: name in names


class Order(NamedTuple):
    """One thing that can be ordered: what its argument is, what it does, how a value of it is read, and what for."""

    argument: str
    meaning: str
    read: Callable[[Any], Any]
    fits: Fits = _answered


def shown(value: Any) -> str:
    """A wrong value, for an error: never long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # Python does not write numbers of thousands of digits.
        return f"this {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def near(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of an error; "" where nothing is like it."""
    found = difflib.get_close_matches(name[:MAX_SHOWN], list(known), 3)
    return f"; near: {', '.join(found)}" if found else ""


def number(low: float, high: float) -> Callable[[Any], float]:
    """A reader of numbers from ``low`` to ``high``."""

    def read(value: Any) -> float:
        try:
            given = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"{shown(value)} is no number") from None
        except OverflowError:
            given = float("inf")
        if isinstance(value, bool) or not low <= given <= high:
            raise UsageError(f"{shown(value)} is not from {low:g} to {high:.13g}")
        return given

    return read


def whole(low: int, high: int) -> Callable[[Any], int]:
    """A reader of whole numbers from ``low`` to ``high``."""

    def read(value: Any) -> int:
        given = number(low, high)(value)
        if given != int(given):
            raise UsageError(f"{shown(value)} is no whole number")
        return int(given)

    return read


def _flag(value: Any) -> bool:
    if value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "on", "1")):
        return True
    raise UsageError(f"{shown(value)}: this is switched on by true, and off by leaving it out")


def _text(value: Any) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise UsageError(f"{shown(value)} is no text")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise UsageError(f"{shown(value)} is no text: so long a number needs quotes")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise UsageError(f"{shown(value)} is longer than {MAX_TEXT} characters")
    if _NOT_XML.search(text) is not None:
        raise UsageError(f"{shown(value)} holds a character that cannot stand in XML")
    return text


def _some(value: Any) -> str:
    text = _text(value)
    if not text.strip():
        raise UsageError("there is no text")
    return text


def _line(value: Any) -> str:
    text = _text(value)
    if not text.isprintable() or not text.isascii():
        raise UsageError(f"{shown(value)} cannot stand in a status line")
    return text


def _fault(value: Any) -> FaultOrder:
    if isinstance(value, Mapping):
        if set(value) - {"subcode", "code", "reason"} or "subcode" not in value:
            raise UsageError("a fault has subcode, and may have code and reason")
        name, code, reason = (_text(value.get(key, "")) for key in ("subcode", "code", "reason"))
    else:
        name, code, reason = [*_text(value).split("|", 2), "", ""][:3]
    if code not in ("", "Sender", "Receiver"):
        raise UsageError(f"{shown(code)} is neither Sender nor Receiver")
    own = _OWN.fullmatch(name)
    if own is not None and _NAME.fullmatch(own[2]) is not None:
        return FaultOrder(own[2], own[1], code, reason)
    if name[:1] == "{":
        raise UsageError(f"{shown(name)} is no name of a vendor's fault: {{NAMESPACE}}NAME is")
    if name not in FAULTS:
        raise UsageError(f"{shown(name)} is no fault of the catalogue{near(name, FAULTS)}")
    return FaultOrder(name, "", code, reason)


def _end_state(value: Any) -> EndState:
    if isinstance(value, Mapping):
        reasons = value.get("reasons", [])
        if set(value) - {"state", "reasons"} or "state" not in value or not isinstance(reasons, (list, tuple)):
            raise UsageError("an end state has state, and may have a list of reasons")
        return EndState(_some(value["state"]), tuple(_some(one) for one in reasons))
    state, *rest = _text(value).split("|")
    return EndState(_some(state), tuple(_some(one) for one in rest))


def _image(value: Any) -> ImageOrder:
    if isinstance(value, Mapping):
        if not value or set(value) - {"cut", "as"}:
            raise UsageError("image has cut (bytes) or as (a format)")
        cut, wanted = value.get("cut"), value.get("as")
        if cut is None and wanted is None:
            raise UsageError("image has cut (bytes) or as (a format)")
        return ImageOrder(None if cut is None else _bytes(cut), "" if wanted is None else _format(wanted))
    made = ImageOrder()
    for one in _text(value).split("|"):
        kind, _, rest = one.partition("-")
        if kind == "cut":
            made = ImageOrder(_bytes(rest), made.as_format)
        elif kind == "as":
            made = ImageOrder(made.cut, _format(rest))
        else:
            raise UsageError(f"{shown(value)}: cut-N or as-FORMAT is expected")
    return made


def _format(value: Any) -> str:
    name = _text(value)
    if not format_of(name):
        raise UsageError(f"{shown(value)} is no format that there is a picture of: png, dib, tiff, jfif, pdf")
    return name


def _length(value: Any) -> str:
    text = _text(value)
    if re.fullmatch(r"[+-]?\d{1,12}", text, re.ASCII) is None:
        raise UsageError(f"{shown(value)} is no length: +N, -N or N is expected")
    return text


def _boundary(value: Any) -> bool:
    if value is not True and value != "bare":
        raise UsageError(f"{shown(value)}: bare is expected")
    return True


_bytes = whole(0, MAX_BYTES)

ORDERS: Mapping[str, Order] = {
    "delay": Order("SECONDS", "wait before it is answered or sent", number(0.001, MAX_DELAY), _waiting),
    "fault": Order("SUBCODE", "answer with this SOAP fault; a vendor's own: {NAMESPACE}NAME|CODE|REASON", _fault),
    "status": Order("CODE", "answer with this HTTP status and no SOAP", whole(200, 599)),
    "ignore": Order("true", "give no answer at all and close", _flag),
    "close_after": Order("BYTES", "close the connection after so many bytes", _bytes),
    "reset_after": Order("BYTES", "reset the connection after so many bytes", _bytes),
    "truncate": Order("BYTES", "send only so many bytes of the body, then close", _bytes),
    "slow": Order("RATE", "send the body with so many bytes a second", number(1, 1e9)),
    "content_length": Order("+N|-N|N", "say a wrong Content-Length", _length),
    "malformed": Order("true", "send XML that is not well-formed", _flag, _always),
    "relates_to": Order("wrong|none|TEXT", "relate the message to another one than it belongs to, or to none", _some),
    "token": Order(
        "unknown|stale|TEXT",
        "hand out (or send) a token that is not known, one of before, or this text",
        _some,
        _among(_TOKENS),
    ),
    "lost": Order("true", "do not send the event", _flag, _told),
    "doubled": Order("true", "send the event twice", _flag, _told),
    "reordered": Order("true", "send the event after the next one", _flag, _event),
    "expire": Order(
        "true",
        "let the subscription expire without a word: at an event, or at Renew, GetStatus, Unsubscribe",
        _flag,
        _of_subscription,
    ),
    "end_state": Order(
        "STATE[|REASON...]",
        "another end state of the job, such as vendor:Parked",
        _end_state,
        _among(_ENDS),
    ),
    "image": Order(
        "cut-N|as-FORMAT",
        "cut the image, or send another format than declared",
        _image,
        _among(_IMAGES),
    ),
    "boundary": Order("bare", "no line end before MIME boundaries", _boundary, _among(_IMAGES)),
    "reason": Order("TEXT", "another reason phrase in the status line", _line),
    "split_head": Order("true", "send head and body in two segments", _flag),
}
"""Name → what it is, in the order in which they are said."""

_FIELD = {"boundary": "bare_boundary"}
"""Orders whose field has another name."""

_PLAIN_EFFECTS = {one.name: one.default for one in fields(Effects)}
_PLAIN_WIRE = {one.name: one.default for one in fields(WireEffects)}


def effects_of(values: Mapping[str, Any]) -> Effects:
    """The effects of orders, given what was read of each."""
    mine: dict[str, Any] = {}
    wire: dict[str, Any] = {}
    for name, value in values.items():
        field = _FIELD.get(name, name)
        (wire if field in _PLAIN_WIRE else mine)[field] = value
    said = tuple(in_words(name, values[name]) for name in ORDERS if name in values)
    return Effects(**mine, wire=WireEffects(**wire), said=said)


def ordered(effects: Effects) -> dict[str, Any]:
    """The orders in effects, each with its value in plain data, as it is read back."""
    found: dict[str, Any] = {}
    for name in ORDERS:
        field = _FIELD.get(name, name)
        holder, usual = (effects.wire, _PLAIN_WIRE) if field in _PLAIN_WIRE else (effects, _PLAIN_EFFECTS)
        value = getattr(holder, field)
        if value != usual[field]:
            found[name] = "bare" if name == "boundary" else _plain(value)
    return found


def in_words(name: str, value: Any) -> str:
    """An order as it is said in the log, close to how it is written on the command line."""
    if name == "boundary":
        return "boundary bare"
    words = "" if value is True else str(_number(value)) or '""'
    return f"{name} {words}" if words else name


def _plain(value: Any) -> Any:
    if isinstance(value, FaultOrder):
        more = {key: text for key, text in (("code", value.code), ("reason", value.reason)) if text}
        return {"subcode": value.name, **more} if more else value.name
    if isinstance(value, EndState):
        return {"state": value.state, "reasons": list(value.reasons)}
    if isinstance(value, ImageOrder):
        return {key: one for key, one in (("cut", value.cut), ("as", value.as_format)) if one not in (None, "")}
    return _number(value)


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
