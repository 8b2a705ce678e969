"""``suite.yaml``: how the scenarios below its folder are played. All of it is optional::

    name: bench in the cellar
    target: http://192.0.2.20:5362/ScanServer      # or a mapping: {server: http://…, device: http://…}
    set: {user_identifier: S-1-5-21-1-2-3-500}
    repeat: 3
    jobs: 2
    scenarios:
      customer-a:                                  # folder below this one; * stands for anything
        tags: [smoke]
        target: http://192.0.2.30/WSDScanner
      "nightly/*":
        repeat: 10
        slack: 30                                  # seconds, as --slack; wait and max-time likewise
        max-time: 1800                             # of one answer: of a feeder with hundreds of pages
      paper-jam:
        skip: needs somebody at the device

What stands at a scenario holds before what stands at the top; of several entries that fit, the later one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from replay.base.yamlfile import load_yaml, wrong
from replay.suite import MAX_JOBS, MAX_REPEAT
from replay.suite.model import Settings

__all__ = ["MAIN", "SuiteFile", "load_suite_file"]

MAIN = "suite.yaml"

_TOP = ("name", "jobs", "scenarios")
_EITHER = ("target", "as", "set", "repeat", "speed", "slack", "wait", "max-time")
_CASE = ("tags", "skip", "device", "steps")

Change = Callable[[Settings], Settings]


@dataclass(slots=True)
class SuiteFile:
    """What the file says.

    Attributes:
        name: of the suite, "" where it has none.
        jobs: scenarios at once, 0 where it does not say.
    """

    name: str = ""
    jobs: int = 0
    _common: Change = field(default=lambda settings: settings)
    _cases: list[tuple[str, Change]] = field(default_factory=list)

    def settings(self, name: str, over: Change = lambda settings: settings) -> Settings:
        """How a scenario is played; ``over`` changes what holds for all, not what an entry says of the scenario."""
        found = over(self._common(Settings()))
        for pattern, change in self._cases:
            if _fits(pattern, name):
                found = change(found)
        return found


def load_suite_file(folder: Path, names: Sequence[str]) -> SuiteFile:
    """Read the file of a suite, if it has one.

    Args:
        folder: of the suite.
        names: of its scenarios.

    Raises:
        UnreadableInput: it cannot be read.
        UsageError: something in it is wrong; says file, line and what was expected.
    """
    path = folder / MAIN
    if not path.exists():
        return SuiteFile()
    file, data = str(path), load_yaml(path)
    if data is None:
        return SuiteFile()
    if not isinstance(data, Mapping):
        raise wrong(file, None, None, "no suite", "a mapping with target, set, repeat, jobs or scenarios")
    _known(file, data, (*_TOP, *_EITHER))
    cases: list[tuple[str, Change]] = []
    entries = data.get("scenarios") or {}
    if not isinstance(entries, Mapping):
        raise wrong(file, data, "scenarios", "scenarios is no mapping", "folders, each with what holds for it")
    for key, one in entries.items():
        pattern = str(key)
        if not any(_fits(pattern, name) for name in names):
            near = difflib.get_close_matches(pattern, names, 1)
            raise wrong(
                file, entries, key, f"there is no scenario {pattern}", near[0] if near else ", ".join(names[:5])
            )
        if one is None:
            continue
        if not isinstance(one, Mapping):
            raise wrong(file, entries, key, f"{pattern} is {one!r}", "a mapping")
        _known(file, one, (*_EITHER, *_CASE))
        cases.append((pattern, _change(file, one)))
    jobs = _number(file, data, "jobs", MAX_JOBS) if "jobs" in data else 0
    change = _change(file, data)

    def common(settings: Settings) -> Settings:
        changed = change(settings)
        return replace(changed, shared=frozenset(changed.given))

    return SuiteFile(str(data.get("name") or ""), jobs, common, cases)


def _fits(pattern: str, name: str) -> bool:
    return name == pattern.rstrip("/") or fnmatchcase(name, pattern)


def _change(file: str, data: Mapping[str, Any]) -> Change:
    """What an entry changes, checked now."""
    changes: dict[str, Any] = {}
    given: dict[str, str] = {}
    if "target" in data:
        changes |= _targets(file, data)
    if "as" in data:
        changes["plays"] = _text(file, data, "as", "a party, or several with commas")
    if "set" in data:
        given = _texts(file, data, "set", "values by name")
    if "repeat" in data:
        changes["repeat"] = _number(file, data, "repeat", MAX_REPEAT)
    for name in ("speed", "slack", "wait", "max-time"):
        if name in data:
            changes[name.replace("-", "_")] = _seconds(file, data, name)
    if "tags" in data:
        tags = data["tags"] if isinstance(data["tags"], list) else [data["tags"]]
        if not all(isinstance(one, str) and one for one in tags):
            raise wrong(file, data, "tags", f"tags is {data['tags']!r}", "words, such as [smoke, adf]")
        changes["tags"] = frozenset(map(str, tags))
    for name in ("skip", "device", "steps"):
        if name in data:
            changes[name] = _text(file, data, name, {"skip": "why it is left out"}.get(name, "a text"))
    return lambda settings: replace(
        settings, **changes, given=settings.given | given, shared=settings.shared - set(given)
    )


def _targets(file: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(data["target"], Mapping):
        return {"target": "", "targets": _texts(file, data, "target", "URLs by name of party")}
    return {"target": _text(file, data, "target", "a URL, or URLs by name of party")}


def _texts(file: str, data: Mapping[str, Any], key: str, expected: str) -> dict[str, str]:
    found = data[key]
    if not isinstance(found, Mapping) or any(isinstance(one, (Mapping, list)) or one is None for one in found.values()):
        raise wrong(file, data, key, f"{key} is {found!r}", expected)
    return {str(name): str(text) for name, text in found.items()}


def _text(file: str, data: Mapping[str, Any], key: str, expected: str) -> str:
    found = data[key]
    if isinstance(found, bool) or not isinstance(found, (str, int)) or not str(found):
        raise wrong(file, data, key, f"{key} is {found!r}", expected)
    return str(found)


def _number(file: str, data: Mapping[str, Any], key: str, most: int) -> int:
    found = data[key]
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= most:
        raise wrong(file, data, key, f"{key} is {found!r}", f"a number from 1 to {most}")
    return int(found)


def _seconds(file: str, data: Mapping[str, Any], key: str) -> float:
    found = data[key]
    least = 0.0 if key == "speed" else 1e-9
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not least <= found < 1e9:
        raise wrong(file, data, key, f"{key} is {found!r}", "a factor" if key == "speed" else "seconds above 0")
    return float(found)


def _known(file: str, data: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            raise wrong(file, data, key, f"{key} is not known", near[0] if near else ", ".join(keys))
