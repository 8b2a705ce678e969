"""``dsmshark completion`` and ``dsmreplay completion``: scripts for shells, from the arguments themselves."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dissector.base.errors import ExitCode
from dissector.cli.parser import build_parser

__all__ = ["run", "script"]


PATHS = {"DIR": "dir", "FOLDER": "dir", "FILE": "file", "CAPTURE": "file", "CERT": "file"}
"""What stands for a value in the help → what it is completed with."""


@dataclass(frozen=True, slots=True)
class _Option:
    flags: tuple[str, ...]
    help: str
    takes: bool
    choices: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class _Command:
    """One command; ``words`` is what leads to it, such as ("export", "images")."""

    words: tuple[str, ...]
    help: str
    options: tuple[_Option, ...]
    below: tuple[str, ...]
    files: bool
    choices: tuple[str, ...]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    print(script(args.shell), end="")
    return ExitCode.OK


def script(shell: str, parser: argparse.ArgumentParser | None = None) -> str:
    """The script for bash, zsh or fish, for the program of a parser (default: dsmshark)."""
    parser = parser or build_parser()
    found = list(_walk(parser, (), ""))
    made = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](found, parser.prog)
    return "\n".join(made) + "\n"


def _walk(parser: argparse.ArgumentParser, words: tuple[str, ...], help: str) -> Iterator[_Command]:
    options: list[_Option] = []
    below: dict[str, argparse.ArgumentParser] = {}
    helps: dict[str, str] = {}
    files = False
    choices: tuple[str, ...] = ()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
            helps = {one.dest: one.help or "" for one in action._choices_actions}
        elif action.option_strings:
            # Of those with several values, such as certificate and key, all are files.
            name = action.metavar[0] if isinstance(action.metavar, tuple) else str(action.metavar)
            path = next((PATHS[one] for one in name.split("|") if one in PATHS), "")
            options.append(
                _Option(
                    tuple(action.option_strings), action.help or "", action.nargs != 0,
                    tuple(map(str, action.choices or ())), path,
                )
            )  # fmt: skip
        elif action.choices:
            choices = tuple(map(str, action.choices))
        else:
            files = True
    yield _Command(words, help, tuple(options), tuple(below), files, choices)
    for name, sub in below.items():
        yield from _walk(sub, (*words, name), helps.get(name, ""))


def _bash(commands: list[_Command], prog: str) -> Iterator[str]:
    yield f"# bash completion for {prog}"
    yield f"_{prog}() {{"
    yield '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" path="" word'
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield '        case "$path $word" in'
    known = "|".join(
        f'" {" ".join(c.words)}"' if len(c.words) == 1 else f'"{_path(c.words)}"' for c in commands if c.words
    )
    yield f'            {known}) path="${{path:+$path }}$word" ;;'
    yield "        esac"
    yield "    done"
    yield '    case "$path:$prev" in'
    for command in commands:
        for option in command.options:
            labels = "|".join(f'"{" ".join(command.words)}:{flag}"' for flag in option.flags)
            if option.choices:
                yield f'        {labels}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur")); return ;;'
            elif option.path:
                letter = "d" if option.path == "dir" else "f"
                yield f'        {labels}) compopt -o filenames; COMPREPLY=($(compgen -{letter} -- "$cur")); return ;;'
            elif option.takes:
                yield f"        {labels}) COMPREPLY=(); return ;;"
    yield "    esac"
    yield '    case "$path" in'
    for command in commands:
        words = " ".join([*command.below, *command.choices, *(flag for o in command.options for flag in o.flags)])
        yield f'        "{" ".join(command.words)}") COMPREPLY=($(compgen -W "{words}" -- "$cur"))'
        if command.files:
            yield '            if [[ $cur != -* ]]; then compopt -o filenames; COMPREPLY+=($(compgen -f -- "$cur")); fi'
        yield "            ;;"
    yield "    esac"
    yield "}"
    yield f"complete -F _{prog} {prog}"


def _path(words: tuple[str, ...]) -> str:
    return " ".join(words)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh(commands: list[_Command], prog: str) -> Iterator[str]:
    yield f"#compdef {prog}"
    by_words = {command.words: command for command in commands}
    for command in commands:
        yield f"{_function(prog, command.words)}() {{"
        if command.below:
            yield "    local line state"
        yield "    _arguments -s -S \\"
        for option in command.options:
            yield from (f"        {spec} \\" for spec in _zsh_option(option))
        if command.below:
            yield "        '1: :->command' '*:: :->rest'"
            yield "    case $state in"
            yield "        command)"
            yield "            local -a words=("
            for name in command.below:
                said = by_words[(*command.words, name)].help
                yield f"                {_quoted(f'{name}:{said}')}"
            yield "            )"
            yield "            _describe command words ;;"
            yield "        rest)"
            yield "            case $line[1] in"
            for name in command.below:
                yield f"                {name}) {_function(prog, (*command.words, name))} ;;"
            yield "            esac ;;"
            yield "    esac"
        elif command.choices:
            yield f"        '1:value:({' '.join(command.choices)})'"
        else:
            yield "        '*:capture:_files'"
        yield "}"
    yield f'_{prog} "$@"'


def _function(prog: str, words: tuple[str, ...]) -> str:
    return "_".join([f"_{prog}", *words])


def _zsh_option(option: _Option) -> Iterator[str]:
    said = re.sub(r"([\[\]:\\])", r"\\\1", option.help)
    action = ""
    if option.takes:
        values = f"({' '.join(option.choices)})" if option.choices else ""
        values = values or {"dir": "_files -/", "file": "_files"}.get(option.path, "")
        action = f":value:{values}"
    for flag in option.flags:
        yield _quoted(f"{flag}[{said}]{action}")


def _fish(commands: list[_Command], prog: str) -> Iterator[str]:
    yield f"# fish completion for {prog}"
    names = {command.words: command for command in commands}
    for command in commands:
        if command.words:
            condition = " && ".join(f"__fish_seen_subcommand_from {word}" for word in command.words)
        else:
            condition = "__fish_use_subcommand"
        if command.below:
            none_yet = (
                condition
                if not command.words
                else f"{condition} && not __fish_seen_subcommand_from {' '.join(command.below)}"
            )
            for name in command.below:
                said = names[(*command.words, name)].help
                yield f"complete -c {prog} -f -n {_quoted(none_yet)} -a {name} -d {_quoted(said)}"
        if command.choices:
            yield f"complete -c {prog} -f -n {_quoted(condition)} -a {_quoted(' '.join(command.choices))}"
        for option in command.options:
            parts = [f"complete -c {prog} -n {_quoted(condition)}"]
            for flag in option.flags:
                parts.append(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}")
            if option.takes:
                parts.append(f"-x -a {_quoted(' '.join(option.choices))}" if option.choices else "-r")
            parts.append(f"-d {_quoted(option.help)}")
            yield " ".join(parts)
