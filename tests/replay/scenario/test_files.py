"""Scenarios as files: what is saved is loaded again, and a wrong edit is told with its place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissector.base.errors import UnreadableInput, UsageError
from dissector.http.content import Content
from replay.scenario.extract import extract
from replay.scenario.files import Folder, ill_formed, load_scenario, save_scenario
from replay.scenario.material import Slice
from replay.scenario.model import Birth, Bound, Part, Party, Scenario, Step, Wire
from replay.scenario.values import KINDS, WHERE
from replay.scenario.wires import bytes_of
from replay.scenario.written import as_yaml

SAMPLES = Path(__file__).parents[3] / "pcaps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario that is not to be changed."""
    made = tmp_path_factory.mktemp("scenario")
    save_scenario(*extract(SAMPLES / "emulated" / "device-completed.pcap"), made / "one")
    return made / "one"


@pytest.fixture
def edited(folder: Path, tmp_path: Path) -> Path:
    """A copy to be edited."""
    return Path(shutil.copytree(folder, tmp_path / "edited"))


# -- there and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dsm-two-jobs.pcapng", "dsc-management.pcapng", "others/debian-gray-mfp.pcap"])
def test_a_scenario_that_is_saved_and_loaded_is_the_same(name: str, tmp_path: Path) -> None:
    scenario, contents = extract(SAMPLES / name)
    scenario.rules = [("JobCompletedTime", "ignore")]
    scenario.steps[0].rules = [("Expires", "any")]
    save_scenario(scenario, contents, tmp_path)
    loaded, _ = load_scenario(tmp_path)
    for step in scenario.steps:
        step.time, step.took = round(step.time, 6), round(step.took, 6)
    assert loaded == scenario
    assert as_yaml(loaded) == (tmp_path / "scenario.yaml").read_text()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=10)
RAW = st.text(st.characters(max_codepoint=255), max_size=20)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
PLACES = {"step": st.just(1), "part": st.sampled_from(["message", "answer"]), "where": st.sampled_from(WHERE)}
BIRTHS = st.builds(Birth, **PLACES, path=TEXTS, within=TEXTS)
BOUNDS = st.builds(
    Bound, name=NAMES, recorded=TEXTS, maker=st.sampled_from(["a", "b", ""]), kind=st.sampled_from(KINDS),
    **PLACES, path=TEXTS, within=TEXTS, why=TEXTS, default=TEXTS, sure=st.booleans(),
    again=st.lists(BIRTHS, max_size=2),
)  # fmt: skip
PARTS = st.builds(
    Part, head=RAW, file=st.just("images/x"), before=st.none() | RAW, coding=st.sampled_from(["", "base64"])
)
WIRES = st.builds(
    Wire, head=st.just("heads/x"), xml=st.sampled_from(["", "bodies/x"]), encoding=st.sampled_from(["", "utf-16-le"]),
    parts=st.lists(PARTS, max_size=2), final=RAW, codings=st.lists(st.sampled_from(["gzip", "deflate"]), max_size=2),
    chunks=st.lists(st.sampled_from(["1000 x 12", "0", "00A;b=c", "1e5", "12"]), max_size=3), trailer=RAW,
    written=st.dictionaries(NAMES, TEXTS, max_size=2),
)  # fmt: skip
STEPS = st.builds(
    Step, number=st.just(1), name=WORDS, service=TEXTS, event=st.booleans(), sender=st.sampled_from("ab"),
    receiver=st.sampled_from("ab"), time=st.sampled_from([0.0, 1.5]), took=st.sampled_from([0.0, 0.000001]),
    message=WIRES, answer=st.none() | WIRES, origin=TEXTS, connection=TEXTS, optional=st.booleans(),
    rules=st.lists(st.tuples(WORDS, TEXTS), max_size=2),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.lists(BOUNDS, max_size=3, unique_by=lambda one: one.name), st.lists(TEXTS, max_size=2), WORDS)
def test_any_scenario_comes_back(
    tmp_path: Path, step: Step, values: list[Bound], missing: list[str], name: str
) -> None:
    for value in values:
        if value.maker:
            value.default = ""
    for wire in (step.message, step.answer):
        if wire is not None and not wire.parts:
            wire.final = ""  # it stands behind parts
    parties = {key: Party(key, "role", ("http://192.0.2.1:80",)) for key in "ab"}
    scenario = Scenario(name, name, parties, "a", {one.name: one for one in values}, [step], missing=missing)
    contents = dict.fromkeys(("heads/x", "bodies/x", "images/x"), b"")
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    save_scenario(scenario, contents, tmp_path / "s")
    assert load_scenario(tmp_path / "s")[0] == scenario


