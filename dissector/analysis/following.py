"""Following jobs, of whatever service: the messages of each go to its story, and an answer to the request it answers.

What tells one job from another (a token, a number within a device), and what a message says of its job, is the matter
of those who build on this: ``jobs`` for the post-scan jobs, ``scanjobs`` for those of scanners.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from dissector.analysis.exchanges import Role, Turn
from dissector.analysis.model import Job
from dissector.analysis.reading import operation_of
from dissector.analysis.resting import Resting
from dissector.analysis.story import Call, Story, refusal
from dissector.analysis.subscriptions import Subscriptions
from dissector.messages import Message

__all__ = ["Answer", "Following"]

ASKED = 100_000
"""Requests of all jobs that wait for an answer, and events that told an end."""

_Story = TypeVar("_Story", bound=Story)


@dataclass(slots=True)
class Answer(Generic[_Story]):
    """An answer that came, with what is known of its request.

    Attributes:
        operation: that was asked for.
        story: of the job, None where it is not known.
        call: the request, None where it is not in the capture.
        refused: why it is none, see :func:`~dissector.analysis.story.refusal`.
        names: the elements that were asked for, where they were noted.
    """

    message: Message
    operation: str
    story: _Story | None
    call: Call | None
    refused: str | None
    names: tuple[str, ...]


class Following(ABC, Generic[_Story]):
    """Follows the jobs of one kind.

    Args:
        subscriptions: of the capture.

    Who builds on it fills ``_requests`` and ``_events``: what takes the messages of each operation.
    """

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._stories: list[_Story] = []
        self._asked: OrderedDict[int, tuple[_Story | None, str, tuple[str, ...]]] = OrderedDict()
        self._finals: OrderedDict[int, _Story] = OrderedDict()
        self._resting = Resting()
        self._requests: dict[str, Callable[[Message], None]] = {}
        self._events: dict[str, Callable[[Message, Turn], None]] = {}

    @property
    def jobs(self) -> list[Job]:
        """All jobs so far, by their first message."""
        return [story.job for story in sorted(self._stories, key=lambda s: s.first) if story.into is None]

    def feed(self, message: Message, turn: Turn) -> None:
        """Take the next message."""
        if turn.role is Role.ANSWER:
            if not turn.late:
                self._answer(message, turn)
        elif turn.role is Role.REQUEST:
            operation = operation_of(message)
            if operation in self._requests:
                self._requests[operation](message)
            elif operation in self._events:
                self._events[operation](message, turn)
        self._resting.settle()

    def finish(self, last_time: int) -> Iterator[Job]:
        """No more messages: settle and judge all jobs, and give each, by their first message. ``last_time``: of the
        capture's last message."""
        self._asked.clear()
        self._finals.clear()
        self._forget_places()
        stories, self._stories = sorted(self._stories, key=lambda story: story.first), []
        for story in stories:
            if story.into is None:
                story.settle()
                self._judge(story, last_time)
                story.sort_findings()
                yield story.job
            story.forget()

    # -- what waits for an answer -----------------------------------------------------------------------------------

    def _ask(self, message: Message, story: _Story | None, operation: str, names: tuple[str, ...] = ()) -> None:
        """A request, of which the answer will speak of that job."""
        # Not the call itself: the story may rest until the answer comes.
        self._asked[message.number] = (story, operation, names)
        if len(self._asked) > ASKED:
            self._asked.popitem(last=False)

    def _told_end(self, message: Message, story: _Story) -> None:
        """An event that told the end of the job: what the sink answers belongs to it."""
        self._finals[message.number] = story
        if len(self._finals) > ASKED:
            self._finals.popitem(last=False)

    def _answer(self, message: Message, turn: Turn) -> None:
        number = turn.request or 0
        told = self._whole(self._finals.pop(number, None))
        if told is not None:
            told.answered(number, message.status)
            return
        if message.envelope is None and message.status == 202:
            return  # taken in; the answer itself comes on a connection of its own
        asked, operation, names = self._asked.pop(number, (None, operation_of(message), ()))
        refused = refusal(message)
        if operation in ("GetActiveJobs", "GetJobHistory"):
            if refused is None:
                self._lists(message, operation)
            return
        story = self._whole(asked)
        call = story.asked(operation, number) if story is not None else None
        self._answered(Answer(message, operation, story, call, refused, names))

    def _whole(self, story: _Story | None) -> _Story | None:
        """The story that it became a part of, or itself."""
        kind = type(story)
        while story is not None and isinstance(story.into, kind):
            story = story.into
        return story

    # -- what differs -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _answered(self, answer: Answer[_Story]) -> None:
        """An answer that is about one job."""

    @abstractmethod
    def _lists(self, message: Message, operation: str) -> None:
        """The answer to GetActiveJobs or GetJobHistory."""

    @abstractmethod
    def _judge(self, story: _Story, last_time: int) -> None:
        """Apply the rules to a settled story."""

    @abstractmethod
    def _forget_places(self) -> None:
        """No more messages: which story a token or number means is not needed any more."""
