"""The client's half: a body for an address, the answer as a decoded message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lxml.etree import _Element as Element

from dissector.base.errors import TargetUnreachable
from dissector.base.limits import DEFAULT_LIMITS
from dissector.catalog import message as catalogue_message
from dissector.http.model import HttpMessage
from dissector.messages import Message, MessageBuilder
from dissector.output.summary import summary
from dissector.soap.build import anonymous, build_envelope
from dissector.soap.model import EndpointReference, QName
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects, WirePlan, apply_to_wire, malform
from replay.net.client import HttpClient, target_of
from replay.soap.compose import USUAL, Picture, Style, http_request, pack

__all__ = ["Caller", "Refused", "Reply", "action_of", "read_message"]

_BUILDER = MessageBuilder(lambda: 9, DEFAULT_LIMITS)
NONE = Effects()


def read_message(http: HttpMessage) -> Message | None:
    """The SOAP message in an HTTP message, None where there is none."""
    return _BUILDER.from_http(http)


def action_of(name: str, service: str) -> str:
    """The usual action URI of a message of the catalogue."""
    row = catalogue_message(name, service)
    if row is None or not row.actions:
        raise KeyError(f"{service} has no message {name}")
    return row.actions[0]


class Refused(Exception):
    """The peer answered with a fault, or with an HTTP status that is none of success."""

    def __init__(self, name: str, reason: str, status: int, message: Message | None = None) -> None:
        super().__init__(f"{name}: {reason}" if reason else name)
        self.name = name
        self.reason = reason
        self.status = status
        self.message = message


@dataclass(slots=True)
class Reply:
    """An answer.

    Attributes:
        http: as it came.
        message: decoded, None where it holds no SOAP (HTTP 202).
        seconds: from the first byte sent to the last received, by the clock.
    """

    http: HttpMessage
    message: Message | None
    seconds: float

    def accepted(self) -> Message | None:
        """The message, where it is no refusal.

        Raises:
            Refused: it is a fault, or the HTTP status says no.
        """
        message = self.message
        if message is not None and message.fault is not None:
            fault = message.fault
            raise Refused(fault.subcode or fault.code or "Fault", fault.reason, self.http.status, message)
        if not 200 <= self.http.status < 300:
            raise Refused(f"HTTP {self.http.status}", self.http.reason, self.http.status, message)
        return message


class Caller:
    """Sends SOAP requests and one-way messages.

    Args:
        client: carries them.
        clock, ids, log: what the whole emulator has.
        style: how messages are dressed.
        address: own endpoint address for the From header, "" for none.
    """

    def __init__(
        self, client: HttpClient, *, clock: Clock, ids: Ids, log: Log, style: Style = USUAL, address: str = ""
    ) -> None:
        self._client = client
        self._clock = clock
        self._ids = ids
        self._log = log
        self._style = style
        self._address = address

    async def call(
        self,
        url: str,
        body: Element | None,
        action: str,
        *,
        name: str,
        to: str | None = None,
        parameters: Iterable[tuple[QName, str]] = (),
        headers: Iterable[Element] = (),
        pictures: Sequence[Picture] = (),
        one_way: bool = False,
        effects: Effects = NONE,
        message_id: str | None = None,
        kind: str = "sent",
    ) -> Reply:
        """Send one message and wait for its answer.

        Args:
            url: where to.
            body: body element, None for an empty Body.
            action: wsa:Action.
            name: of the message, for the log.
            to: wsa:To, default the URL.
            parameters: reference parameters of the receiver.
            headers: further header blocks.
            pictures: MTOM parts.
            one_way: no ReplyTo is sent.
            effects: what is to go wrong on the way.
            message_id: default a new one.
            kind: of the log entry.

        Raises:
            TargetUnreachable: no answer; says why.
            UsageError: the URL is none.
        """
        target = target_of(url)
        if effects.for_answers:
            words = f"{name}: {', '.join(effects.for_answers)} is for who answers, nothing is done here"
            self._log.say("warning", words, message=name)
        envelope = build_envelope(
            body,
            action=action,
            to=to if to is not None else url,
            message_id=message_id or self._ids.urn(),
            relates_to=effects.related(None, self._ids.urn),
            reply_to=None if one_way else anonymous(),
            source=EndpointReference(self._address) if self._address else None,
            parameters=parameters,
            headers=headers,
        )
        if effects.malformed:
            envelope = malform(envelope)
        packed = pack(envelope, pictures, self._ids)
        extra = [("Cache-Control", "no-cache"), ("Pragma", "no-cache"), ("Connection", "Keep-Alive")]
        chunk = self._style.chunk if pictures else None
        dress = http_request(target.path, target.authority, packed, headers=extra, chunk=chunk)
        if effects.delay:
            await self._clock.sleep(effects.delay)
        plan = WirePlan(dress.pieces)
        if effects.wire:
            plan = apply_to_wire(dress.head, dress.body, effects.wire)
        size = sum(len(picture.data) for picture in pictures)
        said = f"{name} to {target}" + (f", {size} bytes of image" if size else "")
        self._log.say(
            kind,
            said + (f" [{effects.describe()}]" if effects else ""),
            body=envelope,
            message=name,
            target=str(target),
        )
        start = self._clock.monotonic()
        try:
            http = await self._client.exchange(target, plan.pieces, end=plan.close, rate=plan.rate)
        except TargetUnreachable as error:
            self._log.say("failed", f"{name}: {error}", message=name, target=str(target))
            raise
        seconds = self._clock.monotonic() - start
        message = read_message(http)
        text = f"HTTP {http.status}" if message is None else f"{message.name} {http.status} {summary(message)}".rstrip()
        self._log.say(
            "received", f"{text} ({seconds * 1000:.0f} ms)",
            body=message.envelope.xml if message is not None and message.envelope is not None else None,
            message=message.name if message is not None else None, status=http.status,
        )  # fmt: skip
        return Reply(http, message, seconds)