@pytest.mark.parametrize("text", ["?a", "? a", ": a", ":", "- a", "a: b", "a #b", "{a", "~", "\x85", "=", "1e3", "yes"])
def test_texts_that_yaml_takes_for_something_else_come_back(folder: Path, tmp_path: Path, text: str) -> None:
    scenario, _ = load_scenario(folder)
    value = next(one for one in scenario.values.values() if one.kind == "message_id")
    value.recorded = value.within = scenario.steps[0].service = text
    files = [file for file in folder.rglob("*") if file.is_file() and file.parent != folder]
    save_scenario(scenario, {str(one.relative_to(folder)): one.read_bytes() for one in files}, tmp_path / "s")
    assert load_scenario(tmp_path / "s")[0] == scenario


def test_comments_say_where_each_step_came_from(folder: Path) -> None:
    text = (folder / "scenario.yaml").read_text()
    assert text.startswith("# A recorded sequence. It holds what the capture held: names, addresses, pictures")
    scenario, _ = load_scenario(folder)
    for step in scenario.steps:
        assert f"\n  # {step.number}  {step.origin}\n" in text
        assert "of device-completed.pcap, after" in step.origin


def test_a_scenario_is_not_written_over_what_is_there(tmp_path: Path) -> None:
    made = extract(SAMPLES / "dsm-create-fault.pcapng")
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="choose another folder"):
        save_scenario(*made, tmp_path)
    other = tmp_path / "other"
    save_scenario(*made, other)
    (other / "heads" / "999-old.head").write_text("x")
    with pytest.raises(UsageError, match="may have been edited: --force"):
        save_scenario(*made, other)
    save_scenario(*made, other, replace=True)
    assert not (other / "heads" / "999-old.head").exists()
    with pytest.raises(UsageError, match="choose another folder"):
        save_scenario(*made, tmp_path / "mine.txt")


class Endless(Slice):
    """An image that is broken off while it is written."""

    def pieces(self) -> Iterator[bytes]:
        yield b"the beginning"
        raise KeyboardInterrupt


def test_what_is_broken_off_leaves_what_was_there(tmp_path: Path) -> None:
    scenario, contents = extract(SAMPLES / "dsm-create-fault.pcapng")
    place = tmp_path / "s"
    for before in (False, True):
        if before:
            save_scenario(scenario, contents, place)
        with pytest.raises(KeyboardInterrupt):
            save_scenario(scenario, {**contents, "images/9.jpg": Endless(Content(), 0, 0)}, place, replace=True)
        assert place.exists() is before
    load_scenario(place)
    assert sorted(one.name for one in place.iterdir()) == ["bodies", "heads", "scenario.yaml"]


@pytest.mark.parametrize("moves", range(7))
def test_what_is_broken_off_while_the_new_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    place = tmp_path / "s"
    save_scenario(*extract(SAMPLES / "dsm-create-fault.pcapng"), place)
    before = {one: one.read_bytes() for one in place.rglob("*") if one.is_file()}
    done, rename = [], Path.rename

    def renamed(self: Path, target: Path) -> Path:
        done.append(self)
        if len(done) == moves + 1:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)
    new = extract(SAMPLES / "dsm-completed.pcapng")
    # The scenario before has three things, the new one four.
    with pytest.raises(KeyboardInterrupt):
        save_scenario(*new, place, replace=True)
    assert {one: one.read_bytes() for one in place.rglob("*") if one.is_file()} == before


def test_names_of_files_are_safe(tmp_path: Path) -> None:
    for name in ("/etc/passwd", "../x", "heads/../../x"):
        with pytest.raises(UnreadableInput, match="is not in the scenario's folder"):
            Folder(tmp_path).read(name)
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(UnreadableInput, match="is not in the scenario's folder"):
        Folder(tmp_path).read("link")
    with pytest.raises(UnreadableInput, match="no file"):
        Folder(tmp_path).check(".")


