"""The stories in a capture, and choosing one, or a part of one.

Rounds belong to one story where their parties do: they share a host, a JobToken or a subscription. Several connections,
and more than two parties, are one story so. A choice narrows it: to what a host took part in, to a service, to what the
parties of a TCP stream said to each other, to a job.

A part of a story stays whole: what belongs to no job (Get, Subscribe, questions about the scanner) is kept with the job
that it stands before, with or behind; what belongs to other jobs only, and their subscriptions, is left out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dissector.analysis.model import Job, Subscription
from dissector.analysis.reading import seek, text_of
from dissector.base.errors import UnreadableInput, UsageError
from dissector.cli.choose import choose_job
from dissector.cli.select import numbers_of
from replay.scenario.looks import distinctive
from replay.scenario.parties import Actor, Round

__all__ = ["Choice", "Story", "choose", "narrowed", "stories_of"]

SHOWN = 10
"""Sequences that an error names, and parties of one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of a capture is taken; nothing given: the only story there is.

    Attributes:
        job: beginning of a JobToken or JobId.
        host: address of a party.
        service: name of the catalogue, such as ``WS-DSP``.
        stream: number of a TCP conversation.
        everything: all stories as one.
    """

    job: str = ""
    host: str = ""
    service: str = ""
    stream: int | None = None
    everything: bool = False


@dataclass(slots=True)
class Story:
    """What belongs together.

    Attributes:
        rounds: in order.
        jobs: of which anything is in it.
    """

    rounds: list[Round]
    jobs: list[Job] = field(default_factory=list)

    @property
    def actors(self) -> list[Actor]:
        """The parties, in order of first sight."""
        return list(dict.fromkeys(one for round in self.rounds for one in (round.sender, round.receiver)))

    @property
    def services(self) -> list[str]:
        """What it is about."""
        return list(dict.fromkeys(one.service for one in self.rounds if one.service))

    @property
    def numbers(self) -> set[int]:
        """Numbers of its messages."""
        return {message.number for one in self.rounds for message in one.messages}


def stories_of(rounds: Sequence[Round], jobs: Sequence[Job]) -> list[Story]:
    """The stories of a capture, in order of their first round."""
    groups = _Groups()
    hosts: dict[str, Actor] = {}
    tokens: dict[str, Actor] = {}
    for one in rounds:
        groups.join(one.sender, one.receiver)
        for actor in (one.sender, one.receiver):
            if not _loopback(actor.host):
                # On one machine all have the same address: it says nothing.
                groups.join(hosts.setdefault(actor.host, actor), actor)
        for message in one.messages:
            token = text_of(seek(message.body, "JobToken")) or text_of(seek(message.body, "DestinationToken"))
            if token and distinctive(token):
                groups.join(tokens.setdefault(token, one.sender), one.sender)
    found: dict[Actor, Story] = {}
    for one in rounds:
        found.setdefault(groups.of(one.sender), Story([])).rounds.append(one)
    for story in found.values():
        numbers = story.numbers
        story.jobs = [job for job in jobs if any(step.message in numbers for step in job.timeline)]
    told = [story for story in found.values() if story.services]
    # Where nothing at all says what it is about (a Get that was refused), that is what there is.
    return told or list(found.values())


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


class _Groups:
    """Parties that belong together."""

    def __init__(self) -> None:
        self._parent: dict[Actor, Actor] = {}

    def of(self, actor: Actor) -> Actor:
        while (parent := self._parent.setdefault(actor, actor)) is not actor:
            # Thousands may have joined one after the other: the way to the root is halved each time it is gone.
            self._parent[actor] = actor = self._parent[parent]
        return actor

    def join(self, one: Actor, other: Actor) -> None:
        # The earlier one stays the root, so that stories are in order.
        self._parent[self.of(other)] = self.of(one)


def choose(
    stories: Sequence[Story], choice: Choice, jobs: Sequence[Job], subscriptions: Iterable[Subscription], name: str
) -> Story:
    """The story of a choice, narrowed to it.

    Args:
        stories: of the capture.
        choice: what is wanted.
        jobs, subscriptions: of the capture.
        name: of the capture, for messages.

    Raises:
        UnreadableInput: there is nothing of that.
        UsageError: several stories fit, or no job's id begins so.
    """
    wanted = choose_job(jobs, choice.job) if choice.job else []
    numbers = numbers_of(wanted)
    fitting = narrowed(stories, choice, jobs)
    if not fitting:
        count = f"{len(stories)} sequences" if len(stories) != 1 else "one sequence"
        raise UnreadableInput(f"{name}: no sequence in it fits; “--list” shows what there is ({count})")
    if choice.everything:
        rounds = sorted((one for story in fitting for one in story.rounds), key=lambda one: one.request.number)
        fitting = [Story(rounds, list(jobs))]
    if len(fitting) > 1:
        told = _shown([_shown([f"{one.role} {one.host}" for one in story.actors], " and ") for story in fitting], "; ")
        raise UsageError(f"{name}: several sequences fit: {told}; choose one by --host, --service, --stream or --job")
    story = fitting[0]
    if wanted:
        others = [job for job in story.jobs if job not in wanted]
        story.rounds = _of_job(story.rounds, numbers, others, subscriptions)
        story.jobs = [job for job in story.jobs if job in wanted]
    return story


def narrowed(stories: Sequence[Story], choice: Choice, jobs: Sequence[Job]) -> list[Story]:
    """The stories of which something is left with a choice; ``choose`` goes on with that of a job.

    Raises:
        UsageError: no job's id begins so.
    """
    numbers = numbers_of(choose_job(jobs, choice.job)) if choice.job else frozenset()
    parts = (_narrowed(story, choice, numbers) for story in stories)
    return [story for story in parts if story is not None]


def _narrowed(story: Story, choice: Choice, numbers: frozenset[int]) -> Story | None:
    rounds = story.rounds
    if choice.host:
        rounds = [one for one in rounds if choice.host in (one.request.source.address, one.request.destination.address)]
    if choice.service:
        rounds = [one for one in rounds if one.service == choice.service]
    if choice.stream is not None:
        pairs = {_pair(one) for one in rounds if one.request.stream.number == choice.stream}
        rounds = [one for one in rounds if _pair(one) in pairs]
    if choice.job and not any(message.number in numbers for one in rounds for message in one.messages):
        return None
    if not rounds:
        return None
    made = Story(rounds)
    inside = made.numbers
    made.jobs = [job for job in story.jobs if any(step.message in inside for step in job.timeline)]
    return made


def _shown(words: list[str], between: str) -> str:
    more = [f"{len(words) - SHOWN} more"] if len(words) > SHOWN else []
    return between.join([*words[:SHOWN], *more])


def _pair(one: Round) -> frozenset[Actor]:
    return frozenset((one.sender, one.receiver))


def _of_job(
    rounds: Sequence[Round], numbers: frozenset[int], others: Sequence[Job], subscriptions: Iterable[Subscription]
) -> list[Round]:
    """What belongs to some jobs, and what belongs to none and stands near them."""
    own = [one for one in rounds if _in(one, numbers)]
    pairs = {_pair(one) for one in own}
    first, last = own[0].request.number, own[-1].request.number
    # The stretch between the end of the job before and the beginning of the job behind.
    ends = [max((step.message for step in job.timeline), default=0) for job in others]
    starts = [min((step.message for step in job.timeline), default=0) for job in others]
    low = max((end for end in ends if end < first), default=0)
    high = min((start for start in starts if start > last), default=1 << 62)
    foreign = numbers_of(others) - numbers
    for one in subscriptions:
        # One that nothing came for belongs to where it was made: its Unsubscribe may stand before the next job.
        near = not one.messages or low < one.messages[0] < high
        if not (numbers.intersection(one.events) if one.events else near):
            foreign |= frozenset(one.messages)
    return [
        one
        for one in rounds
        if _in(one, numbers) or (not _in(one, foreign) and _pair(one) in pairs and low < one.request.number < high)
    ]


def _in(one: Round, numbers: frozenset[int]) -> bool:
    return any(message.number in numbers for message in one.messages)
