"""SIGTERM and SIGHUP are as good as Ctrl-C, and what a wrapper hands on twice is one wish."""

from __future__ import annotations

import asyncio
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from replay.cli import ending, extract, main
from replay.cli.ending import breaking_off, run_until_broken_off
from replay.cli.living import until_signal


@pytest.fixture(autouse=True)
def unheard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A signal that nobody takes fails the test, not all of them."""

    def lost(number: int, frame: FrameType | None) -> None:
        raise AssertionError("nobody took it")

    monkeypatch.setattr(ending, "_last", -math.inf)
    # A shell that starts the tests in the background hands down that SIGINT is ignored, and nohup that SIGHUP is.
    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
    before = [signal.signal(number, lost) for number in numbers]
    yield
    assert [signal.signal(number, one) for number, one in zip(numbers, before, strict=True)] == [lost] * 3


async def work(*then: signal.Signals, first: signal.Signals = signal.SIGTERM) -> str:
    """It is told to end, and once more while it does so."""
    signal.raise_signal(first)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        for number in then:
            signal.raise_signal(number)
        await asyncio.sleep(0)
    return "what is known by then"


@pytest.mark.parametrize("then", [(), (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)])
def test_what_a_wrapper_hands_on_is_no_second_wish(
    monkeypatch: pytest.MonkeyPatch, then: tuple[signal.Signals, ...]
) -> None:
    monkeypatch.setattr(ending, "AT_ONCE", math.inf)
    assert run_until_broken_off(work(*then)) == "what is known by then"


def test_a_terminal_that_is_closed_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_until_broken_off(work(first=signal.SIGHUP)) == "what is known by then"
    monkeypatch.setattr(ending, "_last", -math.inf)
    with pytest.raises(KeyboardInterrupt), breaking_off(program=False):
        signal.raise_signal(signal.SIGHUP)


def test_nohup_means_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = asyncio.Event()

    async def emulated() -> None:
        async with until_signal(stop):
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)

    with breaking_off(program=False):
        signal.raise_signal(signal.SIGHUP)
        asyncio.run(emulated())
    assert signal.signal(signal.SIGHUP, before) is signal.SIG_IGN
    assert not stop.is_set()


@pytest.mark.parametrize("then", [signal.SIGTERM, signal.SIGINT])
def test_a_second_wish_ends_it_at_once(monkeypatch: pytest.MonkeyPatch, then: signal.Signals) -> None:
    monkeypatch.setattr(ending, "AT_ONCE", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run_until_broken_off(work(then))


@pytest.mark.parametrize("then", [signal.SIGTERM, signal.SIGINT])
def test_a_wish_outlasts_the_loop_that_heeded_it(monkeypatch: pytest.MonkeyPatch, then: signal.Signals) -> None:
    """The report is written when the signal comes that the wrapper hands on."""
    monkeypatch.setattr(ending, "AT_ONCE", math.inf)
    with breaking_off(program=False):
        assert run_until_broken_off(work()) == "what is known by then"
        signal.raise_signal(then)


def test_a_signal_while_python_takes_itself_down_does_not_change_the_exit_code(tmp_path: Path) -> None:
    program = (
        "import atexit, signal, sys\n"
        "from replay.cli import extract, main\n"
        "extract.recorded = lambda *given, **more: signal.raise_signal(signal.SIGTERM)\n"
        "atexit.register(signal.raise_signal, signal.SIGTERM)\n"
        f"sys.argv = ['dsmreplay', 'extract', 'x.pcap', '-o', {str(tmp_path / 's')!r}]\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, f"dsmreplay: interrupted; nothing was written to {tmp_path / 's'}\n")


def test_an_extraction_says_that_it_wrote_nothing(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def recorded(*given: Any, **more: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(extract, "recorded", recorded)
    capture = str(samples / "dsm-completed.pcapng")
    assert main(["extract", capture, "-o", str(tmp_path / "s")]) == 130
    assert capsys.readouterr().err == f"dsmreplay: interrupted; nothing was written to {tmp_path / 's'}\n"
    monkeypatch.setattr(ending, "_last", -math.inf)
    assert main(["extract", capture, "--list"]) == 130
    assert capsys.readouterr().err == "dsmreplay: interrupted\n"