# -- wrong edits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("format: dsmreplay.scenario/1", "format: 2", "no scenario; expected format: dsmreplay.scenario/1"),
        ("plays: device", "plays: printer", "printer is no party; expected device, server"),
        ("plays: device", "play: device", "play is not known; expected plays"),
        ("    role: DSM device\n", "", "device has no role"),
        ("- http://192.0.2.30:5362", "- 192.0.2.30", "expected a URL such as"),
        ("parties:\n", "parties: two\nrules:\n", "parties is 'two'; expected names, each with what belongs to it"),
        ("maker: site", "maker: thin air", "maker is 'thin air'; expected device, server, site"),
        ("kind: token", "kind: tokn", "kind is 'tokn'; expected token, identifier"),
        ("part: answer", "part: question", "part is 'question'; expected message, answer"),
        ("where: body", "where: there", "where is 'there'; expected body, header, target, http"),
        ("step: 3\n", "step: 300\n", "there is no step 300; expected 1 to 20"),
        ("step: 3\n", "step: three\n", "there is no step 'three'; expected 1 to 20"),
        ("  job_token:\n", "  JobToken:\n", "'JobToken' is no name; expected small letters, digits and _"),
        ("  job_token:\n", "  7:\n", "7 is no name"),
        ("  job_token:\n", "  job_token: 5\n  x:\n", "job_token is 5; expected a mapping with maker, kind, recorded"),
        ("kind: token\n", "kind: token\n    secret: a-b\n", "expected the name of an environment variable"),
        ("kind: token\n", "kind: token\n    doubtful: maybe\n", "doubtful is 'maybe'; expected true or false"),
        ("recorded: Ada\n", "recorded: 5\n", "recorded is 5; expected a text; put it in quotes"),
        ("took: ", "tok: ", "tok is not known; expected took"),
        ("from: device", "from: nobody", "nobody is no party; expected device, server"),
        ("at: 0.0", "at: soon", "at is 'soon'; expected seconds"),
        ("at: 0.0", "at: -1", "at is -1; expected seconds"),
        ("at: 0.0", "at: .nan", "expected seconds"),
        ("  - step: Get\n", "  - steps: Get\n", "steps is not known; expected step"),
        ("  - step: Get\n", "  - step: Get\n    event: Get\n", "expected step: NAME, or event: NAME"),
        ("    send:\n", "    sent:\n", "sent is not known; expected send"),
        ("      head: heads/001-Get.head\n", "", "send has no head"),
        ("heads/001-Get.head", "heads/gone.head", "No such file"),
        ("heads/001-Get.head", "../../etc/passwd", "is not in the scenario's folder"),
        ("heads/001-Get.head", "heads", "no file that can be read"),
        ("head: heads/001-Get.head", "head: [1]", "head is [1]; expected a text"),
        ("xml: bodies/001-Get.xml", "chunks: [12z]", "'12z' in chunks; expected a size such as"),
        ("xml: bodies/001-Get.xml", "chunks: [12]", "12 is no text; expected a text; put it in quotes"),
        ("xml: bodies/001-Get.xml", "codings: [zip]", "'zip' in codings; expected gzip"),
        ("xml: bodies/001-Get.xml", "encoding: base64", "encoding is 'base64'; expected such as utf-16-le"),
        ("xml: bodies/001-Get.xml", "parts: [{head: a}]", "a part has no file, and there is no envelope"),
        ("xml: bodies/001-Get.xml", "trailer: \u20ac", "expected bytes, in latin-1"),
        ("xml: bodies/001-Get.xml", "written: [a]", "expected names of values"),
        ("steps:\n", "steps:\n  - 5\n", "number 1 of steps is 5; expected a mapping"),
        ("steps:\n", "steps: 5\nstep:\n", "step is not known; expected steps"),
        ("plays: device", "rules: [a]\nplays: device", "'a' is no rule; expected PATH: how"),
        ("plays: device", "plays: [device", "scenario.yaml:"),
        ("plays: device", "plays: !!python/name:os.system x", "is not allowed, only plain data"),
    ],
)  # fmt: skip
def test_a_wrong_edit_is_told_with_its_place(edited: Path, before: str, after: str, told: str) -> None:
    path = edited / "scenario.yaml"
    text = path.read_text()
    before = before.replace("Ada", load_scenario(edited)[0].values["job_token"].recorded)
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises((UsageError, UnreadableInput)) as error:
        load_scenario(edited)
    assert told in str(error.value)
    assert str(edited) in str(error.value)


def test_the_line_of_a_wrong_edit_is_told(edited: Path) -> None:
    path = edited / "scenario.yaml"
    lines = path.read_text().splitlines()
    line = next(number for number, one in enumerate(lines) if "took:" in one)
    lines[line] = lines[line].replace("took:", "toook:")
    path.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=f"scenario.yaml:{line + 1}: toook is not known"):
        load_scenario(edited)


