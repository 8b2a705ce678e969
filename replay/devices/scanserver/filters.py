"""What the three filters have in common: what they work on, where they may write to, how they end.

Rule: the network says *what* goes where, the user says *whether*. A share, a mail server or a library that was not
named in :class:`Places` is never touched.

Sources: MS-BDSRR 2.2.5.5 (reasons), 2.2.5.6 (states); filter pages of the driver documentation.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from dissector.catalog import ENUMS, FILTER_NAMES
from replay.devices.scanserver.instructions import KINDS
from replay.devices.scanserver.jobs import Document

__all__ = [
    "CANCELED",
    "ERRORS",
    "SUCCESS",
    "WARNINGS",
    "Done",
    "FilterJob",
    "FilterResult",
    "MailServer",
    "Outcome",
    "Places",
    "nearest",
    "parse_outcome",
    "unc_parts",
]

T = TypeVar("T")

SUCCESS = "CompletedSuccessfully"
WARNINGS = "CompletedWithWarnings"
ERRORS = "CompletedWithErrors"
CANCELED = "Canceled"

DISK = 16 << 30
"""Bytes that one :class:`Places` lets the file share filter write."""

TIMEOUT = 30.0
"""Seconds that one step of a mail server or web server may take."""

COPY = 1 << 20
"""Bytes that are copied at once."""

_TEXT = 255
_STATES = {one.casefold(): one for one in ENUMS["dsp:FilterState"].values}
_REASON_ENUM = ENUMS["dsp:FilterStateReason"]
_REASONS = {one.casefold(): one for one in _REASON_ENUM.values}
_ADDRESS = re.compile(
    r'[^\s@<>()\[\],;:"\\\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^\s@<>()\[\],;:"\\\x00-\x1f\x7f\ud800-\udfff]{1,255}'
)
_VENDOR = re.compile(r"\w+:[\w.\-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class FilterJob:
    """What filters work on.

    Attributes:
        token: JobToken.
        user: user@domain.
        document_root_name: stem of the file names.
        created: nanoseconds since 1970 UTC.
        images: in the order in which they came.
        canceled: whether the job was cancelled meanwhile; asked between images.
    """

    token: str
    user: str
    document_root_name: str
    created: int
    images: tuple[Document, ...] = ()
    canceled: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a filter ends, ordered instead of run: FilterState and FilterStateReason values, vendors' own too."""

    state: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterResult:
    """How a filter ended.

    Attributes:
        state: FilterState, an end state.
        reasons: FilterStateReason values; none where it went well.
        notes: for people, one line each.
        written: files, addresses, URLs that the images went to.
    """

    state: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    written: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailServer:
    """The mail server that the user named.

    Attributes:
        host, port: where it is.
        tls: ``none``, ``starttls`` (asked for, and insisted on) or ``tls`` (from the first byte).
        login: user and password, None: mail is handed over without authentication.
        context: makes the context of its TLS.
    """

    host: str
    port: int
    tls: str = "none"
    login: tuple[str, str] | None = field(default=None, repr=False)
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context

    def __str__(self) -> str:
        return str(Endpoint(self.host, self.port))


@dataclass(slots=True)
class Places:
    """Where filters may write to; all of it named by the user, nothing by the network.

    Attributes:
        shares: UNC path → folder of this machine. What is below the UNC path is below the folder.
        smtp: mail server.
        sites: URL of a document library, or of what it is below → http or https URL that the images are put below.
        my_site: URL that stands for everybody's personal library; each user has a directory there.
        sender: From address of mails.
        disk: bytes that may be written to ``shares``, all jobs together.
        timeout: seconds for each step of ``smtp`` and ``sites``.
        context: makes the TLS context for https targets.
        written: bytes written to ``shares`` so far.

    Raises:
        UsageError: a key or target that makes no sense; says which.
    """

    shares: Mapping[str, Path] = field(default_factory=dict)
    smtp: MailServer | None = None
    sites: Mapping[str, str] = field(default_factory=dict)
    my_site: str | None = None
    sender: str = "scan-server@localhost"
    disk: int = DISK
    timeout: float = TIMEOUT
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    written: int = 0

    def __post_init__(self) -> None:
        if not is_address(self.sender):
            raise UsageError(f"{self.sender!r} is no sender of mails; expected name@domain")
        for share in self.shares:
            if unc_parts(share) is None:
                raise UsageError(f"{share!r} is no UNC path; expected \\\\server\\share")
        for target in (*self.sites.values(), *([self.my_site] if self.my_site else [])):
            if not _is_http(target):
                raise UsageError(f"{target!r} is no target for images; expected http://host/path or https://host/path")
        for site in self.sites:
            if not _is_http(site):
                raise UsageError(f"{site!r} is no document library; expected its URL")

    def reserve(self, size: int) -> bool:
        """Take room on the disk; False where the limit is reached. Called in the event loop only."""
        if self.written + size > self.disk:
            return False
        self.written += size
        return True


