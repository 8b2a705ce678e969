"""The files beside a scenario, read by name. Names never lead out of the folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dissector.base.errors import UnreadableInput, UsageError

__all__ = ["MAIN", "Folder"]

MAIN = "scenario.yaml"

MAX_FILE = 512 << 20
"""Bytes of one file beside a scenario."""


class Folder:
    """The files of a scenario.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnreadableInput: it is not there, too long, or out of the folder.
        """
        place = self.check(name)
        try:
            return place.read_bytes()
        except OSError as error:
            raise UnreadableInput(f"{place}: {error.strerror or error}") from error

    def check(self, name: str) -> Path:
        """The path of a file that can be read.

        Raises:
            UnreadableInput: as for :meth:`read`.
        """
        place = (self.path / name).resolve()
        if not place.is_relative_to(self.path.resolve()):
            raise UnreadableInput(f"{self.path / MAIN}: {name} is not in the scenario's folder")
        try:
            found = place.stat()
        except OSError as error:
            raise UnreadableInput(f"{place}: {error.strerror or error}") from error
        if not stat.S_ISREG(found.st_mode) or not os.access(place, os.R_OK):
            raise UnreadableInput(f"{place}: no file that can be read")
        if found.st_size > MAX_FILE:
            raise UnreadableInput(f"{place}: more than {MAX_FILE} bytes")
        return place

    def text(self, name: str) -> str:
        """The text of a file that may hold ``${name}``.

        Raises:
            UsageError: it is not UTF-8.
            UnreadableInput: as for :meth:`read`.
        """
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path / name}: byte {error.start} is not UTF-8") from error