def test_a_name_that_is_no_value_is_told_with_its_file_and_line(edited: Path) -> None:
    body = edited / "bodies" / "011-EndPostScanJobRequest.xml"
    text = body.read_text()
    line = text[: text.index("${job_token}")].count("\n") + 1
    body.write_text(text.replace("${job_token}", "${job_tokn}"))
    with pytest.raises(UsageError, match=rf"Request.xml:{line}: \$\{{job_tokn\}} is no value .* near: job_token"):
        load_scenario(edited)


def test_a_head_that_is_no_text_is_told(edited: Path) -> None:
    (edited / "heads" / "001-Get.head").write_bytes(b"POST /\xff HTTP/1.1\r\n\r\n")
    with pytest.raises(UsageError, match=r"001-Get.head: byte 6 is not UTF-8"):
        load_scenario(edited)


def test_a_file_that_is_not_there_is_told_with_the_line_that_names_it(edited: Path) -> None:
    path = edited / "scenario.yaml"
    text = path.read_text()
    for name, why in (
        ("heads/gone.head", f"{edited}/heads/gone.head: No such file"),
        ("../x", r"\.\./x is not in the"),
    ):
        path.write_text(text.replace("heads/005-SendImageRequest.head", name))
        line = text[: text.index("heads/005-SendImageRequest.head")].count("\n") + 1
        with pytest.raises(UnreadableInput, match=f"^{path}:{line}: {why}"):
            load_scenario(edited)


def test_an_envelope_that_an_edit_damaged_is_told(edited: Path) -> None:
    scenario, folder = load_scenario(edited)
    assert list(ill_formed(scenario, folder, ["device", "server"])) == []
    for name in ("011-EndPostScanJobRequest.xml", "011-EndPostScanJobRequest-answer.xml"):
        body = edited / "bodies" / name
        body.write_text(body.read_text().replace("Action>", "Aktion>", 1))
    (told,) = ill_formed(scenario, folder, ["device"])
    assert told.startswith(f"{edited}/bodies/011-EndPostScanJobRequest.xml:")
    assert "is sent as it is, and is not well-formed: Opening and ending tag mismatch: " in told
    assert len(list(ill_formed(scenario, folder, ["device", "server"]))) == 2


ODD = ("5", "[1]", "{a: b}", "null", "true", "-1", "''", "2026-01-01", "*x", "&x", "1e400", "!!binary aGFsbG8=")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario of two steps."""
    made = tmp_path_factory.mktemp("scenario") / "small"
    save_scenario(*extract(SAMPLES / "dsm-create-fault.pcapng"), made)
    return made


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_mangled_scenario_is_refused_or_plays(small: Path, tmp_path: Path, draw: st.DataObject) -> None:
    """Lines lost, doubled, moved and changed: never another exception."""
    place = tmp_path / "mangled"
    if not place.exists():
        shutil.copytree(small, place)
    lines = (small / "scenario.yaml").read_text().splitlines()
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(lines) - 1))
        how = draw.draw(st.sampled_from(["drop", "double", "move", "word", "indent", "cut", "value"]))
        line = lines.pop(at)
        if how == "double":
            lines[at:at] = [line, line]
        elif how == "move":
            lines.insert(draw.draw(st.integers(0, len(lines))), line)
        elif how == "word":
            lines.insert(at, draw.draw(st.text(max_size=12)).replace("\n", " ") + line)
        elif how == "indent":
            lines.insert(at, draw.draw(st.sampled_from(["  ", "", "      "])) + line.lstrip())
        elif how == "cut":
            lines.insert(at, line[: draw.draw(st.integers(0, len(line)))])
        elif how == "value":
            new = draw.draw(
                st.sampled_from(["5", "[1]", "{a: b}", "null", "true", "-1", "''", "2026-01-01", "*x", "&x"])
            )
            lines.insert(at, line.partition(":")[0] + ": " + new)
    (place / "scenario.yaml").write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        scenario, files = load_scenario(place)
    except (UsageError, UnreadableInput):
        return
    recorded = {value.name: value.recorded for value in scenario.values.values()}
    for step in scenario.steps:
        for wire in (step.message, step.answer):
            if wire is not None:
                assert bytes_of(wire, files, recorded)
    save_scenario(scenario, {}, tmp_path / "again", replace=True)
