"""Exchanges: each request with its answer.

On TCP the order on the connection decides, since that is what the peers themselves go by; RelatesTo is the second
witness, and where the two disagree that is a finding. So messages with repeated or copied MessageIDs (notes-dsm 62)
are paired right. Over UDP there is RelatesTo only, and one Probe may get many answers: each is an exchange.

What waits for an answer is bounded twice: by ``Limits.unpaired`` for each connection and by :data:`WAITING` for all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from dissector.analysis.model import Exchange, Notification
from dissector.analysis.reading import frame_of, is_event, operation_of
from dissector.analysis.resting import Archive
from dissector.base.findings import Severity, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint
from dissector.messages import Message
from dissector.messages.ids import normal_id

__all__ = ["WAITING", "Exchanges", "Role", "Turn", "is_answer"]

WAITING = 100_000
"""Requests of all connections that wait for an answer; the oldest is given up."""

SAME_ID = 1000
"""Waiting requests of one MessageID that are looked at for an answer, the oldest ones."""

ANSWERED = 10_000
"""Answered requests remembered, to know a second answer."""

DISAGREEMENT = rule(
    "exchange.disagreement",
    "warn",
    "the answer relates to another message than the request before it on the connection",
    "WS-Addressing 2.3; dsp.yaml P08",
)
OTHER_OPERATION = rule(
    "exchange.operation", "warn", "the answer belongs to another operation than its request", "wsscan.yaml Q01"
)
UNANSWERED = rule("exchange.unanswered", "warn", "the request has no answer in the capture", "SOAP 1.2 part 2, 7")
NO_REQUEST = rule("exchange.no-request", "note", "the request of this answer is not in the capture")
SECOND_ANSWER = rule("exchange.second-answer", "error", "the request was answered twice", "dsp.yaml P11")
HTTP_ERROR = rule("exchange.http-error", "warn", "the request was refused by HTTP, without a SOAP fault")
REPLY_TO = rule(
    "exchange.reply-to", "note", "the answer is not addressed to where the request wanted it", "dsp.yaml P09"
)


class Role(Enum):
    """What a message is to its exchange."""

    REQUEST = "request"
    ANSWER = "answer"
    ALONE = "alone"
    """A one-way datagram such as Hello."""
    REPEAT = "repeat"
    """A copy of a datagram that was already seen."""


@dataclass(slots=True)
class Turn:
    """What is known of a message once it was paired.

    Attributes:
        exchange: None for ALONE and REPEAT.
        request: for an answer: number of the request, None where it is not known.
        operation: of the request, where that is known, else of the message itself.
        late: the answer came after a first one.
        notification: the event that this message is or answers.
    """

    role: Role
    exchange: Exchange | None = None
    request: int | None = None
    operation: str = ""
    late: bool = False
    notification: Notification | None = None


class _Marks:
    """Which numbers were seen, a bit for each: the streams of a capture are numbered from 0 without gaps."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        """It was seen."""
        at = number >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1 - len(self._bits)))
        self._bits[at] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bits) and bool(self._bits[at] >> (number & 7) & 1)


class _Ids:
    """Normal MessageID → numbers of the requests that wait under it, in order. Nearly always there is one."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[str, int | OrderedDict[int, None]] = {}

    def add(self, ident: str, number: int) -> None:
        """One more waits."""
        some = self._numbers.get(ident)
        if some is None:
            self._numbers[ident] = number
        elif isinstance(some, int):
            self._numbers[ident] = OrderedDict([(some, None), (number, None)])
        else:
            some[number] = None

    def drop(self, ident: str, number: int) -> None:
        """It waits no more."""
        some = self._numbers.get(ident)
        if some == number:
            del self._numbers[ident]
        elif isinstance(some, OrderedDict):
            some.pop(number, None)
            if not some:
                del self._numbers[ident]

    def of(self, ident: str) -> Iterable[int]:
        """Those of an id."""
        some = self._numbers.get(ident)
        return () if some is None else (some,) if isinstance(some, int) else some

    def clear(self) -> None:
        """Nobody waits."""
        self._numbers.clear()


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its answer; ``place``: of its exchange."""

    number: int
    place: int
    operation: str
    ident: str
    stream: tuple[str, int]
    source: Endpoint
    destination: Endpoint
    event: bool
    time: int
    frame: int
    reply_to: str | None


def is_answer(message: Message) -> bool:
    """It answers something: an HTTP response, a SOAP response or fault, ProbeMatches, ResolveMatches."""
    if message.http is not None and not message.http.is_request:
        return True
    if message.kind in ("response", "fault"):
        return True
    return message.http is None and message.name in ("ProbeMatches", "ResolveMatches")


class Exchanges:
    """Pairs requests and answers as they come."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._archive: Archive[Exchange] = Archive()
        self._limits = limits
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._streams: dict[tuple[str, int], dict[int, None]] = {}
        self._ids = _Ids()
        self._answered: OrderedDict[int, int] = OrderedDict()
        self._two_way = {"tcp": _Marks(), "udp": _Marks()}
        self._taken: OrderedDict[str, int] = OrderedDict()
        self._carried: OrderedDict[int, None] = OrderedDict()

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """In the order of their requests (or of the answer, where the request is not known)."""
        return self._archive.items

    def feed(self, message: Message) -> Turn:
        """Take the next message and say what it is to its exchange."""
        if message.repeat_of is not None:
            return Turn(Role.REPEAT, operation=operation_of(message))
        if is_answer(message):
            return self._answer(message)
        if message.http is None and message.stream.protocol == "udp" and message.name in ("Hello", "Bye"):
            return Turn(Role.ALONE, operation=operation_of(message))
        return self._request(message)

    def finish(self) -> None:
        """No more messages: what still waits stays unanswered."""
        for waiting in self._waiting.values():
            self._unanswered(waiting)
        self._waiting.clear()
        self._streams.clear()
        self._ids.clear()
        self._answered.clear()
        self._taken.clear()
        self._carried.clear()

    # -- requests -----------------------------------------------------------------------------------------------

    def _request(self, message: Message) -> Turn:
        exchange = Exchange(
            service=message.service,
            operation=operation_of(message),
            request=message.number,
            response=None,
            by="",
            client=message.source,
            server=message.destination,
            time=message.time,
            message_id=message.message_id,
        )
        place = self._archive.append(exchange)
        reply = message.envelope.addressing.reply_to if message.envelope is not None else None
        waiting = _Waiting(
            message.number,
            place,
            exchange.operation,
            normal_id(message.message_id),
            (message.stream.protocol, message.stream.number),
            message.source,
            message.destination,
            is_event(message),
            message.time,
            frame_of(message),
            reply.address if reply is not None else None,
        )
        self._waiting[message.number] = waiting
        stream = self._streams.setdefault(waiting.stream, {})
        stream[message.number] = None
        if message.message_id:
            self._ids.add(waiting.ident, message.number)
        if len(stream) > self._limits.unpaired:
            self._give_up(next(iter(stream)))
        elif len(self._waiting) > WAITING:
            self._give_up(next(iter(self._waiting)))
        return Turn(Role.REQUEST, exchange, operation=exchange.operation)

    def _give_up(self, number: int) -> None:
        waiting = self._waiting[number]
        self._forget(waiting)
        self._unanswered(waiting)

    def _forget(self, waiting: _Waiting) -> None:
        self._waiting.pop(waiting.number, None)
        stream = self._streams.get(waiting.stream)
        if stream is not None:
            stream.pop(waiting.number, None)
            if not stream:
                del self._streams[waiting.stream]
        self._ids.drop(waiting.ident, waiting.number)

    def _unanswered(self, waiting: _Waiting) -> None:
        exchange = self._archive.edit(waiting.place)
        if exchange.response is not None or waiting.stream[0] == "udp":
            return
        protocol, number = waiting.stream
        one_way = number not in self._two_way[protocol]
        text = f"{waiting.operation or 'the request'} (frame {waiting.frame}) has no answer in the capture"
        if one_way:
            text += ", nor has any request on this connection"
        exchange.findings.append(
            UNANSWERED(
                text, frames=_frames(waiting.frame), severity=Severity.NOTE if one_way or waiting.event else None
            )
        )

    # -- answers ------------------------------------------------------------------------------------------------

    def _answer(self, message: Message) -> Turn:
        self._two_way[message.stream.protocol].add(message.stream.number)
        if message.request in self._carried:
            return Turn(Role.ALONE)
        if message.http is not None and message.http.is_request:
            self._carried[message.number] = None
            if len(self._carried) > ANSWERED:
                self._carried.popitem(last=False)
        waiting = self._waiting.get(message.request) if message.request is not None else None
        if waiting is not None:
            return self._paired(message, waiting, "connection")
        if message.request is not None and message.request in self._answered:
            return self._second(message, self._archive.edit(self._answered[message.request]))
        waiting = self._by_id(message)
        if waiting is not None:
            return self._paired(message, waiting, "relates-to")
        waiting = self._by_order(message)
        if waiting is not None:
            return self._paired(message, waiting, "connection")
        taken = self._taken.pop(normal_id(message.relates_to), None) if message.relates_to else None
        return self._orphan(message) if taken is None else self._delivered(message, self._archive.edit(taken))

    def _by_id(self, message: Message) -> _Waiting | None:
        """The waiting request that RelatesTo names. A MessageID that several carry is settled by the connection,
        else by the addresses, else it names the oldest."""
        numbers = self._ids.of(normal_id(message.relates_to))
        if not numbers:
            return None
        stream = (message.stream.protocol, message.stream.number)
        candidates = [self._waiting[number] for number in islice(numbers, SAME_ID)]
        same = [w for w in candidates if w.stream == stream and w.source == message.destination]
        if not same:
            same = [w for w in candidates if w.source.address == message.destination.address]
        if message.stream.protocol == "tcp":
            same = [w for w in same if w.destination.address == message.source.address]
        return same[0] if same else None

    def _by_order(self, message: Message) -> _Waiting | None:
        """The only request that waits on the connection, for an answer that the reader could not place and that
        does not relate to another message."""
        if message.http is None or message.relates_to or message.request is not None:
            return None
        numbers = self._streams.get((message.stream.protocol, message.stream.number))
        if not numbers or len(numbers) != 1:
            return None
        waiting = self._waiting[next(iter(numbers))]
        return waiting if waiting.source == message.destination else None

    def _paired(self, message: Message, waiting: _Waiting, by: str) -> Turn:
        place = waiting.place
        exchange = self._archive.edit(place)
        if exchange.response is not None:  # a further answer to a datagram
            exchange = Exchange(
                exchange.service, exchange.operation, exchange.request, None, by, exchange.client, message.source,
                exchange.time, message_id=exchange.message_id,
            )  # fmt: skip
            place = self._archive.append(exchange)
        related, asked = normal_id(message.relates_to), waiting.ident
        if by == "connection" and related and asked:
            if related == asked:
                by = "both"
            else:
                self._disagrees(message, waiting, exchange)
        exchange.response = message.number
        exchange.by = by
        exchange.latency = max(message.first_time - waiting.time, 0)
        exchange.status = message.status
        exchange.fault = _fault_code(message)
        if message.stream.protocol == "udp":
            exchange.server = message.source
        else:
            self._forget(waiting)
            self._answered[waiting.number] = place
            if len(self._answered) > ANSWERED:
                self._answered.popitem(last=False)
            if message.envelope is None and message.status == 202 and not waiting.event and exchange.message_id:
                self._taken[waiting.ident] = place
                if len(self._taken) > ANSWERED:
                    self._taken.popitem(last=False)
        self._judge(message, waiting, exchange)
        return Turn(Role.ANSWER, exchange, waiting.number, exchange.operation)

    def _disagrees(self, message: Message, waiting: _Waiting, exchange: Exchange) -> None:
        others = self._ids.of(normal_id(message.relates_to))
        known = f"that of message {next(iter(others))}" if others else "that of no request that waits here"
        exchange.findings.append(
            DISAGREEMENT(
                f"by its place on the connection frame {frame_of(message)} answers {exchange.operation} in "
                f"frame {waiting.frame}, but its RelatesTo {message.relates_to} is {known} "
                f"(expected {exchange.message_id}); the connection was followed",
                frames=_frames(waiting.frame, frame_of(message)),
            )
        )

    def _judge(self, message: Message, waiting: _Waiting, exchange: Exchange) -> None:
        frames = _frames(waiting.frame, frame_of(message))
        status = message.status
        if status is not None and status >= 400 and message.fault is None and not waiting.event:
            exchange.findings.append(
                HTTP_ERROR(
                    f"{exchange.operation or 'the request'} was answered {_status(message)} without a SOAP fault",
                    frames=frames,
                )
            )
        answered = message.operation
        if message.kind == "response" and answered and exchange.operation and answered != exchange.operation:
            exchange.findings.append(
                OTHER_OPERATION(f"{exchange.operation} was answered by {message.name}", frames=frames)
            )
        if waiting.reply_to and message.to and not _same_address(waiting.reply_to, message.to):
            exchange.findings.append(
                REPLY_TO(f"the answer's To is {message.to}, the request's ReplyTo {waiting.reply_to}", frames=frames)
            )

    def _delivered(self, message: Message, exchange: Exchange) -> Turn:
        """The answer to a request that was first only taken in (HTTP 202), on a connection of its own."""
        exchange.response = message.number
        exchange.by = "relates-to"
        exchange.fault = _fault_code(message)
        exchange.latency = max(message.first_time - exchange.time, 0)
        return Turn(Role.ANSWER, exchange, exchange.request, exchange.operation)

    def _second(self, message: Message, exchange: Exchange) -> Turn:
        exchange.findings.append(
            SECOND_ANSWER(
                f"{exchange.operation or 'the request'} has a second answer, {message.name}, "
                f"in frame {frame_of(message)}",
                frames=_frames(frame_of(message)),
            )
        )
        return Turn(Role.ANSWER, exchange, exchange.request, exchange.operation, late=True)

    def _orphan(self, message: Message) -> Turn:
        exchange = Exchange(
            service=message.service,
            operation=operation_of(message) if message.envelope is not None else "",
            request=message.request,
            response=message.number,
            by="connection" if message.request is not None else "",
            client=message.destination,
            server=message.source,
            time=message.time,
            status=message.status,
            fault=_fault_code(message),
            message_id=None,
        )
        exchange.findings.append(
            NO_REQUEST(
                f"the request that {message.name} in frame {frame_of(message)} answers is not in the capture",
                frames=_frames(frame_of(message)),
            )
        )
        self._archive.append(exchange)
        return Turn(Role.ANSWER, exchange, message.request, exchange.operation)


def _frames(*numbers: int) -> tuple[int, ...]:
    return tuple(sorted({number for number in numbers if number}))


def _fault_code(message: Message) -> str | None:
    return (message.fault.subcode or message.fault.code) if message.fault is not None else None


def _status(message: Message) -> str:
    reason = message.http.reason if message.http is not None else ""
    return f"HTTP {message.status} {reason}".rstrip()


def _same_address(one: str, other: str) -> bool:
    """Two addresses are the same; the anonymous ones of all addressing versions are."""
    anonymous = "/anonymous"
    return one == other or (one.endswith(anonymous) and other.endswith(anonymous))
