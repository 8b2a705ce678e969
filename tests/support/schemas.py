"""What JSON Schema files must be: they name every key, and every key is always there."""

from __future__ import annotations

from typing import Any


def closed(part: Any) -> Any:
    """The schema without room for keys that it does not name."""
    if isinstance(part, dict):
        made = {key: closed(value) for key, value in part.items()}
        return {**made, "additionalProperties": False} if "required" in part and "properties" in part else made
    return [closed(one) for one in part] if isinstance(part, list) else part


def every_key_is_required(part: Any) -> bool:
    if isinstance(part, dict):
        if "properties" in part and set(part["properties"]) != set(part.get("required", ())):
            return False
        return all(every_key_is_required(value) for value in part.values())
    return all(every_key_is_required(one) for one in part) if isinstance(part, list) else True
