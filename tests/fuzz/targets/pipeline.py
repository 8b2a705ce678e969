"""The whole way: from the bytes of a capture to messages, jobs, text and JSON; and the commands themselves."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from dissector.cli import main
from tests.fuzz.drive import SMALL, drive, secrets_late, told
from tests.fuzz.oracles import Broken, fits_schema, harmless, same
from tests.fuzz.targets.target import Target, samples
from tests.support.stories import STORIES
from tests.support.wire import frames_of, write_pcap

__all__ = ["FACES", "PIPELINE"]

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")
FACES: tuple[tuple[str, ...], ...] = (
    ("jobs",), ("read",), ("read", "-V", "--origin", "--all"), ("events",), ("info",), ("jobs", "--json"),
    ("read", "--json", "--all"), ("read", "--ndjson"), ("events", "--json"), ("info", "--json"),
    ("tls", "--records"), ("tls", "--json"),
    ("export", "images", "--force", "-o", f"{_FOLDER.name}/images"),
    ("export", "messages", "--pretty", "--force", "-o", f"{_FOLDER.name}/messages"),
    ("export", "bodies", "--force", "-o", f"{_FOLDER.name}/bodies"),
)  # fmt: skip
"""Command lines without the capture."""
_WORDS = (
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"POST / HTTP/1.1\r\n",
    b"</soap:Body>", b"<!DOCTYPE a>", b"cid:", b"\x0a\x0d\x0d\x0a", b"\x1b[31m", b"\xe2\x80\xae", b"\r\n--",
)  # fmt: skip


def _pipeline(data: bytes) -> None:
    drive(data)
    if data[:4] in (b"\n\r\r\n", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4"):
        whole, pieces = told(data, 8 << 20), told(data, SMALL)
        if isinstance(whole, dict) and isinstance(pieces, dict) and secrets_late(data):
            # What secrets that stand behind packets open, which connections are read for them, and what is told of
            # those (gaps, too), does depend on what is read at once.
            if whole["decrypted"] or pieces["decrypted"]:
                return
            for each in (whole, pieces):
                each["findings"] = [text for text in each["findings"] if "[tls." not in text and "[tcp." not in text]
        same(whole, pieces, f"blocks of 8 MiB and of {SMALL} bytes")


def command(face: tuple[str, ...], path: str) -> tuple[int, str, str]:
    """Run a command of dsmshark on a file: exit code, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*face, path])
    return code, out.getvalue(), err.getvalue()


def _commands(data: bytes) -> None:
    """One face, chosen by the bytes: all of them for each input would leave time for few inputs."""
    path = Path(_FOLDER.name) / "capture"
    path.write_bytes(data)
    face = FACES[zlib.crc32(data) % len(FACES)]
    code, out, err = command(face, str(path))
    if code not in (0, 1, 3) or "internal error" in err:
        raise Broken(f"{' '.join(face)}: exit code {code}: {err[-2000:]}")
    harmless(out, lines=True)
    harmless(err, lines=True)
    if "--json" in face and code != 3:
        made = json.loads(out)
        fits_schema(made, made["schema"])


def _seeds() -> Iterator[bytes]:
    yield from samples(14_000)
    for name in ("scan-push", "dsm-create-fault", "dsd-events"):
        yield write_pcap(frames_of(STORIES[name](), mss=536))[:30_000]


PIPELINE = (
    Target("pipeline", _pipeline, _seeds, 1 << 15, _WORDS),
    Target("commands", _commands, _seeds, 1 << 15, _WORDS),
)
