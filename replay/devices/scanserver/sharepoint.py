"""The SharePoint filter: HTTP PUT of each image below the URL that the user named for a document library.

The URL of the instructions is only looked up in :attr:`Places.sites`; nothing is ever sent to it. A library without a
target is SharePointAccessDenied. Every library is tried (2.2.4.82). What a library holds already is not overwritten
(``If-None-Match: *``); where the user's directory is missing, it is made (MKCOL) and the PUT is tried again.

Sources: sharepoint pages of the driver documentation; MS-BDSRR 2.2.3.91, 2.2.4.81, 2.2.4.82, 2.2.5.5; RFC 9110 9.3.4,
13.1.2; RFC 4918 9.3, 9.7.1 (409 for a missing collection), 11.5 (507).
"""

from __future__ import annotations

import http.client
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from replay.base.threads import in_thread
from replay.devices.scanserver.filenames import document_name, media_type_of, safe_name
from replay.devices.scanserver.filters import COPY, Done, FilterJob, FilterResult, Places, nearest
from replay.devices.scanserver.instructions import FilterInstructions
from replay.devices.scanserver.jobs import Document

__all__ = ["run_sharepoint"]

MAX_NUMBER = 1000
"""Names that are tried for one image."""

MAX_ANSWER = 64 << 10
"""Bytes of an answer that are read."""

MAX_DIRECTORIES = 32
"""Directories of a library's URL below the one that a target is given for."""

_MISSING = (404, 409)


class _Unreadable(Exception):
    """The image as it was received cannot be read."""


@dataclass(slots=True)
class _Target:
    """Where one library's images go.

    Attributes:
        shown: the library, for people.
        base: URL of the user.
        directories: below it; the last one is the user's.
        number: the number of the last file of a name.
    """

    shown: str
    base: str
    directories: tuple[str, ...]
    numbers: dict[str, int]


async def run_sharepoint(instructions: FilterInstructions, job: FilterJob, places: Places) -> FilterResult:
    """Put the images of a job into every library.

    Returns:
        CompletedSuccessfully; CompletedWithErrors as soon as one library failed, with SharePointAccessDenied (401, 403,
        no target), SharePointOutOfDiskSpace (507), InvalidArgs (no URL) or UnknownError; Canceled where the job was.
    """
    done = Done()
    targets = [_find(site, job, places, done) for site in dict.fromkeys(instructions.sites)]
    if instructions.my_site:
        if places.my_site is None:
            done.failed("SharePointAccessDenied", "no target is given for the personal libraries")
        else:
            targets.append(_Target("the personal library", places.my_site, (safe_name(job.user),), {}))
    elif not instructions.sites:
        done.note("the SharePoint filter names no library: nothing is stored")
    for target in targets:
        if job.canceled() or (target is not None and not await _fill(target, job, places, done)):
            return done.result(canceled=True)
    return done.result()


def _find(site: str, job: FilterJob, places: Places, done: Done) -> _Target | None:
    wanted = _parts(site)
    if wanted is None:
        done.failed("InvalidArgs", f"{site!r} is no http URL")
        return None
    best = nearest(wanted, places.sites, _parts)
    if best is None:
        done.failed("SharePointAccessDenied", f"no target is given for the library {site!r}")
        return None
    below = wanted[best[0] :]
    if len(below) > MAX_DIRECTORIES:
        done.failed("InvalidArgs", f"{site!r} has more than {MAX_DIRECTORIES} directories")
        return None
    return _Target(repr(site), best[1], tuple(safe_name(one) for one in (*below, job.user)), {})


def _parts(url: str) -> list[str] | None:
    """Scheme and host, then the directories of a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname:
        return None
    return [f"{parts.scheme}://{parts.hostname}:{port}", *(unquote(one) for one in parts.path.split("/") if one)]


async def _fill(target: _Target, job: FilterJob, places: Places, done: Done) -> bool:
    """Put to one library, up to its first error; False where the job was cancelled."""
    for image in job.images:
        if job.canceled():
            return False
        try:
            status, url = await in_thread(_put, target, job, image, places)
        except _Unreadable as error:
            done.failed("UnknownError", f"image {image.document_id} cannot be read: {error}")
            return True
        except (OSError, http.client.HTTPException, ValueError) as error:
            told = str(getattr(error, "strerror", None) or error) or type(error).__name__
            done.failed("UnknownError", f"{target.shown} at {target.base}: {told}")
            return True
        if 200 <= status < 300:
            done.wrote(url)
            continue
        reason = {401: "SharePointAccessDenied", 403: "SharePointAccessDenied", 507: "SharePointOutOfDiskSpace"}
        done.failed(reason.get(status, "UnknownError"), f"{target.shown}: PUT {url} was answered with {status}")
        return True
    return True


def _put(target: _Target, job: FilterJob, image: Document, places: Places) -> tuple[int, str]:
    """PUT one image under the first free name; gives the status and the URL."""
    key = document_name(job.document_root_name, job.created, job.user, image.format)
    first = target.numbers.get(key, 0) + 1
    made = False
    status, url = 0, target.base
    number = first
    while number < first + MAX_NUMBER:
        name = document_name(job.document_root_name, job.created, job.user, image.format, number)
        url = _url(target, (*target.directories, name))
        status = _send("PUT", url, image, places)
        if status in _MISSING and not made:
            made = True
            for depth in range(len(target.directories)):
                _send("MKCOL", _url(target, target.directories[: depth + 1]) + "/", None, places)
            again = _send("PUT", url, image, places)
            # A server without directories refuses MKCOL: then the first answer is the one to tell.
            status = status if again in _MISSING else again
        if status != 412:
            break
        number += 1
    target.numbers[key] = number
    return status, url


def _url(target: _Target, names: tuple[str, ...]) -> str:
    return "/".join((target.base.rstrip("/"), *(quote(one, safe="@") for one in names)))


def _send(method: str, url: str, image: Document | None, places: Places) -> int:
    """One request on a connection of its own; gives the status. No redirection is followed."""
    parts = urlsplit(url)
    assert parts.hostname is not None  # Places looked
    given: dict[str, Any] = {"timeout": places.timeout, "blocksize": COPY}
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, context=places.context(), **given)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, **given)
    )
    path = parts.path or "/"
    try:
        if image is None:
            connection.request(method, path)
        else:
            _send_image(connection, method, path, image)
        answer = connection.getresponse()
        answer.read(MAX_ANSWER)
        return answer.status
    finally:
        connection.close()


def _send_image(connection: http.client.HTTPConnection, method: str, path: str, image: Document) -> None:
    try:
        source = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _Unreadable(error.strerror) from error
    with os.fdopen(source, "rb") as file:
        headers = {
            "Content-Type": media_type_of(image.format),
            "Content-Length": str(os.fstat(source).st_size),
            "If-None-Match": "*",
        }
        try:
            connection.request(method, path, body=file, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            # The server may have refused without reading the image: its answer says why.
            return