class Done:
    """Gathers how a filter fares, target by target."""

    def __init__(self) -> None:
        self._reasons: dict[str, None] = {}
        self._notes: list[str] = []
        self._written: list[str] = []

    def wrote(self, target: str) -> None:
        """An image went there."""
        self._written.append(target)

    def note(self, text: str) -> None:
        """Something to tell."""
        self._notes.append(text)

    def failed(self, reason: str, text: str) -> None:
        """A target failed, FilterStateReason and in words."""
        self._reasons[reason] = None
        self._notes.append(text)

    def result(self, *, canceled: bool = False) -> FilterResult:
        """The end: cancelled, with errors, or clean."""
        state = CANCELED if canceled else ERRORS if self._reasons else SUCCESS
        return FilterResult(state, tuple(self._reasons), tuple(self._notes), tuple(self._written))


def parse_outcome(text: str) -> tuple[str, Outcome]:
    """Read an ordered outcome: ``KIND=STATE`` or ``KIND=STATE:REASON,REASON…``.

    KIND is ``email``, ``fileshare`` or ``sharepoint`` (or the Dialect's URI), STATE an end state of FilterState, REASON
    a FilterStateReason; case does not matter. A vendor's own value has the form ``prefix:word`` (MS-BDSRR 1.8):
    ``fileshare=acme:Jammed:acme:NoPaper`` is the state acme:Jammed with the reason acme:NoPaper.

    Returns:
        Kind and outcome.

    Raises:
        UsageError: says what was expected.
    """
    kind, equals, rest = text.partition("=")
    kind = kind.strip()
    kind = FILTER_NAMES.get(kind, kind.casefold())
    if not equals or kind not in KINDS:
        kinds = ", ".join(sorted(KINDS))
        raise UsageError(f"{text!r} is no outcome of a filter; expected one of {kinds}, '=' and a FilterState")
    rest = rest.strip()
    word, _, reasons = rest.partition(":")
    state = _STATES.get(word.strip().casefold(), "")
    if not state:
        vendor = _VENDOR.match(rest)
        reasons = rest[vendor.end() :] if vendor is not None else "?"
        if vendor is None or (reasons and not reasons.startswith(":")) or len(vendor[0]) > _TEXT:
            raise UsageError(
                f"{text!r}: {rest!r} does not begin with a FilterState; expected one of "
                f"{', '.join(sorted(ENUMS['dsp:FilterState'].terminal))}, or a vendor's own such as acme:Jammed"
            )
        state, reasons = vendor[0], reasons[1:]
    elif state not in ENUMS["dsp:FilterState"].terminal:
        ends = ", ".join(sorted(ENUMS["dsp:FilterState"].terminal))
        raise UsageError(f"{text!r}: {state} is no end state; expected one of {ends}")
    return kind, Outcome(state, tuple(_reason(one, text) for one in reasons.split(",") if one.strip()))


def _reason(text: str, whole: str) -> str:
    text = text.strip()
    # The other spellings are accepted as they are: to send them is what somebody may want to try.
    if text in _REASON_ENUM.accept:
        return text
    known = _REASONS.get(text.casefold())
    if known is None and (_VENDOR.fullmatch(text) is None or len(text) > _TEXT):
        raise UsageError(
            f"{whole!r}: {text!r} is no FilterStateReason; expected one of {', '.join(_REASON_ENUM.values)}, or a "
            "vendor's own such as acme:NoPaper"
        )
    return known or text


def nearest(
    wanted: Sequence[str], known: Mapping[str, T], parts: Callable[[str], Sequence[str] | None]
) -> tuple[int, T] | None:
    """What is known of the longest path that the wanted one lies in, whatever the case of letters.

    Args:
        wanted: parts of a path.
        known: by path.
        parts: splits a path; None where it is none.

    Returns:
        How many parts that path has, and what is known of it; None where the wanted one lies in none.
    """
    folded = [one.casefold() for one in wanted]
    best: tuple[int, T] | None = None
    for path, what in known.items():
        given = parts(path)
        if given is None or (best is not None and len(given) <= best[0]):
            continue
        if [one.casefold() for one in given] == folded[: len(given)]:
            best = len(given), what
    return best


def unc_parts(text: str) -> tuple[str, ...] | None:
    r"""Server, share and directories of a UNC path (``\\server\share``, 2.2.3.88), either slash; None: it is none."""
    text = text.strip().replace("/", "\\")
    parts = tuple(part for part in text.split("\\") if part)
    return parts if text.startswith("\\\\") and len(parts) >= 2 else None


def is_address(text: str) -> bool:
    """A text is an e-mail address in the plain form ``name@domain``: nothing in it has a meaning in a header."""
    return _ADDRESS.fullmatch(text) is not None


def full(error: OSError) -> bool:
    """The disk, or what the user may use of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_http(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
