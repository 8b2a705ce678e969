"""A capture of TLS opened by tshark and written anew as plain TCP: what dsmshark is shown comes from another program's
decryption."""

from __future__ import annotations

import subprocess
from pathlib import Path

from dissector.base.origin import Endpoint
from replay.base.clock import ManualClock
from replay.net.tap import PacketTap

__all__ = ["open_tls", "tshark"]


OPTIONS = [
    # Between two processors a wire of veth turns segments round now and then; unasked, tshark 4.0 gives such a message
    # up as malformed.
    "-o", "tcp.reassemble_out_of_order:TRUE",
    # A port that the system chose may be one that tshark knows for something else (34980: EtherCAT, 57000: IRC).
    "-o", "tcp.try_heuristic_first:TRUE",
]  # fmt: skip


def tshark(*arguments: str) -> str:
    """What tshark prints."""
    done = subprocess.run(["tshark", *OPTIONS, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def open_tls(capture: Path, keys: Path, plain: Path) -> int:
    """Write the plain streams of ``capture`` to ``plain``; gives how many there are."""
    options = ["-r", str(capture), "-o", f"tls.keylog_file:{keys}"]
    streams = sorted({int(one) for one in tshark(*options, "-T", "fields", "-e", "tcp.stream").split()})
    clock = ManualClock()
    count = 0
    with open(plain, "wb") as file:
        tap = PacketTap(file, application="test", clock=clock)
        for number in streams:
            told = tshark(*options, "-q", "-z", f"follow,tls,raw,{number}").splitlines()
            # Between two rulers: "Node 0: address:port", "Node 1: …", then one line of hex for each piece; those of
            # node 1 begin with a tab.
            nodes = [line.partition(": ")[2] for line in told if line.startswith("Node ")]
            pieces = [line for line in told if line.strip() and not line.startswith(("=", "Node", "Filter", "Follow"))]
            if len(nodes) != 2 or not pieces:
                continue
            client, server = (
                Endpoint(node.rpartition(":")[0].strip("[]"), int(node.rpartition(":")[2])) for node in nodes
            )
            line = tap.connection(client, server)
            for piece in pieces:
                line.sent("server" if piece.startswith("\t") else "client", bytes.fromhex(piece.strip()))
            line.fin("client")
            line.fin("server")
            count += 1
        tap.close()
    return count
