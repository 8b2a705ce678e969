"""Jobs for the filters of the emulated scan server, and small peers for them on loopback."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from replay.devices.scanserver.filters import FilterJob
from replay.devices.scanserver.instructions import KINDS, FilterInstructions
from replay.devices.scanserver.jobs import Document

CREATED = 1_772_442_904 * 10**9  # 2026-03-02T09:15:04Z
NAME = "Invoice_2026-03-02_091504_anna"


def images(folder: Path, *contents: bytes, format: str = "jfif") -> tuple[Document, ...]:
    made = []
    for number, data in enumerate(contents, 1):
        made.append(Document(number, format, folder, len(data)))
        made[-1].path.write_bytes(data)
    return tuple(made)


def filter_job(
    *images: Document,
    root: str = "Invoice",
    user: str = "anna@example.com",
    canceled: Callable[[], bool] = lambda: False,
) -> FilterJob:
    return FilterJob("0f8c2a4e-0000-4000-8000-000000000001", user, root, CREATED, images, canceled)


def fileshare(*shares: str) -> FilterInstructions:
    return FilterInstructions(KINDS["fileshare"], "fileshare", shares=shares)


def email(*addresses: str, user: bool = False, more: bool = False) -> FilterInstructions:
    return FilterInstructions(KINDS["email"], "email", addresses=addresses, to_scan_user=user, can_add_addresses=more)


def sharepoint(*sites: str, mine: bool = False) -> FilterInstructions:
    return FilterInstructions(KINDS["sharepoint"], "sharepoint", sites=sites, my_site=mine)


class Library:
    """An HTTP server that keeps what is put: path → (headers, bytes)."""

    def __init__(self, url: str, requests: list[str], kept: dict[str, tuple[Mapping[str, str], bytes]]) -> None:
        self.url = url
        self.requests = requests
        self.kept = kept


@contextmanager
def library(
    answer: Callable[[str, str], int] = lambda method, path: 0,
    *,
    directories: bool = False,
    context: ssl.SSLContext | None = None,
) -> Iterator[Library]:
    """A document library; ``answer`` gives another status than its own. ``directories``: they must be made first."""
    requests: list[str] = []
    kept: dict[str, tuple[Mapping[str, str], bytes]] = {}
    made: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.reply("PUT", self.put)

        def do_MKCOL(self) -> None:
            self.reply("MKCOL", self.make)

        def reply(self, method: str, act: Callable[[], int]) -> None:
            requests.append(f"{method} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.body = body
            self.send_response(answer(method, self.path) or act())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def put(self) -> int:
            if directories and self.path.rpartition("/")[0] not in made:
                return 409
            if self.path in kept and self.headers.get("If-None-Match") == "*":
                return 412
            kept[self.path] = (dict(self.headers), self.body)
            return 201

        def make(self) -> int:
            if not directories:
                return 405
            made.add(self.path.rstrip("/"))
            return 201

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Library(
            f"http{'s' if context is not None else ''}://127.0.0.1:{server.server_address[1]}", requests, kept
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
