"""Whatever a capture holds: a scenario that loads and gives bytes, or a refusal; never another exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.errors import DsmsharkError
from replay.scenario.extract import Choice, extracted, recorded
from replay.scenario.files import load_scenario, save_scenario
from replay.scenario.wires import bytes_of
from tests.fuzz.mutate import mutate
from tests.support.stories import STORIES
from tests.support.wire import frames_of, write_pcap

SAMPLES = ("scan-push", "dsm-create-fault", "dsc-management")
SEEDS = range(12)


@pytest.mark.parametrize("name", SAMPLES)
def test_any_damaged_capture_gives_a_scenario_or_a_refusal(name: str, tmp_path: Path) -> None:
    whole = write_pcap(frames_of(STORIES[name]()))
    path = tmp_path / "told.pcap"
    good = 0
    for seed in SEEDS:
        path.write_bytes(mutate(whole, seed))
        try:
            recording = recorded(path)
            made = extracted(recording, recording.story(Choice(everything=True)))
        except DsmsharkError:
            continue
        save_scenario(made.scenario, made.contents, tmp_path / "scenario", replace=True)
        scenario, folder = load_scenario(tmp_path / "scenario")
        values = {value.name: value.recorded for value in scenario.values.values()}
        for step in scenario.steps:
            for wire in (step.message, step.answer):
                assert wire is None or bytes_of(wire, folder, values), f"seed {seed}, step {step.number}"
        good += 1
    assert good > len(SEEDS) // 4
