"""The fuzzer's targets in the tests: what once went wrong, the seeds, and some of the kept corpus of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.findings import Finding, Severity
from tests.fuzz import corpus
from tests.fuzz.oracles import Broken, bounded, fits_schema, harmless, known_rules
from tests.fuzz.targets import TARGETS

REGRESSIONS = [path for paths in corpus.regressions().values() for path in paths]


@pytest.mark.parametrize("path", REGRESSIONS, ids=[f"{path.parent.name}-{path.stem}" for path in REGRESSIONS])
def test_what_was_mended_stays_mended(path: Path) -> None:
    data = path.read_bytes()
    target = TARGETS[path.parent.name]
    bounded(lambda: target.run(data), growth=target.memory)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_some_of_the_corpus(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    kept = list(corpus.kept(name).values())
    assert seeds
    for data in [*seeds[:20], *kept[:: max(len(kept) // 25, 1)]]:
        target.run(data[: target.longest])


def test_the_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in corpus.CORPUS.iterdir()) < 2_000_000
    assert {path.stem for path in corpus.CORPUS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("text", ["a\x1b[31m", "\x9b", "\u202ea", "\u200b", "\u2028", "\ud800", "two\nlines", "\u06dd"])
def test_the_oracles_tell_harm(text: str) -> None:
    with pytest.raises(Broken):
        harmless(text)


def test_the_oracles_tell_strange_findings_and_data() -> None:
    known_rules([Finding("tcp.gap", Severity.WARN, "text", (1,))])
    for finding in (Finding("no.rule", Severity.NOTE, "text"), Finding("tcp.gap", Severity.NOTE, "text", offset=-1)):
        with pytest.raises(Broken):
            known_rules([finding])
    with pytest.raises(Broken, match=r"dsmshark.jobs/1"):
        fits_schema({"schema": "dsmshark.jobs/1"}, "dsmshark.jobs/1")


def test_the_oracles_tell_time_and_memory() -> None:
    with pytest.raises(Broken, match="CPU"):
        bounded(lambda: sum(range(3_000_000)), seconds=0.001)
    with pytest.raises(Broken, match="memory"):
        bounded(lambda: len(b"x" * (300 << 20)), growth=1 << 20)
