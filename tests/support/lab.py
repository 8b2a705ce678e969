"""A laboratory of network namespaces: hosts on one wire, made for one test and taken down after it.

Each host is a namespace with one interface ``wire0``; programs run inside by ``ip netns exec``. Nothing in it can reach
the machine's own network.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["PAPER", "Host", "Lab", "Program", "missing"]

PATIENCE = 60.0
"""Seconds that anything in a laboratory may take before the test fails."""

PAPER = ("--do", "RetrieveImage: delay=0.5")
"""A scanner that sane-airscan scans on takes its time, as paper does. Its 0.99.27 says "out of documents" and loses all
pages where the whole job of a feeder is over before its main thread wakes up to see that it began: on a busy machine it
sleeps for 50 ms and more, and our scanner is through by then."""

_count = 0


def missing() -> str:
    """What the laboratory needs and is not there, "" for nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in ("ip",) if not shutil.which(name)]
    return f"{', '.join(absent)} is not installed; sudo apt-get install iproute2" if absent else ""


class Program:
    """A running program; ends with the ``with`` block, by its own process id."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None, folder: Path) -> None:
        self.command = list(command)
        self._out = open(folder / f"{id(self)}.out", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed in __exit__)
        self.process = subprocess.Popen(
            self.command, stdout=self._out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, start_new_session=True,
        )  # fmt: skip

    @property
    def output(self) -> str:
        """What it printed so far."""
        return Path(self._out.name).read_text(encoding="utf-8", errors="replace")

    def await_text(self, text: str) -> str:
        """Wait until it has printed a text; gives all output."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            output = self.output
            if text in output:
                return output
            if self.process.poll() is not None:
                raise AssertionError(f"{self.command} ended with {self.process.returncode}:\n{self.output}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        raise AssertionError(f"{self.command} never printed {text!r}:\n{self.output}")

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self.process.wait(PATIENCE)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to end; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stop()
        if error is not None:
            # What fails before it may have its cause in it.
            error.add_note(f"{' '.join(self.command)} printed:\n{self.output[-4000:]}")
        self._out.close()


class Host:
    """One host of a laboratory."""

    def __init__(self, lab: Lab, name: str, address: str) -> None:
        self._lab = lab
        self.namespace = f"{lab.prefix}-{name}"
        self.address = address

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *command]

    def run(self, *command: str, env: Mapping[str, str] | None = None, check: bool = True) -> str:
        """Run a program to its end; gives what it printed."""
        done = subprocess.run(
            self.command(*command), env={**os.environ, **(env or {})}, capture_output=True, text=True, errors="replace",
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def start(self, *command: str, env: Mapping[str, str] | None = None) -> Program:
        """Start a program."""
        return Program(self.command(*command), env, self._lab.folder)

    def replay(self, *arguments: str) -> Program:
        """Start ``dsmreplay``."""
        return self.start(sys.executable, "-m", "replay", *arguments)

    def capture(self, path: Path) -> Program:
        """Start tcpdump on its interface; listens when this returns."""
        # With its own 2 MiB and no snapshot length there is room for eight packets: a busy machine loses some.
        program = self.start(
            "tcpdump", "-B", "32768", "--immediate-mode", "-U", "-i", "wire0", "-s", "0", "-w", str(path)
        )
        program.await_text("listening on")
        return program


class Lab:
    """Hosts on one wire (a bridge in a namespace of its own)."""

    def __init__(self, folder: Path, hosts: Mapping[str, str]) -> None:
        global _count
        _count += 1
        self.folder = folder
        self.prefix = f"lab{os.getpid() % 100000}{_count}"
        self._switch = f"{self.prefix}-wire"
        self.hosts = {name: Host(self, name, address) for name, address in hosts.items()}

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __enter__(self) -> Self:
        try:
            self._lay()
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def _lay(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        for number, host in enumerate(self.hosts.values()):
            _ip("netns", "add", host.namespace)
            port = f"port{number}"
            _ip(
                "link",
                "add",
                "wire0",
                "netns",
                host.namespace,
                "type",
                "veth",
                "peer",
                "name",
                port,
                "netns",
                self._switch,
            )
            _ip("-n", self._switch, "link", "set", port, "master", "br0")
            _ip("-n", self._switch, "link", "set", port, "up")
            _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "wire0")
            _ip("-n", host.namespace, "link", "set", "lo", "up")
            _ip("-n", host.namespace, "link", "set", "wire0", "up")
            _ip("-n", host.namespace, "route", "add", "224.0.0.0/4", "dev", "wire0")

    def settled(self) -> None:
        """Wait until the link-local addresses of IPv6 can be used (duplicate address detection takes a second)."""
        end = time.monotonic() + PATIENCE
        for host in self.hosts.values():
            while time.monotonic() < end:
                told: list[dict[str, Any]] = json.loads(_ip("-n", host.namespace, "-j", "addr", "show", "dev", "wire0"))
                flags = [one for link in told for one in link.get("addr_info", []) if one["family"] == "inet6"]
                if flags and not any(one.get("tentative") for one in flags):
                    break
                time.sleep(0.02)

    def _clear(self) -> None:
        for name in [*(host.namespace for host in self.hosts.values()), self._switch]:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def system_bus(host: Host, folder: Path) -> Iterator[dict[str, str]]:
    """A private D-Bus system bus: airscan-discover sends nothing without one. Gives the environment to use it."""
    config = folder / "bus.conf"
    socket = folder / "bus"
    config.write_text(
        '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" '
        '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
        f"<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth><auth>ANONYMOUS</auth>"
        '<allow_anonymous/><policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>'
        '<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>'
    )
    with host.start("dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address") as daemon:
        daemon.await_text("unix:path=")
        yield {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
