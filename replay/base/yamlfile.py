"""YAML files that people edit: loaded with the line of each value, so that a wrong edit is told with its place.

Plain data only: mappings, lists, texts, numbers, booleans. Aliases are resolved by the library; tags that would make
objects are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from dissector.base.errors import UnreadableInput, UsageError
from dissector.output.text import printable

__all__ = ["dump_yaml", "line_of", "load_yaml", "parse_yaml", "wrong"]

MAX_FILE = 8 << 20
"""Bytes of one file that are read."""

MAX_VALUES = 1_000_000
"""Values of a file that has aliases, counted as if each alias were written out: whoever walks through them or shows
them meets so many (ten lines can be a billion)."""

LONGEST = 500
"""Characters of what an error says is wrong: a value of a file may have millions."""

COLUMNS = 1 << 30
"""Nothing is folded: the library's folding of texts with odd characters does not give back the same text."""

PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))
"""Tags that say no more than the data do."""


def load_yaml(path: str | Path) -> Any:
    """The data of a file.

    Raises:
        UnreadableInput: it cannot be opened or is too long.
        UsageError: it is no YAML; says file, line and column.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror or error}") from error
    if len(data) > MAX_FILE:
        raise UnreadableInput(f"{path}: more than {MAX_FILE} bytes, too long for a description")
    try:
        return parse_yaml(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8") from error


def parse_yaml(text: str, name: str = "text") -> Any:
    """The data of a text. ``name`` is what messages call it.

    Raises:
        UsageError: it is no YAML.
    """
    try:
        if "!" in text:
            _refuse_tags(text, name)
        data = YAML(typ="rt", pure=True).load(text)
        if "*" in text and _written_out(data) > MAX_VALUES:
            raise UsageError(f"{name}: its aliases, written out, are more than {MAX_VALUES} values")
        return data
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise UsageError(f"{name}{where}: {_short(error.problem or error.context or 'no YAML')}") from error
    except UsageError:
        raise
    except Exception as error:  # damaged files make the library raise nearly anything (TypeError, KeyError …)
        raise UsageError(f"{name}: no YAML: {_short(str(error) or type(error).__name__)}") from error


def _written_out(data: Any) -> int:
    """How many values there are, those of aliases counted each time; more than :data:`MAX_VALUES` for one that holds
    itself."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()
    stack: list[tuple[Any, bool]] = [(data, False)]
    while stack:
        node, done = stack.pop()
        members = [*node.keys(), *node.values()] if isinstance(node, Mapping) else node
        if id(node) in sizes or not isinstance(node, (Mapping, list)):
            continue
        if done:
            inside.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes.get(id(one), 1) for one in members)
        elif id(node) in inside:
            return MAX_VALUES + 1
        else:
            inside.add(id(node))
            stack.append((node, True))
            stack += [(one, False) for one in members]
    return sizes.get(id(data), 1)


def _refuse_tags(text: str, name: str) -> None:
    for event in YAML(typ="rt", pure=True).parse(text):
        tag = str(getattr(event, "tag", None) or "!")
        if tag != "!" and tag not in PLAIN_TAGS:
            mark = event.start_mark
            raise UsageError(f"{name}:{mark.line + 1}:{mark.column + 1}: the tag {tag} is not allowed, only plain data")


def dump_yaml(data: Any) -> str:
    """Data as YAML, in the order given; every text in it is read again as it was.

    Args:
        data: mappings, lists and plain values; comments and styles of ruamel.yaml stay. Its texts may be put in quotes.
    """
    yaml = YAML(typ="rt", pure=True)
    yaml.width = COLUMNS
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    yaml.dump(_quoted(data), out)
    # The library leaves bidirectional and invisible characters bare: what a person reads, in an editor or a terminal,
    # would not be what is there. They stand in double quotes, where these escapes mean the same.
    return "\n".join(map(printable, out.getvalue().split("\n")))


def _quoted(data: Any) -> Any:
    """The same with double quotes where a text has characters that cannot stand in a line (NEL is lost without) or are
    shown as escapes, or begins with what the library writes bare and does not read again in a line of braces."""
    if isinstance(data, dict):
        for key, one in data.items():
            data[key] = _quoted(one)
        if type(data) is dict:
            # Those with comments are ours, and so are their keys; the others may have names out of a capture.
            return {_quoted(key): one for key, one in data.items()}
    elif isinstance(data, list):
        # One by one: a slice would take the comments away.
        for place, one in enumerate(data):
            data[place] = _quoted(one)
    elif isinstance(data, str) and (not data.isprintable() or printable(data) != data or data.startswith(("?", ":"))):
        return DoubleQuotedScalarString(data)
    return data


def line_of(holder: Any, key: Any = None) -> int | None:
    """The line (from 1) of a loaded mapping or list, or of one of its values; None where it is not known."""
    places = getattr(holder, "lc", None)
    if places is None:
        return None
    if key is not None:
        try:
            place = places.key(key) if isinstance(holder, Mapping) else places.item(key)
            return int(place[0]) + 1
        except (KeyError, TypeError, IndexError, AttributeError):
            pass
    return int(places.line) + 1 if places.line is not None else None


def wrong(name: str, holder: Any, key: Any, problem: str, expected: str = "") -> UsageError:
    """The error of a wrong value: file, line, what is wrong and what was expected."""
    line = line_of(holder, key)
    place = f"{name}:{line}" if line is not None else name
    return UsageError(f"{place}: {_short(problem)}" + (f"; expected {expected}" if expected else ""))


def _short(problem: str) -> str:
    return problem if len(problem) <= LONGEST else f"{problem[:LONGEST]}…"
