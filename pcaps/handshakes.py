"""Make handshakes that fail: ``python -m pcaps.handshakes`` writes ``emulated/tls-failed.pcap``.

Python's ssl is both sides, in memory; packets are built around what they say. One connection for each way in which a
device and a scan server miss each other, and one that is well. Keys and randoms differ at each run, so the capture is
committed. No keys are kept: none are needed to see why.
"""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

from tests.support.stories import Channel, Story
from tests.support.tls_talk import NOW, Identity, Talk, client_context, identity, server_context, talk
from tests.support.wire import frames_of, write_pcap

HERE = Path(__file__).parent / "emulated"
DEVICE, SERVER, SCANNER, PROXY = "192.0.2.10", "192.0.2.20", "192.0.2.30", "192.0.2.40"
AUTHORITY = identity("ec", "authority.example", serial=31)
GOOD = identity("ec", "scanserver.example", serial=32)
EXPIRED = identity("ec", "scanserver.example", NOW - timedelta(days=400), 365, 33)
REQUEST = b"POST /ScanServer HTTP/1.1\r\nHost: scanserver.example\r\nContent-Length: 2\r\n\r\nhi"
TURNS = [(False, REQUEST), (True, b"HTTP/1.1 204 No Content\r\n\r\n")]


def trusting(who: Identity, version: str) -> ssl.SSLContext:
    """A device that trusts this certificate."""
    context = client_context(version)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=who.certificate.decode())
    return context


def wanting(version: str) -> ssl.SSLContext:
    """A scan server that wants a certificate of the device."""
    context = server_context(GOOD, version)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=AUTHORITY.certificate.decode())
    return context


def main() -> None:
    """Make all of it."""
    story = Story()

    def say(server: str, port: int, pieces: list[tuple[bool, bytes]]) -> None:
        name = f"{len(story.channels)}"
        story.channels[name] = Channel(DEVICE, server, port)
        for back, data in pieces:
            story.say(name, data, back=back)

    def meet(client: ssl.SSLContext, server: ssl.SSLContext) -> Talk:
        return talk(client, server, TURNS, name="scanserver.example")

    say(SERVER, 5362, meet(trusting(GOOD, "1.2"), server_context(GOOD, "1.2")).pieces)
    say(SERVER, 5362, meet(trusting(EXPIRED, "1.2"), server_context(EXPIRED, "1.2")).pieces)
    stranger = meet(trusting(AUTHORITY, "1.2"), server_context(GOOD, "1.2")).pieces
    say(SERVER, 5362, stranger)
    say(SERVER, 5362, meet(client_context("1.2"), wanting("1.2")).pieces)
    say(SERVER, 5362, meet(client_context("1.3"), wanting("1.3")).pieces)
    say(SERVER, 5362, meet(client_context("1.1"), server_context(GOOD, "1.3")).pieces)
    # https where http is spoken, and the other way round; a server that hangs up.
    say(SCANNER, 5358, [stranger[0], (True, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")])
    say(SERVER, 5362, [(False, REQUEST), (True, b"\x15\x03\x01\x00\x02\x02\x46")])
    say(SCANNER, 5358, stranger[:1])
    connect = [(False, b"CONNECT scanserver.example:5362 HTTP/1.1\r\nHost: scanserver.example:5362\r\n\r\n"),
               (True, b"HTTP/1.1 200 Connection established\r\n\r\n")]  # fmt: skip
    say(PROXY, 3128, [*connect, *stranger])
    (HERE / "tls-failed.pcap").write_bytes(write_pcap(frames_of(story)))


if __name__ == "__main__":
    main()
