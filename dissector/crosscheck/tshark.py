"""What Wireshark makes of a capture, through tshark.

pyshark finds tshark and tells its version. It is not used to read the packets: it gives no followed streams, keeps only
one of several HTTP layers of a frame, and takes about 2 ms a packet.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissector.base.errors import UnreadableInput, UsageError
from dissector.base.origin import Endpoint
from dissector.capture import TLS_KEY_LOG, PcapngWriter, open_source
from dissector.capture.copying import FrameCopier
from dissector.crosscheck.ours import Direction, HttpFact, Side

__all__ = ["Keys", "find_tshark", "follow", "http_messages", "plain_copy", "read"]

STREAMS = 500
"""Streams that are followed; tshark reads the whole file for each call."""
AT_ONCE = 50
"""Streams followed in one call."""
SECONDS = 60
"""Time for one call, and as much again for each 20 MB of the file."""

OPTIONS = [
    "-2", "-n",
    "-o", "tcp.reassemble_out_of_order:TRUE",
    "-o", "tcp.desegment_tcp_streams:TRUE",
    "-o", "http.desegment_body:TRUE",
    "-o", "http.dechunk_body:TRUE",
    "-o", "http.decompress_body:FALSE",
]  # fmt: skip

MISSING = re.compile(rb"\[(\d+) bytes missing in capture file\]\.?\x00?")
"""What tshark writes into a followed stream in place of lost bytes."""


@dataclass(frozen=True)
class Keys:
    """What opens TLS: texts of key logs, private keys as PEM."""

    keylogs: tuple[bytes, ...] = ()
    rsa_keys: tuple[bytes, ...] = ()


def find_tshark() -> tuple[str, str]:
    """Path and version of tshark.

    Raises:
        UsageError: it is not installed.
    """
    from pyshark.tshark import tshark

    try:
        path = tshark.get_process_path()
        return str(path), str(tshark.get_tshark_version(path))
    except tshark.TSharkNotFoundException:
        raise UsageError("crosscheck needs tshark, which is not installed: sudo apt-get install tshark") from None


def _call(path: str, file: Path, *arguments: str) -> bytes:
    limit = SECONDS + SECONDS * file.stat().st_size // 20_000_000
    command = [path, *OPTIONS, *arguments, "-r", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise UnreadableInput(f"{file}: tshark did not finish within {limit} s") from None
    if done.returncode not in (0, 2) and not done.stdout:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnreadableInput(f"{file}: tshark cannot read it: {words[-1] if words else 'no reason given'}")
    return done.stdout


def plain_copy(paths: list[str], folder: Path, keylogs: Iterable[bytes] = ()) -> Path:
    """One uncompressed pcapng with the frames of all files, in our order, and the secrets, for tshark to read."""
    source = open_source(paths)
    copy = folder / "copy.pcapng"
    with copy.open("wb") as file:
        writer = PcapngWriter(file)
        for text in keylogs:
            writer.write_secrets(TLS_KEY_LOG, text)
        copier = FrameCopier(source, writer)
        for block in source:
            copier.copy(block)
    source.close()
    return copy


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """tshark repeats a key for each layer of a kind: keep them all, the layers of HTTP as a list."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key == "http":
            found.setdefault(key, []).append(value)
        else:
            found.setdefault(key, value)
    return found


def http_messages(
    path: str, file: Path, ports: Iterable[int], tls: Iterable[int] = (), options: Iterable[str] = ()
) -> list[HttpFact]:
    """Every HTTP message that tshark shows, ports where we saw HTTP read as HTTP, and those of ``tls`` as TLS."""
    kinds = dict.fromkeys(ports, "http") | dict.fromkeys(tls, "tls")
    decode = [word for port in sorted(kinds) for word in ("-d", f"tcp.port=={port},{kinds[port]}")]
    text = _call(path, file, *options, *decode, "-Y", "http", "-T", "json", "-x", "-J", "frame tcp http")
    try:
        packets = json.loads(text or b"[]", object_pairs_hook=_pairs)
    except ValueError as error:
        raise UnreadableInput(f"{file}: tshark's answer cannot be read: {error}") from None
    found = []
    for packet in packets:
        layers = packet["_source"]["layers"]
        frame, stream = int(layers["frame"]["frame.number"]), int(layers.get("tcp", {}).get("tcp.stream", -1))
        found += [fact for fact in (_fact(http, frame, stream) for http in layers.get("http", [])) if fact]
    return found


