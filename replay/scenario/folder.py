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

KEPT, KEPT_ALL = 64 << 10, 16 << 20
"""Bytes of one file that is kept in memory, and of all of a scenario."""


class Folder:
    """The files of a scenario. Small ones are kept in memory: heads and bodies are read for each message several times.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._places: dict[str, Path] = {}
        self._kept: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._size = 0

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnreadableInput: it is not there, too long, or out of the folder.
        """
        place, found = self._look(name)
        # A person may edit a file while the scenario is open.
        state = (found.st_mtime_ns, found.st_size)
        kept = self._kept.get(name)
        if kept is not None and kept[0] == state:
            return kept[1]
        try:
            data = place.read_bytes()
        except OSError as error:
            raise UnreadableInput(f"{place}: {error.strerror or error}") from error
        if len(data) <= KEPT and self._size + len(data) <= KEPT_ALL:
            self._size += len(data)
            self._kept[name] = (state, data)
        return data

    def check(self, name: str) -> Path:
        """The path of a file that can be read.

        Raises:
            UnreadableInput: as for :meth:`read`.
        """
        return self._look(name)[0]

    def _look(self, name: str) -> tuple[Path, os.stat_result]:
        """Where a file is that can be read, and what is known of it."""
        place = self._places.get(name)
        if place is None:
            place = (self.path / name).resolve()
            if not place.is_relative_to(self.path.resolve()):
                raise UnreadableInput(f"{self.path / MAIN}: {name} is not in the scenario's folder")
        try:
            found = os.stat(place)
        except OSError as error:
            raise UnreadableInput(f"{place}: {error.strerror or error}") from error
        if not stat.S_ISREG(found.st_mode) or not os.access(place, os.R_OK):
            raise UnreadableInput(f"{place}: no file that can be read")
        if found.st_size > MAX_FILE:
            raise UnreadableInput(f"{place}: more than {MAX_FILE} bytes")
        self._places[name] = place
        return place, found

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
