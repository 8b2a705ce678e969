"""Messages in the order in which they became known, each answer with its request.

The transport hands over whole batches of one direction at a time, so messages become known out of order inside a
block; they are sorted by the frame that completed them, which makes the result independent of how the input was
cut into blocks. An answer never comes before its request: one that overtakes it (a fault sent while the image is
still coming in) waits for it.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from dissector.base.findings import Finding, rule
from dissector.base.limits import Limits
from dissector.http.model import HttpMessage
from dissector.http.pairing import SWAPPED
from dissector.messages import Message, MessageBuilder
from dissector.messages.ids import normal_id
from dissector.transport.model import Datagram
from dissector.transport.tally import Tally

if TYPE_CHECKING:
    from dissector.http.packed import Packed

__all__ = ["DISCOVERY_PORT", "Entry", "MessageOrder"]

DISCOVERY_PORT = 3702

REMEMBERED_IDS = 10_000
"""MessageIDs of datagrams remembered to tell repeats; repeats come within a second (SOAP-over-UDP 3.4)."""

LONGEST_ID = 1000
"""Characters of a MessageID that is remembered; a longer one is no identifier but a burden."""

SHOWN = 100
"""Frames named by one finding."""

SAME_ID = rule(
    "udp.same-id-differs",
    "note",
    "a datagram has the MessageID of an earlier one of the same sender, but other content",
    "SOAP-over-UDP 4.4",
)
LIMITS_ELSEWHERE = rule("http.limits-elsewhere", "note", "HTTP messages without SOAP hit a limit of what is read")
NOT_SOAP = rule("udp.not-soap", "note", "datagrams on the discovery port hold no SOAP message", "WS-Discovery 2.4")


class Asked(NamedTuple):
    """What is remembered of a request until its answer comes: not the message, since thousands may wait."""

    number: int
    service: str
    wsd: bool
    message_id: str | None


class Early(NamedTuple):
    """An answer whose request was not told before it: the frame until which it waits, its place in the order of what
    was read, and the message that it carries."""

    until: int
    place: int
    http: HttpMessage
    message: Message | None


class Seen(NamedTuple):
    """What is remembered of a datagram, to tell its repeats."""

    number: int
    frame: int
    address: str
    content: int
    """Hash of its bytes, by a key of this process."""


Entry = tuple[int, int, int, "HttpMessage | Datagram | Packed | bytes"]
"""What was read, on its way to be told: trigger, first frame, its place in the order of reading. It is packed
where another process is to tell it."""


class MessageOrder:
    """Makes messages of what was read, and gives them in order.

    Args:
        builder: makes them.
        limits: ``unpaired`` is used.
        findings: takes the findings that belong to no message.
        on_http: called with every HTTP message, SOAP or not, in order.

    Attributes:
        not_soap: how many datagrams on the discovery port hold no SOAP message.
    """

    def __init__(
        self,
        builder: MessageBuilder,
        limits: Limits,
        findings: list[Finding],
        on_http: Callable[[HttpMessage], None] | None = None,
    ) -> None:
        self.not_soap = 0
        self._not_soap: list[int] = []
        self._builder = builder
        self._limits = limits
        self._limits_elsewhere = Tally(
            findings, LIMITS_ELSEWHERE, lambda n: f"{n} HTTP messages without SOAP hit a limit of what is read"
        )
        self._on_http = on_http
        self._numbered_so_far = 0
        self._open_requests: OrderedDict[tuple[int, int], Asked | None] = OrderedDict()
        self._waiting: OrderedDict[tuple[int, int], Early] = OrderedDict()
        self._early: list[Early] = []
        self._seen_ids: OrderedDict[str, Seen] = OrderedDict()

    def findings(self) -> list[Finding]:
        """On datagrams that hold no message; complete at the end."""
        if not self.not_soap:
            return []
        count = self.not_soap
        text = (
            f"{count} datagram{'s' if count > 1 else ''} on port {DISCOVERY_PORT} "
            f"{'hold' if count > 1 else 'holds'} no SOAP message"
        )
        return [NOT_SOAP(text, frames=self._not_soap)]

    def told(self, batch: list[Entry]) -> Iterator[Message]:
        """The messages that are known with these entries."""
        batch.sort(key=lambda entry: entry[:3])
        for trigger, _, count, item in batch:
            if self._early:
                yield from self._overdue(trigger)
            if isinstance(item, Datagram):
                yield from self._udp_message(item)
                continue
            if isinstance(item, bytes):
                item = _unpacked(item)
            assert isinstance(item, HttpMessage)
            if self._on_http is not None:
                self._on_http(item)
            if item.is_request:
                key = (item.stream.number, item.origin.ranges.pieces[0][1])
                message = self._soap(item)
                asked = None
                if message is not None:
                    yield from self._numbered(message)
                    asked = Asked(message.number, message.service, message.wsd, _remembered(message.message_id))
                self._open_requests[key] = asked
                while len(self._open_requests) > self._limits.unpaired * 10:
                    self._open_requests.popitem(last=False)
                if self._early:
                    yield from self._meet_early(key, asked)
                waiting = self._waiting.pop(key, None)
                if waiting is not None:
                    yield from self._message(waiting.http, waiting.message, self._open_requests.pop(key, None))
            elif item.status // 100 == 1:
                continue
            else:
                key = (item.stream.number, -1 if item.answers is None else item.answers)
                message = self._soap(item)
                if key in self._open_requests:
                    yield from self._message(item, message, self._open_requests.pop(key))
                else:
                    self._early.append(Early(item.trigger + SWAPPED, count, item, message))

    def finish(self) -> Iterator[Message]:
        """Nothing more is read: the messages that waited."""
        yield from self._overdue(sys.maxsize)
        # Requests of these were lost or never became whole.
        for _, _, http, message in list(self._waiting.values()):
            yield from self._message(http, message, None)
        self._waiting.clear()

    def met(self, place: int, answers: int) -> None:
        """The request of an answer that was given before turned up: its place in the other direction."""
        for early in self._early:
            if early.place == place:
                early.http.answers = answers

    # -- answers before their requests ----------------------------------------------------------------------------
    #
    # Such an answer is held back for SWAPPED frames: its request may have been captured a few frames late (a capture
    # can swap packets of the two directions), and its head may still be coming in, or wait behind a gap. Whether its
    # place is known meanwhile depends on how the capture is cut into blocks, and must make no difference.

    def _meet_early(self, key: tuple[int, int], request: Asked | None) -> Iterator[Message]:
        """A request came: is there its answer? What an answer says itself goes before its place."""
        mine = [early for early in self._early if early.http.stream.number == key[0]]
        related = [early for early in mine if _says_so(early.message, request)]
        placed = [early for early in mine if early.http.answers == key[1]]
        if not (related or placed):
            return
        chosen = (related or placed)[0]
        self._early.remove(chosen)
        for other in placed:
            if other is not chosen:
                # Its request is taken: it may say itself which one it answers.
                other.http.answers = None
        self._open_requests.pop(key, None)
        if related and chosen.message is not None:
            yield from self._answered(chosen.message, request)
        else:
            yield from self._message(chosen.http, chosen.message, request)

    def _overdue(self, trigger: int) -> Iterator[Message]:
        while self._early and (self._early[0].until < trigger or len(self._early) > self._limits.unpaired):
            early = self._early.pop(0)
            _, _, http, message = early
            if http.answers is None:
                if message is not None:
                    yield from self._numbered(message)
                continue
            # The request has begun and is not whole: the answer waits for it.
            self._waiting[http.stream.number, http.answers] = early
            if len(self._waiting) > self._limits.unpaired:
                _, _, http, message = self._waiting.popitem(last=False)[1]
                yield from self._message(http, message, None)

    def _soap(self, http: HttpMessage) -> Message | None:
        """The message that is carried. Where there is none its findings are nobody's, but for limits that were hit: of
        what is behind them nothing is known."""
        message = self._builder.from_http(http)
        if message is None and http.findings:
            for finding in http.findings:
                if finding.rule.endswith("-limit"):
                    self._limits_elsewhere.add(http.first_frame)
                    break
        return message

    # -- messages ------------------------------------------------------------------------------------------------

    def _message(self, http: HttpMessage, message: Message | None, request: Asked | None) -> Iterator[Message]:
        """An answer, the message that it carries, and its request."""
        if message is None:
            if request is None:
                return
            message = self._builder.bare_answer(http, request.service, wsd=request.wsd)
        elif request is not None and http.behind_loss and _of_another(message, request):
            request = None
        yield from self._answered(message, request)

    def _answered(self, message: Message, request: Asked | None) -> Iterator[Message]:
        if request is not None:
            message.request = request.number or None
            if message.kind == "fault" and request.wsd:
                message.wsd = True
                message.service = request.service or message.service
        yield from self._numbered(message)

    def _udp_message(self, datagram: Datagram) -> Iterator[Message]:
        message = self._builder.from_datagram(datagram)
        if message is None:
            if DISCOVERY_PORT in (datagram.stream.source.port, datagram.stream.destination.port):
                self.not_soap += 1
                if len(self._not_soap) < SHOWN:
                    self._not_soap.append(datagram.frame)
            return
        ident = _remembered(message.message_id)
        if ident is None:
            yield from self._numbered(message)
            return
        first = self._seen_ids.get(ident)
        content = hash(datagram.data)
        if first is None:
            # The number is given below, and is known before the next datagram is looked at.
            number = self._numbered_so_far + 1 if message.wsd else 0
            self._seen_ids[ident] = Seen(number, message.frames[0], message.source.address, content)
            if len(self._seen_ids) > REMEMBERED_IDS:
                self._seen_ids.popitem(last=False)
        elif first.content == content:
            message.repeat_of = first.number
        elif first.address == message.source.address:
            message.findings.append(
                SAME_ID(
                    f"MessageID {ident} was already used in frame {first.frame} for other content",
                    frames=(first.frame, *message.frames),
                )
            )
        yield from self._numbered(message)

    def _numbered(self, message: Message) -> Iterator[Message]:
        if message.wsd:
            self._numbered_so_far += 1
            message.number = self._numbered_so_far
        yield message


def _unpacked(data: bytes) -> HttpMessage:
    from dissector.http.packed import unpack

    return unpack(data)


def _says_so(answer: Message | None, request: Asked | None) -> bool:
    """An answer says that it is that of this request."""
    return answer is not None and request is not None and answer.relates_to == request.message_id is not None


def _of_another(answer: Message, request: Asked) -> bool:
    """An answer says that it is that of another request: behind a loss its own may be what is missing."""
    one, other = normal_id(answer.relates_to), normal_id(request.message_id)
    return bool(one) and bool(other) and one != other


def _remembered(ident: str | None) -> str | None:
    """A MessageID that is worth remembering, None where there is none."""
    return ident if ident and len(ident) <= LONGEST_ID else None
