"""TLS: records and handshakes of both sides, with the key log that opens them and without.

An input is two bytes of length and a key log, then pieces: a byte of flags (1 the server speaks, 2 so many bytes are
lost, 4 cut it into small runs), two of length, and the bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from dissector.output.tls_json import tls_json_text
from dissector.output.tls_text import connection_lines, record_lines
from tests.fuzz.oracles import fits_schema, harmless, known_rules
from tests.fuzz.targets.target import Cutter, Target
from tests.support.tls_feed import TlsFeed
from tests.support.tls_talk import client_context, identity, server_context, talk

__all__ = ["ENCRYPTED"]

_WORDS = (
    b"\x16\x03\x01", b"\x16\x03\x03", b"\x17\x03\x03", b"\x14\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x02\x28",
    b"\x01\x00", b"\x0b\x00", b"\x00\x2b\x00\x03\x02\x03\x04", b"CLIENT_RANDOM ",
)  # fmt: skip


def _tls(data: bytes) -> None:
    cutter = Cutter(data)
    log = cutter.take(cutter.word())
    pieces = []
    while cutter and len(pieces) < 60:
        pieces.append((cutter.byte(), cutter.take(cutter.word())))
    for keys in (log, b""):
        feed = TlsFeed(keys)
        for flags, piece in pieces:
            if flags & 2 and piece:
                feed.gap(bool(flags & 1), len(piece))
            elif piece:
                feed.data(bool(flags & 1), piece, 7 if flags & 4 else 500)
        feed.end()
        for facts in feed.table.facts:
            known_rules(facts.findings)
            for line in (*connection_lines(facts, 6), *record_lines(facts, 6)):
                harmless(line)
        made = tls_json_text(feed.table.facts, 6, records=True, left_out=0, notes=[], findings=[], interrupted=False)
        text = "".join(made)
        harmless(text, lines=True)
        fits_schema(json.loads(text), "dsmshark.tls/1")


def _seeds() -> Iterator[bytes]:
    kinds = (("1.2", "ECDHE-RSA-AES128-GCM-SHA256"), ("1.2", "AES128-SHA"), ("1.3", ""), ("1.0", "AES128-SHA"))
    for version, cipher in kinds:
        turns = [(False, b"GET / HTTP/1.1\r\n\r\n"), (True, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
        done = talk(client_context(version, cipher), server_context(identity(), version, cipher), turns)
        log = done.keylog if isinstance(done.keylog, bytes) else done.keylog.encode()
        made = struct.pack(">H", len(log)) + log
        yield made + b"".join(struct.pack(">BH", back, len(piece)) + piece for back, piece in done.pieces)


ENCRYPTED = (Target("tls", _tls, _seeds, 1 << 13, _WORDS),)
