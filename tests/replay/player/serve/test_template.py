"""Messages that are built once and sent often are, to the byte, what the scenario's files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.player.serve.template import Template, Templates
from replay.scenario.files import Folder, load_scenario
from replay.scenario.model import Scenario, Wire
from replay.scenario.wires import bytes_of
from tests.support.serving import CAPTURES, scenario_folder


class Counting(Folder):
    """Counts how often each file is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads: dict[str, int] = {}

    def read(self, name: str) -> bytes:
        self.reads[name] = self.reads.get(name, 0) + 1
        return super().read(name)


def wires(scenario: Scenario) -> list[Wire]:
    return [one for step in scenario.steps for one in (step.message, step.answer) if one is not None]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_template_gives_what_the_files_say(name: str, tmp_path: Path) -> None:
    scenario, folder = load_scenario(scenario_folder(name, tmp_path))
    recorded = {one.name: one.recorded for one in scenario.values.values()}
    others = {one: f"{text}-and more & <longer>" for one, text in recorded.items()}
    for wire in wires(scenario):
        template = Template(wire, folder)
        for values in (recorded, others, recorded, others):
            assert b"".join(template.fill(values)) == b"".join(bytes_of(wire, folder, values)), wire.head


def test_images_are_read_once(tmp_path: Path) -> None:
    path = scenario_folder("emulated/airscan-duplex.pcap", tmp_path)
    scenario, _ = load_scenario(path)
    folder = Counting(path)
    templates = Templates(folder)
    values = {one.name: one.recorded for one in scenario.values.values()}
    step = next(one for one in scenario.steps if one.answer is not None and one.answer.parts)
    assert step.answer is not None
    for number in range(5):
        values["message_id"] = f"urn:uuid:{number}"
        templates.of(step.answer).fill(values)
    (image,) = [part.file for part in step.answer.parts if part.file]
    assert folder.reads[image] == 1


def test_what_takes_too_much_memory_is_forgotten_and_built_again(tmp_path: Path) -> None:
    path = scenario_folder("emulated/airscan-duplex.pcap", tmp_path)
    scenario, _ = load_scenario(path)
    folder = Counting(path)
    templates = Templates(folder, room=100)
    values = {one.name: one.recorded for one in scenario.values.values()}
    images = [one.answer for one in scenario.steps if one.answer is not None and one.answer.parts]
    assert len(images) == 2
    for wire in [*images, *images]:
        assert b"".join(templates.of(wire).fill(values)) == b"".join(bytes_of(wire, Folder(path), values))
        templates.trim()
    assert sum(templates.of(wire).kept > 0 for wire in images) == 1


def test_a_small_message_is_one_piece_and_no_piece_is_long(tmp_path: Path) -> None:
    scenario, folder = load_scenario(scenario_folder("others/scan-debian-adf.pcap", tmp_path))
    values = {one.name: one.recorded for one in scenario.values.values()}
    for wire in wires(scenario):
        pieces = Template(wire, folder).fill(values)
        if sum(map(len, pieces)) <= 64 << 10:
            assert len(pieces) == 1
        assert all(len(one) <= 256 << 10 for one in pieces)


def test_a_value_does_not_become_a_header_of_its_own(tmp_path: Path) -> None:
    scenario, folder = load_scenario(scenario_folder("scan-push.pcapng", tmp_path))
    values = {one.name: one.recorded for one in scenario.values.values()}
    event = next(one for one in scenario.steps if one.event)
    evil = {name: text + "\r\nX-Evil: 1" for name, text in values.items()}
    head = b"".join(Template(event.message, folder).fill(evil)).partition(b"\r\n\r\n")[0]
    assert b"X-Evil" in head
    assert b"\r\nX-Evil" not in head


def test_a_connection_ends_where_the_recorded_answer_says_so(tmp_path: Path) -> None:
    path = scenario_folder("scan-push.pcapng", tmp_path)
    scenario, folder = load_scenario(path)
    answer = scenario.steps[0].answer
    assert answer is not None
    head = folder.text(answer.head)
    told = {
        "as recorded": (head, False),
        "close": (head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), True),
        "no length": (head.replace("Content-Length", "X-Length"), True),
    }
    for text, closes in told.values():
        (path / answer.head).write_bytes(text.encode())
        assert Template(answer, folder).closes is closes


def test_an_envelope_that_a_person_emptied_is_sent_empty(tmp_path: Path) -> None:
    scenario, folder = load_scenario(scenario_folder("dsm-completed.pcapng", tmp_path))
    values = {one.name: one.recorded for one in scenario.values.values()}
    answer = next(one.answer for one in scenario.steps if one.answer is not None and one.answer.xml)
    (folder.path / answer.xml).write_bytes(b"")
    data = b"".join(Template(answer, folder).fill(values))
    assert data == b"".join(bytes_of(answer, folder, values))
    assert data.endswith(b"\r\n\r\n")
