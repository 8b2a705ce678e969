"""The control port: each command, and what is wrong with a request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dissector.http.writer import build_request
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.control import ControlPort
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.emulator import Around, Emulator
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from tests.support.dsm import serving
from tests.support.loopback import Raw, run, until


class Asking:
    """A client of a control port."""

    def __init__(self, port: ControlPort) -> None:
        self.port = port
        self.number = int(port.url.rpartition(":")[2])

    async def raw(self, method: str, path: str, body: bytes, *headers: tuple[str, str]) -> tuple[int, Any]:
        async with Raw(self.number) as raw:
            raw.asked(method)
            await raw.send(build_request(method, path, [("Host", "h"), *headers], body))
            answer = await raw.answer()
            return answer.status, json.loads(answer.body.data())

    async def __call__(self, method: str, path: str, data: Any = None) -> Any:
        status, answer = await self.raw(method, path, json.dumps(data).encode() if data is not None else b"")
        assert status == 200, answer
        return answer

    async def error(self, method: str, path: str, data: Any = None) -> tuple[int, str]:
        body = data if isinstance(data, bytes) else json.dumps(data).encode() if data is not None else b""
        status, answer = await self.raw(method, path, body)
        assert list(answer) == ["error"]
        return status, answer["error"]


def control(emulator: Emulator, tell: Callable[[Asking], Awaitable[None]]) -> None:
    async def story() -> None:
        async with emulator, ControlPort(emulator) as port:
            await tell(Asking(port))

    run(story())


def around(*rules: str) -> Around:
    return Around(discovery=False, behaviour=Behaviour([parse_rule(one) for one in rules]))


def scanner(pages: int = 2) -> Scanner:
    return Scanner(pages=pages, around=around())


def test_the_list_of_commands() -> None:
    async def tell(ask: Asking) -> None:
        commands = (await ask("GET", "/"))["commands"]
        assert "POST /press" in commands
        assert "GET /status" in commands
        assert (await ask("GET", "/status/"))["device"] == "scanner"

    control(scanner(), tell)


def test_the_state_of_a_scanner() -> None:
    made = scanner(3)

    async def tell(ask: Asking) -> None:
        status = await ask("GET", "/status")
        assert (status["url"], status["feeder"], status["jobs"]) == (made.url(), 3, [])
        assert (status["subscriptions"], status["behaviour"]) == ([], [])
        assert status["scanner"]["scanner_state"] == "Idle"

    control(made, tell)


def test_paper() -> None:
    made = scanner()

    async def tell(ask: Asking) -> None:
        assert await ask("POST", "/load", {"pages": 5}) == {"feeder": 5}
        assert await ask("POST", "/load", {"pages": 0}) == {"feeder": 0}
        for wrong in ({}, {"pages": -1}, {"pages": "x"}, {"pages": True}, {"pages": 10**9}, {"files": []}):
            assert await ask.error("POST", "/load", wrong) == (400, 'expected {"pages": 0 to 1000} or {"files": [...]}')
        status, words = await ask.error("POST", "/load", {"files": ["/nothing/here.png"]})
        assert (status, "here.png" in words) == (400, True)

    control(made, tell)


def test_conditions_come_and_go() -> None:
    async def tell(ask: Asking) -> None:
        first = (await ask("POST", "/condition", {"name": "CoverOpen", "severity": "Critical"}))["id"]
        second = (await ask("POST", "/condition", {}))["id"]
        assert first != second
        shown = json.dumps((await ask("GET", "/status"))["scanner"])
        assert "CoverOpen" in shown
        assert await ask("DELETE", "/condition", {"id": first}) == {"cleared": first}
        assert (await ask.error("DELETE", "/condition", {"id": first}))[1] == f"there is no condition {first}"
        status, words = await ask.error("POST", "/condition", {"name": "OnFire"})
        assert (status, words.startswith("name 'OnFire' is none of ")) == (400, True)
        assert (await ask.error("POST", "/condition", {"severity": 5}))[0] == 400

    control(scanner(), tell)


@pytest.mark.parametrize("identifier", [None, "x", [], {}, float("inf"), float("nan"), 10**400])
def test_identifiers_that_are_none(identifier: Any) -> None:
    async def tell(ask: Asking) -> None:
        for method, path, key in (("DELETE", "/condition", "id"), ("POST", "/cancel", "job")):
            assert (await ask.error(method, path, {key: identifier}))[0] == 400
            assert await ask.error(method, path, {}) == (400, f"{key} is missing")

    control(scanner(), tell)


def test_what_a_command_does_not_take_is_told() -> None:
    async def tell(ask: Asking) -> None:
        assert await ask.error("POST", "/press", {"target": "Scan"}) == (400, "target: /press takes destination")
        assert await ask.error("POST", "/stop", {"now": True}) == (400, "now: /stop takes nothing")
        assert await ask.error("POST", "/cancel", {"job": "first"}) == (400, "job 'first' is no number")

    control(scanner(), tell)


def test_the_button_without_anybody_to_tell() -> None:
    async def tell(ask: Asking) -> None:
        assert await ask.error("POST", "/press", {"destination": "Scan"}) == (
            400, "nobody registered such a destination",
        )  # fmt: skip

    control(scanner(), tell)


def test_rules_of_behaviour() -> None:
    async def tell(ask: Asking) -> None:
        assert [one["on"] for one in (await ask("GET", "/behaviour"))["rules"]] == ["CreateScanJob"]
        added = await ask("POST", "/behaviour", {"on": "RetrieveImage", "delay": 2, "times": 1})
        assert [one["on"] for one in added["rules"]] == ["CreateScanJob", "RetrieveImage"]
        assert added["rules"][1]["orders"] == "delay 2"
        other = await ask("PUT", "/behaviour", {"rules": [{"on": "*", "status": 503}], "seed": 7})
        assert [one["on"] for one in other["rules"]] == ["*"]
        for wrong in (
            {"rules": [{"on": "*"}]}, {"rules": 5}, {"rules": [5]}, {"rules": [], "seed": "x"}, {"rules": [], "x": 1},
            {"rules": [{"on": "*", "delay": 1}], "seed": [1]},
        ):  # fmt: skip
            assert (await ask.error("PUT", "/behaviour", wrong))[0] == 400
        # What is refused changes nothing.
        assert [one["on"] for one in (await ask("GET", "/behaviour"))["rules"]] == ["*"]
        assert await ask("DELETE", "/behaviour") == {"rules": [], "seed": 7}
        status, words = await ask.error("POST", "/behaviour", {"on": "RetreiveImage", "delay": 1})
        assert (status, words.startswith("on: 'RetreiveImage' is no operation")) == (400, True)
        assert "RetrieveImage" in words

    control(Scanner(around=around("CreateScanJob: status=500")), tell)


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b'"x"', b"\xff", b"[" * 100_000, b"nul"])
def test_what_is_no_json_object(body: bytes) -> None:
    async def tell(ask: Asking) -> None:
        assert (await ask.error("POST", "/press", body))[0] == 400

    control(scanner(), tell)


def test_paths_and_methods() -> None:
    async def tell(ask: Asking) -> None:
        told = "no /nothing here; there are /behaviour, /cancel, /condition, /load, /press, /status, /stop"
        assert await ask.error("GET", "/nothing") == (404, told)
        assert await ask.error("POST", "/status") == (405, "/status takes GET")
        assert await ask.error("GET", "/behaviourx") == (404, told.replace("nothing", "behaviourx"))
        status, words = await ask.error("PATCH", "/behaviour")
        assert (status, words) == (405, "/behaviour takes GET, PUT, POST, DELETE")

    control(scanner(), tell)


def test_web_pages_are_kept_out() -> None:
    async def tell(ask: Asking) -> None:
        status, answer = await ask.raw("POST", "/stop", b"", ("Origin", "http://evil.example"))
        assert (status, answer) == (403, {"error": "web pages may not control the emulator"})
        assert not ask.port.stopped.is_set()

    control(scanner(), tell)


def test_the_end() -> None:
    async def tell(ask: Asking) -> None:
        assert await ask("POST", "/stop") == {"stopping": True}
        assert ask.port.stopped.is_set()

    control(scanner(), tell)


def test_a_command_that_breaks_off_is_not_carried_out() -> None:
    async def tell(ask: Asking) -> None:
        async with Raw(ask.number) as raw:
            await raw.send(b"POST /stop HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n")
            raw.writer.write_eof()
            assert await raw.rest() == b""
        assert not ask.port.stopped.is_set()

    control(scanner(), tell)


def test_a_command_that_is_too_long() -> None:
    async def tell(ask: Asking) -> None:
        async with Raw(ask.number) as raw:
            await raw.send(b"POST /load HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n")
            assert (await raw.answer()).status == 413

    control(scanner(), tell)


def test_the_scan_server() -> None:
    async def story() -> None:
        async with (
            ScanServer(around=around()) as server,
            ControlPort(server) as port,
            DsmDevice(around=around()) as dsm,
        ):
            ask = Asking(port)
            assert "POST /press" not in (await ask("GET", "/"))["commands"]
            running = asyncio.create_task(dsm.run(Order(server.url(), ScanProcess.example(), finish="leave")))
            await until(lambda: server.jobs and server.jobs[0].documents)
            status = await ask("GET", "/status")
            assert (status["device"], len(status["subscriptions"]), len(status["jobs"])) == ("scan server", 1, 1)
            assert status["subscriptions"][0]["expires"] in ("PT1H", "PT59M59S")
            token = server.jobs[0].token
            assert await ask("POST", "/cancel", {"job": token}) == {"canceled": token}
            assert (await ask.error("POST", "/cancel", {"job": token}))[1] == f"there is no active job {token}"
            assert (await ask.error("POST", "/cancel"))[1] == "job is missing"
            story = await running
            assert story.completed_state == "Canceled"

    run(story())


def test_other_filters_are_told_to_the_control_point() -> None:
    async def story() -> None:
        async with serving() as dsm, ControlPort(dsm.server) as port:
            await dsm.subscribe("WS-DSC", "RepositoryElementsChangeEvent")
            ask = Asking(port)
            for given, told in (("email", ["email"]), (["sharepoint", "email"], ["email", "sharepoint"]), ([], [])):
                assert sorted((await ask("POST", "/filters", {"filters": given}))["filters"]) == told
            assert "filters is a list of" in (await ask.error("POST", "/filters", {"filters": ["shredder"]}))[1]
            assert "filters is a list of" in (await ask.error("POST", "/filters", {"filters": 5}))[1]
            await dsm.drained()
            assert len(dsm.told["1"]) == 3

    run(story())
