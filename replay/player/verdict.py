"""What came for a step of a scenario, held against the recording."""

from __future__ import annotations

from dissector.http.model import HttpMessage
from dissector.messages import Message
from replay.player.judge import UNFIT, Difference, Judge, ValueRule
from replay.player.recorded import Recorded
from replay.player.step import Heard, StepResult
from replay.player.values import Values
from replay.scenario.model import Scenario, Step, Wire

__all__ = ["Verdicts"]


class Verdicts:
    """Judges the messages of one run.

    Args:
        scenario: its steps, and the rules by which they are compared.
        recorded: its messages.
        values: what the values of the recording are now.
    """

    def __init__(self, scenario: Scenario, recorded: Recorded, values: Values) -> None:
        self._scenario = scenario
        self._recorded = recorded
        self._values = values

    def judged(
        self, step: Step, part: str, wire: Wire | None, http: HttpMessage, received: Message | None, cut: str = ""
    ) -> StepResult:
        """What became of a part of a step (``message`` or ``answer``).

        Args:
            step, part: which.
            wire: the recorded one, None where there is none.
            http, received: what came; None where it holds no SOAP.
            cut: how it was cut, "" where it was not.
        """
        result = StepResult(step.number, step.name, "same", origin=step.origin)
        result.heard = Heard(http.stream.source, http.stream.destination, http.last_time)
        if wire is None:
            result.outcome, result.text = "skipped", "the recording holds nothing to compare with"
            return result
        expected = self._recorded.message(wire, request=part == "message")
        if expected is None:
            result.outcome, result.text = "skipped", "the recording cannot be read"
            return result
        wanted, recorded = expected
        cut = cut if wanted.complete else ""
        if recorded is not None and received is not None:
            result.differences = self._compared(step, part, recorded, received)
        elif wanted.status != http.status or (recorded is not received and not cut):
            result.differences.append(_bare(wanted, recorded, http, received))
        if cut:
            result.differences = _with_cut(result.differences, cut)
        if result.differences:
            result.outcome = "different"
            result.text = "; ".join(one.text for one in result.differences[:3])
        return result

    def distance(self, step: Step, message: Message | None) -> int:
        """Number of differences of a message from that of a step."""
        expected = self._recorded.message(step.message, request=True)
        if expected is None or expected[1] is None or message is None:
            return 0
        return len(self._compared(step, "message", expected[1], message))

    def _compared(self, step: Step, part: str, recorded: Message, received: Message) -> list[Difference]:
        rules = [ValueRule(path, how) for path, how in [*step.rules, *self._scenario.rules]]
        return Judge(rules, translate=self._values.translation(step.number, part)).compare(recorded, received)


def _with_cut(found: list[Difference], cut: str) -> list[Difference]:
    """That it was cut stands before all that may follow from it, or in its place; a status or a fault does not."""
    found = [one for one in found if one.what != "envelope" or one.received not in UNFIT]
    at = sum(one.what in ("status", "fault") and not one.path for one in found)
    return [*found[:at], Difference("envelope", "", "whole", "cut", cut), *found[at:]]


def _bare(wanted: HttpMessage, recorded: Message | None, http: HttpMessage, received: Message | None) -> Difference:
    """One of the two has no SOAP, or another HTTP status."""
    was = recorded.name if recorded is not None else f"HTTP {wanted.status}"
    came = received.name if received is not None else f"HTTP {http.status}"
    return Difference("status", "", was, came, f"{came} came, {was} was recorded")
