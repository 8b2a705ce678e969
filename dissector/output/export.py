"""Files out of a capture: images, envelopes, HTTP bodies.

Rules: a name is made of letters, digits, dots, dashes and underscores only, whatever the peer called things, so it
never leaves the folder; nothing that exists is overwritten unless that was asked for; no more than one piece of a body
is in memory. Bytes are written under a temporary name while the pass runs, since the job that an image belongs to is
known only at the end, and get their names then. What the disk has no room for is told and left out; the others are
written all the same.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path

from lxml import etree

from dissector.analysis.model import Image, Job
from dissector.base.errors import ContentNotKept, UnwritableOutput
from dissector.http.model import HttpMessage
from dissector.messages import Message
from dissector.output.jobs_text import job_name

__all__ = ["Bodies", "Envelopes", "Folder", "Images", "extension", "safe_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_LONGEST = 120
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of one file: a smaller one may still find room."""
_TYPES = {
    "jfif": "jpg", "exif": "jpg", "jpeg": "jpg", "tiff": "tif", "jpeg2k": "jp2", "png": "png", "pdf": "pdf",
    "bmp": "bmp", "gif": "gif", "xps": "xps",
}  # fmt: skip
_MEDIA = {
    "application/soap+xml": "xml", "application/xop+xml": "xml", "text/xml": "xml", "application/xml": "xml",
    "multipart/related": "mime", "text/html": "html", "text/plain": "txt", "application/json": "json",
    "image/jpeg": "jpg", "image/png": "png", "image/tiff": "tif", "application/pdf": "pdf",
}  # fmt: skip


def safe_name(text: str) -> str:
    """A file name that is one, on any system: no separators, no leading dot, no reserved word, not empty."""
    name = _UNSAFE.sub("_", text).strip("._-")[:_LONGEST].rstrip("._-") or "unnamed"
    return f"_{name}" if _RESERVED.match(name) else name


def extension(real_type: str | None) -> str:
    """Extension for a type told from the bytes, ``bin`` for an unknown one."""
    return _TYPES.get(real_type or "", "bin")


class Folder:
    """Where files go.

    Args:
        path: made if it does not exist.
        force: overwrite.

    Attributes:
        written: (name, size) of what was written, in order.
        refused: names of files that exist and were left as they are.
        lost: names of files that could not be written.
        why: what kept the first of these from being written.

    Raises:
        UnwritableOutput: the folder cannot be made or written to.
    """

    def __init__(self, path: str, *, force: bool = False) -> None:
        self.path = Path(path)
        self.force = force
        self.written: list[tuple[str, int]] = []
        self.refused: list[str] = []
        self.lost: list[str] = []
        self.why = ""
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}
        """Stem and suffix → the number that was used last: a capture may name thousands of images alike."""
        self._held: list[Path] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"{path}: cannot be made a folder: {error.strerror}") from error

    def hold(self, pieces: Iterable[bytes]) -> Path | None:
        """Write bytes under a temporary name; :meth:`name` gives them their own. None where there is no room for them.

        Raises:
            UnwritableOutput: nothing can be written to the folder.
        """
        place = self.path / f".dsmshark-{os.getpid()}-{len(self._held)}.tmp"
        try:
            with place.open("xb") as file:
                self._held.append(place)
                for piece in pieces:
                    file.write(piece)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise UnwritableOutput(f"{self.path}: cannot write: {error.strerror}") from error
            # The beginning of it takes the room of others.
            place.unlink(missing_ok=True)
            self.why = self.why or str(error.strerror)
            return None
        return place

    def name(self, held: Path | None, stem: str, suffix: str) -> None:
        """Give a held file its name: stem, ``-2`` and so on where this run used it already, suffix. Where there was no
        room for it (None), or it cannot have that name, it is lost."""
        stem = safe_name(stem)
        name = self._free(stem, suffix)
        target = self.path / name
        if held is None:
            self.lost.append(name)
            return
        reserved = False
        try:
            if not self.force:
                # Reserved first: replacing is atomic, but would overwrite silently.
                target.open("xb").close()
                reserved = True
            # A link of that name is replaced, never followed.
            os.replace(held, target)
        except FileExistsError:
            self.refused.append(name)
            held.unlink()
            return
        except OSError as error:
            if reserved:
                target.unlink(missing_ok=True)
            self.lost.append(name)
            self.why = self.why or str(error.strerror)
            return
        self.written.append((name, target.stat().st_size))

    def _free(self, stem: str, suffix: str) -> str:
        """A name that this run did not use: with the next number where it used the plain one."""
        key = (stem + suffix).lower()
        number = self._last.get(key, 0)
        while True:
            number += 1
            name = f"{stem}-{number}{suffix}" if number > 1 else stem + suffix
            if name.lower() not in self._taken:
                self._last[key] = number
                self._taken.add(name.lower())
                return name

    def put(self, data: bytes, stem: str, suffix: str) -> None:
        """Write a whole file."""
        self.name(self.hold([data]), stem, suffix)

    def clean(self) -> None:
        """Remove what has not got a name."""
        for place in self._held:
            place.unlink(missing_ok=True)


