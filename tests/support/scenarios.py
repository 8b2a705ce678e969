"""Scenarios in memory, and what a capture really holds of a message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dissector
from dissector.base.errors import UnreadableInput
from dissector.capture import open_source
from dissector.http.model import HttpMessage
from dissector.messages import Message
from replay.scenario.files import Folder
from replay.scenario.material import Material
from tests.support.capture_files import frames_of

__all__ = ["MemoryFolder", "conversations", "plain"]


def plain(contents: Mapping[str, Material]) -> dict[str, bytes]:
    """The files of a scenario as bytes."""
    return {name: one if isinstance(one, bytes) else one.data() for name, one in contents.items()}


class MemoryFolder(Folder):
    """The files of a scenario that was not written."""

    def __init__(self, contents: Mapping[str, Material]) -> None:
        super().__init__("memory")
        self.contents = plain(contents)

    def read(self, name: str) -> bytes:
        if name not in self.contents:
            raise UnreadableInput(f"{name}: no such file")
        return self.contents[name]


def conversations(path: Path) -> list[tuple[HttpMessage, Message | None, bytes | None]]:
    """All HTTP messages of a capture, what they are, and their bytes as the frames hold them (None: not all do)."""
    with open_source(str(path)) as source:
        frames = [one.data for one in frames_of(source)]
    https: list[HttpMessage] = []
    with dissector.open(str(path), keep=True) as capture:
        capture.on_http = https.append
        messages = {id(one.http): one for one in capture.all_soap}
        secure = {one.number for one in capture.tls_opened}
    found = []
    for http in https:
        ranges = http.origin.byte_ranges()
        whole = http.complete and all(one.start >= 0 for one in ranges) and http.stream.number not in secure
        raw = b"".join(frames[one.frame - 1][one.start : one.start + one.length] for one in ranges)
        found.append((http, messages.get(id(http)), raw if whole else None))
    return found
