"""The device host: requests to paths, SOAP to operations, answers and faults back.

What stands before every operation is here: HTTP method and path, envelope, the headers of WS-Addressing, what the
catalogue says of the body, the behaviour that was ordered. An operation gets a :class:`Call` with a decoded message and
gives a :class:`Reply`, or raises :class:`~replay.soap.faults.SoapFault`.

Sources: SOAP 1.2 part 2, 7.5; DPWS R0031, R2024 (order of checks), R2045; WS-Addressing 2004/08, 3 and 4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lxml.etree import _Element as Element

from dissector.catalog import SERVICES, Field, canonical_action, check, findings_of
from dissector.catalog import message as catalogue_message
from dissector.http.model import HttpMessage
from dissector.messages import Message
from dissector.output.summary import summary
from dissector.soap.addressing import qname_of
from dissector.soap.build import anonymous, build_envelope, build_fault
from dissector.soap.model import QName
from dissector.soap.namespaces import SOAP12, WSA04, WSA10, WSD05, WSE, XOP
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects, WireEffects, apply_to_wire, malform
from replay.behaviour.rules import Behaviour, Occasion
from replay.net.server import Answer, HttpRequest
from replay.soap.caller import action_of, read_message
from replay.soap.compose import USUAL, Dress, Picture, Style, http_response, pack
from replay.soap.faults import (
    NAMESPACE_OF,
    SoapFault,
    addressing_fault,
    eventing_fault,
    not_understood,
    service_fault,
    version_mismatch,
)

__all__ = [
    "Call",
    "Host",
    "Ignored",
    "Operation",
    "Reply",
    "ServicePoint",
    "facts_of",
    "ordered_fault",
    "unreadable",
]

STRUCTURE = frozenset({"content.missing", "content.many", "content.choice", "content.empty"})
"""Findings on a body for which a request is refused with InvalidArgs; wrong order is not one of them, real clients send
their elements in any order."""

LEFT_OUT = frozenset({("content.missing", "RetrieveImageRequest/DocumentDescription")})
"""Rule and path of what real clients leave out, and real devices take: an airscand names no document (its
DocumentDescription has a DocumentNumber alone)."""

VALUES = frozenset({"value.type"})
"""Findings on single values for which it is refused too; what is in range is for the service to say."""

ENVELOPE = ("xml.", "soap.")
"""Beginnings of the rules of envelopes: an error of these, and the message is not taken (the reader is tolerant, a
device is not)."""

UNDERSTOOD = frozenset({WSA04, WSA10, WSD05, WSE, XOP, SOAP12})
"""Namespaces of header blocks that are understood."""


OUR_ROLES = ("", f"{SOAP12}/role/next", f"{SOAP12}/role/ultimateReceiver")
"""Roles of header blocks that are for us (SOAP 1.2 part 1, 2.2)."""


TWINS = {"WS-Scan": "WS-DSD", "WS-DSD": "WS-Scan"}
"""Services that are taken for each other where only one of them is offered."""


TOLD = frozenset(
    {"SubscriptionEnd"} | {row.operation for one in SERVICES.values() for row in one.messages if row.kind == "event"}
)
"""What comes to a sink unasked."""

_NONE = Effects()


class Ignored(Exception):
    """An operation gives no answer at all; says why, for the log."""


@dataclass(slots=True)
class Call:
    """One request to an operation.

    Attributes:
        message: decoded.
        request: as it came over HTTP.
        service, operation: what it was taken for.
        effects: the behaviour ordered for this occasion.
        point: where it came to.
    """

    message: Message
    request: HttpRequest
    service: str
    operation: str
    point: ServicePoint
    effects: Effects

    @property
    def body(self) -> Field:
        """The decoded body element.

        Raises:
            SoapFault: InvalidArgs, where the Body is empty.
        """
        if self.message.body is None:
            raise service_fault(self.service, "InvalidArgs", "The Body is empty")
        return self.message.body


@dataclass(slots=True)
class Reply:
    """The answer of an operation.

    Attributes:
        body: element, None for an empty Body.
        name: message of the catalogue, default operation + ``Response``; gives the action.
        action: default by ``name``.
        pictures: MTOM parts.
        headers: further header blocks.
        after: called when the answer is on its way (True), or could not be sent (False).
        empty: no SOAP at all: HTTP 202.
    """

    body: Element | None = None
    name: str = ""
    action: str = ""
    pictures: Sequence[Picture] = ()
    headers: Sequence[Element] = ()
    after: Callable[[bool], None] | None = None
    empty: bool = False


Operation = Callable[[Call], Awaitable[Reply]]


@dataclass(slots=True)
class ServicePoint:
    """One path with what is offered there.

    Attributes:
        path: such as ``/wsd/scan``.
        service: its own service, for faults; "" for the device itself.
        operations: (service, operation) → what carries it out.
    """

    path: str
    service: str = ""
    operations: dict[tuple[str, str], Operation] = field(default_factory=dict)

    def offer(self, service: str, operations: Mapping[str, Operation]) -> None:
        """Offer operations of a service here."""
        self.operations.update({(service, name): one for name, one in operations.items()})


class Host:
    """The HTTP handler of an emulated device.

    Args:
        clock, ids, log: of the whole emulator.
        behaviour: what is ordered to go wrong.
        style: how answers are dressed.

    Attributes:
        on_request: asked before the operation; a fault that it gives is the answer (quirks of whole devices).
    """

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        log: Log,
        behaviour: Behaviour,
        style: Style = USUAL,
    ) -> None:
        self.clock = clock
        self.ids = ids
        self.log = log
        self.behaviour = behaviour
        self.style = style
        self.on_request: Callable[[Message, ServicePoint], SoapFault | None] | None = None
        self._points: dict[str, ServicePoint] = {}

    def point(self, path: str, service: str = "") -> ServicePoint:
        """The point at a path, made at the first call."""
        found = self._points.get(path)
        if found is None:
            found = self._points[path] = ServicePoint(path, service)
        return found

    def occasions(self) -> set[Occasion]:
        """All that is offered; an event that comes to a sink is one."""
        return {
            (service, name, "event" if name in TOLD else "request")
            for point in self._points.values()
            for service, name in point.operations
        }

    async def handle(self, request: HttpRequest) -> Answer:
        """The answer to one HTTP request."""
        start = self.clock.monotonic()
        http = request.http
        if not http.complete:
            # There is nobody to answer.
            cut = read_message(http)
            name = f"{http.method} {http.target}" if cut is None else cut.name
            self.log.say("received", f"{request.peer} {name}, broken off", peer=str(request.peer))
            return Answer(close="close")
        point = self._points.get(request.path) or self._points.get(request.path.rstrip("/"))
        if point is None:
            return self._plain(request, 404)
        if http.method != "POST":
            return self._plain(request, 405, ("Allow", "POST"))
        message = read_message(http)
        why = unreadable(message)
        if message is None or message.envelope is None or why:
            if http.media_type and "soap" not in http.media_type and "multipart" not in http.media_type:
                return self._plain(request, 415)
            words = "no SOAP envelope that can be read" + (f": {why}" if why else "")
            self.log.say("received", f"{request.peer}: {http.method} {http.target}, {words}", peer=str(request.peer))
            fault = SoapFault("Sender", None, f"The message holds {words}")
            return self._faulted(request, None, fault, Effects(), start)
        self.log.say(
            "received", f"{request.peer} {message.name} {summary(message)}".rstrip(), body=message.envelope.xml,
            peer=str(request.peer), message=message.name, service=message.service, message_id=message.message_id,
        )  # fmt: skip
        effects = Effects()
        try:
            service, operation, carry_out = self._find(message, point)
            facts = facts_of(message)
            effects = self.behaviour.choose(service, operation, _kind_of(message), facts)
            if effects:
                self.log.say("behaviour", f"{operation}: {effects.describe()}", operation=operation)
                if effects.delay:
                    await self.clock.sleep(effects.delay)
                if effects.ignore:
                    return Answer(close="close")
                if effects.status is not None:
                    return self._plain(request, effects.status, effects=effects)
                if effects.fault is not None:
                    raise ordered_fault(effects, service)
            if self.on_request is not None and (refusal := self.on_request(message, point)) is not None:
                raise refusal
            self._check(message, service)
            reply = await carry_out(Call(message, request, service, operation, point, effects))
        except Ignored as reason:
            self.log.say("note", f"{message.name} is not answered: {reason}")
            return Answer(close="close")
        except SoapFault as fault:
            return self._faulted(request, message, fault, effects, start)
        except Exception as error:
            # A fault of ours must not take the device down, nor be kept quiet; the peer gets what is named for it.
            self.log.say("warning", f"{message.name}: internal error: {type(error).__name__}: {error}")
            return self._faulted(request, message, _broken(message), effects, start)
        return self._replied(request, message, service, operation, reply, effects, start)

    # -- before the operation ------------------------------------------------------------------------------------

    def _find(self, message: Message, point: ServicePoint) -> tuple[str, str, Operation]:
        envelope = message.envelope
        assert envelope is not None
        if envelope.version != "1.2":
            raise version_mismatch()
        for block in envelope.headers:
            must = (block.get(f"{{{SOAP12}}}mustUnderstand") or "").strip() in ("1", "true")
            for_us = (block.get(f"{{{SOAP12}}}role") or "").strip() in OUR_ROLES
            if must and for_us and qname_of(block).namespace not in UNDERSTOOD:
                raise not_understood(qname_of(block))
        headers = envelope.addressing
        if not headers.action:
            raise addressing_fault("MessageInformationHeaderRequired", "The header Action is missing", "wsa:Action")
        decl = message.decl
        if not headers.message_id and decl is not None and decl.kind == "request" and not decl.one_way:
            # Nobody could tell what the answer belongs to.
            raise addressing_fault(
                "MessageInformationHeaderRequired", "The header MessageID is missing", "wsa:MessageID"
            )
        for place, reference in (("ReplyTo", headers.reply_to), ("FaultTo", headers.fault_to)):
            if reference is not None and reference.address not in (anonymous("2004/08"), anonymous("2005/08")):
                raise addressing_fault(
                    "InvalidMessageInformationHeader",
                    f"{place} must be anonymous on HTTP (DPWS R0031)",
                    reference.address,
                )
        if decl is not None and decl.kind in ("request", "discovery", "event"):
            service, operation, actions = decl.service, decl.operation, decl.actions
            found = point.operations.get((service, operation))
            if service in TWINS:
                # The two share their actions, and no page tells the namespace of WS-DSD's requests.
                other = TWINS[service]
                twin = catalogue_message(decl.name, other)
                actions += twin.actions if twin is not None else ()
                if found is None and (found := point.operations.get((other, operation))) is not None:
                    service = other
            if found is not None and (not actions or canonical_action(headers.action)[0] in actions):
                return service, operation, found
        raise addressing_fault("ActionNotSupported", "The action is not supported here", headers.action)

    def _check(self, message: Message, service: str) -> None:
        """Refuse a body that breaks its content model, or holds values that are none."""
        body = message.body
        if body is None or service not in SERVICES:
            return
        for finding in [*check(body), *findings_of(body)]:
            if (finding.rule, finding.path) in LEFT_OUT:
                continue
            if finding.rule in STRUCTURE or finding.rule in VALUES:
                if service in NAMESPACE_OF:
                    raise service_fault(
                        service, "InvalidArgs", f"{finding.text} (at {finding.path})", finding.path or ""
                    )
                if service == "WS-Eventing":
                    raise eventing_fault("InvalidMessage", f"{finding.text} (at {finding.path})")
                raise SoapFault("Sender", None, f"{finding.text} (at {finding.path})")

    # -- after it ------------------------------------------------------------------------------------------------

    def _replied(
        self, request: HttpRequest, message: Message, service: str, operation: str, reply: Reply, effects: Effects,
        start: float,
    ) -> Answer:  # fmt: skip
        if reply.empty:
            return self._send(request, http_response(202, None, self.style), "HTTP 202", effects, start, reply.after)
        name = reply.name or f"{operation}Response"
        envelope = build_envelope(
            reply.body, action=reply.action or action_of(name, service), to=anonymous(self._addressing(message)),
            message_id=self.ids.urn(), relates_to=self._relates_to(message, effects),
            headers=reply.headers, addressing=self._addressing(message),
        )  # fmt: skip
        if effects.malformed:
            envelope = malform(envelope)
        packed = pack(envelope, reply.pictures, self.ids, start=self.style.start)
        size = sum(len(picture.data) for picture in reply.pictures)
        text = name + (f", {size} bytes of image" if size else "")
        return self._send(request, http_response(200, packed, self.style), text, effects, start, reply.after, envelope)

    def _faulted(
        self, request: HttpRequest, message: Message | None, fault: SoapFault, effects: Effects, start: float
    ) -> Answer:
        envelope = build_fault(
            fault.code, fault.subcode, fault.reason, fault.detail, action=fault.action,
            to=anonymous(self._addressing(message)), message_id=self.ids.urn(),
            relates_to=self._relates_to(message, effects), addressing=self._addressing(message),
        )  # fmt: skip
        if effects.malformed:
            envelope = malform(envelope)
        status = self.style.fault_status or fault.status
        dress = http_response(status, pack(envelope, (), self.ids), self.style)
        return self._send(request, dress, f"Fault {fault.name}: {fault.reason}", effects, start, None, envelope)

    def _relates_to(self, message: Message | None, effects: Effects) -> str | None:
        return effects.related(message.message_id if message is not None else None, self.ids.urn)

    @staticmethod
    def _addressing(message: Message | None) -> str:
        version = message.envelope.addressing.version if message is not None and message.envelope is not None else ""
        return version if version in ("2004/08", "2005/08") else "2004/08"

    def _plain(
        self, request: HttpRequest, status: int, *extra: tuple[str, str], effects: Effects = _NONE
    ) -> Answer:  # fmt: skip
        http: HttpMessage = request.http
        self.log.say("received", f"{request.peer} {http.method} {http.target}, answered with HTTP {status}")
        return self._answer(http_response(status, None, self.style, extra=extra), effects.wire, None)

    def _send(
        self, request: HttpRequest, dress: Dress, text: str, effects: Effects, start: float,
        after: Callable[[bool], None] | None, envelope: bytes | None = None,
    ) -> Answer:  # fmt: skip
        status = dress.head[9:12].decode("latin-1")
        took = (self.clock.monotonic() - start) * 1000
        self.log.say(
            "sent", f"{request.peer} {status} {text} ({took:.0f} ms)", body=envelope, peer=str(request.peer),
            status=int(status), message=text.partition(",")[0].partition(":")[0],
        )  # fmt: skip
        return self._answer(dress, effects.wire, after)

    def _answer(self, dress: Dress, wire: WireEffects, after: Callable[[bool], None] | None) -> Answer:
        """The answer, harmed as ordered."""
        close = "close" if self.style.close else "keep"
        if self.style.bare_boundary and b"multipart/" in dress.head:
            wire = wire.with_bare_boundary()
        if wire:
            plan = apply_to_wire(dress.head, dress.body, wire)
            if plan.close == "keep" or sum(map(len, plan.pieces)) >= len(dress.head) + len(dress.body):
                close = plan.close if plan.close != "keep" else close
                return Answer(plan.pieces, close, plan.rate, after)
            # An answer that was cut on purpose did not arrive: a scanner has to take its image for lost.
            return Answer(plan.pieces, plan.close, plan.rate, None if after is None else lambda sent: after(False))
        pieces = [dress.head, dress.body] if self.style.split_head and dress.body else dress.pieces
        return Answer(pieces, close, None, after)


def unreadable(message: Message | None) -> str:
    """Why an envelope cannot be taken, "" where it can."""
    if message is None:
        return ""
    bad = (one for one in message.findings if one.severity == "error" and one.rule.startswith(ENVELOPE))
    return next((one.text for one in bad), "")


def _broken(message: Message) -> SoapFault:
    """The fault for an error of the device's own."""
    service = message.decl.service if message.decl is not None else ""
    if service in NAMESPACE_OF:
        return service_fault(service, "ServerErrorInternalError")
    return SoapFault("Receiver", None, "An internal error")


def _kind_of(message: Message) -> str:
    """The kind of occasion, for rules: an event that comes to a sink is one there too."""
    decl = message.decl
    told = decl is not None and (decl.kind == "event" or decl.operation == "SubscriptionEnd")
    return "event" if told else "request"


def facts_of(message: Message) -> Mapping[str, str]:
    """What ``where`` of a rule can ask about: the simple elements at the top of the body, in snake_case."""
    body = message.body
    if body is None:
        return {}
    found = {child.key: child.text.strip() for child in body.children if not child.children}
    for path in ("DocumentDescription/DocumentId", "DocumentDescription/DocumentName"):
        inner = body.find(path)
        if inner is not None:
            found[inner.key] = inner.text.strip()
    return found


def ordered_fault(effects: Effects, service: str) -> SoapFault:
    """The fault that the behaviour orders."""
    given = effects.fault
    assert given is not None
    if given.namespace:
        return SoapFault(given.code or "Sender", QName(given.namespace, given.subcode), given.reason or given.subcode)
    if service in NAMESPACE_OF:
        made = service_fault(service, given.subcode, given.reason or "")
        return SoapFault(given.code, made.subcode, made.reason, made.detail) if given.code else made
    return addressing_fault(given.subcode, given.reason or given.subcode)
