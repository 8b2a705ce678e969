"""Texts from the network, through every command of both programs: nothing reaches a terminal that it would obey,
nothing a browser that it would run, and no file leaves its folder."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from lxml import etree, html

from replay.cli import main as replay_main
from tests.fuzz.oracles import harmless
from tests.fuzz.targets.pipeline import command
from tests.support.poison import WIRE, poisoned_pcapng

STORIES = ("dsm-completed-with-errors", "scan-pull-events", "dsm-create-fault")
FACES = (
    ("jobs",), ("jobs", "--color", "never", "--json"), ("read",), ("read", "--time", "absolute"),
    ("read", "-V", "--origin", "--all"), ("read", "--json", "--all"), ("read", "--ndjson"), ("events",),
    ("events", "--json"), ("info",), ("info", "--json"), ("tls",), ("tls", "--json"),
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@pytest.fixture(scope="module", params=STORIES)
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in.pcapng").write_bytes(poisoned_pcapng(request.param))
    (folder / "actions.pcapng").write_bytes(poisoned_pcapng(request.param, actions=True))
    return folder


def dsmreplay(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = replay_main([*words])
    return code, out.getvalue(), err.getvalue()


def safe(said: tuple[int, str, str], *codes: int) -> str:
    code, out, err = said
    assert code in (codes or (0, 1)), err
    harmless(out, lines=True)
    harmless(err, lines=True)
    assert "internal error" not in err
    return out


@pytest.mark.parametrize("face", FACES, ids=" ".join)
def test_every_face_of_dsmshark(face: tuple[str, ...], hostile: Path) -> None:
    for name in ("in.pcapng", "actions.pcapng"):
        out = safe(command(face, str(hostile / name)))
        assert "evil" in out or face[0] in ("info", "tls", "jobs", "events")
        if "json" in face[-1]:
            assert all(json.loads(line) for line in out.splitlines()) if "--ndjson" in face else json.loads(out)


def test_the_story_of_every_job(hostile: Path) -> None:
    jobs = json.loads(command(("jobs", "--json"), str(hostile / "in.pcapng"))[1])["jobs"]
    for job in jobs:
        safe(command(("jobs", "--job", job["id"]), str(hostile / "in.pcapng")))
        safe(command(("read", "-V", "--job", job["id"]), str(hostile / "in.pcapng")))


@pytest.mark.parametrize("what", ["images", "messages", "bodies"])
def test_exports_stay_in_their_folder(what: str, hostile: Path, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "out"
    safe(command(("export", what, "-o", str(target)), str(hostile / "in.pcapng")))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent for path in written} <= {target}
    assert all(NAME.fullmatch(path.name) for path in written)
    assert written or what == "images"


@pytest.mark.parametrize(
    "words",
    [("jobs", "no\x1b[31m\u202e"), ("read", "--job", "\x1b[31m\u202e"), ("\x1b[31m",), ("read", "--limit", "\x9b")],
)  # fmt: skip
def test_errors_about_arguments(words: tuple[str, ...], hostile: Path) -> None:
    said = command(words, str(hostile / "in.pcapng"))
    safe(said, 1, 2, 3)
    assert said[1] + said[2]


def test_files_that_are_no_captures(tmp_path: Path) -> None:
    (tmp_path / "x\x1b[31m\u202e.pcap").write_bytes(WIRE)
    safe(command(("jobs",), str(tmp_path / "x\x1b[31m\u202e.pcap")), 3)


def test_scenarios_of_it(hostile: Path, tmp_path: Path) -> None:
    """Extracted, explained, played dry and against nobody, with all its reports."""
    capture = str(hostile / "in.pcapng")
    safe(dsmreplay("extract", "--list", capture))
    json.loads(safe(dsmreplay("extract", "--list", "--json", capture)))
    safe(dsmreplay("extract", "--all", "--explain", "-o", str(tmp_path / "s"), capture), 0, 1, 2)
    if not (tmp_path / "s").exists():
        pytest.fail("no scenario was made of it")
    written = [path.relative_to(tmp_path / "s") for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert all(NAME.fullmatch(part) for path in written for part in path.parts)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(tmp_path / "s")]
    safe(dsmreplay("run", "--dry-run", str(tmp_path / "s")), 0, 1, 2)
    reports = ["--junit", str(tmp_path / "r.xml"), "--html", str(tmp_path / "r.html")]
    safe(
        dsmreplay(
            "run", *reports, "--timeout", "1", "--wait", "0.1", "--target", "http://127.0.0.1:9/x", str(tmp_path / "s")
        ),
        1,
        2,
        4,
    )
    safe(dsmreplay("suite", "--list", str(tmp_path)), 0, 1, 2)
    for path in tmp_path.glob("r.*"):
        _harmless_report(path)


def _harmless_report(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".xml":
        etree.fromstring(text.encode())
    else:
        page = html.document_fromstring(text)
        assert not [one for one in page.iter("script") if "alert(1)" in (one.text or "")]
        assert not [
            name for one in page.iter() if isinstance(one.tag, str) for name in one.attrib if name.startswith("on")
        ]
    assert "\x1b" not in text


def test_datagrams_of_it(hostile: Path) -> None:
    safe(dsmreplay("packets", "--interface", "lo", "--dry-run", str(hostile / "in.pcapng")), 0, 1, 2, 3)


def test_the_comparison_with_tshark(hostile: Path) -> None:
    safe(command(("crosscheck",), str(hostile / "in.pcapng")), 0, 1)
