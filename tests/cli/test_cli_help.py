from __future__ import annotations

import shutil
import subprocess
from dataclasses import fields

import pytest

from dissector import __version__
from dissector.base.limits import Limits
from dissector.cli.completion import script
from dissector.cli.parser import build_parser
from dissector.output.jsontext import SCHEMAS

COMMANDS = ("read", "jobs", "events", "export", "info", "crosscheck", "rules", "completion")


def test_help_tells_commands_limits_schemas_and_exit_codes(cli):
    text = cli("--help").out
    for command in COMMANDS:
        assert f"\n    {command}" in text
    for limit in fields(Limits):
        assert f"\n  {limit.name} " in text
        assert f" {limit.default:,}  " in text
    assert "One SOAP envelope" in text or "One XML document" in text
    for name in SCHEMAS:
        assert name in text
    for code in ("0 ", "1 ", "2 ", "3 "):
        assert f"\n  {code}" in text


@pytest.mark.parametrize("command", [*([name] for name in COMMANDS), ["export", "images"]])
def test_every_command_has_examples(cli, command):
    result = cli(*command, "--help")
    assert result.code == 0
    assert "\nexamples:\n  dsmshark " in result.out


def test_every_example_is_a_valid_command_line():
    from dissector.cli.help import EXAMPLES

    parser = build_parser()
    for block in EXAMPLES.values():
        for line in filter(None, map(str.strip, block.splitlines())):
            words = line.split("   ")[0].split("dsmshark ", 1)[1].split("|")[0].split(">")[0].split()
            parser.parse_args(words)


def test_version(cli):
    assert cli("--version").out == f"dsmshark {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_everything(cli, shell):
    text = cli("completion", shell).out
    assert text == script(shell)
    for word in (*COMMANDS, "images", "absolute"):
        assert word in text
    assert "ndjson" in text


def test_the_bash_script_completes():
    bash = shutil.which("bash")
    assert bash is not None

    def ask(*words: str) -> list[str]:
        listed = " ".join(f"'{word}'" for word in words)
        set_up = f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}"
        code = f"{script('bash')}\n{set_up}; _dsmshark; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run([bash, "-c", code], capture_output=True, text=True, timeout=60)
        return [line for line in done.stdout.splitlines() if line]

    assert ask("dsmshark", "ev") == ["events"]
    assert ask("dsmshark", "export", "")[:3] == ["images", "messages", "bodies"]
    assert ask("dsmshark", "read", "--time", "a") == ["absolute"]
    assert "--pretty" in ask("dsmshark", "export", "messages", "--")
