"""What tests of the virtual device stand on: scenarios out of sample captures, a client with a sink, the player as the
recorded client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from lxml.etree import _Element as Element

from dissector.catalog import build
from dissector.messages import Message
from dissector.soap.model import QName
from dissector.soap.namespaces import WSDP06, WSE
from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.net.client import HttpClient
from replay.net.server import Answer, HttpRequest, HttpServer
from replay.player.play import Options, Player, Result
from replay.player.serve import VirtualDevice
from replay.player.serve.device import served_of
from replay.player.serve.story import Story
from replay.scenario.extract import Choice, extract
from replay.scenario.files import load_scenario, save_scenario
from replay.soap.caller import Caller, Reply, action_of, read_message
from replay.soap.compose import USUAL, Picture, http_response
from tests.support.loopback import PATIENCE

__all__ = ["CAPTURES", "Client", "Clock", "identifier_of", "played", "scenario_folder", "story_of"]

PCAPS = Path(__file__).parent.parent.parent / "pcaps"

CAPTURES = (
    "dsd-events.pcapng", "dsm-aborted.pcapng", "dsm-canceled.pcapng", "dsm-completed.pcapng",
    "dsm-completed-with-errors.pcapng", "dsm-create-fault.pcapng", "dsm-two-jobs.pcapng", "dsm-vendor-state.pcapng",
    "scan-pull-events.pcapng", "scan-push.pcapng", "emulated/airscan-platen.pcap", "emulated/airscan-duplex.pcap",
    "emulated/device-completed.pcap", "emulated/device-polls.pcap", "emulated/device-misbehaves.pcap",
    "others/scan-debian-adf.pcap", "others/debian-gray-mfp.pcap", "others/airscand-push.pcap",
)  # fmt: skip
"""Samples that hold a sequence: each is served."""


@lru_cache(maxsize=64)
def _extracted(name: str) -> tuple[Any, Any]:
    return extract(PCAPS / name, Choice())


def scenario_folder(name: str, folder: Path) -> Path:
    """The scenario of a sample, written below a folder."""
    scenario, contents = _extracted(name)
    save_scenario(scenario, contents, folder / "scenario")
    return folder / "scenario"


async def played(device: VirtualDevice, folder: Path, **options: Any) -> Result:
    """The recorded clients once more, against the virtual device."""
    scenario, files = load_scenario(folder)
    clients = [one for one in scenario.parties if one not in device.parties]
    clock = RealClock()
    first, *others = device.parties
    given = Options(
        **{"plays": ",".join(clients), "slack": PATIENCE, "keep_going": True,
           "targets": {one: device.url_of(one) for one in others}, **options},
    )  # fmt: skip
    client = HttpClient(clock=clock, timeout=PATIENCE)
    player = Player(
        scenario, files, device.url_of(first), options=given, clock=clock, log=Log(clock), ids=Ids(), client=client
    )
    async with asyncio.timeout(3 * PATIENCE):
        return await player.run()


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def story_of(sample: str, folder: Path) -> Story:
    """What a virtual device tells of a sample capture."""
    scenario, files = load_scenario(scenario_folder(sample, folder))
    return Story(scenario, files, frozenset(served_of(scenario, "")))


class Client:
    """A client with an event sink; used as ``async with Client(url) as client``.

    Attributes:
        told: names of the events that came, in order.
        events: the events.
        status: what the sink answers with.
    """

    def __init__(self, url: str, *, host: str = "127.0.0.1", keep: bool = True) -> None:
        clock = RealClock()
        log = Log(clock)
        self.url = url
        self.events: list[Message] = []
        self.status = 202
        self._host = host
        self._http = HttpClient(clock=clock, keep=keep, timeout=PATIENCE)
        self._caller = Caller(self._http, clock=clock, ids=Ids(), log=log)
        self._sink = HttpServer(self._take, clock=clock, log=log)
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._sink.listen(self._host, 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()
        await self._sink.stop()

    async def _take(self, request: HttpRequest) -> Answer:
        message = read_message(request.http)
        assert message is not None
        self.events.append(message)
        self._news.set()
        return Answer(http_response(self.status, None, USUAL).pieces)

    @property
    def told(self) -> list[str]:
        return [one.name for one in self.events]

    @property
    def sink(self) -> str:
        return f"http://{self._sink.addresses[0]}/sink"

    async def until(self, count: int) -> list[str]:
        """The names of the events, as soon as there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(self.events) < count:
                self._news.clear()
                await self._news.wait()
        return self.told

    async def ask(
        self, name: str, service: str, body: Element | None = None, *, url: str = "",
        parameters: Sequence[tuple[QName, str]] = (), pictures: Sequence[Picture] = (), **more: Any,
    ) -> Reply:  # fmt: skip
        """One request, whatever is answered."""
        return await self._caller.call(
            url or self.url, body, action_of(name, service), name=name, parameters=parameters, pictures=pictures, **more
        )

    async def subscribe(
        self, *actions: str, sink: str = "", parameters: dict[str, str] | None = None, url: str = "",
        destinations: dict[str, str] | None = None,
    ) -> Message:  # fmt: skip
        """Subscribe; gives the answer."""
        address = {"address": sink or self.sink, **({"reference_parameters": parameters} if parameters else {})}
        data: dict[str, Any] = {
            "end_to": address, "delivery": {"@mode": f"{WSE}/DeliveryModes/Push", "notify_to": address},
            "expires": "PT1H",
        }  # fmt: skip
        if actions:
            data |= {"filter": list(actions), "filter@dialect": f"{WSDP06}/Action"}
        if destinations:
            data["scan_destinations"] = {
                "scan_destination": [
                    {"client_display_name": name, "client_context": context} for context, name in destinations.items()
                ]
            }
        reply = await self.ask("Subscribe", "WS-Eventing", build("wse:Subscribe", data), url=url)
        message = reply.accepted()
        assert message is not None
        return message

    async def unsubscribe(self, identifier: str) -> Reply:
        """Unsubscribe; gives the answer."""
        parameters = [(QName(WSE, "Identifier", "wse"), identifier)]
        return await self.ask("Unsubscribe", "WS-Eventing", build("wse:Unsubscribe", {}), parameters=parameters)


def identifier_of(answer: Message) -> str:
    """The identifier in a SubscribeResponse."""
    assert answer.body is not None
    found = answer.body.find("SubscriptionManager/ReferenceParameters/Identifier")
    assert found is not None
    return found.text.strip()
