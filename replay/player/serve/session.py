"""One run of the story with one client: how far it is, what was handed out to it, what it subscribed to.

Several runs go on at once, of several clients or of one. Each has values of its own, and is known again by what it was
handed out; where a request carries nothing of that, by its connection, and then by the address it comes from.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from dissector.base.origin import Endpoint
from dissector.messages import Message
from replay.base.ids import Ids
from replay.devices.eventing import Subscription
from replay.player.serve.question import Question
from replay.player.serve.story import HANDED_OUT, Progress, Story
from replay.player.values import Values
from replay.scenario.model import Bound, Scenario
from replay.scenario.places import texts_at
from replay.scenario.values import GUID, authority_of

__all__ = ["MAX_AGE", "MAX_SESSIONS", "Maker", "Run", "Runs", "Told"]

MAX_SESSIONS = 500
"""Runs that are remembered; of more, the one that was quiet for the longest time is forgotten."""

MAX_AGE = 6 * 3600.0
"""Seconds without a message after which a run is forgotten."""

NEAR = 64
"""Runs of one host, the last ones, that a request may belong to which carries nothing of any."""

AT_ONCE = 10.0
"""Seconds within which runs of one host count as going on at once."""

MAX_TEXTS = 2000
"""Texts that are remembered as handed out in one run: a client may ask for new ones without end. Of more, that which
was handed out longest ago is forgotten."""

MAX_VALUE = 4 << 10
"""Characters of one value of a client that are kept for its run; a longer one counts as not said. The longest type of
the specifications has 2,048."""

MADE_HERE = uuid.UUID("6f0ad8b5-4a3f-4c0e-9a36-0d3c0c1d6a57")
"""Name space of the identities of virtual devices: not those of the recorded ones, and the same at each start."""

_NUMBER = re.compile(r"\d{1,18}")
_HEX = re.compile(r"(?=.*\d)[0-9A-Fa-f]{12,}")

UNSPECIFIED = "http://schemas.xmlsoap.org/ws/2004/08/addressing/id/unspecified"
"""What RelatesTo says where the request has no MessageID (WS-Addressing 2004/08, 3.1)."""


class Maker:
    """Makes what is handed out, so that no two runs get the same."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._last: dict[str, int] = {}
        """Element → the last number that was handed out in it."""

    def fresh(self, value: Bound) -> str:
        """A new text in place of a recorded one, of its form."""
        recorded = value.recorded
        if value.kind == "uuid":
            # A device is the same for all its clients, and tomorrow; one that its clients know from elsewhere is that.
            if not value.step:
                return recorded
            return GUID.sub(lambda match: str(uuid.uuid5(MADE_HERE, match[0].lower())), recorded)
        if GUID.search(recorded):
            return GUID.sub(lambda match: self._ids.guid(), recorded)
        if value.kind == "message_id":
            return self._ids.urn()
        if _NUMBER.fullmatch(recorded):
            element = element_of(value)
            number = self._last[element] = max(int(recorded), self._last.get(element, -1) + 1)
            return f"{number:0{len(recorded)}}"
        if _HEX.fullmatch(recorded):
            return self._ids.word(len(recorded))
        return f"{recorded}-{self._ids.word(8)}"


