"""The values of a run: what is put for each ``${name}`` while a scenario is played.

What a person gives holds; what the playing side makes is made anew; what belongs to the peer is the target's, until an
answer tells better; what an answer or an event hands out is read out of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from dissector.base.errors import UsageError
from dissector.messages import Message
from replay.base.ids import Ids
from replay.net.client import Target
from replay.scenario.model import Bound, Scenario
from replay.scenario.places import text_at
from replay.scenario.values import GUID, authority_of, base_of, is_url, path_of, rebind

__all__ = ["Values"]


class Values:
    """Names and what stands for them now.

    Args:
        scenario: with its values.
        target: who is played against.
        sink: base URL of the own event sink, "" for none.
        ids: makes identifiers.
        given: by the user, name → text.
        base: recorded base URL of the peer.
        first: path that the first request went to, as recorded; the target's path stands for it.
        played: numbers of the steps that are sent or awaited: what is handed out in others is not awaited.

    Raises:
        UsageError: a given name is no value of the scenario, or a secret is not in the environment.
    """

    def __init__(
        self,
        scenario: Scenario,
        target: Target,
        *,
        sink: str,
        ids: Ids,
        given: Mapping[str, str],
        base: str,
        first: str,
        played: frozenset[int],
    ) -> None:
        self._values = scenario.values
        self._target = target
        self._base = base
        self._first = first
        self._played = played
        self.now: dict[str, str] = {}
        for name in given:
            if name not in self._values:
                raise UsageError(f"--set {name}: the scenario has no such value; it has {', '.join(self._values)}")
        for name, value in self._values.items():
            text = given.get(name) or self._begin(value, sink, ids)
            if text is not None:
                self.now[name] = text

    def _begin(self, value: Bound, sink: str, ids: Ids) -> str | None:
        if value.secret:
            if value.secret not in os.environ:
                raise UsageError(f"the value {value.name} comes from the environment: set {value.secret}")
            return os.environ[value.secret]
        if value.origin == "site":
            text = value.default or value.recorded
            # A target with a path of its own: that is where the first request goes.
            return self._retargeted(text) if value.kind == "address" else text
        if value.origin == "ours":
            return self._own(value, sink, ids)
        if value.origin == "peer" or value.step not in self._played:
            # Until an answer tells better: the peer's addresses are the target's. Its identity is sent as recorded,
            # since a device that is asked for its metadata tells it only then.
            return self._retargeted(value.recorded) if value.kind == "address" else value.recorded
        return None

    def _own(self, value: Bound, sink: str, ids: Ids) -> str:
        recorded = value.recorded
        if value.kind == "address":
            whole = value.within or recorded
            if sink and is_url(whole):
                made = f"{sink}{path_of(whole)}"
                return rebind(recorded, whole, made) or made
            return recorded
        if GUID.search(recorded):
            return GUID.sub(lambda match: ids.guid(), recorded)
        return recorded

    def _retargeted(self, recorded: str) -> str:
        """An address of the recorded peer as one of the target."""
        here = f"{self._target.scheme}://{self._target.authority}"
        moved = self._target.path != "/"
        if is_url(recorded) and base_of(recorded) == self._base:
            path = path_of(recorded)
            return here + (
                "" if recorded == self._base else self._target.path if moved and path == self._first else path
            )
        if moved and recorded == self._first:
            return self._target.path
        if recorded == authority_of(self._base):
            return self._target.authority
        return recorded

    def born(self, step: int, message: Message) -> list[str]:
        """Read what a step's answer (or event) hands out; gives the names of values that it lacks."""
        lacking = []
        for value in self._values.values():
            if value.step != step or value.origin == "ours" or not value.where:
                continue
            text = text_at(message, value.where, value.path)
            new = rebind(value.recorded, value.within or value.recorded, text) if text is not None else None
            if new is None:
                lacking.append(value.name)
            else:
                self.now[value.name] = new
        return lacking

    def renew(self, step: int, ids: Ids) -> None:
        """Make anew what the played side hands out in this step, so that two runs of a story have two tokens."""
        for name, value in self._values.items():
            if value.origin == "ours" and value.step == step and value.kind in ("token", "identifier"):
                self.now[name] = self._own(value, "", ids)

    def known(self) -> dict[str, str]:
        """Name → text for a side that answers: message ids that are only related to are what was asked."""
        return dict(self.now)

    def recorded(self) -> dict[str, str]:
        """Name → recorded text."""
        return {name: value.recorded for name, value in self._values.items()}

    def translation(self, step: int) -> dict[str, str | None]:
        """For the judge: recorded text → text that is expected now; None for what is born in this step."""
        found: dict[str, str | None] = {}
        for name, value in self._values.items():
            if value.step == step and value.origin != "ours":
                found[value.within or value.recorded] = None
                found[value.recorded] = None
            elif name in self.now:
                found.setdefault(value.recorded, self.now[name])
        return found
