"""JSON text. ASCII only: what a peer sent can then neither steer a terminal nor fail to be encoded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Any

from dissector.base.origin import FrameNumbers

__all__ = ["SCHEMAS", "dumps", "pieces", "schema"]

_PIECES = 4096
"""Tokens that are joined, so that they are not written one by one."""
_NUMBERS = 10_000
"""Numbers of an array that make a piece of text."""

SCHEMAS = {
    "dsmshark.jobs/1": "jobs.json",
    "dsmshark.events/1": "events.json",
    "dsmshark.messages/1": "messages.json",
    "dsmshark.message/1": "message.json",
    "dsmshark.info/1": "info.json",
    "dsmshark.tls/1": "tls.json",
    "dsmshark.rules/1": "rules.json",
}
"""Name and version of each output → its JSON Schema in ``dissector/output/schemas``. ``dsmshark.message/1`` is one line
of ``read --ndjson``."""


def dumps(data: Any, *, indent: int | None = None) -> str:
    """JSON text in ASCII; DEL is escaped too, which the encoder does not do by itself."""
    if indent is None:
        return json.dumps(data).replace("\x7f", "\\u007f")
    return "".join(pieces(data, indent=indent))


def pieces(data: Any, *, indent: int) -> Iterator[str]:
    """The text of :func:`dumps` in pieces, for what is too large to be in memory three times; :class:`FrameNumbers` and
    iterators stand for arrays."""
    made = _indented(data, "\n", " " * indent)
    while some := "".join(islice(made, _PIECES)):
        yield some.replace("\x7f", "\\u007f")


def _indented(data: Any, feed: str, step: str) -> Iterator[str]:
    """What ``json.dumps(data, indent=…)`` gives, in pieces.

    The standard library indents in Python, item by item: 0.25 s for the frames of 300 MB of images, where the whole
    pass takes 1 s. Here its C encoder makes all that is not a container, and a list of numbers is one join.

    Args:
        data: what is encoded; keys of objects are texts.
        feed: line end and indentation of the line that the data begins on.
        step: one more level of it.
    """
    if isinstance(data, dict) and data:
        inner = feed + step
        lead = "{" + inner
        for key, value in data.items():
            yield f"{lead}{encode_basestring_ascii(key)}: "
            if isinstance(value, (dict, list, tuple, FrameNumbers, Iterator)):
                yield from _indented(value, inner, step)
            else:
                yield json.dumps(value)
            lead = "," + inner
        yield feed + "}"
    elif isinstance(data, (list, tuple, FrameNumbers, Iterator)):
        inner = feed + step
        lead = "[" + inner
        if not isinstance(data, Iterator) and set(map(type, data)) == {int}:
            for at in range(0, len(data), _NUMBERS):
                yield lead + ("," + inner).join(map(str, data[at : at + _NUMBERS]))
                lead = "," + inner
            yield feed + "]"
            return
        for value in data:
            yield lead
            yield from _indented(value, inner, step)
            lead = "," + inner
        yield "[]" if lead[0] == "[" else feed + "]"
    else:
        yield json.dumps(data)


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of an output.

    Args:
        name: such as ``dsmshark.jobs/1``.

    Raises:
        KeyError: there is no such output.
    """
    from importlib import resources

    text = resources.files("dissector.output").joinpath("schemas", SCHEMAS[name]).read_text(encoding="utf-8")
    made: dict[str, Any] = json.loads(text)
    return made
