"""Findings that can come thousands of times: one for each rule, whose text counts and whose frames are the first.

A broken or hostile capture must not fill memory with findings, and nobody reads the second thousand of them.
"""

from __future__ import annotations

from collections.abc import Callable

from dissector.base.findings import Finding, Rule

__all__ = ["Tally"]

_FRAMES_KEPT = 20


class Tally:
    """Counts one kind of finding, and keeps the one finding about it in a list up to date.

    Args:
        findings: the list that holds the finding; others may append to it, but not take it out.
        rule: the rule it is of.
        text: says it for a count.
    """

    __slots__ = ("_findings", "_frames", "_index", "_rule", "_text", "count")

    def __init__(self, findings: list[Finding], rule: Rule, text: Callable[[int], str]) -> None:
        self._findings = findings
        self._rule = rule
        self._text = text
        self._frames: list[int] = []
        self._index: int | None = None
        self.count = 0

    def add(self, frame: int, count: int = 1) -> None:
        """It happened again, ``count`` times, in this frame."""
        self.count += count
        if len(self._frames) < _FRAMES_KEPT:
            self._frames.append(frame)
        finding = self._rule(self._text(self.count), frames=self._frames)
        if self._index is None:
            self._index = len(self._findings)
            self._findings.append(finding)
        else:
            self._findings[self._index] = finding
