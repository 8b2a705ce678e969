"""JSON text. ASCII only: what a peer sent can then neither steer a terminal nor fail to be encoded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from json.encoder import encode_basestring_ascii
from typing import Any

__all__ = ["SCHEMAS", "dumps", "schema"]

SCHEMAS = {
    "dsmshark.jobs/1": "jobs.json",
    "dsmshark.events/1": "events.json",
    "dsmshark.messages/1": "messages.json",
    "dsmshark.message/1": "message.json",
    "dsmshark.info/1": "info.json",
    "dsmshark.rules/1": "rules.json",
}
"""Name and version of each output → its JSON Schema in ``dissector/output/schemas``. ``dsmshark.message/1`` is one line
of ``read --ndjson``."""


def dumps(data: Any, *, indent: int | None = None) -> str:
    """JSON text in ASCII; DEL is escaped too, which the encoder does not do by itself."""
    text = json.dumps(data) if indent is None else "".join(_indented(data, "\n", " " * indent))
    return text.replace("\x7f", "\\u007f")


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
            if isinstance(value, (dict, list, tuple)):
                yield from _indented(value, inner, step)
            else:
                yield json.dumps(value)
            lead = "," + inner
        yield feed + "}"
    elif isinstance(data, (list, tuple)) and data:
        inner = feed + step
        if set(map(type, data)) == {int}:
            yield f"[{inner}{(',' + inner).join(map(str, data))}{feed}]"
            return
        lead = "[" + inner
        for value in data:
            yield lead
            yield from _indented(value, inner, step)
            lead = "," + inner
        yield feed + "]"
    else:
        yield json.dumps(data)


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of an output.

    Args:
        name: such as ``dsmshark.jobs/1``.

    Raises:
        KeyError: there is no such output.
    """
    text = resources.files("dissector.output").joinpath("schemas", SCHEMAS[name]).read_text(encoding="utf-8")
    made: dict[str, Any] = json.loads(text)
    return made