class _RunValues(Values):
    """The values of one run: what the served parties make is new, what the client makes is read."""

    def __init__(
        self, scenario: Scenario, *, served: frozenset[str], maker: Maker, given: Mapping[str, str], ids: Ids
    ) -> None:
        self._maker = maker
        self._site: dict[int, list[Bound]] = {}
        for value in scenario.values.values():
            if not value.maker and value.part == "message" and value.step and value.name not in given:
                self._site.setdefault(value.step, []).append(value)
        self._ids_born: dict[int, list[str]] = {}
        """Step → values that are the MessageID of its request."""
        for value in scenario.values.values():
            if value.kind == "message_id" and value.part == "message" and value.name not in given:
                self._ids_born.setdefault(value.step, []).append(value.name)
        super().__init__(
            scenario, played=served, targets={}, own={}, first={}, steps={one.number for one in scenario.steps},
            ids=ids, given=given,
        )  # fmt: skip

    def _make(self, value: Bound) -> str:
        return super()._make(value) if value.kind == "address" else self._maker.fresh(value)

    def reach(self, own: Mapping[str, str]) -> None:
        """Addresses as the client of a request reaches us: party → base URL."""
        if own == self._own:
            return
        self._own = dict(own)
        for value in self._scenario.values.values():
            if value.maker in own and value.kind == "address" and value.name not in self._given:
                self.now[value.name] = self._here(value, own[value.maker])

    def _here(self, value: Bound, base: str) -> str:
        made = super()._make(value)
        bare = authority_of(base).rpartition(":")[0].strip("[]") or authority_of(base)
        hosts = {authority_of(one).rpartition(":")[0].strip("[]") for one in self._scenario.parties[value.maker].bases}
        return bare if value.recorded in hosts else made

    def hear(self, step: int, message: Message, message_id: str | None) -> None:
        """Read what a client says of itself and of its site in a request.

        Args:
            step: number of the recorded request.
            message: the request, or an equal one that came before.
            message_id: of the request, None for none.
        """
        ids = self._ids_born.get(step, ())
        if len(self._born.get((step, "message"), ())) > len(ids):
            self.born(step, "message", message)
            for value in self._born[step, "message"]:
                if len(self.now.get(value.name, "")) > MAX_VALUE:
                    del self.now[value.name]
        for name in ids:
            self.now[name] = message_id if message_id and len(message_id) <= MAX_VALUE else UNSPECIFIED
        values = self._site.get(step, ())
        said = texts_at(message) if values else {}
        for value in values:
            text = said.get((value.where, value.path))
            if text is not None and len(text) <= MAX_VALUE:
                self.now[value.name] = text.strip()


@dataclass(slots=True, eq=False)
class Told:
    """A subscription that a client made in a run.

    Attributes:
        step: number of the recorded Subscribe.
        terms: where notices go, and which ones are wanted.
        peer: who subscribed.
        known: the client's own values, as its Subscribe told them.
        own: party → base URL, as the subscriber reaches us.
        failures: notices in a row that could not be delivered.
        over: nothing is sent any more.
    """

    step: int
    terms: Subscription
    peer: Endpoint
    known: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    over: bool = False


class Run:
    """One run of the story.

    Args:
        number: from 1.
        peer: address of the client.
        values: of this run.
    """

    def __init__(self, number: int, peer: str, values: _RunValues) -> None:
        self.number = number
        self._recorded = values.recorded()
        self.peer = peer
        self.values = values
        self.progress = Progress()
        self.told: dict[int, Told] = {}
        """Number of a recorded Subscribe → the subscription that it is now."""
        self.noticed: set[int] = set()
        """Numbers of the notices that are on their way or were sent."""
        self.seen = 0.0
        self.names: dict[tuple[str, str], str] = {}
        """(element, text) that was handed out → name of its value; the element is "" for long texts."""

    def texts(self) -> Mapping[str, str]:
        """Name → text. What is not known is as recorded: a device answers, whatever its client left out."""
        return {**self._recorded, **self.values.now}


