"""JSON text. ASCII only: what a peer sent can then neither steer a terminal nor fail to be encoded."""

from __future__ import annotations

import json
from importlib import resources
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
    return json.dumps(data, indent=indent).replace("\x7f", "\\u007f")


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
