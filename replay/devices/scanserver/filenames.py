"""Names of the files that filters write, made of texts that came from the network.

Rule: whatever the text is, :func:`safe_name` gives one component of a path, never a way out of the folder, never a
hidden file, never a device name of Windows (shares are looked at from there), never longer than a file system takes.

Source of the pattern: the file share pages of the driver documentation (the server adds date, time and user to
DocumentRootName and writes into a directory named user@domain).
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

__all__ = ["MAX_NAME", "document_name", "extension_of", "media_type_of", "safe_name"]

MAX_NAME = 255
"""Bytes of one component (NAME_MAX of the usual file systems), in UTF-8."""

MAX_USER = 64
"""Bytes of the user's name in a file name."""

MAX_EXTENSION = 8
"""Characters of the extension made from a vendor's format."""

_COUNTER = len("_1000000")

_UNSAFE = frozenset('<>:"/\\|?*') | frozenset("\u2044\u2215\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c\uff1a\u2236")
"""What no name of Windows has, and what looks like a separator of folders or drives."""
_HIDING = frozenset(["Zl", "Zp"])
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)
_TYPES = {
    "jfif": ("jpg", "image/jpeg"), "exif": ("jpg", "image/jpeg"), "png": ("png", "image/png"),
    "dib": ("bmp", "image/bmp"), "jbig": ("jbg", "application/octet-stream"), "jpeg2k": ("jp2", "image/jp2"),
    "pdf-a": ("pdf", "application/pdf"), "xps": ("xps", "application/vnd.ms-xpsdocument"),
}  # fmt: skip


def safe_name(text: str, limit: int = MAX_NAME) -> str:
    """A text as one harmless component of a path.

    Args:
        text: anything.
        limit: bytes in UTF-8, at least 2.

    Returns:
        The text with what is unsafe replaced by ``_``; ``_`` where nothing is left.
    """
    text = unicodedata.normalize("NFC", text)
    kept = "".join("_" if c in _UNSAFE or _hides(c) else c for c in text)
    kept = _cut(kept.strip(), limit - 1).rstrip(". ")
    if kept.startswith("."):
        kept = "_" + kept[1:]
    if kept.partition(".")[0].rstrip().casefold() in _RESERVED:
        kept = f"_{kept}"
    return kept or "_"


def _hides(character: str) -> bool:
    """Control and format characters (line ends, bidirectional overrides), surrogates, unassigned ones and separators of
    lines all hide what a name is."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in _HIDING


def document_name(root: str, created: int, user: str, format: str, number: int = 1) -> str:
    """``<DocumentRootName>_<date>_<time>_<user>[_n].<extension>``; n from the second on.

    Args:
        root: DocumentRootName.
        created: creation of the job, nanoseconds since 1970 UTC (shown in UTC, as in the events).
        user: user@domain; what stands before the at sign is used.
        format: Format, for the extension.
        number: which of the files that would have the same name.
    """
    time = datetime.fromtimestamp(created // 1_000_000_000, UTC).strftime("%Y-%m-%d_%H%M%S")
    account = safe_name(user.partition("@")[0], MAX_USER)
    counter = f"_{number}" if number > 1 else ""
    tail = f"_{time}_{account}"
    extension = f".{extension_of(format)}"
    room = MAX_NAME - len(tail.encode()) - _COUNTER - len(extension)
    return f"{safe_name(root, room)}{tail}{counter}{extension}"


def extension_of(format: str) -> str:
    """Extension for a Format, without the dot: ``jpg`` for jfif, ``tif`` for every TIFF, ``bin`` where nothing fits."""
    word = format.strip().casefold()
    if word in _TYPES:
        return _TYPES[word][0]
    if word.startswith("tiff"):
        return "tif"
    # A vendor's format looks like a media type (MS-BDSRR 1.8).
    word = word.partition(";")[0].rpartition("/")[2].rpartition(":")[2]
    kept = "".join(c for c in word if c.isascii() and c.isalnum())
    return kept if 0 < len(kept) <= MAX_EXTENSION else "bin"


def media_type_of(format: str) -> str:
    """Media type for a Format; ``application/octet-stream`` for a vendor's."""
    word = format.strip().casefold()
    if word in _TYPES:
        return _TYPES[word][1]
    return "image/tiff" if word.startswith("tiff") else "application/octet-stream"


def _cut(text: str, limit: int) -> str:
    """As many characters as fit into so many bytes of UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")
