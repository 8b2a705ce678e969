"""Seeded damage of a capture file's bytes: on the container, on frames, and inside the texts they carry."""

from __future__ import annotations

import re
from random import Random

__all__ = ["mutate"]

EXTREMES = [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80\x00\x00\x00"]
TOKENS = [
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"POST / HTTP/1.1\r\n",
    b"boundary=", b"--", b"<", b">", b"</soap:Body>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"cid:", b"xmlns:",
    b"99999999999", b"-1", b"\x00", b"\xff\xfe", b"0\r\n\r\n", b"ffffffff\r\n",
]  # fmt: skip


def mutate(data: bytes, seed: int) -> bytes:
    """One to four pieces of damage, chosen by the seed."""
    rng = Random(seed)
    for _ in range(rng.randint(1, 4)):
        data = rng.choice([_flip, _cut, _zero, _splice, _double, _extreme, _token, _number, _drop_text])(data, rng)
        if not data:
            return data
    return data


def _span(data: bytes, rng: Random, most: int = 400) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randint(1, most))


def _flip(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 30])):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _cut(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return data[: rng.randrange(len(data))]
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _zero(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.choice([b"\x00", b"\xff"]) * (end - start) + data[end:]


def _splice(data: bytes, rng: Random) -> bytes:
    (a, b), (c, d) = _span(data, rng), _span(data, rng)
    return data[:a] + data[c:d] + data[b:]


def _double(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng, 3000)
    return data[:end] + data[start:end] * rng.randint(1, 3) + data[end:]


def _extreme(data: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(data))
    value = rng.choice(EXTREMES)[: rng.choice([1, 2, 4])]
    return data[:start] + value + data[start + len(value) :]


def _token(data: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(data))
    token = rng.choice(TOKENS)
    # Over what is there: the records stay whole, so that the damage reaches the rooms behind the container.
    return data[:start] + token + data[start + len(token) :]


def _number(data: bytes, rng: Random) -> bytes:
    found = list(re.finditer(rb"(?<=[ >=])\d{1,6}(?=[\r<\"])", data))
    if not found:
        return data
    hit = rng.choice(found)
    return data[: hit.start()] + b"%0*d" % (len(hit[0]), rng.randrange(10 ** len(hit[0]))) + data[hit.end() :]


def _drop_text(data: bytes, rng: Random) -> bytes:
    found = list(re.finditer(rb"<[^<>]{2,60}>|[\w-]+: [^\r\n]{1,60}\r\n", data))
    if not found:
        return data
    hit = rng.choice(found)
    return data[: hit.start()] + b" " * len(hit[0]) + data[hit.end() :]
