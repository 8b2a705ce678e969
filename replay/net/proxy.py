"""A proxy that a user named: whole URLs for http, a tunnel for https (RFC 9110 7.6, 9.3.6; RFC 9112 3.2.2).

Proxies of the environment are never used: a replay goes where it was told to go.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from dissector.base.errors import TargetUnreachable
from replay.net.target import Target

__all__ = ["absolute", "tunnel"]

LONGEST = 16 << 10
"""Bytes of a proxy's answer to CONNECT."""

_REQUEST = re.compile(rb"\A([!-~]+ )(/[!-~]*)( HTTP/1\.[01]\r?\n)")
_STATUS = re.compile(rb"\AHTTP/1\.[01] (\d{3})([^\r\n]*)")


def absolute(pieces: Sequence[bytes], target: Target) -> list[bytes]:
    """A request as a proxy takes it: the whole URL in its first line."""
    if not pieces:
        return []
    base = f"{target.scheme}://{target.authority}".encode("ascii", "replace")
    return [_REQUEST.sub(lambda match: match[1] + base + match[2] + match[3], pieces[0], count=1), *pieces[1:]]


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target) -> None:
    """Ask a proxy for a tunnel to the target.

    Raises:
        TargetUnreachable: it gives none; in its own words.
        OSError: the connection broke.
    """
    host = f"[{target.host}]" if ":" in target.host else target.host
    place = f"{host}:{target.port}".encode("ascii", "replace")
    writer.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (place, place))
    await writer.drain()
    head = b""
    while b"\r\n\r\n" not in head:
        # One byte at a time: what comes behind the head belongs to TLS.
        byte = await reader.read(1)
        head += byte
        if not byte or len(head) > LONGEST:
            raise TargetUnreachable(f"{target}: the proxy gives no tunnel")
    status = _STATUS.match(head)
    if status is None or status[1][:1] != b"2":
        words = b" ".join(status.groups()).decode("latin-1") if status else "no HTTP"
        raise TargetUnreachable(f"{target}: the proxy gives no tunnel: {words}")
