"""Datagrams of a capture that can be sent again, and where in their bytes the values stand that a resend changes.

A datagram is sent as it was recorded, byte for byte, but for those values: so prefixes, blanks, order and faults of the
recorded sender stay. What cannot be found in the bytes (damaged XML) is not changed.

Sources: WS-Discovery 2005/04, appendix I (AppSequence); WS-Addressing 2004/08, 3 (MessageID, RelatesTo);
SOAP-over-UDP 3.4 (repeats have the same MessageID).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lxml.etree import _Element as Element

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from dissector.messages import Message
from dissector.soap.addressing import qname_of, text_of
from dissector.soap.model import Envelope
from dissector.soap.namespaces import WSA04, WSA10, WSD05, WSD11
from dissector.soap.spans import element_spans

__all__ = ["MAX_DATAGRAMS", "Chosen", "Recorded", "Slot", "choose", "record"]

MAX_DATAGRAMS = 100_000
"""Datagrams of one resend: about 200 MB."""

NAMES_SHOWN = 20
"""Names of messages that an error lists."""

_WSA = (WSA04, WSA10)
_WSD = (WSD05, WSD11)
_START_TAG = re.compile(r"""<(?:[^>"']|"[^"]*"|'[^']*')*>""")
_ATTRIBUTE = re.compile(r"""\s(InstanceId|MessageNumber)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


@dataclass(frozen=True, slots=True)
class Slot:
    """A value in the bytes of a datagram.

    Attributes:
        kind: ``MessageID``, ``RelatesTo``, ``InstanceId``, ``MessageNumber`` or ``XAddrs``.
        start, end: of its bytes.
        value: its text, trimmed, without escapes.
        encoding: of the document, as Python calls it.
    """

    kind: str
    start: int
    end: int
    value: str
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A datagram of a capture.

    Attributes:
        frame: number of its first frame.
        time: nanoseconds since 1970.
        name: of the message, such as ``Hello``.
        multicast: to a group or a broadcast address.
        payload: the bytes in UDP.
        whole: False: the capture holds only the beginning of it.
        slots: values that a resend may change, by place; none overlaps another.
        device: address of the endpoint that it speaks of, else the IP address of its sender: whose AppSequence it has.
        sequence: SequenceId of the AppSequence, "" for none.
    """

    frame: int
    time: int
    name: str
    source: Endpoint
    destination: Endpoint
    multicast: bool
    payload: bytes
    whole: bool = True
    slots: tuple[Slot, ...] = ()
    device: str = ""
    sequence: str = ""

    def value(self, kind: str) -> str | None:
        """The first value of a kind, None where there is none."""
        return next((slot.value for slot in self.slots if slot.kind == kind), None)


@dataclass(slots=True)
class Chosen:
    """What was taken of a capture.

    Attributes:
        datagrams: in the order of the capture.
        over_tcp: name → number of messages that came over TCP and would have been taken otherwise.
        more: there were more than :data:`MAX_DATAGRAMS`; the rest was not read.
    """

    datagrams: list[Recorded] = field(default_factory=list)
    over_tcp: Counter[str] = field(default_factory=Counter)
    more: bool = False


def choose(messages: Iterable[Message], *, only: Sequence[str] = (), count: int | None = None) -> Chosen:
    """The datagrams to send again.

    Args:
        messages: of a capture, those of other SOAP protocols too (``Capture.all_soap``).
        only: names of messages, case does not matter; none: all.
        count: take so many at the most.

    Raises:
        UsageError: there is none, a name is not there, or it is there over TCP alone.
    """
    wanted = {name.strip().lower(): name.strip() for name in only if name.strip()}
    found = Chosen()
    names: Counter[str] = Counter()
    limit = MAX_DATAGRAMS if count is None else min(count, MAX_DATAGRAMS)
    for message in messages:
        taken = not wanted or message.name.lower() in wanted
        if message.datagram is None:
            if taken and message.envelope is not None:
                found.over_tcp[message.name] += 1
            continue
        names[message.name] += 1
        if not taken:
            continue
        if len(found.datagrams) == limit:
            found.more = count is None or count > limit
            return found
        found.datagrams.append(record(message))
    present = {name.lower() for name in names}
    for name in wanted:
        if name not in present:
            raise UsageError(_absent(wanted[name], name, found.over_tcp, names))
    if not found.datagrams:
        raise UsageError(_nothing(found.over_tcp))
    return found


def record(message: Message) -> Recorded:
    """A datagram of a capture, with the places of what a resend changes."""
    payload = bytes(message.datagram or b"")
    envelope = message.envelope
    slots: tuple[Slot, ...] = ()
    device = sequence = ""
    if envelope is not None:
        device = _device(envelope)
        sequence = next((block.get("SequenceId") or "" for block in _sequences(envelope)), "").strip()
        if envelope.xml == payload:
            slots = tuple(_slots(envelope))
    return Recorded(
        frame=message.frames[0], time=message.time, name=message.name, source=message.source,
        destination=message.destination, multicast=message.multicast, payload=payload,
        whole=message.complete or not any(finding.rule == "udp.cut" for finding in message.findings),
        slots=slots, device=device or message.source.address, sequence=sequence,
    )  # fmt: skip


# -- places ----------------------------------------------------------------------------------------------------------


def _slots(envelope: Envelope) -> Iterator[Slot]:
    spans = element_spans(envelope.xml, envelope.encoding)
    for index, element in enumerate(envelope.root.iter("*")):
        if index >= len(spans):
            # Not well-formed from here on: places are not known.
            return
        kind = _kind(element, envelope)
        if not kind:
            continue
        start, end = spans[index]
        try:
            text = envelope.xml[start:end].decode(envelope.encoding)
        except (UnicodeError, LookupError):
            continue
        tag = _START_TAG.match(text)
        if tag is None or not re.match(rf"<(?:[^\s:/>]+:)?{kind}[\s/>]", text):
            # A mended tree: the element is not the one that stands there.
            continue
        found = _attributes(text, tag.end()) if kind == "AppSequence" else _content(kind, element, text, tag.end())
        for name, low, high, value in found:
            before = start + len(text[:low].encode(envelope.encoding))
            yield Slot(name, before, before + len(text[low:high].encode(envelope.encoding)), value, envelope.encoding)


def _kind(element: Element, envelope: Envelope) -> str:
    """Local name of an element that has something to change, else ""."""
    name = qname_of(element)
    if element.getparent() is envelope.header and envelope.header is not None:
        if name.namespace in _WSA and name.local in ("MessageID", "RelatesTo"):
            return name.local
        return "AppSequence" if name.namespace in _WSD and name.local == "AppSequence" else ""
    return "XAddrs" if name.namespace in _WSD and name.local == "XAddrs" else ""


def _attributes(text: str, end: int) -> Iterator[tuple[str, int, int, str]]:
    for match in _ATTRIBUTE.finditer(text, 0, end):
        group = 2 if match.group(2) is not None else 3
        value = match.group(group).strip()
        if value.isascii() and value.isdecimal() and len(value) < 20:
            yield match.group(1), match.start(group), match.end(group), value


def _content(kind: str, element: Element, text: str, start: int) -> Iterator[tuple[str, int, int, str]]:
    """What stands between the tags, blanks at its ends apart; nothing where an element stands there: that is no value,
    and may hold one."""
    end = text.rfind("</")
    value = text_of(element)
    if end < start or not value or next(element.iterchildren("*"), None) is not None:
        return
    inner = text[start:end]
    low = start + len(inner) - len(inner.lstrip())
    yield kind, low, low + len(inner.strip()), value


def _sequences(envelope: Envelope) -> Iterator[Element]:
    for block in envelope.headers:
        name = qname_of(block)
        if name.local == "AppSequence" and name.namespace in _WSD:
            yield block


def _device(envelope: Envelope) -> str:
    """The address of the first endpoint reference in the body."""
    if envelope.content is None:
        return ""
    return next((text_of(one) for one in envelope.content.iterfind(".//{*}EndpointReference/{*}Address")), "")


# -- words -----------------------------------------------------------------------------------------------------------


def _absent(shown: str, name: str, over_tcp: Counter[str], names: Counter[str]) -> str:
    tcp = sum(number for one, number in over_tcp.items() if one.lower() == name)
    if tcp:
        return f"{shown} came over TCP ({tcp} message{'s' * (tcp != 1)}): {_RUN}"
    there = ", ".join(f"{one} ({number})" for one, number in names.most_common(NAMES_SHOWN))
    return f"no datagram is a {shown}; there are {there or 'no datagrams of SOAP'}"


def _nothing(over_tcp: Counter[str]) -> str:
    if over_tcp:
        return f"all {over_tcp.total()} messages came over TCP: {_RUN}"
    return "the capture holds no datagram of SOAP: nothing to send again"


_RUN = "a connection cannot be sent again packet by packet; use dsmreplay extract and dsmreplay run"
