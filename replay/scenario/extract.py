"""A capture as a scenario: which messages belong to the story, who said them, what a replay must change.

A story has two sides: one that asks (a DSM device, a scanning client, a control point) and one that answers (a scan
server, a scanner), which also sends the events. Several connections of one story stay one story.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dissector
from dissector.base.errors import UnreadableInput, UsageError
from dissector.messages import Message
from replay.scenario.correlate import find_values
from replay.scenario.material import Material
from replay.scenario.model import Bound, Party, Scenario, Step, Wire
from replay.scenario.places import spans, text_at
from replay.scenario.values import Place, Value, base_of
from replay.scenario.wires import Span, take

__all__ = ["Choice", "Story", "extract", "stories"]

ASKING = {
    "WS-DSP": ("device", "DSM device", "server", "scan server"),
    "WS-Scan": ("client", "client", "scanner", "scanner"),
    "WS-DSC": ("control", "control point", "server", "scan server"),
    "WS-DSD": ("control", "control point", "scanner", "DSM device"),
}
"""Service → name and role of the side that asks, and of the side that answers."""


@dataclass(slots=True)
class Choice:
    """Which part of a capture is taken; all empty: the only story there is.

    Attributes:
        job: beginning of a JobToken, or a JobId.
        host: address of one side.
        service: such as ``WS-DSP``.
        stream: number of a TCP conversation.
    """

    job: str = ""
    host: str = ""
    service: str = ""
    stream: int | None = None


@dataclass(slots=True)
class Story:
    """What belongs together: messages between two hosts.

    Attributes:
        asking, answering: addresses of the two sides.
        service: the main one.
        messages: in order.
        jobs: what ids of jobs are in it.
    """

    asking: str
    answering: str
    service: str
    messages: list[Message] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    @property
    def roles(self) -> tuple[str, str]:
        """Roles of the two sides."""
        _, one, _, other = ASKING.get(self.service, ("client", "client", "peer", "peer"))
        return one, other


def stories(messages: Sequence[Message]) -> list[Story]:
    """The stories in a capture, in order of their first message.

    On one machine both sides can have one address: then the listening end tells who answers.
    """
    found: dict[tuple[str, str], Story] = {}
    served = {str(one.destination) for one in messages if one.kind == "request" and one.service in ASKING}
    for message in messages:
        if message.http is None or not message.wsd:
            continue
        by_answerer = _from_answerer(message, served)
        source, destination = message.source.address, message.destination.address
        asking, answering = (destination, source) if by_answerer else (source, destination)
        story = found.setdefault((asking, answering), Story(asking, answering, ""))
        story.messages.append(message)
        if not story.service and message.service in ASKING:
            story.service = message.service
    return [story for story in found.values() if story.service]


def _from_answerer(message: Message, served: set[str]) -> bool:
    """Whether the side that answers sent it: an answer to a request, or an event and what belongs to it."""
    notice = message.kind == "event" or message.name == "SubscriptionEnd"
    if message.kind in ("request", "event"):
        return notice
    # An answer: from a served end it is the answerer's; a sink's 202 comes from an end that nobody asks anything.
    return str(message.source) in served or not _is_sink_answer(message)


def _is_sink_answer(message: Message) -> bool:
    # Some sinks answer an event with SOAP.
    plain = message.name.startswith("HTTP ") or message.name.endswith("EventResponse")
    return plain and message.http is not None and not message.http.is_request


def extract(path: str | Path, choice: Choice | None = None, *, plays: str = "") -> tuple[Scenario, dict[str, Material]]:
    """A scenario out of a capture.

    Args:
        path: of the capture.
        choice: which story.
        plays: name of the party that is played unless told otherwise, default the side that asks.

    Returns:
        The scenario, and file name → bytes.

    Raises:
        UnreadableInput: the capture cannot be read, or no story is in it.
        UsageError: several stories fit.
    """
    choice = choice or Choice()
    with dissector.open(str(path), keep=True) as capture:
        messages = [one for one in capture.messages if one.http is not None]
        jobs = {job.id: job for job in capture.jobs if job.id}
        pairs = {one.request: one.response for one in capture.exchanges if one.request is not None}
        story = _chosen(stories(messages), choice, list(jobs), path)
        known = {one.number: one for one in messages}
        return _Extraction(story, pairs, Path(path).name, known, plays).scenario()


def _chosen(found: list[Story], choice: Choice, jobs: list[str], path: str | Path) -> Story:
    fitting = [
        story
        for story in found
        if choice.host in ("", story.asking, story.answering)
        and choice.service in ("", story.service)
        and (choice.stream is None or any(one.stream.number == choice.stream for one in story.messages))
        and (not choice.job or any(_of_job(one, choice.job) for one in story.messages))
    ]
    if not fitting:
        raise UnreadableInput(f"{path}: no sequence in it fits; “--list” shows what there is ({len(found)} sequences)")
    if len(fitting) > 1:
        told = ", ".join(f"{one.asking} and {one.answering}" for one in fitting)
        raise UsageError(f"{path}: several sequences fit: {told}; choose one by --host, --service or --job")
    story = fitting[0]
    if choice.job:
        others = [job for job in jobs if not job.lower().startswith(choice.job.lower())]
        story.messages = [one for one in story.messages if not any(_of_job(one, job) for job in others)]
    return story


def _of_job(message: Message, job: str) -> bool:
    body = message.body
    if body is None:
        return False
    todo = [body]
    while todo:
        one = todo.pop()
        if one.name in ("JobToken", "JobId") and one.text.strip().strip("{}").lower().startswith(job.lower()):
            return True
        todo.extend(one.children)
    return False


class _Extraction:
    """One story on its way to a scenario."""

    def __init__(
        self, story: Story, pairs: dict[int, int | None], capture: str, known: dict[int, Message], plays: str
    ) -> None:
        self.story = story
        self.capture = capture
        asking, role, answering, other = ASKING[story.service]
        self.asking, self.answering = Party(asking, role), Party(answering, other)
        if plays not in ("", asking, answering):
            raise UsageError(f"--as {plays}: the parties are {asking} and {answering}")
        self.plays = plays or asking
        self.answers = {request: known.get(answer) for request, answer in pairs.items() if answer is not None}
        self.asked: dict[int, Message] = {}
        """Number of an answer → its request."""
        for one in story.messages:
            answer = self.answers.get(one.number)
            if answer is not None:
                self.asked[answer.number] = one
        self.requests = [
            one
            for one in story.messages
            if one.http is not None and one.http.is_request and one.number not in self.asked
        ]
        self.messages: list[Message] = []
        """All messages, each request with its answer behind it."""
        for request in self.requests:
            self.messages.append(request)
            answer = self.answers.get(request.number)
            if answer is not None:
                self.messages.append(answer)
        self.index = {one.number: place for place, one in enumerate(self.messages)}
        streams = dict.fromkeys(one.stream.number for one in self.requests)
        self.connections = {stream: place for place, stream in enumerate(streams, start=1)}
        self.contents: dict[str, Material] = {}
        self.missing: list[str] = []

    def scenario(self) -> tuple[Scenario, dict[str, Material]]:
        values = find_values(self.messages, self._sender, self._receiver)
        by_message: dict[int, list[tuple[Value, Place]]] = {}
        for value in values:
            for place in value.places:
                by_message.setdefault(place.message, []).append((value, place))
        steps = [self._step(number, request, by_message) for number, request in enumerate(self.requests, start=1)]
        step_of = {self.index[one.number]: number for number, one in enumerate(self.requests, start=1)}
        bound = {value.name: self._bound(value, step_of) for value in values}
        for party in (self.asking, self.answering):
            party.bases = self._bases(party.name)
        parties = {one.name: one for one in (self.asking, self.answering)}
        name = f"{self.asking.role} and {self.answering.role}"
        made = Scenario(name, self.capture, parties, self.plays, bound, steps, missing=self.missing)
        return made, self.contents

    def _notice(self, message: Message) -> bool:
        return message.kind == "event" or message.name == "SubscriptionEnd"

    def _sender(self, message: Message) -> str:
        """Name of the party that said it."""
        if message.number in self.asked:
            request = self.asked[message.number]
            return self.asking.name if self._notice(request) else self.answering.name
        return self.answering.name if self._notice(message) else self.asking.name

    def _receiver(self, message: Message) -> str:
        """Name of the other one."""
        return self.answering.name if self._sender(message) == self.asking.name else self.asking.name

    def _bases(self, party: str) -> tuple[str, ...]:
        """Where requests to a party went."""
        found = []
        for request in self.requests:
            if request.http is not None and self._sender(request) != party:
                host = request.http.header("Host") or str(request.destination)
                found.append(base_of(f"http://{host}/"))
        return tuple(dict.fromkeys(found))

    def _step(self, number: int, request: Message, by_message: dict[int, list[tuple[Value, Place]]]) -> Step:
        notice = self._notice(request)
        sender, receiver = (self.answering, self.asking) if notice else (self.asking, self.answering)
        answer = self.answers.get(request.number)
        stem = f"{number:03d}-{request.name}"
        if answer is None:
            self.missing.append(
                f"step {number}, {request.name}: the capture holds no answer (frame {request.frames[0]})"
            )
        if not request.complete:
            self.missing.append(f"step {number}, {request.name}: bytes are missing (frame {request.frames[0]})")
        start = self.requests[0].first_time
        frames = f"{request.frames[0]}–{request.frames[-1]}" if len(request.frames) > 1 else f"{request.frames[0]}"
        return Step(
            number, request.name, request.service, notice, sender.name, receiver.name,
            (request.first_time - start) / 1e9, (answer.time - request.time) / 1e9 if answer is not None else 0.0,
            self._wire(request, stem, by_message), self._wire(answer, f"{stem}-answer", by_message) if answer else None,
            f"frames {frames} of {self.capture}, after {(request.first_time - start) / 1e9:.3f} s",
            f"c{self.connections[request.stream.number]}",
        )  # fmt: skip

    def _wire(self, message: Message, stem: str, by_message: dict[int, list[tuple[Value, Place]]]) -> Wire:
        head: list[Span] = []
        xml: list[Span] = []
        for value, place in by_message.get(self.index[message.number], ()):
            found = [
                Span(start, end, value.name, value.recorded) for start, end in spans(message, place, value.recorded)
            ]
            (head if place.where in ("target", "http") else xml).extend(found)
        assert message.http is not None
        wire, contents = take(message.http, message, stem, head, xml)
        self.contents |= contents
        return wire

    def _bound(self, value: Value, step_of: dict[int, int]) -> Bound:
        bound = Bound(value.name, value.recorded, value.maker, value.kind, why=value.why, sure=value.sure)
        if not value.maker:
            bound.default = value.recorded
        born = value.born
        if born is not None:
            place = born.message
            # An answer stands behind its request; both are one step.
            step = step_of.get(place) or step_of.get(place - 1, 0)
            bound.step, bound.where, bound.path = step, born.where, born.path
            bound.part = "message" if place in step_of else "answer"
            whole = text_at(self.messages[place], born.where, born.path) or ""
            bound.within = whole if whole.strip() != value.recorded else ""
        return bound
