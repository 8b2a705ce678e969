"""An opened capture: what programs start from.

>>> import dissector
>>> with dissector.open("pcaps/dsm-completed.pcapng") as capture:
...     for job in capture.jobs:
...         print(job.kind, job.completed_state, len(job.images))
post-scan Completed 3
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import IO, TYPE_CHECKING

from dissector.analysis import Analysis
from dissector.analysis.model import Exchange, Job, Notification, Subscription
from dissector.assembly import MessagePass
from dissector.base.breaking import heeded, repeated
from dissector.base.errors import UsageError
from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture import open_source
from dissector.capture.model import Interface, SourceInfo
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.keyfiles import KeyFiles
from dissector.messages import Message
from dissector.transport.model import TransportStats

if TYPE_CHECKING:
    from dissector.transport.tls.model import TlsFacts

__all__ = ["Capture", "Paths", "open_capture"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | IO[bytes]
"""A file, several files of one rotated capture, "-" for standard input, or an open binary file."""

KeyPaths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A file with keys, or several."""

DIVIDED = 16 << 20
"""Bytes of a file from which ``jobs`` are worth their start: below, one process is as fast or faster."""


def processors() -> int:
    """Those that this process may run on: on a single one, several processes take longer."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


BLOCK = 8 << 20
"""Bytes of a capture taken at a time: each block costs the same 0.3 ms, for few packets as for many."""
BLOCK_BETWEEN = 4 << 20
"""The same between processes, which take turns more evenly with smaller ones."""

Progress = Callable[[SourceInfo, TransportStats], None]


def open_capture(
    paths: Paths,
    *,
    keep: bool = False,
    digest: bool = True,
    digest_bodies: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    keylog: KeyPaths = (),
    rsa_key: KeyPaths = (),
    pre_master: str | Sequence[str] = (),
    key_password: str | bytes | None = None,
    watch_tls: bool = False,
    tls_records: bool = False,
    jobs: int = 1,
) -> Capture:
    """Open a capture; ``dissector.open`` is this function.

    Args:
        paths: see :data:`Paths`.
        keep: keep the bytes of bodies and attachments (``attachment.content.data()``), large ones in temporary
            files. Without it only size, SHA-256, first bytes and frames are known.
        digest: compute the SHA-256 of attachments.
        digest_bodies: compute the SHA-256 of every HTTP body as transferred.
        limits: bounds on hostile input.
        progress: called with input and counts after each block read.
        keylog: NSS key log, or several, for TLS; of a live capture they may grow. Secrets inside a pcapng file need
            nothing.
        rsa_key: private RSA key of a server, or several: PEM, DER or PKCS#12.
        pre_master: pre-master secret, or several, in hexadecimal digits, if need be as ``client random:secret``.
        key_password: of the private keys.
        watch_tls: look at all TLS connections: ``capture.tls`` then says what was seen of each.
        tls_records: and of each of their records.
        jobs: with 2 or more, reading, reassembly and digests run in processes of their own, where that can be and is
            worth it: one regular file of at least :data:`DIVIDED` bytes, more than one processor, no ``keep``, no
            ``watch_tls``. The result is the same.

    Raises:
        UnreadableInput: the input does not exist or is no capture, or a key cannot be read.
        UsageError: a private key needs a password, or a pre-master secret is none.
    """
    password = key_password.encode() if isinstance(key_password, str) else key_password
    keyfiles = KeyFiles(_several(keylog), _several(rsa_key), _texts(pre_master), password)
    return Capture(
        paths, BodyPolicy(digest, digest_bodies, keep), limits, progress, keyfiles, watch_tls, tls_records, jobs
    )


def _several(paths: KeyPaths) -> Sequence[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, (str, os.PathLike)) else paths


def _texts(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


class Capture:
    """A capture file, or several in a row, read in one pass.

    ``messages`` gives each message as soon as it is whole; ``jobs``, ``events``, ``exchanges`` and
    ``subscriptions`` read what is left of the pass first. A file can be read again by asking again; standard
    input cannot.
    """

    def __init__(
        self,
        paths: Paths,
        policy: BodyPolicy,
        limits: Limits,
        progress: Progress | None,
        keyfiles: KeyFiles | None = None,
        watch_tls: bool = False,
        tls_records: bool = False,
        jobs: int = 1,
    ) -> None:
        if isinstance(paths, (str, os.PathLike)):
            paths = [paths]
        self._paths = paths
        self._policy = policy
        self._limits = limits
        self._progress = progress
        self._keyfiles = keyfiles or KeyFiles()
        self._watch_tls = watch_tls
        self._tls_records = tls_records
        self._jobs = jobs
        self._ended = False
        self.on_http: Callable[[HttpMessage], None] | None = None
        self.on_event: Callable[[Notification, Message], None] | None = None
        """Called with each event notification when it comes, and when it is answered, and the message that does so."""
        self.interrupted = False
        self._begin()

    def _begin(self) -> None:
        block_bytes = BLOCK if self._jobs < 2 else BLOCK_BETWEEN
        self._source = open_source(self._paths, block_bytes=block_bytes, limits=self._limits)
        self._keyfiles.begin(live=self._source.info.bytes_total is None)
        self._pass = self._kind()(
            self._source,
            policy=self._policy,
            limits=self._limits,
            on_http=self._http,
            progress=self._progress,
            keyfiles=self._keyfiles,
            watch_tls=self._watch_tls,
            tls_records=self._tls_records,
        )
        self._pass.stats.keyed = self._keyfiles.given
        self._analysis = Analysis(limits=self._limits)
        self._stream = self._messages()
        self._ended = False

    def _kind(self) -> type[MessagePass]:
        if self._jobs < 2 or not self._divisible:
            return MessagePass
        # Not of use to most runs.
        from dissector.stages import DividedPass

        return DividedPass

    def _http(self, http: HttpMessage) -> None:
        if self.on_http is not None:
            self.on_http(http)

    def _messages(self) -> Iterator[Message]:
        for message in self._pass:
            event = self._analysis.feed(message)
            if event is not None and self.on_event is not None:
                self.on_event(event, message)
            yield message
        self._analysis.finish()
        self._ended = True

    # -- what is in it ------------------------------------------------------------------------------------------

    @property
    def all_soap(self) -> Iterator[Message]:
        """Every SOAP message in order, those of other protocols too (``message.wsd`` tells)."""
        if self._ended:
            if not self._rereadable:
                raise UsageError("standard input can be read only once: keep what you need of its messages")
            self._source.close()
            self._begin()
        yield from self._stream

    @property
    def messages(self) -> Iterator[Message]:
        """Every WSD message, in the order in which they became whole."""
        return (message for message in self.all_soap if message.wsd)

    @property
    def analysis(self) -> Analysis:
        """Exchanges, subscriptions, jobs and endpoints of the whole capture."""
        self.run()
        return self._analysis

    @property
    def jobs(self) -> Sequence[Job]:
        """All jobs, by their first message. Where there are thousands, each access makes a new object: what was changed
        in one is not in the next."""
        return self.analysis.jobs

    @property
    def events(self) -> Sequence[Notification]:
        """All event notifications, in order."""
        return self.analysis.notifications

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """Requests with their answers, in order."""
        return self.analysis.exchanges

    @property
    def subscriptions(self) -> list[Subscription]:
        """WS-Eventing subscriptions, in order."""
        return self.analysis.subscriptions

    @property
    def info(self) -> SourceInfo:
        """The input: files, containers, comments, secrets."""
        return self._source.info

    @property
    def interfaces(self) -> list[Interface]:
        """Capture interfaces met so far."""
        return self._source.interfaces

    @property
    def stats(self) -> TransportStats:
        """Packet counts so far."""
        return self._pass.stats

    @property
    def digits(self) -> int:
        """Decimal digits of a second in the capture's times."""
        return max((interface.digits for interface in self._source.interfaces), default=6)

    @property
    def findings(self) -> list[Finding]:
        """Findings of the container, the network and the transport; complete after the pass."""
        return self._pass.findings

    @property
    def tls(self) -> list[TlsFacts]:
        """What was seen of each TLS connection, where the capture was opened with ``watch_tls``; reads the rest of the
        pass first."""
        self.run()
        return self._pass.tls

    @property
    def tls_left_out(self) -> int:
        """TLS connections beyond the limit, of which nothing was kept."""
        return self._pass.tls_left_out

    @property
    def tls_decrypted(self) -> int:
        """How many TLS connections were decrypted so far."""
        return self._pass.tls_decrypted

    @property
    def tls_opened(self) -> list[TlsFacts]:
        """Of the TLS connections that were decrypted so far, up to the limit ``tls_connections``."""
        return self._pass.tls_opened

    def locate(self, frame: int) -> tuple[str, int]:
        """File that holds a frame, and the frame's number in that file (1-based)."""
        return self._source.locate(frame)

    # -- the pass -----------------------------------------------------------------------------------------------

    def run(self, *sinks: Callable[[Message], None], all_soap: bool = False) -> None:
        """Read to the end, giving each WSD message to each sink. Ctrl-C ends the pass as if the capture ended.

        Does nothing where the pass is over and no sink is given. ``all_soap``: give the sinks the messages of other
        SOAP protocols too.
        """
        if self._ended and not sinks:
            return
        restore = self._catch_interrupt()
        try:
            for message in self.all_soap if all_soap else self.messages:
                for sink in sinks:
                    sink(message)
        finally:
            restore()

    def stop(self) -> None:
        """End the pass after the present block, as if the capture ended there."""
        self._pass.stop()

    def close(self) -> None:
        """Close the input."""
        self._source.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def undivided(self) -> str:
        """Why ``jobs`` processes were asked for and one does it all; "" where several do, none were asked for, or the
        capture is so small that it makes no difference."""
        if self._jobs < 2 or (self._source.info.bytes_total or DIVIDED) < DIVIDED:
            return ""
        return self._hindrance

    @property
    def _hindrance(self) -> str:
        """What keeps the stages of the pass from running in processes of their own, "" for nothing: all is in files
        that reading never waits for, and nothing is asked for that stays in those."""
        if not self._rereadable:
            return "standard input is read by one process"
        if self._source.info.bytes_total is None:
            return "a pipe is read by one process"
        if processors() < 2:
            return "there is one processor"
        if self._policy.keep:
            return "whole bodies are written by one process"
        if self._watch_tls:
            return "TLS connections are watched by one process"
        return ""

    @property
    def _divisible(self) -> bool:
        """The stages can run in processes of their own, and are worth their start."""
        return self._jobs > 1 and not self._hindrance and (self._source.info.bytes_total or 0) >= DIVIDED

    @property
    def _rereadable(self) -> bool:
        return isinstance(self._paths, Sequence) and not any(os.fspath(path) == "-" for path in self._paths)

    def _catch_interrupt(self) -> Callable[[], None]:
        """Ctrl-C ends the pass between two blocks; a read that waits for input is broken off at once. So do other
        signals where the command line says so."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None

        def handle(number: int, frame: FrameType | None) -> None:
            if repeated(number):
                return
            again = self.interrupted
            self.interrupted = True
            self._pass.stop()
            if self._pass.waiting or again:
                raise KeyboardInterrupt

        before = {number: signal.signal(number, handle) for number in heeded()}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore
