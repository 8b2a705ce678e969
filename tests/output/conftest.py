from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from dissector.analysis import Analysis
from dissector.messages import Message
from tests.support.fakes import Play


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.fixture
def analysed() -> Callable[[Iterable[Message]], Analysis]:
    def run(messages: Iterable[Message]) -> Analysis:
        analysis = Analysis()
        for message in messages:
            analysis.feed(message)
        analysis.finish()
        return analysis

    return run
