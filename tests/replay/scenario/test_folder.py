"""The files of a scenario: read from its folder only, small ones once, edited ones anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissector.base.errors import UnreadableInput
from replay.scenario import folder as module
from replay.scenario.folder import Folder


def test_a_small_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small").write_bytes(b"a")
    (tmp_path / "large").write_bytes(b"b" * (module.KEPT + 1))
    reads: list[str] = []
    plain = Path.read_bytes

    def counted(self: Path) -> bytes:
        reads.append(self.name)
        return plain(self)

    monkeypatch.setattr(Path, "read_bytes", counted)
    folder = Folder(tmp_path)
    for _ in range(3):
        assert folder.read("small") == b"a"
        assert len(folder.read("large")) == module.KEPT + 1
    assert reads.count("small") == 1
    assert reads.count("large") == 3


def test_memory_for_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_ALL", 3)
    folder = Folder(tmp_path)
    for name in "abc":
        (tmp_path / name).write_bytes(b"xx")
        assert folder.read(name) == b"xx"
    assert list(folder._kept) == ["a"]


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"one")
    folder = Folder(tmp_path)
    assert folder.read("body") == b"one"
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert folder.read("body") == b"two"
    path.unlink()
    with pytest.raises(UnreadableInput, match="No such file"):
        folder.read("body")


def test_nothing_out_of_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    folder = Folder(tmp_path / "in")
    for name in ("../secret", "link", str(tmp_path / "secret")):
        for _ in range(2):
            with pytest.raises(UnreadableInput, match="is not in the scenario's folder"):
                folder.read(name)
