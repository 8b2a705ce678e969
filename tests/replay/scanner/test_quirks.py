"""Every quirk of the table shows on the wire, and not without it being asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lxml import etree

from dissector.base.origin import Endpoint
from dissector.catalog import build
from dissector.messages import Message
from dissector.soap.build import build_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import WSCN, WSD05
from replay.base.clock import ManualClock
from replay.devices.emulator import DIRECTED_PROBE
from replay.devices.scanner.device_file import device_of
from replay.devices.scanner.pages import A4
from replay.devices.scanner.quirks import QUIRKS
from replay.devices.scanner.testpage import read_mark
from tests.support.scan_client import (
    ScanClient,
    image_bytes,
    image_request,
    on_the_wire,
    opened,
    scanning,
    soap,
    ticket,
)

SCANNER = {
    "formats": ["png", "jfif", "pdf-a"],
    "adf": {"front": {"resolutions": [75, 600]}, "duplex": True},
    "platen": {"resolutions": [75, 600]},
}
PEER = Endpoint("127.0.0.1", 40000)

Show = Callable[[ScanClient, ManualClock], Awaitable[Any]]
SHOWN: dict[str, tuple[Show, Any, Any, Any]] = {}


def shows(name: str, without: Any, having: Any, value: Any = True) -> Callable[[Show], Show]:
    """What a function gives with a device that lacks the quirk, and with one that has it."""

    def note(show: Show) -> Show:
        SHOWN[name] = (show, without, having, value)
        return show

    return note


def test_every_quirk_has_its_test() -> None:
    assert SHOWN.keys() == QUIRKS.keys()


@pytest.mark.parametrize("given", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("name", sorted(QUIRKS))
def test_quirk(name: str, given: bool) -> None:
    show, without, having, value = SHOWN[name]
    quirks = [name if value is True else {name: value}] if given else []

    async def run() -> None:
        clock = ManualClock()
        async with scanning(device_of({"scanner": SCANNER, "quirks": quirks}), 2, clock=clock) as (_, client):
            assert await show(client, clock) == (having if given else without)

    asyncio.run(run())


@shows("flatbed-waits-for-more", without="Completed", having=["Processing", "Processing", "Completed"])
async def busy_after_the_flatbed(client: ScanClient, clock: ManualClock) -> Any:
    job = await client.create(ticket(images=0))
    await client.picture(job)
    seen = [(await client.status(job))[0]]
    if seen == ["Completed"]:
        return seen[0]
    await clock.advance(59)
    seen.append((await client.status(job))[0])
    refusal = await client.refused("RetrieveImage", image_request(job))
    assert refusal.name == "ClientErrorNoImagesAvailable"
    return [*seen, (await client.status(job))[0]]


async def configuration(client: ScanClient) -> dict[str, Any]:
    wanted = {"requested_elements": {"name": [QName(WSCN, "ScannerConfiguration", "wscn")]}}
    answer = await client.ask("GetScannerElements", wanted)
    assert answer.body is not None
    found: dict[str, Any] = answer.body.to_json()["scanner_elements"]["element_data"][0]["scanner_configuration"]
    return found


async def creation(client: ScanClient, **given: Any) -> str:
    """How a CreateScanJob ends: ``""`` or the fault."""
    request = {"scan_ticket": ticket(**given)}
    reply = await client.send("CreateScanJob", request)
    if reply.message is not None and reply.message.fault is not None:
        return reply.message.fault.subcode or ""
    assert reply.message is not None
    await client.ask("CancelJob", {"job_id": reply.message.get("JobId")})
    return ""


def header(message: Message, name: str) -> str:
    assert message.http is not None
    return next((one.value for one in message.http.headers if one.name.lower() == name), "")


# -- what is described -------------------------------------------------------------------------------------------


@shows("swapped-size", (8500, 11700, 11000), (11700, 8500, 11000))
async def swapped_size(client: ScanClient, clock: ManualClock) -> Any:
    size = (await configuration(client))["platen"]["platen_maximum_size"]
    # The scanner knows better than its description.
    job = await client.create(ticket(region=(0, 0, 8000, 11000)))
    height = job.get("DocumentFinalParameters/MediaSides/MediaFront/ScanRegion/ScanRegionHeight")
    return size["width"], size["height"], height


@shows("duplex-flag-false", (True, True, ""), (False, True, ""))
@shows("duplex-without-back", (True, True, ""), (True, False, ""))
async def duplex(client: ScanClient, clock: ManualClock) -> Any:
    adf = (await configuration(client))["adf"]
    return adf["adf_supports_duplex"], "adf_back" in adf, await creation(client, source="ADFDuplex")


# -- the picture -------------------------------------------------------------------------------------------------


@shows("ignores-scan-region", ((100, 50), 1000), (tuple((one * 75 + 500) // 1000 for one in A4), 1000))
async def region(client: ScanClient, clock: ManualClock) -> Any:
    job = await client.create(ticket(region=(1000, 2000, 1333, 667)))
    said = job.get("DocumentFinalParameters/MediaSides/MediaFront/ScanRegion/ScanRegionXOffset")
    return (await client.picture(job)).size, said


@shows("size-of-image", ((100, 50), (100, 50)), ((638, 878), (638, 878)))
async def size_of_image(client: ScanClient, clock: ManualClock) -> Any:
    job = await client.create(ticket(region=(1000, 2000, 1333, 667)))
    assert job.get("DocumentFinalParameters/MediaSides/MediaFront/ScanRegion/ScanRegionWidth") == 1333
    image = "ImageInformation/MediaFrontImageInfo"
    told = (job.get(f"{image}/PixelsPerLine"), job.get(f"{image}/NumberOfLines"))
    return told, (await client.picture(job)).size


@shows("other-resolution", [((315, 75), 1), ((2520, 600), 1)], [((315, 75), 1), ((1260, 300), 1)])
async def resolution(client: ScanClient, clock: ManualClock) -> Any:
    found = []
    for dpi in (75, 600):
        job = await client.create(ticket(resolution=dpi))
        assert job.get("DocumentFinalParameters/MediaSides/MediaFront/Resolution/Width") == dpi
        picture = await client.picture(job)
        mark = read_mark(picture, picture.width * 75 // 315)
        found.append((picture.size, mark.page if mark is not None else 0))
    return found


@shows("feeder-as-one-pdf", ["png", "png"], ["pdf"])
async def one_pdf(client: ScanClient, clock: ManualClock) -> Any:
    job = await client.create(ticket("ADF"))
    kinds = [(await client.retrieve(job)).attachments[0].real_type]
    while (await client.status(job))[0] == "Processing":
        kinds.append((await client.retrieve(job)).attachments[0].real_type)
    assert (await client.status(job))[2] == 2
    return kinds


# -- how it is sent ----------------------------------------------------------------------------------------------


@shows("no-image-type", ("image/png", "png"), ("application/octet-stream", "png"))
async def image_type(client: ScanClient, clock: ManualClock) -> Any:
    image = (await client.retrieve(await client.create())).attachments[0]
    return image.media_type, image.real_type


@shows("images-with-length", ("chunked", False), ("", True))
async def with_length(client: ScanClient, clock: ManualClock) -> Any:
    answer = await client.retrieve(await client.create())
    return header(answer, "transfer-encoding"), header(answer, "content-length").isdigit()


@shows("bare-boundary", True, False)
async def boundary(client: ScanClient, clock: ManualClock) -> Any:
    job = await client.create()
    client.lenient = True
    request = soap(build("wscn:RetrieveImageRequest", image_request(job)), "RetrieveImage")
    raw = await on_the_wire(client.scanner.scan_url, request)
    found = re.search(rb'boundary="([^"]+)"', raw)
    assert found is not None
    return b"\r\n--" + found[1] + b"\r\n" in raw.partition(b"</soap:Envelope>")[2]


@shows("start-is-element", True, False)
async def start(client: ScanClient, clock: ManualClock) -> Any:
    client.lenient = True
    answer = await client.retrieve(await client.create())
    assert image_bytes(answer)
    said = header(answer, "content-type")
    assert ('start="<SOAP-ENV:Envelope>"' in said) is not ("@wsd>" in said)
    return "@wsd>" in said


@shows("closes-connections", ("", ""), ("close", "close"))
async def closing(client: ScanClient, clock: ManualClock) -> Any:
    refusal = await client.refused("CancelJob", {"job_id": 1})
    assert refusal.message is not None
    return header(await client.create(), "connection"), header(refusal.message, "connection")


@shows("fault-status-200", (400, 500), (200, 200))
async def fault_status(client: ScanClient, clock: ManualClock) -> Any:
    await client.create()
    refusals = [
        await client.refused("CancelJob", {"job_id": 99}),
        await client.refused("CreateScanJob", {"scan_ticket": ticket()}),
    ]
    return tuple(one.status for one in refusals)


# -- what is taken -----------------------------------------------------------------------------------------------


@shows("refuses-pretty-xml", (200, 200), (200, 400))
async def pretty(client: ScanClient, clock: ManualClock) -> Any:
    plain = soap(build("wscn:GetActiveJobsRequest", {}), "GetActiveJobs")
    indented = etree.tostring(etree.fromstring(plain), pretty_print=True)
    assert b">\n" in indented
    return tuple([await http_status(client, one) for one in (plain, indented)])


@shows("literal-prefixes", (200, 200), (200, 400))
async def prefixes(client: ScanClient, clock: ManualClock) -> Any:
    plain = soap(build("wscn:GetActiveJobsRequest", {}), "GetActiveJobs")
    other = plain.replace(b"soap:", b"s:").replace(b":soap=", b":s=").replace(b"wsa:", b"a:").replace(b":wsa=", b":a=")
    return tuple([await http_status(client, one) for one in (plain, other)])


async def http_status(client: ScanClient, envelope: bytes) -> int:
    return int((await on_the_wire(client.scanner.scan_url, envelope))[9:12])


@shows("needs-job-information", ("", ""), ("InvalidArgs", ""))
async def job_information(client: ScanClient, clock: ManualClock) -> Any:
    whole = ticket()
    whole["job_description"]["job_information"] = "Scan"
    bare = await creation(client)
    await client.create(whole)
    return bare, ""


@shows("images-to-transfer-zero-fails", ("", ""), ("", "InvalidArgs"))
async def zero(client: ScanClient, clock: ManualClock) -> Any:
    return tuple([await creation(client, source="ADF", images=number) for number in (1, 0)])


@shows("empty-feeder-as-job-id-not-found", ("ClientErrorNoImagesAvailable", ""), ("ClientErrorJobIdNotFound", ""))
@shows("empty-feeder-as-not-accepting", ("ClientErrorNoImagesAvailable", ""), ("ServerErrorNotAcceptingJobs", ""))
async def empty_feeder(client: ScanClient, clock: ManualClock) -> Any:
    client.scanner.engine.feeder.load([])
    return await creation(client, source="ADF"), await creation(client)


@shows("misspelt-destination-fault", "ClientErrorInvalidDestinationToken", "ClientErrorInvalidDetinationToken")
async def misspelt(client: ScanClient, clock: ManualClock) -> Any:
    wrong = {"scan_identifier": "x", "destination_token": "y", "scan_ticket": ticket()}
    reply = await client.send("CreateScanJob", wrong)
    assert reply.message is not None
    assert reply.message.fault is not None
    return reply.message.fault.subcode


@shows("one-subscription", (2, ""), (1, "ClientErrorInvalidDestinationToken"))
async def one_subscription(client: ScanClient, clock: ManualClock) -> Any:
    first = await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC"})
    token = first.get("DestinationResponses/DestinationResponse/DestinationToken")
    identifier = client.scanner.press()
    await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC"})
    given = {"scan_identifier": identifier, "destination_token": token, "scan_ticket": ticket()}
    reply = await client.send("CreateScanJob", given)
    assert reply.message is not None
    fault = reply.message.fault.subcode if reply.message.fault is not None else ""
    assert client.scanner.scan.source is not None
    return len(client.scanner.scan.source.table), fault


@shows("panel-first", ("", ""), ("ServerErrorNotAcceptingJobs", ""))
async def panel(client: ScanClient, clock: ManualClock) -> Any:
    before = await creation(client)
    client.scanner.press()
    return before, await creation(client)


# -- after a job -------------------------------------------------------------------------------------------------


@shows("busy-after-job", ["", "", ""], ["ServerErrorNotAcceptingJobs", "ServerErrorNotAcceptingJobs", ""], 20)
async def busy(client: ScanClient, clock: ManualClock) -> Any:
    await client.to_the_end(await client.create())
    found = [await creation(client)]
    for seconds in (19.9, 0.2):
        await clock.advance(seconds)
        found.append(await creation(client))
    return found


@shows("stays-processing", ["Completed", "Completed", "Completed"], ["Processing", "Completed", "Completed"], 10)
async def lingering(client: ScanClient, clock: ManualClock) -> Any:
    job = await client.create()
    await client.retrieve(job)
    found = [(await client.status(job))[0]]
    await clock.advance(10)
    found.append((await client.status(job))[0])
    job = await client.create()
    request = soap(build("wscn:RetrieveImageRequest", image_request(job)), "RetrieveImage")
    # On a connection that the client asks to be closed.
    assert (await on_the_wire(client.scanner.scan_url, request)).startswith(b"HTTP/1.1 200")
    found.append((await client.status(job))[0])
    return found


# -- how it is found ---------------------------------------------------------------------------------------------


def probe(name: str, data: Any) -> bytes:
    body = build(f"wsd:{name}", data)
    to = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
    return build_envelope(body, action=f"{WSD05}/{name}", to=to, message_id=f"urn:uuid:{name}")


@shows("probe-over-http-only", (["ProbeMatches"], True), ([], True))
async def over_http(client: ScanClient, clock: ManualClock) -> Any:
    discovery = client.scanner.discovery
    assert discovery is not None
    datagrams = discovery.receive(probe("Probe", {}), PEER, "127.0.0.1")
    answer = await on_the_wire(client.scanner.url(DIRECTED_PROBE), probe("Probe", {}))
    return sorted({one.kind for one in datagrams}), b"ProbeMatch>" in answer


@shows("xaddrs-by-resolve", (True, True), (False, True))
async def by_resolve(client: ScanClient, clock: ManualClock) -> Any:
    discovery = client.scanner.discovery
    assert discovery is not None
    address = {"endpoint_reference": {"address": client.scanner.device.address}}
    answers = [
        discovery.receive(probe(name, data), PEER, "127.0.0.1")[0].data
        for name, data in (("Probe", {}), ("Resolve", address))
    ]
    return tuple(client.scanner.url().encode() in one for one in answers)


def test_a_picture_of_a_quirky_device_is_still_the_page() -> None:
    async def run() -> None:
        device = device_of({"scanner": SCANNER, "quirks": ["no-image-type", "start-is-element", "bare-boundary"]})
        async with scanning(device, 2) as (_, client):
            client.lenient = True
            job = await client.create(ticket("ADF"))
            found = [read_mark(opened(await client.retrieve(job)), 75) for _ in range(2)]
            assert [one.page if one is not None else 0 for one in found] == [1, 2]

    asyncio.run(run())
