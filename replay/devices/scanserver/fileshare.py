r"""The file share filter: writes each image below a folder that the user gave for a UNC path.

``\\server\share\dir`` with a folder for ``\\server\share`` becomes ``folder/dir/user@domain/<name>``. A path without a
folder is FileShareAccessDenied: this machine has no such share. Every share is tried (2.2.4.78).

Rules: nothing leaves the folder. Names are made harmless (see ``filenames``), every directory below the folder is
opened by a descriptor relative to the one above and never through a symbolic link, so that nobody who can write there
can lead the server out. Nothing is overwritten. A file has its name only when it is whole.

Source: fileshare pages of the driver documentation; MS-BDSRR 2.2.3.88, 2.2.4.77, 2.2.4.78, 2.2.5.5.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from replay.base.threads import in_thread
from replay.devices.scanserver.filenames import document_name, safe_name
from replay.devices.scanserver.filters import (
    COPY,
    Done,
    FilterJob,
    FilterResult,
    Places,
    full,
    nearest,
    unc_parts,
)
from replay.devices.scanserver.instructions import FilterInstructions
from replay.devices.scanserver.jobs import Document

__all__ = ["run_fileshare"]

MAX_NUMBER = 100_000
"""Files of one name, told apart by a number."""

MAX_DIRECTORIES = 32
"""Directories of a ShareUNC below the folder."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.EISDIR})


class _Unreadable(Exception):
    """The image as it was received cannot be read: the server's own trouble, not the share's."""


@dataclass(slots=True)
class _Target:
    """The directory of one share, and the numbers last used in it, name by name."""

    folder: Path
    directories: tuple[str, ...]
    numbers: dict[str, int] = field(default_factory=dict)


async def run_fileshare(instructions: FilterInstructions, job: FilterJob, places: Places) -> FilterResult:
    """Write the images of a job to every share.

    Returns:
        CompletedSuccessfully; CompletedWithErrors as soon as one share failed, with FileShareAccessDenied,
        FileShareOutOfDiskSpace, InvalidArgs (no UNC path) or UnknownError; Canceled where the job was. Files that are
        written stay.
    """
    done = Done()
    if not instructions.shares:
        done.note("the file share filter names no share: nothing is stored")
    for share in dict.fromkeys(instructions.shares):
        if job.canceled():
            return done.result(canceled=True)
        target = _find(share, job, places, done)
        if target is not None and not await _fill(share, target, job, places, done):
            return done.result(canceled=True)
    return done.result()


def _find(share: str, job: FilterJob, places: Places, done: Done) -> _Target | None:
    parts = unc_parts(share)
    if parts is None:
        done.failed("InvalidArgs", f"{share!r} is no UNC path")
        return None
    best = nearest(parts, places.shares, unc_parts)
    if best is None:
        done.failed("FileShareAccessDenied", f"no folder is given for the share {share!r}")
        return None
    below = parts[best[0] :]
    if len(below) > MAX_DIRECTORIES:
        done.failed("InvalidArgs", f"{share!r} has more than {MAX_DIRECTORIES} directories")
        return None
    return _Target(best[1], tuple(safe_name(one) for one in (*below, job.user)))


async def _fill(share: str, target: _Target, job: FilterJob, places: Places, done: Done) -> bool:
    """Write to one share, up to its first error; False where the job was cancelled."""
    for image in job.images:
        if job.canceled():
            return False
        if not places.reserve(image.size):
            done.failed("FileShareOutOfDiskSpace", f"{share!r}: more than the {places.disk} bytes allowed on the disk")
            return True
        try:
            done.wrote(await in_thread(_write, target, job, image))
        except _Unreadable as error:
            done.failed("UnknownError", f"image {image.document_id} cannot be read: {error}")
        except OSError as error:
            where = f"{share!r} in {target.folder}: {error.strerror or error}"
            if full(error):
                done.failed("FileShareOutOfDiskSpace", where)
            elif error.errno in _DENIED:
                done.failed("FileShareAccessDenied", where)
            else:
                done.failed("UnknownError", where)
        else:
            continue
        places.written -= image.size
        return True
    return True


def _write(target: _Target, job: FilterJob, image: Document) -> str:
    """Copy one image; gives the path of the file.

    Raises:
        OSError: of the share. _Unreadable: of the image.
    """
    try:
        source = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _Unreadable(error.strerror) from error
    with os.fdopen(source, "rb", buffering=0) as reader, _opened(target) as directory:
        part = f".{safe_name(job.token, 64)}.{image.document_id}.part"
        out = _create(part, directory)
        try:
            with os.fdopen(out, "wb", buffering=0) as writer:
                while piece := _read(reader.fileno()):
                    view = memoryview(piece)
                    while view:
                        view = view[writer.write(view) :]
            return str(target.folder.joinpath(*target.directories, _publish(part, directory, target, job, image)))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=directory)
            raise


def _create(part: str, directory: int) -> int:
    """A new file under a hidden name; one that a broken run left behind is removed first."""
    try:
        return os.open(part, _NEW, 0o644, dir_fd=directory)
    except FileExistsError:
        os.unlink(part, dir_fd=directory)
        return os.open(part, _NEW, 0o644, dir_fd=directory)


def _publish(part: str, directory: int, target: _Target, job: FilterJob, image: Document) -> str:
    """Give a whole file its name, the first free one.

    Renaming replaces what is there, so the name is taken first by an empty file that only one can make.
    """
    key = document_name(job.document_root_name, job.created, job.user, image.format)
    for number in range(target.numbers.get(key, 0) + 1, MAX_NUMBER + 1):
        name = document_name(job.document_root_name, job.created, job.user, image.format, number)
        try:
            os.close(os.open(name, _NEW, 0o644, dir_fd=directory))
        except FileExistsError:
            continue
        try:
            os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise
        target.numbers[key] = number
        return name
    raise OSError(errno.EEXIST, f"there are {MAX_NUMBER} files {key}")


@contextlib.contextmanager
def _opened(target: _Target) -> Iterator[int]:
    """A descriptor of the directory, made where it is missing; no symbolic link is followed below the folder."""
    at = os.open(target.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in target.directories:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=at)
            below = os.open(name, _DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _read(source: int) -> bytes:
    try:
        return os.read(source, COPY)
    except OSError as error:
        raise _Unreadable(error.strerror) from error