class Images:
    """A sink that takes the images; :meth:`finish` names them by their jobs."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.empty = 0
        self._found: list[tuple[int, int, str, Path | None]] = []

    def __call__(self, message: Message) -> None:
        """Take the next message."""
        for place, attachment in enumerate(message.attachments, 1):
            if not attachment.content.size:
                self.empty += 1
                continue
            try:
                held = self.folder.hold(attachment.content.pieces())
            except ContentNotKept:
                self.empty += 1
                continue
            partial = "" if attachment.content.complete else ".partial"
            # The attachment itself is let go: its bytes are in the file, and there may be thousands.
            self._found.append((message.number, place, f".{extension(attachment.real_type)}{partial}", held))

    def finish(self, jobs: Iterable[Job], wanted: Sequence[Job] | None = None) -> None:
        """Name the files. ``wanted``: only the images of these jobs."""
        by_message: dict[int, list[tuple[Job, Image]]] = {}
        for job in jobs:
            for image in job.images:
                by_message.setdefault(image.message, []).append((job, image))
        for number, place, suffix, held in self._found:
            owners = by_message.get(number, [])
            owner = owners[0] if owners else None
            if wanted is not None and not any(job is one for job, _ in owners for one in wanted):
                continue
            if owner is None:
                stem = f"message-{number}-part{place}"
            else:
                job, image = owner
                word = "doc" if job.kind == "post-scan" else "page"
                page = place if image.document_id is None else image.document_id
                job_id = job_name(job).strip("()").replace(" ", "-")
                stem = f"{job.kind}-{job_id}-{word}{page}" + (f"-part{place}" if place > 1 else "")
            self.folder.name(held, stem, suffix)


class Envelopes:
    """A sink that writes each envelope, as sent or indented."""

    def __init__(self, folder: Folder, *, pretty: bool = False) -> None:
        self.folder = folder
        self.pretty = pretty

    def __call__(self, message: Message) -> None:
        """Take the next message."""
        envelope = message.envelope
        if envelope is None:
            return
        data = envelope.xml
        if self.pretty:
            root = deepcopy(envelope.root)
            etree.indent(root)
            data = etree.tostring(root, xml_declaration=True, encoding="utf-8") + b"\n"
        partial = "" if message.complete and not envelope.recovered else ".partial"
        self.folder.put(data, f"{message.number:06d}-{message.name}", f".xml{partial}")


class Bodies:
    """Writes HTTP bodies, content coding undone: of messages given to :meth:`message`, or to :meth:`http`."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.left_out = 0

    def message(self, message: Message) -> None:
        """A sink: the body of the HTTP message of a WSD message."""
        if message.http is not None:
            self.http(message.http)

    def http(self, http: HttpMessage) -> None:
        """Write the body of any HTTP message."""
        if not http.body.size:
            return
        try:
            held = self.folder.hold(http.body.pieces())
        except ContentNotKept:
            self.left_out += 1
            return
        what = "request" if http.is_request else "response"
        suffix = f".{_MEDIA.get(http.media_type, 'bin')}" + ("" if http.body.complete else ".partial")
        self.folder.name(held, f"frame-{http.first_frame:06d}-stream-{http.stream.number}-{what}", suffix)
