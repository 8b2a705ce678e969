"""The values of a run: what is put for each ``${name}`` while a scenario is played.

What a person gives holds. What a played party makes is made anew. What another party makes is read out of what a played
party receives; until then its addresses are the target's. What is handed out where nobody who is played receives it is
as recorded.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from dissector.base.errors import UsageError
from dissector.messages import Message
from replay.base.ids import Ids
from replay.net.client import Target
from replay.scenario.model import Birth, Bound, Scenario, Step
from replay.scenario.places import texts_at
from replay.scenario.values import GUID, authority_of, base_of, is_url, path_of, rebind

__all__ = ["Values", "receives"]


def receives(step: Step, part: str, played: Collection[str]) -> bool:
    """Whether a played party receives a part of a step from one that is not played."""
    sender, receiver = (step.sender, step.receiver) if part == "message" else (step.receiver, step.sender)
    return receiver in played and sender not in played


class Values:
    """Names and what stands for them now.

    Args:
        scenario: with its values.
        played: names of the parties that are played.
        targets: party that is not played → where it is.
        own: played party → base URL that it listens on now; parties that serve nothing are left out.
        first: party → recorded path that the first request to it went to; a target's path stands for it.
        steps: numbers of the steps that are sent or awaited: what is handed out in others is not awaited.
        ids: makes identifiers.
        given: by the user, name → text.

    Raises:
        UsageError: a given name is no value of the scenario, or a secret is not in the environment.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        played: frozenset[str],
        targets: Mapping[str, Target],
        own: Mapping[str, str],
        first: Mapping[str, str],
        steps: Collection[int],
        ids: Ids,
        given: Mapping[str, str],
    ) -> None:
        self._scenario = scenario
        self._values = scenario.values
        self._played = played
        self._targets = targets
        self._own = own
        self._first = first
        self._ids = ids
        self._given = given
        self.now: dict[str, str] = {}
        self._births: dict[str, Birth] = {}
        """Name of a value → where a played party gets to know it."""
        self._born: dict[tuple[int, str], list[Bound]] = {}
        """Step and part → values that are read there."""
        self._made: dict[tuple[int, str], list[Bound]] = {}
        """Step and part → values that a played party hands out there."""
        for name in given:
            if name not in self._values:
                raise UsageError(f"--set {name}: the scenario has no such value; it has {', '.join(self._values)}")
        for value in self._values.values():
            place = (value.step, value.part)
            if value.maker in played:
                self._made.setdefault(place, []).append(value)
            elif value.maker and value.step:
                births = [Birth(value.step, value.part, value.where, value.path, value.within), *value.again]
                births = [one for one in births if one.step in steps]
                for birth in births:
                    if not receives(self._step(birth.step), birth.part, played):
                        continue
                    self._births[value.name] = birth
                    self._born.setdefault((birth.step, birth.part), []).append(value)
                    break
            text = self._begin(value)
            if text is not None:
                self.now[value.name] = text

    def _step(self, number: int) -> Step:
        return self._scenario.steps[number - 1]

    def _sender(self, value: Bound) -> str:
        """Who says a value first."""
        step = self._step(value.step)
        return step.sender if value.part == "message" else step.receiver

    # -- to begin with -------------------------------------------------------------------------------------------

    def _begin(self, value: Bound) -> str | None:
        if value.name in self._given:
            return self._given[value.name]
        if value.secret:
            if value.secret in os.environ:
                return os.environ[value.secret]
            if not value.step or self._sender(value) in self._played:
                raise UsageError(f"the value {value.name} comes from the environment: set {value.secret}")
            return value.recorded
        if not value.maker:
            text = value.default or value.recorded
            return self._retargeted(text) if value.kind == "address" else text
        if value.maker in self._played:
            return self._make(value)
        if value.kind == "address":
            return self._retargeted(value.recorded)
        if value.kind != "uuid" and value.name in self._births:
            return None
        # An identity is sent as recorded: a device that is asked for its metadata tells its own only then.
        return value.recorded

    def _make(self, value: Bound) -> str:
        recorded = value.recorded
        base = self._own.get(value.maker, "")
        if value.kind == "address":
            if not base:
                return recorded
            if is_url(recorded):
                return base if recorded == base_of(recorded) else base + path_of(recorded)
            whole = next((one for one in value.within.split() if is_url(one) and recorded in one), "")
            bases = self._scenario.parties[value.maker].bases
            if recorded in map(authority_of, bases) or (whole and recorded == authority_of(whole)):
                return authority_of(base)
            return recorded
        if GUID.search(recorded):
            return GUID.sub(lambda match: self._ids.guid(), recorded)
        return self._ids.urn() if value.kind == "message_id" else recorded

    def _retargeted(self, recorded: str) -> str:
        """An address of a recorded party as one of its target."""
        for name, target in self._targets.items():
            first = self._first.get(name, "")
            moved = target.path != "/"
            if moved and recorded == first:
                return target.path
            here = f"{target.scheme}://{target.authority}"
            for base in self._scenario.parties[name].bases:
                if is_url(recorded) and base_of(recorded).lower() == base.lower():
                    path = path_of(recorded)
                    if recorded == base_of(recorded):
                        return here
                    return here + (target.path if moved and path == first else path)
                if recorded.lower() == authority_of(base).lower():
                    return target.authority
        return recorded

    # -- while the story goes on ---------------------------------------------------------------------------------

    def born(self, step: int, part: str, message: Message) -> list[str]:
        """Read what a part of a step hands out; gives the names of values that it lacks."""
        lacking = []
        values = self._born.get((step, part), ())
        said = texts_at(message) if values else {}
        for value in values:
            if value.name in self._given:
                continue
            birth = self._births[value.name]
            text = said.get((birth.where, birth.path))
            new = rebind(value.recorded, birth.within or value.recorded, text) if text is not None else None
            if new is None:
                lacking.append(value.name)
            else:
                self.now[value.name] = new
        return lacking

    def birth(self, name: str) -> int:
        """Number of the step that hands a value out, 0 where none does that a played party sees."""
        return self._births[name].step if name in self._births else 0

    def left_out(self, name: str) -> int:
        """Number of the step that would hand out a value of another party, and is not played; 0 for any other value.

        Addresses are those of the target.
        """
        value = self._values[name]
        if name in self._given or value.secret or not value.maker or value.maker in self._played:
            return 0
        if value.kind in ("address", "uuid") or name in self._births:
            return 0
        births = [(value.step, value.part), *((one.step, one.part) for one in value.again)]
        told = (step for step, part in births if step and receives(self._step(step), part, self._played))
        return next(told, 0)

    def renew(self, step: int, part: str) -> None:
        """Make anew what a played party hands out in a part of a step: said again, it is another one."""
        for value in self._made.get((step, part), ()):
            if value.name not in self._given and value.kind != "address":
                self.now[value.name] = self._make(value)

    def recorded(self) -> dict[str, str]:
        """Name → recorded text."""
        return {name: value.recorded for name, value in self._values.items()}

    def scheme_of(self, authority: str) -> str:
        """``http`` or ``https``, as an address that is known now says of a host and port; "" where none does."""
        wanted = authority.lower()
        for text in self.now.values():
            for url in text.split() if "://" in text[:12] else ():
                if is_url(url) and authority_of(url).lower() == wanted:
                    return url.partition(":")[0].lower()
        return ""

    def translation(self, step: int, part: str) -> dict[str, str | None]:
        """For the judge of a part of a step: recorded text → text that is expected now; None for what is born in it."""
        found: dict[str, str | None] = {}
        for value in self._born.get((step, part), ()):
            found[self._births[value.name].within or value.recorded] = None
            found[value.recorded] = None
        for name, value in self._values.items():
            if name in self.now and value.recorded:
                found.setdefault(value.recorded, self.now[name])
        return found
