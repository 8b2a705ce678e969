"""Values that are not written into a scenario: they come from the environment when it is played.

What proves who somebody is (the header Authorization, an element named like a password) is never written down. Others
(e-mail addresses, cookies, users) are left out when the user says so: ``--secret NAME``, or ``NAME=VARIABLE``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from xml.sax.saxutils import escape

from dissector.base.errors import UsageError
from replay.scenario.material import Material
from replay.scenario.model import Bound, Wire

__all__ = ["Secrets", "is_credential", "secrets_of", "variable"]

_CREDENTIAL = re.compile(r"(?:proxy_)?authorization(?:_\d+)?|(?:.*_)?(?:password|passwd|pwd|passphrase)(?:_\d+)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

SHORTEST = 4
"""Characters of a secret that is looked for elsewhere."""

MAX_SEARCHED = 8 << 20
"""Bytes of a file that is searched for secrets: a picture holds none as text."""


def variable(name: str) -> str:
    """The environment variable of a value where none is named."""
    return f"DSMREPLAY_{name.upper()}"


def is_credential(name: str) -> bool:
    """Whether a value of that name proves who somebody is."""
    return _CREDENTIAL.fullmatch(name) is not None


@dataclass(slots=True)
class Secrets:
    """What is not written down.

    Attributes:
        wanted: name of a value (with ``*`` and ``?``: of several) → environment variable, "" for the usual one.
        texts: name → recorded text of those that were hidden.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def hide(self, values: Mapping[str, Bound]) -> None:
        """Take the recorded text out of values.

        Raises:
            UsageError: there is no such value, or one variable is named for several.
        """
        for pattern, named in self.wanted.items():
            found = [value for name, value in values.items() if fnmatchcase(name, pattern)]
            if not found:
                raise UsageError(f"--secret {pattern}: there is no such value; there are {', '.join(values)}")
            if named and len(found) > 1:
                told = ", ".join(value.name for value in found)
                raise UsageError(f"--secret {pattern}={named}: one variable for {len(found)} values ({told})")
            for value in found:
                self._hide(value, named)
        for value in values.values():
            if not value.secret and not value.maker and is_credential(value.name):
                self._hide(value, "")

    def _hide(self, value: Bound, named: str) -> None:
        self.texts[value.name] = value.recorded
        value.secret = named or variable(value.name)
        value.recorded = value.default = value.within = ""
        for birth in value.again:
            birth.within = ""

    def clear(self, wire: Wire) -> None:
        """Take the form in which a secret was written out of a message."""
        for name in self.texts:
            wire.written.pop(name, None)

    def left(self, contents: Mapping[str, Material], values: Iterable[Bound] = ()) -> list[str]:
        """Files and values in which a secret stands all the same, in words."""
        told = []
        others = [one for one in values if not one.secret]
        for name, text in self.texts.items():
            places = [file for file, data in contents.items() if isinstance(data, bytes) and _holds(data, text)]
            places += [f"the value {one.name}" for one in others if _holds(_said(one), text)]
            if places:
                told.append(f"{name} is secret, and its text stands in {', '.join(places)} too")
        return told


def _said(value: Bound) -> bytes:
    """All that a scenario says of the recorded text of a value."""
    texts = [value.recorded, value.default, value.within, *(birth.within for birth in value.again)]
    return "\n".join(texts).encode("utf-8", "replace")


def _holds(data: bytes, text: str) -> bool:
    if len(text) < SHORTEST or len(data) > MAX_SEARCHED:
        return False
    # In an envelope it may be written with references.
    return any(one.encode("utf-8", "replace") in data for one in (text, escape(text)))


def secrets_of(options: Iterable[str]) -> Secrets:
    """The values of ``--secret NAME[=VARIABLE]``.

    Raises:
        UsageError: the variable has a name that no variable can have.
    """
    wanted = {}
    for option in options:
        name, _, named = option.partition("=")
        if not name or (named and not _VARIABLE.fullmatch(named)):
            raise UsageError(f"--secret {option}: NAME of a value, or NAME=VARIABLE of the environment")
        wanted[name] = named
    return Secrets(wanted)
