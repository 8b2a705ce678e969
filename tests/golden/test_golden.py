"""Every sample capture against its golden outputs, and against the story it was made from.

``make golden`` writes the expected files anew; look at the difference before you commit it.
"""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from dissector.cli import main
from tests.support.sample_keys import key_options
from tests.support.stories import STORIES

ROOT = Path(__file__).parent.parent.parent
EXPECTED = Path(__file__).parent / "expected"
SAMPLES = sorted(p for p in (ROOT / "pcaps").rglob("*.pcap*") if p.is_file())
OUTPUTS = {"read.txt": ["read"], "jobs.json": ["jobs", "--json"], "events.json": ["events", "--json"]}
TLS = [sample for sample in SAMPLES if key_options(sample) or "tls" in sample.name or "https" in sample.name]
CASES = [(sample, kind, command) for sample in SAMPLES for kind, command in OUTPUTS.items()]
CASES += [(sample, "tls.json", ["tls", "--json"]) for sample in TLS]


def output_of(arguments: list[str]) -> str:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    # Paths differ from place to place; what is said does not.
    text = out.getvalue().replace(str(ROOT) + "/", "")
    noise = err.getvalue().replace(str(ROOT) + "/", "")
    return text + (f"\n-- standard error --\n{noise}" if noise else "") + f"\n-- exit code {code} --\n"


@pytest.mark.parametrize(("sample", "kind", "command"), CASES, ids=[f"{p.name}-{kind}" for p, kind, _ in CASES])
def test_golden_output(sample: Path, kind: str, command: list[str], request: pytest.FixtureRequest) -> None:
    text = output_of([command[0], str(sample), *command[1:], *key_options(sample)])
    golden = EXPECTED / f"{sample.name}.{kind}"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert golden.exists(), f"{golden.name} is missing: make golden"
    assert text == golden.read_text()


def test_every_golden_file_has_its_sample() -> None:
    names = {f"{sample.name}.{kind}" for sample, kind, _ in CASES}
    assert {p.name for p in EXPECTED.iterdir()} == names


def test_the_samples_are_small() -> None:
    assert sum(p.stat().st_size for p in SAMPLES) < 8 << 20


def test_the_manifest_names_every_sample() -> None:
    manifest = (ROOT / "pcaps" / "MANIFEST.md").read_text()
    assert [p.name for p in SAMPLES if f"`{p.name}`" not in manifest] == []


@pytest.mark.parametrize("name", STORIES)
def test_jobs_are_those_of_the_story(name: str) -> None:
    story = STORIES[name]()
    text = output_of(["jobs", str(ROOT / "pcaps" / f"{name}.pcapng"), "--json"])
    jobs = {job["id"]: job for job in json.loads(text[: text.rindex("\n-- exit")].split("\n-- standard")[0])["jobs"]}
    assert set(jobs) == {expected.id or None for expected in story.jobs}
    for expected in story.jobs:
        job = jobs[expected.id or None]
        assert job["completed_state"] == expected.completed_state
        assert job["completed_state_reasons"] == expected.reasons
        assert [(f["dialect"], f["state"], f["reasons"]) for f in job["filters"]] == [
            (dialect, state, reasons) for dialect, state, reasons in expected.filters
        ]
        if job["kind"] == "post-scan":
            seen = [(i["document_id"], i["format"], i["size"], i["sha256"]) for i in job["images"]]
            assert seen == [tuple(image) for image in expected.images]
        else:
            assert [(i["size"], i["sha256"]) for i in job["images"]] == [(i[2], i[3]) for i in expected.images]
        assert all(image["complete"] for image in job["images"])
