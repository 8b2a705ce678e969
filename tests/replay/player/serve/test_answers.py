"""What a virtual device answers: addresses by which it is reached, values of each client, and the right fault for what
the recording does not have."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dissector.base.errors import UsageError
from dissector.catalog import build
from dissector.http.model import HttpMessage
from dissector.messages import Message
from dissector.soap.build import build_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import WSCN
from replay.base.ids import Ids
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.emulator import Around
from replay.devices.scanserver.processes import ScanProcess
from replay.player.serve import Served, VirtualDevice
from replay.scenario.files import load_scenario
from replay.scenario.wires import bytes_of
from replay.soap.caller import action_of, read_message
from replay.soap.compose import http_request, pack
from tests.support.loopback import Raw
from tests.support.loopback import run as bounded
from tests.support.serving import Client, identifier_of, scenario_folder


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenario_folder("others/scan-debian-adf.pcap", tmp_path_factory.mktemp("scanner"))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenario_folder("dsm-completed.pcapng", tmp_path_factory.mktemp("job"))


HOSTED = "MetadataSection/Relationship/Hosted/EndpointReference/Address"

Talk = Callable[[VirtualDevice, Client], Awaitable[Any]]


def serve(folder: Path, talk: Talk, *, around: Around | None = None, **served: Any) -> tuple[VirtualDevice, Any]:
    """A client talks to a virtual device; gives what it came to."""

    async def run() -> tuple[VirtualDevice, Any]:
        async with VirtualDevice(folder, Served(**served), around=around) as device, Client(device.url()) as client:
            return device, await talk(device, client)

    found: tuple[VirtualDevice, Any] = bounded(run())
    return found


def around(*rules: str) -> Around:
    return Around(behaviour=Behaviour([parse_rule(rule) for rule in rules]))


def get(path: str, host: str) -> bytes:
    """A Get as a client of a certain name sends it."""
    envelope = build_envelope(None, action=action_of("Get", "WS-Transfer"), to="urn:x", message_id="urn:uuid:1")
    return b"".join(http_request(path, host, pack(envelope, [], Ids(1))).pieces)


async def raw(device: VirtualDevice, data: bytes, host: str = "127.0.0.1") -> HttpMessage:
    """The answer to bytes."""
    async with Raw(device.server.addresses[-1].port, host) as one:
        one.asked(data.split(b" ")[0].decode("latin-1"))
        await one.send(data)
        return await one.answer()


def soap(http: HttpMessage) -> Message:
    found = read_message(http)
    assert found is not None
    return found


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("scanner.example.test:5358", "http://scanner.example.test:5358"),
        ("scanner.example.test", "http://scanner.example.test"),
        ("127.0.0.1:1", "http://127.0.0.1:1"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:80"),
        ('"><evil/>', None),
        ("a b", None),
        ("x" * 300, None),
    ],
)
def test_addresses_are_those_by_which_the_client_came(scanner: Path, host: str, told: str | None) -> None:
    async def talk(device: VirtualDevice, client: Client) -> HttpMessage:
        return await raw(device, get("/device", host))

    device, http = serve(scanner, talk)
    hosted = soap(http)
    assert hosted.body is not None
    addresses = {
        one.text.strip()
        for one in hosted.body.find_all("MetadataSection/Relationship/Hosted/EndpointReference/Address")
    }
    scans = {one for one in addresses if one.endswith("/scan")}
    assert scans == {f"{told or f'http://{device.server.addresses[0]}'}/scan"}
    assert not any("10.77.0.2" in one for one in addresses), addresses


def test_over_ipv6_and_ipv4_at_once(scanner: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> list[str]:
        port = device.server.addresses[1].port
        found = soap(await raw(device, get("/device", f"[::1]:{port}"), "::1"))
        assert found.body is not None
        return [
            one.text for one in found.body.find_all("MetadataSection/Relationship/Hosted/EndpointReference/Address")
        ]

    device, told = serve(scanner, talk, around=Around(listen=[("127.0.0.1", 0), ("::1", 0)]))
    assert f"http://[::1]:{device.server.addresses[1].port}/scan" in told


def test_a_host_name_of_its_own(scanner: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> HttpMessage:
        return await raw(device, get("/device", "127.0.0.1:1"))

    device, http = serve(scanner, talk, around=Around(name="mfp.example.test"))
    text = http.body.data().decode()
    assert f"http://mfp.example.test:{device.server.addresses[0].port}/scan" in text


# -- values ----------------------------------------------------------------------------------------------------------


async def create(client: Client) -> Message:
    body = ScanProcess.example().request("S-1-5")
    answer = (await client.ask("CreatePostScanJobRequest", "WS-DSP", body)).accepted()
    assert answer is not None
    return answer


def test_each_job_has_a_token_of_its_own_and_answers_relate_to_their_requests(job: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> list[str]:
        tokens = []
        for _ in range(3):
            reply = await client.ask(
                "CreatePostScanJobRequest", "WS-DSP", ScanProcess.example().request("S-1-5"),
                message_id=f"urn:uuid:{len(tokens)}",
            )  # fmt: skip
            message = reply.accepted()
            assert message is not None
            assert message.relates_to == f"urn:uuid:{len(tokens)}"
            tokens.append(str(message.get("JobToken")))
        return tokens

    device, tokens = serve(job, talk)
    recorded = device.scenario.values["job_token"].recorded
    assert len({recorded, *tokens}) == 4


def test_a_request_without_a_message_id_is_answered(job: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> Message:
        envelope = build_envelope(None, action=action_of("Get", "WS-Transfer"), to="urn:x", message_id=None)
        data = b"".join(http_request("/ScanServer", "127.0.0.1", pack(envelope, [], Ids(1))).pieces)
        return soap(await raw(device, data))

    _, answer = serve(job, talk)
    assert answer.name == "GetResponse"
    assert answer.relates_to == "http://schemas.xmlsoap.org/ws/2004/08/addressing/id/unspecified"


def test_what_a_client_says_of_its_site_is_given_back(tmp_path: Path) -> None:
    folder = scenario_folder("scan-pull-events.pcapng", tmp_path)
    scenario, files = load_scenario(folder)
    step = next(one for one in scenario.steps if one.name == "CreateScanJobRequest")
    names = [one.name for one in scenario.values.values() if not one.maker and one.step == step.number]
    assert names

    async def talk(device: VirtualDevice, client: Client) -> VirtualDevice:
        values = {one.name: one.recorded for one in scenario.values.values()}
        values |= dict.fromkeys(names, "somebody else")
        await raw(device, b"".join(bytes_of(step.message, files, values)))
        return device

    device, _ = serve(folder, talk)
    (run,) = device.runs.all()
    assert {run.values.now[name] for name in names} == {"somebody else"}
    assert device.tally.different == []


def test_a_given_value_is_told(job: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> str:
        return str((await create(client)).get("JobToken"))

    assert serve(job, talk, given={"job_token": "the one"})[1] == "the one"


# -- what the recording does not have --------------------------------------------------------------------------------


def dsp(name: str, token: str) -> Any:
    return build(f"dsp:{name}", {"job_token": token})


@pytest.mark.parametrize(
    ("name", "token", "fault", "status"),
    [
        ("EndPostScanJobRequest", "8a2a4d3e-0000-4000-8000-000000000001", "ClientErrorJobTokenNotFound", 400),
        ("CancelPostScanJobRequest", "8a2a4d3e-0000-4000-8000-000000000001", "ActionNotSupported", 400),
    ],
)
def test_the_right_fault(job: Path, name: str, token: str, fault: str, status: int) -> None:
    async def talk(device: VirtualDevice, client: Client) -> Any:
        return await client.ask(name, "WS-DSP", dsp(name, token), message_id="urn:uuid:7")

    device, reply = serve(job, talk)
    assert reply.http.status == status
    assert reply.message.fault.subcode == fault
    assert reply.message.relates_to == "urn:uuid:7"
    assert [one for one, _ in device.tally.unknown] == [name]
    assert f"the recording does not have: {name}" in device.tally.lines(0, [], [])


@pytest.mark.parametrize(
    ("element", "fault"), [("job_id", "ClientErrorJobIdNotFound"), ("job_token", "ClientErrorInvalidJobToken")]
)
def test_an_image_of_a_job_that_was_not_made_here(scanner: Path, element: str, fault: str) -> None:
    async def talk(device: VirtualDevice, client: Client) -> Any:
        ticket = {"job_description": {"job_name": "x", "job_originating_user_name": "y"}}
        body = build("wscn:CreateScanJobRequest", {"scan_ticket": ticket})
        made = (await client.ask("CreateScanJobRequest", "WS-Scan", body)).accepted()
        assert made is not None
        asked = {"job_id": made.get("JobId"), "job_token": made.get("JobToken"), element: "77"}
        return await client.ask("RetrieveImageRequest", "WS-Scan", build("wscn:RetrieveImageRequest", asked))

    assert serve(scanner, talk)[1].message.fault.subcode == fault


def test_a_subscription_that_was_not_made_here(tmp_path: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> Any:
        answer = await client.subscribe()
        wrong = await client.unsubscribe("urn:uuid:00000000-0000-4000-8000-000000000000")
        return wrong, await client.unsubscribe(identifier_of(answer))

    wrong, right = serve(scenario_folder("others/airscand-push.pcap", tmp_path), talk)[1]
    assert wrong.message.fault.subcode == "InvalidMessage"
    assert right.message.name == "UnsubscribeResponse"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /device HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"BREW /device HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\nabc", 415),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\nContent-Length: 3\r\n\r\n<a>", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\nContent-Length: 4\r\n\r\n<a/>", 400),
    ],
)
def test_what_is_no_soap(scanner: Path, data: bytes, status: int) -> None:
    async def talk(device: VirtualDevice, client: Client) -> HttpMessage:
        return await raw(device, data)

    device, http = serve(scanner, talk)
    assert http.status == status
    assert len(device.tally.unknown) == 1


def test_what_was_not_answered_in_the_recording(tmp_path: Path) -> None:
    folder = scenario_folder("dsm-completed.pcapng", tmp_path)
    path = folder / "scenario.yaml"
    text = path.read_text()
    start = text.index("- step: CreatePostScanJobRequest")
    answer = text.index("    answer:", start)
    path.write_text(text[:answer] + text[text.index("\n\n", answer) :])

    async def talk(device: VirtualDevice, client: Client) -> Any:
        return await client.ask("CreatePostScanJobRequest", "WS-DSP", ScanProcess.example().request("S-1-5"))

    _, reply = serve(folder, talk)
    assert reply.message.fault.subcode == "ServerErrorTemporaryError"


def test_a_request_that_means_something_else_is_answered_and_said(job: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> Message:
        return await create(client)

    device, answer = serve(job, talk)
    assert answer.name == "CreatePostScanJobResponse"
    ((step, name, text),) = device.tally.different
    assert (step, name) == (3, "CreatePostScanJobRequest")
    assert "Filter" in text
    assert "not as recorded: CreatePostScanJobRequest" in device.tally.lines(1, [], [])[1]
    assert not device.tally.clean


# -- orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "status"),
    [("Get: status=503, times=1", 503), ("Get: fault=EndpointUnavailable, times=1", 500), ("Get: delay=0.01", 200)],
)
def test_faults_are_ordered_as_of_the_emulated_devices(job: Path, rule: str, status: int) -> None:
    async def talk(device: VirtualDevice, client: Client) -> list[int]:
        return [(await client.ask("Get", "WS-Transfer")).http.status for _ in range(2)]

    assert serve(job, talk, around=around(rule))[1] == [status, 200]


def test_an_answer_is_cut_or_malformed(scanner: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> tuple[bytes, HttpMessage]:
        async with Raw(device.server.addresses[0].port) as one:
            await one.send(get("/device", "x"))
            cut = await one.rest()
        return cut, await raw(device, get("/device", "x"))

    cut, malformed = serve(scanner, talk, around=around("Get: close_after=100, times=1", "Get: malformed, after=1"))[1]
    assert len(cut) == 100
    assert malformed.complete
    assert re.search(rb"</\w*:?Envelope>", malformed.body.data()) is None


def test_an_order_that_a_recording_cannot_carry_out(job: Path) -> None:
    with pytest.raises(UsageError, match="a recording cannot do that"):
        VirtualDevice(job, around=around("EndPostScanJob: end_state=Aborted"))


def test_clean_messages(scanner: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> HttpMessage:
        return await raw(device, get("/device", "x"))

    _, http = serve(scanner, talk, normalise=True)
    assert [one.name for one in http.headers] == ["Content-Type", "Content-Length"]
    assert soap(http).name == "GetResponse"


# -- who is served ---------------------------------------------------------------------------------------------------


def test_parties(job: Path) -> None:
    for parties, match in (("nobody", "the parties are device, server"), ("device,server", "all parties are served")):
        with pytest.raises(UsageError, match=match):
            VirtualDevice(job, Served(parties=parties))


def test_the_side_that_takes_events_can_be_served_too(job: Path) -> None:
    scenario, files = load_scenario(job)
    events = [one for one in scenario.steps if one.event]
    values = {one.name: one.recorded for one in scenario.values.values()}

    async def talk(device: VirtualDevice, client: Client) -> list[int]:
        return [
            (await raw(device, b"".join(bytes_of(one.message, files, values)))).status for one in [*events, events[0]]
        ]

    device, statuses = serve(job, talk, parties="device")
    assert statuses == [202] * 5
    assert device.left() == []


def test_a_vendors_question_is_refused_and_not_taken_for_another(scanner: Path) -> None:
    async def talk(device: VirtualDevice, client: Client) -> Any:
        body = build("wscn:GetScannerElementsRequest", {
            "requested_elements": {"name": [QName("urn:vendor", "Secrets", "v"), QName(WSCN, "ScannerStatus", "w")]}
        })  # fmt: skip
        return await client.ask("GetScannerElementsRequest", "WS-Scan", body)

    device, reply = serve(scanner, talk)
    # The nearest is answered, and it is said.
    assert reply.message.name == "GetScannerElementsResponse"
    assert device.tally.different
