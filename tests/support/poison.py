"""Stories whose every text is one that a terminal, a spreadsheet or a browser could obey."""

from __future__ import annotations

import io
import re

from dissector.capture import PcapngWriter
from tests.support.stories import STORIES, Story
from tests.support.wire import frames_of

__all__ = ["EVIL", "poisoned", "poisoned_pcapng"]

EVIL = "\u202eevil\u2066\u200b\x9b31m\x85\u2028\U000e0041\ufe0f.=1+1|<script>alert(1)</script>'\"`../../x"
"""Legal in XML: bidirectional controls, zero width, the one-byte forms of CSI and NEL, a line separator, a tag, a
variation selector; a formula, a script, quotes, a way out of a folder."""
WIRE = b"\x1b]0;owned\x07\x1b[31m\x9b\xe2\x80\xae\xff\x08"
"""For heads: a title, colours, a right-to-left override, a byte that is no UTF-8, a backspace."""

_KEEP = re.compile(r"[\d.:+TZPHMS-]+|true|false|\s*")
_TEXT = re.compile(r">([^<>]+)<")


def _xml(text: str, actions: bool) -> str:
    safe = EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def put(match: re.Match[str]) -> str:
        said = match[1]
        if _KEEP.fullmatch(said) or (not actions and said.startswith("http://schemas")):
            return match[0]
        return f">{said}{safe}<"

    return _TEXT.sub(put, text)


def poisoned(name: str, *, actions: bool = False) -> Story:
    """A story with harmful texts in its elements, header lines and status lines; ``actions``: in its URIs too."""
    story = STORIES[name]()
    for turn in story.turns:
        head, blank, body = turn.data.partition(b"\r\n\r\n")
        channel = story.channels[turn.channel]
        if channel.udp:
            turn.data = _xml(turn.data.decode(), actions).encode()
            continue
        if b"multipart" not in head and b"chunked" not in head:
            body = _xml(body.decode(), actions).encode()
            head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
        else:
            body = body.replace(b"Content-Type: image/", b"X-Evil: " + WIRE + b"\r\nContent-Type: image/")
            body = body.replace(b"Content-ID: <", b"Content-Description: " + WIRE + b"\r\nContent-ID: <")
            # What is longer now is told by the chunks no more; the length is.
            head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
        head = head.replace(b" 202 Accepted", b" 202 " + WIRE).replace(b" 200 OK", b" 200 " + WIRE)
        head = head.replace(b"\r\nServer: ", b"\r\nServer: " + WIRE)
        head = head.replace(b"\r\nUser-Agent: ", b"\r\nUser-Agent: " + WIRE)
        turn.data = head + b"\r\nX-Evil: " + WIRE + blank + body
    return story


def poisoned_pcapng(name: str, *, actions: bool = False) -> bytes:
    """The same as a capture whose own texts are harmful too."""
    file = io.BytesIO()
    text = WIRE.decode("utf-8", "replace") + EVIL
    writer = PcapngWriter(file, comment=text)
    writer.add_interface(1, name=text, comment=text, tsresol=9)
    writer.write_names({"192.0.2.10": [text], "192.0.2.20": [text]})
    writer.write_secrets(0x544C534B, b"CLIENT_RANDOM " + WIRE + b"\n")
    for place, frame in enumerate(frames_of(poisoned(name, actions=actions))):
        writer.write_packet(frame.time, frame.data, comment=text if place % 50 == 0 else None)
    return file.getvalue()
