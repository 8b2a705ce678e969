"""Whatever is sent to an emulated device, an answer or a close comes back, and nothing breaks inside."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissector.soap.build import build_envelope
from replay.base.ids import Ids
from replay.devices.control import ControlPort
from replay.devices.dsmdevice import DsmDevice
from replay.devices.dsmsink import SINK_PATH
from replay.devices.emulator import Around
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.jobs import FilterState, PostScanJob
from replay.devices.scanserver.server import ScanServer
from replay.net.client import target_of
from replay.player.serve import VirtualDevice
from replay.pytest_plugin import Running
from replay.scenario.files import load_scenario
from replay.scenario.wires import bytes_of
from replay.soap.compose import Picture, http_request, pack
from tests.support.dsm import ALL_GOOD, PNG, SID, SPACE, names, process
from tests.support.event_rig import envelope
from tests.support.serving import scenario_folder

PATIENCE = 60.0
"""Seconds for one exchange; a test that takes so long has found a hang."""

TOKEN = "0f8c2a4e-0000-4000-8000-000000000001"

Target = tuple[Running[Any], int, list[bytes]]


def post(path: str, xml: bytes) -> bytes:
    dress = http_request(path, "127.0.0.1", pack(xml, [], Ids(1)))
    return dress.head + dress.body


def of_scan_server(server: ScanServer) -> list[bytes]:
    found = []
    for service, path in (("WS-DSP", server.processing_url), ("WS-DSC", server.configuration_url)):
        prefix = "dsp" if service == "WS-DSP" else "dsc"
        for name in ("CancelPostScanJob", "GetPostScanJobElements", *(["EndPostScanJob"] if prefix == "dsp" else [])):
            data = {"job_token": TOKEN, **(names(service, "JobStatus", "Documents") if name[:3] == "Get" else {})}
            xml = envelope(
                f"{name}Request", data, element=f"{prefix}:{name}Request", service=service,
                action=f"{SPACE[service]}/{name}",
            )  # fmt: skip
            found.append(post(target_of(path).path, xml))
    path = target_of(server.processing_url).path
    create = process().request(SID)
    xml = build_envelope(create, action=f"{SPACE['WS-DSP']}/CreatePostScanJob", to="urn:x", message_id="urn:uuid:1")
    found.append(post(path, xml))
    package = pack(xml, [Picture("i@x", PNG)], Ids(1))
    dress = http_request(path, "127.0.0.1", package, chunk=500)
    found.append(dress.head + dress.body)
    subscribe = {"delivery": {"notify_to": {"address": "http://127.0.0.1:9/"}}, "expires": "PT1H"}
    found.append(post(path, envelope("Subscribe", subscribe, element="wse:Subscribe", service="WS-Eventing")))
    found.append(post("/ScanServer", envelope("Probe", {}, element="wsd:Probe", service="WS-Discovery")))
    found.append(post("/ScanServer", envelope("Get", None, service="WS-Transfer")))
    return found


def of_device(device: DsmDevice) -> list[bytes]:
    folder = Path("nowhere")
    filters = [FilterState("urn:f", "CompletedSuccessfully")]
    job = PostScanJob(TOKEN, TOKEN.upper(), "P", "u@x", "S-1", "me", 0, folder, filters)
    end = job.end_state("Completed", ["PostScanJobCompletedSuccessfully"])
    xml = envelope(
        "PostScanJobEndStateEvent", {"post_scan_job_end_state": end}, element="dsp:PostScanJobEndStateEvent",
        service="WS-DSP",
    )  # fmt: skip
    return [post(SINK_PATH, xml)]


def of_virtual_device(device: VirtualDevice) -> list[bytes]:
    """What the recorded client said, to the addresses of today."""
    _, files = load_scenario(device.folder)
    values = {one.name: one.recorded for one in device.scenario.values.values()}
    # The first one behind the others: it carries no token of yesterday, and is granted always.
    first, *others = (b"".join(bytes_of(one.step.message, files, values)) for one in device.story.exchanges)
    return [*others, first]


class Controlled(Scanner):
    """A scanner with its control port."""

    async def _start(self) -> None:
        await super()._start()
        self.control = ControlPort(self)
        await self._closing.enter_async_context(self.control)


CONTROL = [
    b'POST /behaviour HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n{"on": "GetJobs", "delay": 1.5}',
    b'POST /load HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{"pages": 3}',
    b'DELETE /condition HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"id": 1}',
    b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.fixture(scope="module", params=["scan server", "DSM device", "control port", "virtual device"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A device that runs, the port that is sent to, and requests that it takes."""
    around = Around(discovery=False)
    folder = scenario_folder("dsm-completed.pcapng", tmp_path_factory.mktemp("scenario"))
    kind: Any = {
        "scan server": lambda: ScanServer(outcomes=ALL_GOOD, around=around),
        "DSM device": lambda: DsmDevice(around=around),
        "control port": lambda: Controlled(around=around),
        "virtual device": lambda: VirtualDevice(folder, around=around),
    }[request.param]
    with Running[Any](kind) as running:
        broken: list[str] = []
        running.do(lambda device: asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: broken.append(str(context))
        ))  # fmt: skip
        if request.param == "control port":
            port, requests = int(running.do(lambda device: device.control.url).rpartition(":")[2]), CONTROL
        else:
            port = running.do(lambda device: device.server.addresses[0].port)
            of = {"scan server": of_scan_server, "DSM device": of_device, "virtual device": of_virtual_device}
            requests = running.do(of[request.param])
        yield running, port, requests
        assert broken == []