def _fact(http: Any, frame: int, stream: int) -> HttpFact | None:
    if not isinstance(http, dict):
        return None
    method = target = code = ""
    for value in http.values():
        if isinstance(value, dict):
            method = method or value.get("http.request.method", "")
            target = target or value.get("http.request.uri", "")
            code = code or value.get("http.response.code", "")
    if not method and not code:
        return None
    raw = http.get("http.file_data_raw")
    body = bytes.fromhex(raw[0]) if isinstance(raw, list) and isinstance(raw[0], str) else b""
    return HttpFact(
        stream, bool(method), f"{method} {target}" if method else code, frame, len(body),
        hashlib.sha256(body).hexdigest(),
    )  # fmt: skip


def follow(path: str, file: Path, streams: list[int]) -> dict[int, dict[Endpoint, Direction]]:
    """The bytes of streams as ``tshark -z follow`` gives them, without its words for missing ones."""
    found: dict[int, dict[Endpoint, Direction]] = {}
    for start in range(0, len(streams), AT_ONCE):
        some = streams[start : start + AT_ONCE]
        wanted = [word for number in some for word in ("-z", f"follow,tcp,raw,{number}")]
        for piece in _call(path, file, "-q", *wanted).split(b"=" * 67 + b"\n"):
            number = re.search(rb"Filter: tcp\.stream eq (\d+)", piece)
            nodes = re.findall(rb"^Node \d: (.+):(\d+)$", piece, re.MULTILINE)
            if number is None or len(nodes) != 2:
                continue
            ends = [Endpoint(address.decode().strip("[]"), int(port)) for address, port in nodes]
            data: list[list[bytes]] = [[], []]
            for line in piece[piece.index(b"Node 1:") :].splitlines()[1:]:
                text = line.strip()
                if text:
                    data[line.startswith(b"\t")].append(bytes.fromhex(text.decode()))
            found[int(number[1])] = {}
            for end, lines in zip(ends, data, strict=True):
                shown = b"".join(lines)
                whole, missing = MISSING.sub(b"", shown), sum(map(int, MISSING.findall(shown)))
                found[int(number[1])][end] = Direction(
                    end, len(whole), hashlib.sha256(whole).hexdigest(), missing=missing
                )
    return found


def key_options(keys: Keys, folder: Path) -> list[str]:
    """The options that give tshark the same keys: it reads key logs and private keys from files."""
    options: list[str] = []
    for number, key in enumerate(keys.rsa_keys):
        file = folder / f"key{number}.pem"
        file.touch(mode=0o600)
        file.write_bytes(key)
        options += ["-o", f'uat:rsa_keys:"{file}",""']
    return options


def read(paths: list[str], ours: Side, keys: Keys | None = None) -> tuple[Side, str]:
    """Read a capture Wireshark's way; gives what was found and tshark's version."""
    path, version = find_tshark()
    ports = {min(end.port for end in ends) for ends in ours.streams.values()}
    ports |= {
        end.port
        for message in ours.messages
        if message.is_request
        for end in ours.streams.get(message.stream, {})
        if end.port < 49152
    }
    tls = {end.port for number in ours.tls for end in ours.streams.get(number, {}) if end.port in ports}
    side = Side()
    with tempfile.TemporaryDirectory() as folder:
        keys = keys or Keys()
        file = plain_copy(paths, Path(folder), keys.keylogs)
        side.messages = http_messages(path, file, ports, tls, key_options(keys, Path(folder)))
        side.streams = follow(path, file, sorted(ours.streams)[:STREAMS])
    return side, version
