"""Findings: what is wrong or worth knowing, and where.

A parser never raises on what a peer sent. It keeps what it could read and leaves a :class:`Finding`. The kinds
of findings are :class:`Rule` objects, each defined once, beside the code that applies it, so that the rule
catalogue can be printed from the code (``rules()``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Rule", "Severity", "rule", "rules", "worst"]


class Severity(StrEnum):
    """How bad it is, in the words of the fact tables (and of Wireshark's expert information)."""

    ERROR = "error"
    """A broken message, or data that is not there."""
    WARN = "warn"
    """A rule is broken; the message could still be decoded."""
    NOTE = "note"
    """Worth showing."""
    CHAT = "chat"
    """Part of the normal course of things."""

    @property
    def rank(self) -> int:
        """0 for error … 3 for chat."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        rule: dotted identifier, room first: ``tcp.gap``, ``http.bare-lf``, ``dsp.P68``.
        severity: see :class:`Severity`.
        text: one sentence for people: what was seen and, where that helps, what was expected.
        frames: frame numbers (1-based), empty where none is known.
        offset: offset in bytes in the stream direction or file that the text speaks of.
        path: element path, such as ``PostScanJobEndStateEvent/PostScanJobEndState/JobCompletedState``.
        hosts: addresses of both ends of the connection that it is of, empty where it is of none, or of several. No
            part of what is told: the text says it.
    """

    rule: str
    severity: Severity
    text: str
    frames: tuple[int, ...] = ()
    offset: int | None = None
    path: str | None = None
    hosts: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The finding as plain data; absent members are left out."""
        data: dict[str, Any] = {"rule": self.rule, "severity": self.severity.value, "text": self.text}
        if self.frames:
            data["frames"] = list(self.frames)
        if self.offset is not None:
            data["offset"] = self.offset
        if self.path is not None:
            data["path"] = self.path
        return data

    def __str__(self) -> str:
        where = f" (frame {self.frames[0]})" if self.frames else ""
        path = f" at {self.path}" if self.path else ""
        return f"{self.severity}: {self.text}{path}{where} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding. Make one with :func:`rule`, a finding of it by calling it."""

    id: str
    severity: Severity
    summary: str
    source: str = ""

    def __call__(
        self,
        text: str | None = None,
        *,
        frames: Iterable[int] = (),
        offset: int | None = None,
        path: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule; ``text`` defaults to the summary, ``severity`` to the rule's."""
        return Finding(self.id, severity or self.severity, text or self.summary, tuple(frames), offset, path)


_RULES: dict[str, Rule] = {}


def rule(id: str, severity: Severity | str, summary: str, source: str = "") -> Rule:
    """Define a rule, once, at import time of the module that applies it.

    Args:
        id: dotted identifier, unique.
        severity: the usual severity; a finding may carry another.
        summary: one sentence without full stop, used where a finding has no text of its own.
        source: specification and section.

    Raises:
        ValueError: the identifier is taken.
    """
    if id in _RULES:
        raise ValueError(f"rule {id} is defined twice")
    made = Rule(id, Severity(severity), summary, source)
    _RULES[id] = made
    return made


def rules() -> dict[str, Rule]:
    """All rules defined so far, by identifier."""
    return dict(_RULES)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The worst severity among the findings, None where there are none."""
    return min((f.severity for f in findings), key=lambda s: s.rank, default=None)
