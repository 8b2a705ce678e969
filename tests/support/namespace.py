"""A network namespace for one call, in a thread of this process: interfaces of its own, nothing of the machine's."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ["in_namespace"]

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
PATIENCE = 60.0
"""Seconds that the call may take."""
SETTLING = 30.0
"""Seconds that the routes may take to be there."""


def in_namespace(lay: Sequence[str], action: Callable[[], T]) -> T:
    """What ``action`` gives in a new namespace, laid by ``ip`` with these arguments; gone when this returns."""
    gave: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET):
                raise OSError(
                    ctypes.get_errno(), f"no network namespace: {os.strerror(ctypes.get_errno())}; run as root"
                )
            for line in lay:
                done = subprocess.run(["ip", *line.split()], capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"ip {line}: {done.stderr.strip()}"
            _settled()
            gave.append(action())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if failed:
        raise failed[0]
    assert gave, f"not over after {PATIENCE} s"
    return gave[0]


def _settled() -> None:
    """Wait until the interfaces of IPv6 can send to all: the kernel adds that route a little after a link is up."""
    end = time.monotonic() + SETTLING
    for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
        if line.endswith(" lo"):
            continue
        index = int(line.split()[1], 16)
        while time.monotonic() < end:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                try:
                    probe.connect(("ff02::c", 3702, 0, index))
                    break
                except OSError:
                    time.sleep(0.01)
