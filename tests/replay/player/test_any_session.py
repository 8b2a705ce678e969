"""Sessions of the emulators: extract, then run against the same behaviour, passes; against another it does not."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import replay
from dissector.base.errors import TargetUnreachable, UsageError
from dissector.soap.model import QName
from dissector.soap.namespaces import WSCN
from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.emulator import Around
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.filters import Outcome, parse_outcome
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.net.client import HttpClient
from replay.player.play import Options, Player
from replay.player.result import Result
from replay.scenario.extract import extract
from replay.scenario.files import load_scenario, save_scenario
from replay.soap.caller import Refused
from tests.support.scan_client import scanning, ticket

GRAY = {
    "format": "jfif",
    "media_sides": {"media_front": {"color_processing": "Grayscale8", "resolution": {"width": 75}}},
}

DONE = "fileshare=CompletedSuccessfully"

LONG, SHORT = 30.0, 2.0
"""Seconds that are waited for what comes, so that a busy machine makes no other session of it; for what does not."""

SESSIONS: dict[str, tuple[list[str], str, str]] = {
    # name: rules of the server, outcome of its filter, how the device ends the job
    "plain": ([], DONE, "end"),
    "errors": ([], "fileshare=CompletedWithErrors:FileShareAccessDenied", "end"),
    "vendor's filter state": ([], "fileshare=vendor:Stapled:vendor:NoStaples", "end"),
    "canceled": ([], DONE, "cancel"),
    "vendor's end": (["EndPostScanJob: end_state=vendor:Parked|vendor:NightShift"], DONE, "end"),
    "second image refused": (["SendImage: fault=OperationFailed, after=1, times=1"], DONE, "end"),
    "creation refused": (["CreatePostScanJob: fault=InvalidArgs"], DONE, "end"),
    "an event is lost": (["PostScanJobStatusEvent: lost, after=2, times=2"], DONE, "end"),
    "an event comes twice": (["PostScanJobEndStateEvent: doubled"], DONE, "end"),
    "HTTP 503": (["EndPostScanJob: status=503"], DONE, "end"),
}  # fmt: skip


def server(rules: list[str], outcome: str, **more: object) -> ScanServer:
    kind, one = parse_outcome(outcome)
    outcomes: dict[str, Outcome] = {kind: one}
    around = Around(behaviour=Behaviour([parse_rule(rule) for rule in rules]), **more)
    return ScanServer(outcomes=outcomes, around=around)


async def record(capture: Path, rules: list[str], outcome: str, finish: str) -> None:
    process = ScanProcess.example(parameters=GRAY)
    withheld = any(rule.startswith("PostScanJobEndStateEvent:") or "token=" in rule for rule in rules)
    with capture.open("wb") as file:
        async with server(rules, outcome, pcap=file) as peer, DsmDevice(pages=2) as device:
            # A server that gives no answer ends the story; what was said until then is a session too.
            with contextlib.suppress(TargetUnreachable):
                await device.run(Order(peer.url(), process, finish=finish, wait=SHORT if withheld else LONG))


async def play(folder: Path, rules: list[str], outcome: str, slack: float = LONG) -> Result:
    scenario, files = load_scenario(folder)
    clock = RealClock()
    async with server(rules, outcome) as peer:
        client = HttpClient(clock=clock, timeout=LONG)
        options = Options(keep_going=True, slack=slack)
        log = Log(clock)
        player = Player(scenario, files, peer.url(), options=options, clock=clock, log=log, ids=Ids(), client=client)
        return await player.run()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_passes_against_the_same_behaviour_and_no_other(name: str, tmp_path: Path) -> None:
    rules, outcome, finish = SESSIONS[name]
    capture = tmp_path / "session.pcapng"
    asyncio.run(record(capture, rules, outcome, finish))
    scenario, contents = extract(capture)
    save_scenario(scenario, contents, tmp_path / "scenario")
    same = asyncio.run(play(tmp_path / "scenario", rules, outcome))
    assert same.same, [one.to_json() for one in same.steps if one.outcome != "same"]
    other = "EndPostScanJob: end_state=Aborted" if finish == "end" else "CancelPostScanJob: fault=OperationFailed"
    if name in ("second image refused", "creation refused"):
        other = "Subscribe: fault=OperationFailed"
    different = asyncio.run(play(tmp_path / "scenario", [other], outcome, SHORT))
    assert not different.same


# -- whatever a server does -----------------------------------------------------------------------------------------

ANSWERS = (
    "fault=OperationFailed", "fault=ClientErrorJobTokenNotFound", "status=503", "status=500", "malformed",
    "relates_to=urn:x:wrong", "token=00000000-0000-4000-8000-000000000001", "content_length=-5", "ignore",
    "boundary=bare",
)  # fmt: skip
EVENTS = ("lost", "doubled", "reordered", "token=00000000-0000-4000-8000-000000000001")
ENDS = ("end_state=Aborted", "end_state=Canceled", "end_state=vendor:Parked|vendor:X")
OPERATIONS = ("CreatePostScanJob", "SendImage", "EndPostScanJob", "CancelPostScanJob", "Subscribe", "Unsubscribe")
OUTCOMES = (
    DONE,
    "fileshare=CompletedWithWarnings:FileShareOutOfDiskSpace",
    "fileshare=vendor:Stapled:vendor:NoStaples",
)


@st.composite
def rules_of_behaviour(draw: st.DrawFn) -> str:
    """One rule, as on the command line."""
    what = draw(st.sampled_from(("answer", "event", "end")))
    if what == "end":
        return f"EndPostScanJob: {draw(st.sampled_from(ENDS))}"
    if what == "event":
        name = draw(st.sampled_from(("PostScanJobStatusEvent", "PostScanJobEndStateEvent")))
        order = draw(st.sampled_from(EVENTS))
    else:
        name, order = draw(st.sampled_from(OPERATIONS)), draw(st.sampled_from(ANSWERS))
    times = draw(st.sampled_from(("", ", times=1", ", after=1, times=2")))
    return f"{name}: {order}{times}"


def makes_sense(rule: str) -> bool:
    """Not every order is of use to every operation."""
    try:
        parse_rule(rule)
    except UsageError:
        return False
    return True


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rules=st.lists(rules_of_behaviour().filter(makes_sense), max_size=3),
    outcome=st.sampled_from(OUTCOMES),
    finish=st.sampled_from(("end", "end", "cancel")),
)
def test_any_session_passes_against_the_same_behaviour(
    tmp_path_factory: pytest.TempPathFactory, rules: list[str], outcome: str, finish: str
) -> None:
    folder = tmp_path_factory.mktemp("session")
    asyncio.run(record(folder / "session.pcapng", rules, outcome, finish))
    scenario, contents = extract(folder / "session.pcapng")
    save_scenario(scenario, contents, folder / "scenario")
    result = asyncio.run(play(folder / "scenario", rules, outcome))
    assert result.same, [one.to_json() for one in result.steps if one.outcome not in ("same", "skipped")]


# -- and whatever a scanner does --------------------------------------------------------------------------------------

SCANNING = ("CreateScanJob", "RetrieveImage", "GetScannerElements", "GetJobElements", "CancelJob", "ValidateScanTicket")
REFUSALS = (
    "fault=ClientErrorJobIdNotFound", "fault=ServerErrorNotAcceptingJobs", "status=503", "malformed", "relates_to=none",
    "content_length=-5", "ignore", "image=cut-500", "image=as-png", "boundary=bare", "token=unknown",
)  # fmt: skip


@st.composite
def rules_of_a_scanner(draw: st.DrawFn) -> str:
    """One rule of a scanner, as on the command line."""
    name, order = draw(st.sampled_from(SCANNING)), draw(st.sampled_from(REFUSALS))
    return f"{name}: {order}{draw(st.sampled_from(('', ', times=1', ', after=1')))}"


async def scan(capture: Path, rules: list[str], source: str, *, watch: bool, cancel: bool) -> None:
    """What a client does that scans two pages, whatever it is told."""
    behaviour = Behaviour([parse_rule(rule) for rule in rules])
    async with scanning(pages=2, pcap=capture, behaviour=behaviour) as (_, client):
        client.lenient = True
        with contextlib.suppress(TargetUnreachable, Refused, AssertionError):
            if watch:
                await client.subscribe("JobStatusEvent", "JobEndStateEvent")
            await client.send("GetScannerElements", {"requested_elements": {"name": [QName(WSCN, "ScannerStatus")]}})
            await client.send("ValidateScanTicket", {"scan_ticket": ticket(source, images=2)})
            job = await client.create(ticket(source, images=2))
            await client.retrieve(job)
            await client.status(job)
            if cancel:
                await client.ask("CancelJob", {"job_id": job.get("JobId")})
            else:
                await client.retrieve(job)
        # The capture ends with the answers of the sink, not with the story that asked for them.
        await client.drained()
        client.broken.clear()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rules=st.lists(rules_of_a_scanner().filter(makes_sense), max_size=2),
    source=st.sampled_from(("Platen", "ADF", "ADFDuplex")),
    watch=st.booleans(),
    cancel=st.booleans(),
)
def test_any_scan_passes_against_the_same_scanner(
    tmp_path_factory: pytest.TempPathFactory, rules: list[str], source: str, watch: bool, cancel: bool
) -> None:
    folder = tmp_path_factory.mktemp("scan")

    async def again() -> Result:
        around = Around(behaviour=Behaviour([parse_rule(rule) for rule in rules]))
        async with Scanner(pages=2, around=around) as peer:
            # Nobody ends the subscription before the scanner does, which is not awaited here.
            steps = load_scenario(folder / "scenario")[0].steps
            only = frozenset(one.number for one in steps if one.name != "SubscriptionEnd")
            options = Options(keep_going=True, slack=LONG, only=only)
            return await replay.play(folder / "scenario", peer.scan_url, options=options, timeout=LONG)

    asyncio.run(scan(folder / "scan.pcapng", rules, source, watch=watch, cancel=cancel))
    replay.extract(folder / "scan.pcapng", folder / "scenario")
    result = asyncio.run(again())
    assert [one.to_json() for one in result.steps if one.outcome not in ("same", "skipped")] == []
