"""The recorded story as the one who answers sees it: what it was asked, what it told unasked, and whose turn it is.

A request belongs to the exchange of its operation that asks for the same and whose turn it is. Requests that only read
(:func:`reads`) get what the story showed at the point that this client has reached, so that polls go on with it;
requests that change something take the exchanges in their order. One that comes more often than recorded gets the last
answer that fits.

Pure: nothing is sent or read here but the scenario's own files, once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from dissector.base.errors import UsageError
from dissector.catalog import canonical_action
from dissector.messages import Message
from replay.player.recorded import Recorded
from replay.player.serve.question import Question, key_distance, leaf_distance, question_of
from replay.scenario.files import Folder
from replay.scenario.model import Scenario, Step

__all__ = ["HANDED_OUT", "Exchange", "Notice", "Progress", "Story", "reads", "told_unasked"]

HANDED_OUT = ("token", "identifier", "vendor", "cookie")
"""Kinds of values that tell one run of the story from another."""

READING = ("Get", "Probe", "Resolve", "Validate", "Renew")
"""How operations begin that change nothing in the story."""

Distance = Callable[["Exchange"], int]


def told_unasked(step: Step) -> bool:
    """A step that nobody asked for: an event, or the end of a subscription."""
    return step.event or step.name == "SubscriptionEnd"


def reads(name: str) -> bool:
    """Whether a request only reads."""
    return name.startswith(READING)


@dataclass(slots=True, eq=False)
class Exchange:
    """A recorded request with its answer.

    Attributes:
        step: of the scenario.
        question: what was asked.
        since: number of the last exchange before it that changes something, 0 for none.
        reading: it changes nothing.
        form: equal for exchanges that asked exactly the same.
    """

    step: Step
    question: Question
    since: int
    reading: bool
    form: int

    @property
    def number(self) -> int:
        """Of its step."""
        return self.step.number


@dataclass(slots=True, eq=False)
class Notice:
    """Something that was told unasked: an event, or the end of a subscription.

    Attributes:
        step: of the scenario.
        subscribe: number of the step that subscribed to it, 0 where the recording has none.
        anchor: number of the exchange that it followed, 0 for the beginning.
        offset: seconds after the end of that exchange; below 0 where it overtook the answer.
        action: canonical action URI.
        ending: it goes to where the end of a subscription is told.
    """

    step: Step
    subscribe: int
    anchor: int
    offset: float
    action: str
    ending: bool


@dataclass(slots=True)
class Progress:
    """How far one client is.

    Attributes:
        used: number of an exchange → how often it answered.
        front: number of the last exchange in the story that changed something and was asked for.
        told: the same, of those whose answers went out.
    """

    used: dict[int, int] = field(default_factory=dict)
    front: int = 0
    told: int = 0

    def take(self, exchange: Exchange) -> bool:
        """An exchange happens; whether for the first time."""
        count = self.used.get(exchange.number, 0)
        self.used[exchange.number] = count + 1
        if not exchange.reading:
            self.front = max(self.front, exchange.number)
        return not count

    def answered(self, exchange: Exchange) -> None:
        """The answer of an exchange went out."""
        if not exchange.reading:
            self.told = max(self.told, exchange.number)


class Story:
    """What the served parties were asked and told.

    Args:
        scenario, folder: as loaded.
        served: names of the parties.

    Raises:
        UsageError: nobody asked them anything.
    """

    def __init__(self, scenario: Scenario, folder: Folder, served: Collection[str]) -> None:
        self.scenario = scenario
        self.recorded = Recorded(folder, {name: one.recorded for name, one in scenario.values.items()})
        self._neutral = Recorded(
            folder,
            {
                name: f"${{{name}}}" if one.maker in served and one.kind in HANDED_OUT else one.recorded
                for name, one in scenario.values.items()
            },
        )
        self.exchanges: list[Exchange] = []
        self.by_number: dict[int, Exchange] = {}
        self.by_name: dict[str, list[Exchange]] = {}
        self._groups: dict[str, dict[tuple[object, str], list[Exchange]]] = {}
        """Name → what is asked for, and the path → the exchanges that asked for it there."""
        self.notices: list[Notice] = []
        self._read(served)
        if not self.exchanges:
            roles = ", ".join(scenario.parties[one].role for one in sorted(served))
            raise UsageError(
                f"{scenario.name}: nobody asks the {roles} anything: serve another party (--as), there are "
                f"{', '.join(scenario.parties)}"
            )
        self.changing = frozenset(one.number for one in self.exchanges if not one.reading)

    def _read(self, served: Collection[str]) -> None:
        since = 0
        forms: dict[object, int] = {}
        subscribes: list[tuple[Step, Message]] = []
        for step in self.scenario.steps:
            if step.receiver in served and step.sender not in served:
                question = self._question(step)
                form = forms.setdefault(question, len(forms))
                made = Exchange(step, question, since, reads(step.name), form)
                self.exchanges.append(made)
                self.by_number[made.number] = made
                self.by_name.setdefault(question.name, []).append(made)
                group = self._groups.setdefault(question.name, {})
                group.setdefault((question.keys, question.path), []).append(made)
                if not made.reading:
                    since = made.number
                message = self.message(step)
                if step.name == "Subscribe" and message is not None:
                    subscribes.append((step, message))
            elif step.sender in served and step.receiver not in served and told_unasked(step):
                self.notices.append(self._notice(step, subscribes))

    def _question(self, step: Step) -> Question:
        http, message = self._neutral.message(step.message, request=True) or (None, None)
        path = self.recorded.path(step.message).partition("?")[0].rstrip("/") or "/"
        if "://" in path[:8]:
            path = "/" + path.partition("://")[2].partition("/")[2]
        if http is None or message is None:
            return Question(step.name, step.service, path, (), ())
        return question_of(message, path, lambda name, text: text)

    def message(self, step: Step) -> Message | None:
        """The recorded request of a step."""
        found = self.recorded.message(step.message, request=True)
        return found[1] if found is not None else None

    def _notice(self, step: Step, subscribes: list[tuple[Step, Message]]) -> Notice:
        message = self.message(step)
        raw = message.action if message is not None else None
        action = canonical_action(raw)[0] if raw else ""
        subscribe, ending = self._subscription(step, message, subscribes)
        # Other subscriptions, and the end of some, are no part of what leads to a notice.
        leads = (
            one for one in reversed(self.exchanges)
            if not one.reading and (one.number == subscribe or one.step.name not in ("Subscribe", "Unsubscribe"))
        )  # fmt: skip
        anchor = next(leads, None)
        offset = step.time - (anchor.step.time + anchor.step.took if anchor is not None else 0.0)
        return Notice(step, subscribe, anchor.number if anchor is not None else 0, offset, action, ending)

    def _subscription(
        self, step: Step, message: Message | None, subscribes: list[tuple[Step, Message]]
    ) -> tuple[int, bool]:
        """Which Subscribe asked for a notice, and whether it goes where the end is told: by the address it went to and
        the reference parameters it echoed, else the last one."""
        to = (message.to or "") if message is not None else ""
        envelope = message.envelope if message is not None else None
        echoed = {text.strip() for _, text in envelope.addressing.parameters} if envelope is not None else set()
        best = (-1, 0, False)
        for one, subscribe in subscribes:
            for holder in ("Delivery/NotifyTo", "EndTo"):
                told = subscribe.body.find(holder) if subscribe.body is not None else None
                if told is None:
                    continue
                address = told.find("Address")
                given = told.find("ReferenceParameters")
                same = address is not None and bool(to) and address.text.strip() == to
                echo = given is not None and any(child.text.strip() in echoed for child in given.children)
                ending = holder == "EndTo" and step.name == "SubscriptionEnd"
                score = 4 * same + 2 * echo + (ending if step.name == "SubscriptionEnd" else holder != "EndTo")
                if score >= best[0]:
                    best = (score, one.number, ending)
        return best[1], best[2]

    # -- whose turn it is ----------------------------------------------------------------------------------------

    def choose(self, asked: Question, progress: Progress, distance: Distance) -> Exchange | None:
        """The exchange whose answer a request gets, None where the recording has none of its operation.

        Args:
            asked: the request.
            progress: how far its client is.
            distance: how much else differs from the recorded request of an exchange.
        """
        fitting = self.about(asked)
        if not fitting:
            return None
        if fitting[0].reading:
            return self._shown(fitting, asked, progress, distance)
        fresh = [one for one in fitting if one.number not in progress.used]
        return _nearest(fresh, asked, distance) if fresh else _nearest(fitting[::-1], asked, distance)

    def about(self, asked: Question) -> Sequence[Exchange]:
        """The exchanges of a request's operation that asked for the same, or for what is nearest to it; none where the
        recording has none of its operation."""
        groups = self._groups.get(asked.name, {})
        same = groups.get((asked.keys, asked.path))
        if same is not None or not groups:
            return same or ()
        apart = [key_distance(several[0].question, asked) for several in groups.values()]
        near = [several for several, far in zip(groups.values(), apart, strict=True) if far == min(apart)]
        return sorted((one for several in near for one in several), key=lambda one: one.number)

    @staticmethod
    def _shown(fitting: Sequence[Exchange], asked: Question, progress: Progress, distance: Distance) -> Exchange:
        """What the story shows at the point that is reached."""
        past = [one for one in fitting if one.since <= progress.front]
        if not past:
            return _nearest(fitting, asked, distance)
        past = [one for one in past if one.question.leaves == asked.leaves] or past
        latest = max(one.since for one in past)
        now = [one for one in past if one.since == latest]
        fresh = [one for one in now if one.number not in progress.used]
        return _nearest(fresh or now[::-1], asked, distance)

    def alike(self, asked: Question) -> list[Exchange]:
        """The exchanges of a request's operation whose requests were most like it."""
        mine = self.by_name.get(asked.name, [])
        if len({one.form for one in mine}) < 2:
            return mine
        apart = [leaf_distance(one.question, asked) for one in mine]
        return [one for one, far in zip(mine, apart, strict=True) if far == min(apart)]

    @staticmethod
    def fresh(among: Sequence[Exchange], progress: Progress) -> bool:
        """Whether one of these exchanges did not happen yet."""
        return any(one.number not in progress.used for one in among)

    def over(self, progress: Progress) -> bool:
        """Everything that changes something has happened, or where nothing does, everything was asked."""
        wanted = self.changing or self.by_number.keys()
        return all(number in progress.used for number in wanted)


def _nearest(among: Sequence[Exchange], asked: Question, distance: Distance) -> Exchange:
    """The one whose request differs least; of those that are equally near, the first."""
    if len({one.form for one in among}) == 1:
        return among[0]
    same = next((one for one in among if one.question.leaves == asked.leaves), None)
    return same or min(among, key=distance)
