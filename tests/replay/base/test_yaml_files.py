"""YAML files that people edit: what is wrong is told with its place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UnreadableInput, UsageError
from replay.base.yamlfile import LONGEST, MAX_FILE, dump_yaml, line_of, load_yaml, parse_yaml, wrong

GOOD = """\
# a comment
name: Scanner
list:
  - one
  - two: 2
deep:
  deeper: {a: 1, b: true}
"""


def test_plain_data_comes_out() -> None:
    assert parse_yaml(GOOD) == {
        "name": "Scanner",
        "list": ["one", {"two": 2}],
        "deep": {"deeper": {"a": 1, "b": True}},
    }
    assert parse_yaml("") is None
    assert parse_yaml("- *x\n".replace("*x", "&x 1") + "- *x\n") == [1, 1]


def test_lines_are_known() -> None:
    data = parse_yaml(GOOD)
    assert line_of(data) == 2
    assert [line_of(data, key) for key in ("name", "list", "deep")] == [2, 3, 6]
    assert [line_of(data["list"], place) for place in (0, 1)] == [4, 5]
    assert line_of(data["deep"]["deeper"], "b") == 7
    assert line_of(data, "absent") == 2
    assert line_of({"plain": 1}, "plain") is None
    assert line_of("text") is None


def test_a_wrong_value_is_told_with_its_place() -> None:
    data = parse_yaml(GOOD)
    assert str(wrong("my.yaml", data, "list", "list is no number", "a number")) == (
        "my.yaml:3: list is no number; expected a number"
    )
    assert str(wrong("my.yaml", data["list"], 1, "no")) == "my.yaml:5: no"
    assert str(wrong("my.yaml", {}, "x", "no")) == "my.yaml: no"


@pytest.mark.parametrize(("length", "cut"), [(LONGEST, False), (LONGEST + 1, True)])
def test_what_is_wrong_is_told_in_short(length: int, cut: bool) -> None:
    told = "x" * LONGEST + ("…" if cut else "")
    assert str(wrong("f", {}, "x", "x" * length, "a number")) == f"f: {told}; expected a number"
    with pytest.raises(UsageError) as error:
        parse_yaml("a" * length + ": 1\n" + "a" * length + ": 2\n", "f")
    assert len(str(error.value)) <= LONGEST + 20


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2\nb: 3\n", r"^f:2:"),
        ("a: 1\n  b: 2\n", r"^f:2:4: "),
        ("a: 1\na: 2\n", r"^f:2:1: .*duplicate"),
        ("a: 'open\n", r"^f:2:1: "),
        ("a: *unknown\n", r"^f:1:4: .*undefined alias"),
        ("a: \x00\n", "^f"),
        ("a: !!int x\n", "^f"),
        ("--- 1\n--- 2\n", "^f:2:1"),
        ("- " * 1000, "^f: no YAML"),
    ],
)
def test_what_is_no_yaml(text: str, place: str) -> None:
    with pytest.raises(UsageError, match=place):
        parse_yaml(text, "f")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['true']", "!mine {a: 1}", "!mine text", "!x [1]"])
def test_tags_are_refused(tag: str) -> None:
    with pytest.raises(UsageError, match=r"^f:2:\d+: .*tag"):
        parse_yaml(f"a: 1\nb: {tag}\n", "f")


@pytest.mark.parametrize(
    "tag", ["!!str 5", "!!int '5'", "!!float 5", "!!bool true", "!!map {}", "!!seq []", "!!null ''"]
)
def test_tags_of_plain_data_are_allowed(tag: str) -> None:
    parse_yaml(f"a: {tag}\n")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xbc\n")
    assert load_yaml(path) == {"a": "ü"}
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(UsageError, match=r"a\.yaml: byte 3 is not UTF-8"):
        load_yaml(path)
    path.write_bytes(b"a: [\n")
    with pytest.raises(UsageError, match=r"a\.yaml:2:1: "):
        load_yaml(str(path))
    path.write_bytes(b"#" * (MAX_FILE + 1))
    with pytest.raises(UnreadableInput, match="too long"):
        load_yaml(path)
    for absent, words in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UnreadableInput, match=words):
            load_yaml(absent)


def test_what_is_written_is_read() -> None:
    data = {"name": "x: y", "list": [1, {"a": "ü"}], "empty": [], "yes": True, "number": "5"}
    assert parse_yaml(dump_yaml(data)) == data


@given(st.text(alphabet="ab:-[]{}!&*?|>%@'\"#,\n \t1.\x00é0x", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_data_or_one_kind_of_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_yaml(text)


def test_aliases_that_would_be_a_billion_values_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(UsageError, match="aliases"):
        parse_yaml("\n".join(lines))
    assert parse_yaml("\n".join(lines[:4]))["a3"][9][9][9][9] == "x"


def test_aliases_in_reason_are_taken() -> None:
    assert parse_yaml("a: &a [1]\nb: [*a, *a]") == {"a": [1], "b": [[1], [1]]}


@pytest.mark.parametrize("text", ["a\x85b", "\x85f", "x " * 100 + "\x85 y", "? a", ": a", "\u2028", "\ufeff", "a\tb"])
def test_any_text_is_read_again_as_it_was(text: str) -> None:
    assert parse_yaml(dump_yaml({"a": text, "b": [text]})) == {"a": text, "b": [text]}


@pytest.mark.parametrize(
    "text", ["\u202egnp.exe", "a\u200bb", "\x1b[31m", "\U000e0041", "i\ufe0f", "\x9b31m", "\u3164"]
)
def test_what_hides_or_turns_text_round_is_written_as_escapes(text: str) -> None:
    """These files are read by people, in editors and terminals."""
    data = {"a": text, "b": [text], text: {text: 1}}
    written = dump_yaml(data)
    assert written.isascii()
    assert all(line.isprintable() for line in written.splitlines())
    assert parse_yaml(written) == data


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_texts_come_back(text: str) -> None:
    assert parse_yaml(dump_yaml({"a": text, "b": [text]})) == {"a": text, "b": [text]}
