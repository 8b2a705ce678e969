"""Findings for people and programs: the one shape in JSON, the one line in text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dissector.base.findings import Finding
from dissector.output.text import PLAIN, Palette, frames_text, printable

__all__ = ["finding_json", "finding_line", "finding_lines", "findings_json"]

MOST = 25
"""Findings shown in a row as text; JSON has them all."""


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding with all its keys."""
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "text": finding.text,
        "frames": list(finding.frames),
        "offset": finding.offset,
        "path": finding.path,
    }


def findings_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings in the order given."""
    return [finding_json(finding) for finding in findings]


def finding_line(finding: Finding, paint: Palette = PLAIN) -> str:
    """``error  text (frame 12) [rule]``, on one line."""
    severity = finding.severity.value
    where = ""
    if finding.frames and not (len(finding.frames) == 1 and f"frame {finding.frames[0]}" in finding.text):
        where = f" (frame{'s' if len(finding.frames) > 1 else ''} {frames_text(finding.frames)})"
    path = f" at {printable(finding.path)}" if finding.path and finding.path not in finding.text else ""
    rule = paint("dim", f"[{finding.rule}]")
    return f"{paint(severity, f'{severity:<5}')}  {printable(finding.text)}{path}{where} {rule}"


def finding_lines(findings: Iterable[Finding], paint: Palette = PLAIN, *, most: int = MOST) -> Iterator[str]:
    """Lines for people: the worst ``most`` findings in their order, then how many more there are."""
    every = list(findings)
    shown = every
    if len(every) > most:
        places = sorted(range(len(every)), key=lambda place: every[place].severity.rank)[:most]
        shown = [every[place] for place in sorted(places)]
    for finding in shown:
        yield finding_line(finding, paint)
    if len(every) > most:
        yield f"and {len(every) - most:,} more (--json has all)"
