"""Results as JSON: the schemas of what is printed, and the text in ASCII that neither steers a terminal nor breaks."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

__all__ = ["SCHEMAS", "schema"]

SCHEMAS = {
    "dsmreplay.result/1": "result.json",
    "dsmreplay.suite/1": "suite.json",
    "dsmreplay.stories/1": "stories.json",
    "dsmreplay.extracted/1": "extracted.json",
}
"""Name and version of each output → its JSON Schema in ``replay/report/schemas``."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of an output.

    Raises:
        KeyError: there is no such output.
    """
    text = resources.files("replay.report").joinpath("schemas", SCHEMAS[name]).read_text(encoding="utf-8")
    made: dict[str, Any] = json.loads(text)
    return made
