"""What has to hold whatever the bytes are: known rules, harmless text, bounded time and memory.

Each oracle raises :class:`Broken` with what it saw. They say what they mean by themselves: none of them asks the code
under test what is harmless.
"""

from __future__ import annotations

import json
import resource
import signal
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import jsonschema

from dissector.base.findings import Finding, rules
from dissector.output.jsontext import dumps, schema

__all__ = ["Broken", "bounded", "fits_schema", "harmless", "known_rules", "same", "within"]

SECONDS = 10.0
"""CPU time of one case. Under the fuzzer the code is instrumented and some five times slower."""
GROWTH = 256 << 20
"""Bytes by which one case may raise the peak of the process's memory."""

_HARMFUL = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])
"""General categories: controls (C0, DEL, C1), format characters (bidirectional, zero width, tags), surrogates, line
and paragraph separators."""


class Broken(AssertionError):
    """Something that has to hold does not."""


class _TooLong(BaseException):
    """The time was over; no ``except Exception`` of the code under test may swallow it."""


def harmless(text: str, *, lines: bool = False) -> None:
    """Nothing in the text that a terminal obeys, or that hides or reorders what is shown.

    Args:
        text: as it would be printed.
        lines: line feeds are meant.
    """
    if text.isascii() and text.isprintable():
        return
    for place, character in enumerate(text):
        if (character != "\n" or not lines) and unicodedata.category(character) in _HARMFUL:
            raise Broken(f"U+{ord(character):04X} reaches the terminal: {text[max(0, place - 40) : place + 20]!r}")


def known_rules(findings: Iterable[Finding]) -> None:
    """Findings only of rules that ``dsmshark rules`` lists, with a text and frames that can be."""
    known = rules()
    for finding in findings:
        if finding.rule not in known:
            raise Broken(f"no such rule: {finding}")
        if not finding.text or len(finding.text) > 4000:
            raise Broken(f"a text of {len(finding.text)} characters in a finding of {finding.rule}")
        if any(frame < 0 for frame in finding.frames) or (finding.offset or 0) < 0:
            raise Broken(f"no such place: {finding.frames}, offset {finding.offset} of {finding.rule}")


@cache
def _validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(schema(name))


def fits_schema(data: Any, name: str) -> None:
    """Plain data that fits the published schema, and is ASCII as JSON."""
    text = dumps(data)
    harmless(text)
    error = next(_validator(name).iter_errors(json.loads(text)), None)
    if error is not None:
        raise Broken(f"{name}: {error.message[:400]} at {error.json_path}")


def same(one: object, other: object, what: str) -> None:
    """Two ways that must give the same."""
    if one != other:
        raise Broken(f"{what}:\n  {_difference(one, other)}")


def _difference(one: object, other: object, path: str = "") -> str:
    if type(one) is type(other):
        if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            for place, (first, second) in enumerate(zip(one, other, strict=False)):
                if first != second:
                    return _difference(first, second, f"{path}[{place}]")
            return f"at {path}: {len(one)} against {len(other)} members; {one[len(other) :]!r} {other[len(one) :]!r}"[
                :900
            ]
        if isinstance(one, dict) and isinstance(other, dict):
            for key in {**one, **other}:
                if one.get(key) != other.get(key):
                    return _difference(one.get(key), other.get(key), f"{path}.{key}")
    return f"at {path}: {one!r:.400} against {other!r:.400}"


def bounded(work: Callable[[], object], seconds: float = SECONDS, growth: int = GROWTH) -> None:
    """Do something within a time (of the CPU) and a growth of memory."""
    before, start = _peak(), time.process_time()
    work()
    took, grown = time.process_time() - start, _peak() - before
    if took > seconds:
        raise Broken(f"took {took:.1f} s of CPU, more than {seconds:g}")
    if grown > growth:
        raise Broken(f"memory grew by {grown >> 20} MiB, more than {growth >> 20}")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """A guard against hanging: fails after so many seconds of CPU."""

    def over(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    except _TooLong:
        raise Broken(f"not done after {seconds} s of CPU") from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