class Runs:
    """The runs of all clients.

    Args:
        story: that is run.
        served: parties that are served.
        ids: makes identifiers.
        given: values by the user.
        now: the time, seconds.
        limit: runs that are remembered.
    """

    def __init__(
        self, story: Story, served: frozenset[str], *, ids: Ids, given: Mapping[str, str], now: Callable[[], float],
        limit: int = MAX_SESSIONS,
    ) -> None:  # fmt: skip
        self._story = story
        self._served = served
        self._ids = ids
        self._given = dict(given)
        self._now = now
        self._limit = limit
        self._maker = Maker(ids)
        self.count = 0
        """Runs so far."""
        self._runs: dict[int, Run] = {}
        self._by_text: dict[tuple[str, str], Run] = {}
        self._by_connection: dict[Endpoint, Run] = {}
        self._tokens = [
            (value, element_of(value)) for value in story.scenario.values.values()
            if value.maker in served and value.kind in HANDED_OUT and value.step
        ]  # fmt: skip
        self.holders = frozenset(element for _, element in self._tokens)
        """Elements in which something is handed out."""
        # A given value with a wrong name is told now, not to the first client.
        self._values(Maker(Ids(0)))

    def all(self) -> list[Run]:
        """Those that are remembered, the one that was heard of last behind."""
        return list(self._runs.values())

    def holder(self, element: str, text: str) -> tuple[Run, str] | None:
        """The run in which a text was handed out, and the name of its value."""
        key = _key(element, text)
        run = self._by_text.get(key)
        return (run, run.names[key]) if run is not None else None

    def find(self, asked: Question, carried: Sequence[Run], peer: Endpoint) -> Run:
        """The run that a request belongs to; a new one where it begins one.

        Args:
            asked: the request.
            carried: the runs of which it repeats something that was handed out.
            peer: who sent it.
        """
        run = carried[0] if carried else self._near(asked, peer) or self._begin(peer)
        run.seen = self._now()
        self._runs[run.number] = self._runs.pop(run.number)
        self._by_connection.pop(peer, None)
        self._by_connection[peer] = run
        while len(self._by_connection) > 4 * self._limit:
            del self._by_connection[next(iter(self._by_connection))]
        return run

    def _near(self, asked: Question, peer: Endpoint) -> Run | None:
        """The run of a request that carries nothing: of its connection, else the last one of its host."""
        here = self._by_connection.get(peer)
        if here is not None and here.number in self._runs and self._fits(here, asked):
            return here
        last = (one for one in reversed(self._runs.values()) if one.peer == peer.address)
        near = [one for one in islice(last, NEAR) if self._fits(one, asked)]
        # Of clients that are at it at once, the one that was quiet for the longest time is the likeliest to speak next;
        # what was left long ago is over, and the last one counts.
        late = self._now() - AT_ONCE
        return next((one for one in reversed(near) if one.seen >= late), None) or next(iter(near), None)

    def _fits(self, run: Run, asked: Question) -> bool:
        """Whether a request that carries nothing of a run can belong to it."""
        if asked.name == "Subscribe" or asked.name.startswith("Create"):
            # It opens something: where the recorded one that is most like it was had, another run begins.
            return self._story.fresh(self._story.alike(asked), run.progress)
        # Of a story that is over a client may yet ask what it did not ask so far. What it asked already begins another.
        return not self._story.over(run.progress) or self._story.fresh(self._story.about(asked), run.progress)

    def _values(self, maker: Maker) -> _RunValues:
        scenario = self._story.scenario
        return _RunValues(scenario, served=self._served, maker=maker, given=self._given, ids=self._ids)

    def _begin(self, peer: Endpoint) -> Run:
        self.count += 1
        run = self._runs[self.count] = Run(self.count, peer.address, self._values(self._maker))
        self.remember(run)
        self._forget_old()
        return run

    def remember(self, run: Run) -> None:
        """Know a run by what it hands out now; what it handed out before is known as well."""
        for value, element in self._tokens:
            text = run.values.now.get(value.name)
            if text:
                key = _key(element, text)
                run.names.pop(key, None)
                run.names[key] = value.name
                self._by_text[key] = run
        while len(run.names) > max(MAX_TEXTS, len(self._tokens)):
            self._disown(run, next(iter(run.names)))

    def _disown(self, run: Run, key: tuple[str, str]) -> None:
        """Forget that a run handed out a text."""
        del run.names[key]
        if self._by_text.get(key) is run:
            del self._by_text[key]

    def _forget_old(self) -> None:
        late = self._now() - MAX_AGE
        for number, run in list(self._runs.items()):
            if len(self._runs) <= self._limit and (run.seen >= late or not run.seen):
                continue
            if number == self.count:
                continue
            del self._runs[number]
            for key in list(run.names):
                self._disown(run, key)
            for told in run.told.values():
                told.over = True


def element_of(value: Bound) -> str:
    """Local name of the element that hands a value out."""
    return value.path.rpartition("/")[2].partition("[")[0]


def _key(element: str, text: str) -> tuple[str, str]:
    """Long texts are known wherever they stand; short ones, such as a JobId, only in an element of their name."""
    plain = text.strip().strip("{}").lower()
    return ("", plain) if len(plain) >= 12 else (element, plain)