def exchange(port: int, data: bytes) -> bytes:
    """Send bytes and the end; all that comes back."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as one:
        got = b""
        try:
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            while piece := one.recv(65536):
                got += piece
        except (ConnectionError, BrokenPipeError):
            pass  # a close in the middle of it is an answer too
    return got


def judge(target: Target, data: bytes) -> None:
    running, port, _ = target
    before = running.do(lambda device: len(device.log.entries))
    got = exchange(port, data)
    assert got == b"" or got.startswith(b"HTTP/1.1 "), got[:80]
    assert b"Traceback" not in got
    said = running.do(lambda device: [entry.text for entry in list(device.log.entries)[before:]])
    assert not [line for line in said if "internal error" in line or "Traceback" in line]


def test_what_is_changed_here_is_granted_as_it_is(target: Target) -> None:
    _, port, requests = target
    for data in requests:
        # A Probe over HTTP gets no answer where discovery is off.
        assert exchange(port, data).startswith(b"HTTP/1.1 ") or b":Probe" in data
        judge(target, data)


QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(data=st.binary(max_size=300))
@QUICK
def test_random_bytes(target: Target, data: bytes) -> None:
    judge(target, data)


HOSTILE = st.sampled_from(
    [
        b"\x00", b"\xff\xfe", b"<", b"&lol;", b"]]>", b"<!DOCTYPE a [<!ENTITY l 'l'>]>", b"\r\n\r\n", b"-1",
        b"99999999999999999999", b"9" * 5000, b"../../etc/passwd", b"%00", b"chunked", b"Content-Length: 5\r\n",
        b"Expect: 100-continue\r\n", b"Content-Encoding: gzip\r\n", b"PT99999999999999999999H", b"P1Y", b"-PT1S",
        b"0000-00-00T00:00:00", b"urn:uuid:", b"http://127.0.0.1:99999/", b"http://[::1", b"xmlns:a='urn:a'",
        b"<a>" * 300, "\U0001f4a9".encode(), "\u202e".encode(), b'{"a":' * 2000, b"1e999", b"NaN", b"null", b"[]",
    ]
)  # fmt: skip


@given(
    which=st.integers(0, 100),
    cuts=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 60), HOSTILE | st.binary(max_size=8)), min_size=1, max_size=4
    ),
    fix=st.booleans(),
)
@QUICK
def test_requests_that_are_changed_somewhere(
    target: Target, which: int, cuts: list[tuple[float, int, bytes]], fix: bool
) -> None:
    data = target[2][which % len(target[2])]
    head, mark, body = data.partition(b"\r\n\r\n")
    if fix:
        # In the body only, with the length that it has then: so it comes to those who read XML or JSON.
        for place, size, put in cuts:
            at = int(place * len(body))
            body = body[:at] + put + body[at + size :]
        lines = [one for one in head.split(b"\r\n") if not one.lower().startswith((b"content-length", b"transfer-"))]
        data = b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + mark + body
    else:
        for place, size, put in cuts:
            at = int(place * len(data))
            data = data[:at] + put + data[at + size :]
    judge(target, data)


VALUES = st.sampled_from(
    ["", " ", "-1", "0", "2147483648", "9" * 400, "true", "Completed", "\u202eabc", "../..", r"\\a\b", "a:b", ":", "{}",
     "PT0S", "2026-01-01T00:00:00Z", "http://127.0.0.1:9/", "javascript:x", "x" * 70000]
)  # fmt: skip


@given(which=st.integers(0, 100), values=st.lists(st.tuples(st.integers(0, 60), VALUES), min_size=1, max_size=3))
@QUICK
def test_values_that_are_none(target: Target, which: int, values: list[tuple[int, str]]) -> None:
    data = target[2][which % len(target[2])]
    head, mark, body = data.partition(b"\r\n\r\n")
    if b"ransfer-" in head:
        return
    for number, value in values:
        texts = list(re.finditer(rb'>[^<>]+<|": ?[^,}]+|="[^"]*"', body))
        if texts:
            one = texts[number % len(texts)]
            start = body[one.start() : one.start() + (2 if one[0][:1] != b">" else 1)]
            body = body[: one.start()] + start + value.encode() + one[0][-1:] + body[one.end() :]
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    judge(target, b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + mark + body)


def test_it_still_works_afterwards(target: Target) -> None:
    running, port, requests = target
    assert exchange(port, requests[-1]).startswith(b"HTTP/1.1 2")
    assert running.do(lambda device: len(device.server._tasks)) <= 1
