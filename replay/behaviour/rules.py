"""Rules of behaviour, and what they order for an occasion.

A rule names an operation or event, or a kind of them, and one or more orders. It looks at each occasion that it
matches: the first ``after`` of them it lets pass, then it fires with its ``probability``, at most ``times`` times.
Chances are drawn from one seeded generator, occasion by occasion and within each in the order of the rules: one draw
for each rule that matches, has a probability below 1, and is neither still waiting (``after``) nor used up (``times``).
So the same seed and the same occasions give the same run again.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from dissector.base.errors import UsageError
from replay.behaviour.effects import Effects, WireEffects

__all__ = ["Behaviour", "Occasion", "Rule", "merged"]

MAX_RULES = 1000
"""Rules of one device: each is looked at for each message."""

_NONE = Effects()

Occasion = tuple[str, str, str]
"""Service, operation or event, and kind (``request`` or ``event``): what a rule is asked about."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        on: operation or event, ``SERVICE.NAME``, ``operations``, ``events`` or ``*``.
        effects: what it orders.
        times: how often at most, None for always.
        after: occasions that it lets pass first.
        probability: of firing, 0 to 1.
        where: facts that an occasion must have, such as ``document_id`` = ``2``.
    """

    on: str
    effects: Effects
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    where: Mapping[str, str] = field(default_factory=dict)

    def about(self, service: str, name: str, kind: str) -> bool:
        """Whether it can be one of this rule's occasions, whatever the facts are."""
        if self.on == "operations":
            return kind == "request"
        if self.on == "events":
            return kind == "event"
        return self.on in ("*", name, f"{service}.{name}")

    def matches(self, service: str, name: str, kind: str, facts: Mapping[str, str]) -> bool:
        """Whether an occasion is one of this rule's."""
        return self.about(service, name, kind) and all(
            facts.get(key, "").lower() == value.lower() for key, value in self.where.items()
        )


class Behaviour:
    """The rules of one device, with their counts.

    Args:
        rules: in order; where two order the same, the later one holds.
        seed: of the chances; None: any.

    Attributes:
        seed: the one that is used, so that a run can be had again.
    """

    def __init__(self, rules: Iterable[Rule] = (), seed: int | None = None) -> None:
        self._rules: list[Rule] = []
        self._matched: list[int] = []
        self._fired: list[int] = []
        self.seed = secrets.randbelow(1 << 32) if seed is None else seed
        self._random = random.Random(self.seed)
        self._device = ""
        self._occasions: frozenset[Occasion] = frozenset()
        for rule in rules:
            self.add(rule)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules, in order."""
        return tuple(self._rules)

    def belong_to(self, device: str, occasions: Iterable[Occasion]) -> None:
        """From now on take rules only that a device can ever come to.

        Args:
            device: what it is, for people.
            occasions: all that it has.

        Raises:
            UsageError: a rule that is there already is about nothing of them.
        """
        self._device, self._occasions = device, frozenset(occasions)
        for rule in self._rules:
            self._check(rule)

    def _check(self, rule: Rule) -> None:
        if self._occasions and not any(rule.about(*one) for one in self._occasions):
            names = sorted({name for _, name, _ in self._occasions})
            raise UsageError(f"{rule.on}: the {self._device} has no such operation or event; it has {', '.join(names)}")

    def add(self, rule: Rule) -> None:
        """One rule more.

        Raises:
            UsageError: there are :data:`MAX_RULES` already, or it is about nothing that the device has.
        """
        self._check(rule)
        if len(self._rules) >= MAX_RULES:
            raise UsageError(f"there are {MAX_RULES} rules already, which is all that a device takes")
        self._rules.append(rule)
        self._matched.append(0)
        self._fired.append(0)

    def clear(self) -> None:
        """No rules any more."""
        self._rules.clear()
        self._matched.clear()
        self._fired.clear()

    def set_rules(self, rules: Iterable[Rule], seed: int | None = None) -> None:
        """Other rules; counting begins anew, and chances too where a seed is given.

        Raises:
            UsageError: there are more than :data:`MAX_RULES`, or one is about nothing that the device has; the old ones
                stay.
        """
        rules = list(rules)
        for rule in rules:
            self._check(rule)
        if len(rules) > MAX_RULES:
            raise UsageError(f"{len(rules)} rules are too many: a device takes {MAX_RULES}")
        self.clear()
        if seed is not None:
            self.seed = seed
            self._random = random.Random(seed)
        for rule in rules:
            self.add(rule)

    def choose(self, service: str, name: str, kind: str, facts: Mapping[str, str] | None = None) -> Effects:
        """What is ordered for an occasion.

        Args:
            service: such as ``WS-DSP``.
            name: operation or event.
            kind: ``request`` or ``event``.
            facts: for ``where``.
        """
        if not self._rules:
            return _NONE
        chosen = _NONE
        for place, rule in enumerate(self._rules):
            if not rule.matches(service, name, kind, facts or {}):
                continue
            self._matched[place] += 1
            if self._matched[place] <= rule.after or (rule.times is not None and self._fired[place] >= rule.times):
                continue
            if rule.probability < 1.0 and self._random.random() >= rule.probability:
                continue
            self._fired[place] += 1
            chosen = merged(chosen, rule.effects)
        return chosen

    def report(self) -> list[dict[str, Any]]:
        """The rules with how often each matched and fired."""
        return [
            {"on": rule.on, "orders": rule.effects.describe(), "matched": matched, "fired": fired}
            for rule, matched, fired in zip(self._rules, self._matched, self._fired, strict=True)
        ]


def merged(first: Effects, second: Effects) -> Effects:
    """Both together; of the same order, the second one's."""
    if not first:
        return second
    given = {
        one.name: getattr(second, one.name)
        for one in fields(Effects)
        if one.name not in ("wire", "said") and getattr(second, one.name) != one.default
    }
    wire = {
        one.name: getattr(second.wire, one.name)
        for one in fields(WireEffects)
        if getattr(second.wire, one.name) != one.default
    }
    return replace(first, **given, wire=replace(first.wire, **wire), said=first.said + second.said)
