"""Collects the findings of one message: one of each rule, so that hostile input cannot make thousands of them."""

from __future__ import annotations

from collections.abc import Sequence

from dissector.base.findings import Finding, Rule, Severity
from dissector.base.origin import FrameMap

__all__ = ["Report"]


class Report:
    """Findings of one message or part, in the order found.

    Calling it adds a finding. A rule that was already reported is not reported again: the first place is the one
    that helps.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: dict[str, tuple[Rule, str | None, int | None, Severity | None]] | None = None

    def __call__(
        self, rule: Rule, text: str | None = None, *, offset: int | None = None, severity: Severity | None = None
    ) -> None:
        """Add a finding; ``offset`` is the stream offset it speaks of."""
        if self._items is None:
            self._items = {}
        if rule.id not in self._items:
            self._items[rule.id] = (rule, text, offset, severity)

    @property
    def any(self) -> bool:
        """Something was reported."""
        return self._items is not None

    def has(self, rule: Rule) -> bool:
        """The rule was reported."""
        return self._items is not None and rule.id in self._items

    def findings(self, frames: FrameMap | None = None, default: Sequence[int] = ()) -> list[Finding]:
        """The findings, with the frames of their offsets; ``default`` frames for those without an offset."""
        if self._items is None:
            return []
        made = []
        for rule, text, offset, severity in self._items.values():
            numbers = default
            if offset is not None and frames is not None:
                numbers = frames.frames_of(offset, offset + 1) or default
            made.append(rule(text, frames=numbers, offset=offset, severity=severity))
        return made
