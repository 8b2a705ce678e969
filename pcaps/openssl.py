"""Record what Python's ssl cannot make: ``python -m pcaps.openssl`` writes ``emulated/tls13-openssl.pcapng``.

OpenSSL's own client and server speak over loopback through a relay that writes down what passes; addresses are those of
documentation. One connection for each: the cipher suites of TLS 1.3, key updates from both sides, a second ClientHello,
early data accepted and early data refused. Randoms and times differ at each run, so the recording is committed.
"""

from __future__ import annotations

import contextlib
import io
import re
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dissector.base.origin import Endpoint
from dissector.capture import TLS_KEY_LOG, PcapngWriter, open_source
from dissector.capture.copying import FrameCopier
from replay.base.clock import RealClock
from replay.net.tap import PacketTap
from tests.support.tls_talk import identity

HERE = Path(__file__).parent / "emulated"
SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
          "TLS_AES_128_CCM_8_SHA256", "TLS_AES_256_GCM_SHA384")  # fmt: skip
REQUEST = "GET /{} HTTP/1.1\nHost: scanner.example\n\n"
ANSWER = "HTTP/1.1 200 OK\nContent-Length: {}\n\n{}\n"
PATIENCE = 10.0


class Program:
    """One of the two programs, driven by its standard input."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            ["openssl", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.seen = b""

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, words: str, relay: Relay) -> re.Match[bytes]:
        """Until these words were printed; the relay goes on meanwhile."""
        assert self.process.stdout is not None
        end = time.monotonic() + PATIENCE
        while not (found := re.search(words.encode(), self.seen)):
            relay.turn()
            if select.select([self.process.stdout], [], [], 0.01)[0]:
                data = self.process.stdout.read1(65536)  # type: ignore[attr-defined]
                self.seen += data
            assert time.monotonic() < end, (words, self.seen)
        self.seen = b""
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()


class Relay:
    """Hands bytes to and fro between the client and the server, and writes them down."""

    number = 0

    def __init__(self, tap: PacketTap) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = 0
        self.passed = 0
        self.tap = tap
        self.ends: list[socket.socket] = []

    def wait_for_more(self) -> None:
        """Until something passes that was not asked for."""
        before, end = self.passed, time.monotonic() + PATIENCE
        while self.passed == before:
            self.turn()
            assert time.monotonic() < end

    def turn(self) -> None:
        """Hand over what is there."""
        for one in select.select([self.listener, *self.ends], [], [], 0)[0]:
            if one is self.listener:
                client, _ = self.listener.accept()
                Relay.number += 1
                self.ends = [client, socket.create_connection(("127.0.0.1", self.target))]
                client_end = Endpoint("192.0.2.10", 49152 + Relay.number)
                self.line = self.tap.connection(client_end, Endpoint("192.0.2.20", 5362))
                continue
            side = self.ends.index(one)
            with contextlib.suppress(ConnectionError):
                data = one.recv(65536)
                if data:
                    self.passed += 1
                    self.line.sent(("client", "server")[side], data)
                    self.ends[1 - side].sendall(data)
                    continue
            self.line.fin(("client", "server")[side])
            with contextlib.suppress(OSError):
                self.ends[1 - side].shutdown(socket.SHUT_WR)
            self.ends[side].close()
            self.ends = [end for end in self.ends if end is not one]
            if len(self.ends) == 1:
                self.ends[0].close()
                self.line.fin("server")
                self.line.fin("client")
            self.ends = []
            return


Talk = Callable[[Program, Program, Relay, str], None]


def ask(client: Program, server: Program, relay: Relay, name: str) -> None:
    """A request and its answer."""
    client.type(REQUEST.format(name))
    server.wait_for(f"GET /{name} ", relay)
    server.type(ANSWER.format(len(name) + 2, name))
    client.wait_for("200 OK", relay)


def updates(client: Program, server: Program, relay: Relay, name: str) -> None:
    """Key updates from both sides between requests."""
    ask(client, server, relay, name)
    for number, (one, word) in enumerate([(client, "K\n"), (server, "k\n"), (client, "k\n"), (server, "K\n")]):
        one.type(word)
        relay.wait_for_more()
        ask(client, server, relay, f"{name}-{number}")


def main() -> None:
    """Record all of it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        who = identity("ec", serial=77)
        (folder / "server.pem").write_bytes(who.key + who.certificate)
        (folder / "early").write_text(REQUEST.format("early").replace("\n", "\r\n"))
        keys = folder / "keys"
        raw = io.BytesIO()
        tap = PacketTap(raw, application="openssl s_client, s_server", clock=RealClock())

        def connect(server: Program, relay: Relay, name: str, options: list[str], talk: Talk, read_early: bool) -> None:
            client = Program(
                "s_client", "-connect", f"127.0.0.1:{relay.port}", "-tls1_3", "-crlf", "-keylogfile", str(keys),
                "-servername", "scanner.example", *options,
            )  # fmt: skip
            if read_early:
                server.wait_for("GET /early", relay)
                server.type(ANSWER.format(7, "early"))
                client.wait_for("200 OK", relay)
            else:
                client.wait_for("Verify return code", relay)
            talk(client, server, relay, name)
            client.type("Q\n")
            client.process.wait(PATIENCE)
            server.wait_for("(DONE|CONNECTION CLOSED|shutting down)", relay)
            while relay.ends:
                relay.turn()
            client.close()

        def serve(*connections: tuple[str, list[str], Talk, bool], options: list[str]) -> None:
            server = Program(
                "s_server", "-accept", "127.0.0.1:0", "-cert", f"{place}/server.pem", "-tls1_3", "-crlf", *options
            )
            relay = Relay(tap)
            relay.target = int(server.wait_for(r"ACCEPT \S+:(\d+)", relay)[1])
            try:
                for name, of_client, talk, read_early in connections:
                    connect(server, relay, name, of_client, talk, read_early)
            finally:
                server.close()
                relay.listener.close()

        for suite in SUITES:
            only = ["-ciphersuites", suite, "-cipher", "ALL:@SECLEVEL=0"]
            serve((suite.removeprefix("TLS_"), only, ask, False), options=only)
        serve(("updates", [], updates, False), options=[])
        serve(("again", ["-groups", "X25519:P-384"], ask, False), options=["-groups", "P-384"])
        session, early = f"{place}/session", ["-early_data", f"{place}/early"]
        resumed = ["-sess_in", session, *early]
        serve(
            ("first", ["-sess_out", session], ask, False),
            ("accepted", resumed, ask, True),
            options=["-early_data", "-no_anti_replay"],
        )
        # Another server does not know the ticket.
        serve(("refused", resumed, ask, False), options=["-early_data", "-no_anti_replay"])
        tap.close()
        write(raw.getvalue(), keys.read_bytes())


def write(raw: bytes, keys: bytes) -> None:
    """The recording, its secrets before it."""
    with open(HERE / "tls13-openssl.pcapng", "wb") as file, open_source(io.BytesIO(raw)) as source:
        writer = PcapngWriter(file, application="openssl s_client, s_server")
        writer.write_secrets(TLS_KEY_LOG, keys)
        copier = FrameCopier(source, writer)
        for block in source:
            copier.copy(block)


if __name__ == "__main__":
    main()
