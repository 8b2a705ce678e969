"""Record the sample captures from a real TCP stack: ``sudo python -m pcaps.record [NAME…]``.

Two network namespaces joined by a veth pair stand for the laboratory; the stories of ``tests/support/stories.py``
are spoken over real sockets in them, and tcpdump listens. Needs root, iproute2 and tcpdump. The recordings are
committed, since ports and times differ from run to run; this script says how they were made.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.stories import STORIES, Channel, Story

HERE = Path(__file__).parent
NAMESPACES = {"dsm-left": ["192.0.2.10/24"], "dsm-right": ["192.0.2.20/24", "192.0.2.30/24", "192.0.2.40/24"]}
HOME = {address.split("/")[0]: name for name, many in NAMESPACES.items() for address in many}
CONTROL = "192.0.2.30"
LEFT_CONTROL = {"dsc-management"}
"""Stories in which the control point talks to the scan server: on its side of the wire, nothing would be seen."""
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def lay() -> None:
    clear()
    names = list(NAMESPACES)
    for name in names:
        run("ip", "netns", "add", name)
    run("ip", "link", "add", "dsm0", "netns", names[0], "type", "veth", "peer", "name", "dsm0", "netns", names[1])
    for name, addresses in NAMESPACES.items():
        for address in addresses:
            run("ip", "-n", name, "addr", "add", address, "dev", "dsm0")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "dsm0", "up")
        # Without segmentation offload the frames are those of a real network.
        subprocess.run(
            ["ip", "netns", "exec", name, "ethtool", "-K", "dsm0", "tso", "off", "gso", "off", "gro", "off"],
            check=False,
            capture_output=True,
        )


def clear() -> None:
    for name in NAMESPACES:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def socket_at(address: str, kind: int) -> socket.socket:
    """A socket in the namespace of the address; it stays there when the thread returns to its own."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{HOME[address]}", os.O_RDONLY)
    try:
        if LIBC.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        made = socket.socket(socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return made
    finally:
        LIBC.setns(own, CLONE_NEWNET)
        os.close(own)
        os.close(there)


class Lab:
    """Keeps listeners and connections while a story is spoken."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.listeners: dict[tuple[str, int], socket.socket] = {}
        self.pairs: dict[str, tuple[socket.socket, socket.socket]] = {}

    def pair(self, name: str) -> tuple[socket.socket, socket.socket]:
        if name in self.pairs:
            return self.pairs[name]
        channel = self.story.channels[name]
        self.pairs[name] = self._udp(channel) if channel.udp else self._tcp(channel)
        return self.pairs[name]

    def _udp(self, channel: Channel) -> tuple[socket.socket, socket.socket]:
        server = socket_at(channel.server, socket.SOCK_DGRAM)
        server.bind((channel.server, channel.port))
        client = socket_at(channel.client, socket.SOCK_DGRAM)
        client.bind((channel.client, 0))
        client.connect((channel.server, channel.port))
        server.connect(client.getsockname())
        return client, server

    def _tcp(self, channel: Channel) -> tuple[socket.socket, socket.socket]:
        place = (channel.server, channel.port)
        if place not in self.listeners:
            listener = socket_at(channel.server, socket.SOCK_STREAM)
            listener.bind(place)
            listener.listen()
            self.listeners[place] = listener
        client = socket_at(channel.client, socket.SOCK_STREAM)
        client.bind((channel.client, 0))
        client.connect(place)
        server, _ = self.listeners[place].accept()
        return client, server

    def speak(self) -> None:
        for turn in self.story.turns:
            time.sleep(turn.pause)
            client, server = self.pair(turn.channel)
            sender, receiver = (server, client) if turn.back else (client, server)
            if self.story.channels[turn.channel].udp:
                sender.send(turn.data)
                receiver.recv(65536)
            else:
                pump(sender, receiver, turn.data)
            if turn.close:
                sender.shutdown(socket.SHUT_WR)
        for client, server in self.pairs.values():
            client.close()
            server.close()
        for listener in self.listeners.values():
            listener.close()


def pump(sender: socket.socket, receiver: socket.socket, data: bytes) -> None:
    left, got = memoryview(data), 0
    sender.setblocking(False)
    while got < len(data):
        readable, writable, _ = select.select([receiver], [sender] if left else [], [], 10)
        if not readable and not writable:
            raise TimeoutError("the other side does not read")
        if writable:
            left = left[sender.send(left) :]
        if readable:
            got += len(receiver.recv(1 << 20))
    sender.setblocking(True)


def record(name: str, story: Story) -> None:
    target = HERE / f"{name}.pcapng"
    raw = Path(tempfile.gettempdir()) / f"{name}.pcap"
    first = next(iter(NAMESPACES))
    command = [
        "ip",
        "netns",
        "exec",
        first,
        "tcpdump",
        "--immediate-mode",
        "-i",
        "dsm0",
        "-U",
        "-w",
        str(raw),
        "tcp or udp",
    ]
    listener = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert listener.stderr is not None
    while "listening on" not in listener.stderr.readline():
        pass
    Lab(story).speak()
    time.sleep(0.3)
    listener.send_signal(signal.SIGINT)
    listener.wait(10)
    run("editcap", "-F", "pcapng", str(raw), str(target))
    raw.unlink()
    print(f"{target.name}: {target.stat().st_size} bytes")


def place_control(side: str) -> None:
    """Put the control point on one side of the wire."""
    run("ip", "-n", HOME[CONTROL], "addr", "del", f"{CONTROL}/24", "dev", "dsm0")
    HOME[CONTROL] = side
    run("ip", "-n", side, "addr", "add", f"{CONTROL}/24", "dev", "dsm0")


def main(names: list[str]) -> None:
    lay()
    left, right = NAMESPACES
    try:
        for name in names or list(STORIES):
            place_control(left if name in LEFT_CONTROL else right)
            record(name, STORIES[name]())
    finally:
        clear()


if __name__ == "__main__":
    main(sys.argv[1:])
