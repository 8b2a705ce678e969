"""The examples of the README and of the package's docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_readme_examples() -> None:
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 5
    assert result.failed == 0


@pytest.mark.parametrize("name", ["dissector", "dissector.reader"])
def test_docstring_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert result.failed == 0


def test_readme_names_only_what_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    for line in text.splitlines():
        if line.startswith("$ dsmshark"):
            for word in line.split("#")[0].split():
                if word.startswith("pcaps/"):
                    assert (ROOT / word).is_file(), word


def test_dsmreplay_answers(capsys: pytest.CaptureFixture[str]) -> None:
    from replay.cli import main

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dsmreplay ")
    assert main([]) == 2


def test_readme_commands_of_dsmreplay_are_understood() -> None:
    from replay.behaviour.file import parse_rule
    from replay.cli.parser import make_parser

    seen = 0
    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith("$ dsmreplay"):
            arguments = make_parser().parse_args(shlex.split(line.partition("#")[0])[2:])
            for rule in getattr(arguments, "do", []):
                parse_rule(rule)
            seen += 1
    assert seen > 4


def test_the_device_file_of_the_readme_is_one() -> None:
    from replay.base.yamlfile import parse_yaml
    from replay.devices.scanner.device_file import device_of

    blocks = (ROOT / "README.md").read_text().split("```yaml\n")[1:]
    text = next(one.partition("```")[0] for one in blocks if one.startswith("device:"))
    device = device_of(parse_yaml(text, "README.md"))
    assert (device.model_name, device.sources) == ("Model 1", ("Platen", "ADF", "ADFDuplex"))
