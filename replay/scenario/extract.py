"""A capture as a scenario: the steps of a story, who says them, what a replay must change.

Which messages belong together is told in ``stories``, who says them in ``parties``, what a replay must change in
``correlate``, how messages are kept in ``wires``, and what is missing in ``lacks``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dissector
from dissector.analysis.model import Job, Subscription
from dissector.base.errors import UsageError
from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.messages import Message
from dissector.output.notes import notes
from replay.scenario.correlate import find_values
from replay.scenario.lacks import (
    lacking_answers,
    lacking_births,
    lacking_bytes,
    lacking_of_capture,
    lacking_of_jobs,
    numbered,
)  # fmt: skip
from replay.scenario.material import Material
from replay.scenario.model import Birth, Bound, Party, Scenario, Step, Wire
from replay.scenario.parties import Round, named, rounds_of
from replay.scenario.places import Spotter
from replay.scenario.secret import Secrets
from replay.scenario.stories import Choice, Story, choose, stories_of
from replay.scenario.two import settle
from replay.scenario.values import Place, Value
from replay.scenario.wires import Span, exceptions, take

__all__ = ["Choice", "Extracted", "Recording", "extract", "extracted", "recorded"]

KEEP = 64 << 10
"""Bytes of a body held in memory: a capture may have thousands of pictures, so most go to a temporary file."""

PLAYED = ("device", "client", "control")
"""Names of the parties that begin a story, the likeliest to be played first."""

Paths = str | Path | Sequence[str | Path]


@dataclass(slots=True)
class Recording:
    """A capture that was read.

    Attributes:
        name: of its file.
        messages: over HTTP that belong to WSD, in order.
        rounds, stories, jobs, subscriptions: what is in it.
        findings: on the capture as a whole.
        notes: what one must know to understand what was not found, such as that there are no keys for TLS.
    """

    name: str
    messages: list[Message]
    rounds: list[Round]
    stories: list[Story]
    jobs: list[Job]
    subscriptions: list[Subscription]
    findings: list[Finding]
    notes: list[str]

    def story(self, choice: Choice) -> Story:
        """The story of a choice.

        Raises:
            UnreadableInput, UsageError: as :func:`~replay.scenario.stories.choose`.
        """
        return choose(self.stories, choice, self.jobs, self.subscriptions, self.name)


def recorded(path: Paths, *, limits: Limits = DEFAULT_LIMITS, **keys: Any) -> Recording:
    """Read a capture, with its bodies.

    Args:
        path: one, or the files of a rotated one.
        limits: of reading.
        keys: for TLS, as ``dissector.open`` takes them.

    Raises:
        UnreadableInput: it is not there, or no capture; or a key cannot be read.
    """
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    names = [str(one) for one in paths]
    with dissector.open(names, keep=True, limits=replace(limits, keep=KEEP), **keys) as capture:
        messages = [one for one in capture.messages if one.http is not None]
        secure = {one.number for one in capture.tls_opened}
        rounds = rounds_of(messages, capture.exchanges, capture.subscriptions, secure)
        jobs = list(capture.jobs)
        return Recording(
            os.path.basename(str(paths[0])), messages, rounds, stories_of(rounds, jobs), jobs, capture.subscriptions,
            capture.findings, notes(capture.stats, len(messages)),
        )  # fmt: skip


@dataclass(slots=True)
class Extracted:
    """What was made of a story.

    Attributes:
        scenario: to be saved.
        contents: file name → what is in it.
        values, messages: as :mod:`replay.scenario.explain` takes them: places of values are indices of messages.
        steps: index of a message → number of its step.
        inexact: messages that are there whole and do not come back to the byte, with the reason, in words.
    """

    scenario: Scenario
    contents: dict[str, Material]
    values: list[Value]
    messages: list[Message]
    steps: dict[int, int]
    inexact: list[str]


def extract(
    path: Paths, choice: Choice | None = None, *, plays: str = "", secrets: Secrets | None = None
) -> tuple[Scenario, dict[str, Material]]:
    """A scenario out of a capture.

    Args:
        path: of the capture.
        choice: which story.
        plays: name of the party that is played unless told otherwise, default the side that asks.
        secrets: values that are not written down.

    Returns:
        The scenario, and file name → what is in it.

    Raises:
        UnreadableInput: the capture cannot be read, or no story is in it.
        UsageError: several stories fit, or there is no such party.
    """
    recording = recorded(path)
    made = extracted(recording, recording.story(choice or Choice()), plays=plays, secrets=secrets)
    return made.scenario, made.contents


def extracted(
    recording: Recording,
    story: Story,
    *,
    plays: str = "",
    secrets: Secrets | None = None,
    other: Sequence[Round] = (),
) -> Extracted:
    """A scenario out of a story.

    Args:
        recording: that the story is in.
        story: chosen.
        plays, secrets: as for :func:`extract`.
        other: rounds of another recording of the same story: what differs settles the doubtful values.

    Raises:
        UsageError: there is no such party, or no such value for a secret.
    """
    return _Extraction(recording, story, plays, secrets or Secrets(), other).made()


@dataclass(slots=True)
class _Placed:
    """A message on its way to a file."""

    message: Message
    step: int
    part: str
    sender: str
    receiver: str
    spans: tuple[list[Span], list[Span]] = field(default_factory=lambda: ([], []))


class _Extraction:
    """One story on its way to a scenario."""

    def __init__(
        self, recording: Recording, story: Story, plays: str, secrets: Secrets, other: Sequence[Round]
    ) -> None:
        self._recording = recording
        self._rounds = story.rounds
        self._jobs = story.jobs
        self._secrets = secrets
        self._other = other
        self._actors = named(story.actors)
        names = {actor: name for name, actor in self._actors.items()}
        asking = {names[one.sender] for one in self._rounds if not one.notice}
        self._plays = plays or min(sorted(asking), key=_likely, default=names[self._rounds[0].sender])
        if self._plays not in self._actors:
            raise UsageError(f"--as {plays}: the parties are {' and '.join(self._actors)}")
        self._placed: list[_Placed] = []
        self._spotters: dict[int, Spotter] = {}
        """All messages, each request with its answer behind it."""
        for number, one in numbered(self._rounds):
            sender, receiver = names[one.sender], names[one.receiver]
            self._placed.append(_Placed(one.request, number, "message", sender, receiver))
            if one.answer is not None:
                self._placed.append(_Placed(one.answer, number, "answer", receiver, sender))
        self._names = names
        self._by_number = {one.message.number: one for one in self._placed}
        streams = dict.fromkeys(one.request.stream.number for one in self._rounds)
        self._connections = {stream: place for place, stream in enumerate(streams, start=1)}
        self._contents: dict[str, Material] = {}
        self._inexact: list[str] = []

    def made(self) -> Extracted:
        """The scenario with all that belongs to it."""
        messages = [one.message for one in self._placed]
        values = find_values(messages, self._sender, self._receiver)
        if self._other:
            values = settle(messages, [m for one in self._other for m in one.messages], values, self._sender)
        self._mark(values)
        bound = {value.name: self._bound(value) for value in values}
        self._secrets.hide(bound)
        steps = [self._step(number, one) for number, one in numbered(self._rounds)]
        missing = [*self._missing(values), *self._secrets.left(self._contents, bound.values())]
        title = _joined([actor.role for actor in self._actors.values()])
        scenario = Scenario(title, self._recording.name, self._parties(), self._plays, bound, steps, missing=missing)
        numbers = {place: one.step for place, one in enumerate(self._placed)}
        return Extracted(scenario, self._contents, values, messages, numbers, self._inexact)

    def _parties(self) -> dict[str, Party]:
        found = {}
        for name, actor in self._actors.items():
            bases = dict.fromkeys(one.base for one in self._rounds if one.receiver is actor)
            found[name] = Party(name, actor.role, tuple(bases))
        return found

    def _sender(self, message: Message) -> str:
        return self._by_number[message.number].sender

    def _receiver(self, message: Message) -> str:
        return self._by_number[message.number].receiver

    def _missing(self, values: Sequence[Value]) -> list[str]:
        found = lacking_of_capture(self._recording.findings, self._rounds)
        found += lacking_of_jobs(self._jobs, self._rounds)
        found += lacking_answers(self._rounds, self._recording.messages)
        for one in self._placed:
            found += lacking_bytes(one.step, one.message, answer=one.part == "answer")
        return [*found, *lacking_births(values)]

    # -- steps ---------------------------------------------------------------------------------------------------

    def _mark(self, values: Sequence[Value]) -> None:
        """Find the bytes of the values in the messages."""
        for value in values:
            for place in value.places:
                placed, spotter = self._placed[place.message], self._spotter(place)
                into = placed.spans[0 if place.where in ("target", "http") else 1]
                into += [Span(*ends, value.name, value.recorded) for ends in spotter.spans(place, value.recorded)]

    def _spotter(self, place: Place) -> Spotter:
        """Of the message of a place; each is looked through once."""
        spotter = self._spotters.get(place.message)
        if spotter is None:
            spotter = self._spotters[place.message] = Spotter(self._placed[place.message].message)
        return spotter

    def _step(self, number: int, one: Round) -> Step:
        request, answer = one.request, one.answer
        stem = f"{number:03d}-{_safe(request.name)}"
        after = (request.first_time - self._rounds[0].request.first_time) / 1e9
        frames = request.frames
        told = f"frames {frames[0]}–{frames[-1]}" if len(frames) > 1 else f"frame {frames[0] if frames else '?'}"
        return Step(
            number, request.name, request.service, one.notice, self._names[one.sender], self._names[one.receiver],
            max(after, 0.0), max(answer.time - request.time, 0) / 1e9 if answer is not None else 0.0,
            self._wire(request, stem), self._wire(answer, f"{stem}-answer") if answer is not None else None,
            f"{told} of {self._recording.name}, after {after:.3f} s",
            f"c{self._connections[request.stream.number]}",
        )  # fmt: skip

    def _wire(self, message: Message, stem: str) -> Wire:
        assert message.http is not None
        wire, contents = take(message.http, message, stem, *self._by_number[message.number].spans)
        self._secrets.clear(wire)
        if message.http.complete:
            placed = self._by_number[message.number]
            where = f"step {placed.step}, {message.name}{' (answer)' if placed.part == 'answer' else ''}"
            self._inexact += [f"{where}: {reason}" for reason in exceptions(message.http, message)]
        self._contents |= contents
        return wire

    # -- values --------------------------------------------------------------------------------------------------

    def _bound(self, value: Value) -> Bound:
        # Why a MessageID is one needs not be said at each of them.
        why = value.why if value.kind != "message_id" else ""
        bound = Bound(value.name, value.recorded, value.maker, value.kind, why=why, sure=value.sure)
        if not value.maker:
            bound.default = value.recorded
        if value.born is not None:
            birth = self._birth(value, value.born)
            bound.step, bound.part, bound.where = birth.step, birth.part, birth.where
            bound.path, bound.within = birth.path, birth.within
            bound.again = self._again(value, value.born)
        return bound

    def _birth(self, value: Value, place: Place) -> Birth:
        placed = self._placed[place.message]
        whole = self._spotter(place).text(place)
        within = whole if whole.strip() != value.recorded else ""
        return Birth(placed.step, placed.part, place.where, place.path, within)

    def _again(self, value: Value, born: Place) -> list[Birth]:
        """Where other parties than the one it was handed out to get to know a value."""
        knowing = {value.maker, self._placed[born.message].receiver}
        found = []
        for place in value.uses:
            placed = self._placed[place.message]
            knowing.add(placed.sender)
            if placed.receiver not in knowing:
                knowing.add(placed.receiver)
                found.append(self._birth(value, place))
        return found


def _likely(name: str) -> int:
    return next((place for place, one in enumerate(PLAYED) if name.startswith(one)), len(PLAYED))


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _safe(name: str) -> str:
    """A part of a file's name: a peer may have named its element as it liked."""
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "-" for one in name)[:60] or "message"
