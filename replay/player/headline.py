"""What became of a story in one line that a manager understands: what it came to first, then where it went wrong.

That a job ended Aborted matters more than that its third status event had another counter; that an image was refused
matters more than the reason text of the state behind it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dissector.catalog import END_STATES
from dissector.messages import Message
from replay.player.difference import Difference, shown
from replay.player.step import StepResult

__all__ = ["ended", "operation", "said", "verdict"]

_ENDS = ("JobCompletedState", "JobState")
_LAST = "JobEndStateEvent"
"""Ending of the names of the events that tell the end of a job, in WS-DSP and in WS-Scan."""


def verdict(bad: Sequence[StepResult]) -> str:
    """The one line about steps that are not as recorded, without a full stop.

    Args:
        bad: in the order of the story, at least one.
    """
    for step in reversed(bad):
        for one in step.differences:
            if _is_end(one):
                return f"the job ended {shown(one.received) or 'in no state'}, recorded was {shown(one.recorded)}"
    lost = next((one for one in bad if one.outcome == "missing" and one.name.endswith(_LAST)), None)
    if lost is not None:
        return f"the end of the job was never told ({operation(lost.name)} did not come)"
    faults = [one for one in bad if any(each.what == "fault" and not each.path for each in one.differences)]
    return said((faults or bad)[0])


def said(step: StepResult) -> str:
    """What is other about one step, in a sentence."""
    name = operation(step.name)
    if step.outcome in ("missing", "doubled", "unexpected", "late"):
        how = {
            "missing": "did not come", "doubled": "came twice", "unexpected": "came, and was not recorded",
            "late": "came too late",
        }  # fmt: skip
        return f"{name} {how[step.outcome]}"
    if step.outcome == "failed" or not step.differences:
        return f"{name} was {step.text}" if step.text.startswith("not sent") else f"{name}: {shown(step.text)}"
    first = step.differences[0]
    if first.what == "fault" and not first.path:
        came = first.received or ""
        if not came.startswith("the fault "):
            return f"{name} was accepted, recorded was {first.recorded}"
        reason = first.text.partition(" came")[2].rpartition(", ")[0]
        return f"{name} was refused with {came.removeprefix('the fault ')}{reason}"
    return f"{name}: {first.text}"


def ended(message: Message) -> str:
    """What a SubscriptionEnd says: why, and in the words of who sent it."""
    body = message.body
    said = {name: found.text.strip() for name in ("Status", "Code", "Reason") if body and (found := body.find(name))}
    why = shown(re.split("[/:]", said.get("Status") or said.get("Code") or "no status")[-1])
    reason = shown(said.get("Reason", ""))
    return f"the subscription was ended: {why}" + (f" ({reason})" if reason else "")


def operation(name: str) -> str:
    """A message as people call it: ``SendImage`` for ``SendImageRequest``."""
    short = name.removesuffix("Request")
    return shown(short) or shown(name)


def _is_end(one: Difference) -> bool:
    """The end state of a job differs: told by an event, or read as its state."""
    name = one.path.rpartition("/")[2]
    if one.what != "body" or name not in _ENDS:
        return False
    return name == "JobCompletedState" or one.received in END_STATES or one.recorded in END_STATES
