"""Who is played, who is played against, and where those are."""

from __future__ import annotations

from collections.abc import Mapping

from dissector.base.errors import UsageError
from replay.net.client import Target, target_of
from replay.player.values import receives
from replay.scenario.model import Scenario

__all__ = ["played_of", "targets_of"]


def played_of(scenario: Scenario, names: str) -> frozenset[str]:
    """The parties that are played.

    Raises:
        UsageError: one is none of the scenario's, or nobody is left to play against.
    """
    played = frozenset(one.strip() for one in names.split(",") if one.strip()) or frozenset({scenario.plays})
    for one in sorted(played):
        if one not in scenario.parties:
            raise UsageError(f"--as {one}: the parties are {', '.join(scenario.parties)}")
    if played == frozenset(scenario.parties):
        raise UsageError("--as: all parties are played, nobody is left to play against")
    return played


def targets_of(scenario: Scenario, played: frozenset[str], main: str, others: Mapping[str, str]) -> dict[str, Target]:
    """Party → where it is. ``main`` is that of the party which the played ones speak with first, unless ``others``
    names that one too.

    Raises:
        UsageError: a URL or a name is wrong.
    """
    for name in others:
        if name not in scenario.parties or name in played:
            left = ", ".join(one for one in scenario.parties if one not in played)
            raise UsageError(f"--target {name}=…: {name} is not played against; {left} is")
    found = {name: target_of(url) for name, url in others.items()}
    asked = [one.receiver for one in scenario.steps if one.sender in played and one.receiver not in played]
    heard = [one.sender for one in scenario.steps if receives(one, "message", played)]
    first = next((one for one in [*asked, *heard] if one not in found), "")
    if main and first:
        found[first] = target_of(main)
    begins = next((one for one in scenario.steps if (one.sender in played) != (one.receiver in played)), None)
    if begins is not None and begins.sender in played and begins.receiver not in found:
        raise UsageError(f"--target URL is missing: where the {begins.receiver} is")
    return found
