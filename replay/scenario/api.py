"""Extracting a scenario from Python: what ``dsmreplay extract`` does, in one call."""

from __future__ import annotations

from pathlib import Path

from replay.scenario.extract import extract as taken
from replay.scenario.files import save_scenario
from replay.scenario.model import Scenario
from replay.scenario.secret import Secrets
from replay.scenario.stories import Choice

__all__ = ["extract"]


def extract(
    capture: str | Path,
    folder: str | Path,
    choice: Choice | None = None,
    *,
    plays: str = "",
    secrets: Secrets | None = None,
) -> Scenario:
    """Make a scenario out of a capture, and save it.

    Args:
        capture: its path.
        folder: where the scenario goes; made where it is not there, else it has to be empty.
        choice: which story; None: the only one there is.
        plays: party that is played unless told otherwise, default the side that asks.
        secrets: values that are not written down.

    Returns:
        The scenario; ``missing`` says what the capture did not hold.

    Raises:
        UnreadableInput: the capture cannot be read, no story is in it, or the folder cannot be written.
        UsageError: several stories fit, there is no such party, or the folder holds something else.
    """
    scenario, contents = taken(capture, choice, plays=plays, secrets=secrets)
    save_scenario(scenario, contents, folder)
    return scenario
