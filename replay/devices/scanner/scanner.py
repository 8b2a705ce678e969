"""The emulated scanner as a whole: device host, WS-Scan, WS-DSD, events, the button."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dissector.catalog import qname
from dissector.messages import Message
from dissector.soap.namespaces import WSCN
from replay.devices.emulator import Around, Emulator
from replay.devices.eventing import Subscription
from replay.devices.host import ServicePoint
from replay.devices.metadata import DeviceInfo, HostedService
from replay.devices.scanner.device import Device
from replay.devices.scanner.device_file import load_device
from replay.devices.scanner.dsd import DeviceService
from replay.devices.scanner.engine import ScannerEngine
from replay.devices.scanner.feeder import Feeder
from replay.devices.scanner.pages import Page, load_pages, test_pages
from replay.devices.scanner.service import ScanService
from replay.soap.compose import Style
from replay.soap.faults import SoapFault

__all__ = ["Scanner"]

DEVICE_PATH = "/wsd"
SCAN_PATH = "/wsd/scan"
DSD_PATH = "/wsd/dsd"

DSD_TYPE = "dsd:DistributedScanDeviceServiceType"
"""Port type of WS-DSD; no page names one (open question of the fact table), so this is a name in its namespace."""


class Scanner(Emulator):
    """A scanner that clients can find, read and scan with.

    Args:
        device: what it is: a :class:`Device`, a device file, or the name of a profile.
        pages: how many drawn test pages are in the feeder, pages, or files that hold them.
        refill: fill the feeder anew when a job has emptied it.
        offer: offer the scanner's services; False for a device that only sends.
        press: press the button for this ClientContext (or display name; "" for any) as soon as somebody registers it;
            None: the button is pressed by :meth:`press`.
        around: addresses, discovery, capture, behaviour, clock.

    Example:
        ``async with Scanner(pages=3) as scanner: print(scanner.url())``
    """

    kind = "scanner"

    def __init__(
        self,
        device: Device | str | Path = "default",
        pages: int | Sequence[Page] | Sequence[str | Path] = 1,
        *,
        refill: bool = True,
        offer: bool = True,
        press: str | None = None,
        around: Around | None = None,
    ) -> None:
        made = device if isinstance(device, Device) else load_device(device)
        super().__init__(around or Around(), path=DEVICE_PATH, style=style_of(made))
        self.engine = ScannerEngine(
            made, Feeder(_pages(pages), refill=refill), clock=self.clock, ids=self.ids, log=self.log
        )
        self.scan = ScanService(self.engine, clock=self.clock, ids=self.ids, log=self.log)
        self.dsd = DeviceService(self.engine)
        self._press = press
        self.silent = bool(self.device.quirk("probe-over-http-only"))
        self.shy = bool(self.device.quirk("xaddrs-by-resolve"))
        if offer:
            self._offer()

    def _offer(self) -> None:
        self.host.point(SCAN_PATH, "WS-Scan").offer("WS-Scan", self.scan.operations())
        self.host.point(DSD_PATH, "WS-DSD").offer("WS-DSD", self.dsd.operations())
        self.host.on_request = self._quirks
        one_only = bool(self.device.quirk("one-subscription"))
        self.scan.subscribed(self.event_source(SCAN_PATH, "WS-Scan", one_only=one_only, on_subscribed=self._subscribed))
        self.dsd.subscribed(self.event_source(DSD_PATH, "WS-DSD"))
        self.describe(
            _info(self.device),
            [
                (
                    SCAN_PATH,
                    HostedService(
                        WSCN, (qname("wscn:ScannerServiceType"),), (),
                        compatible_id=f"{WSCN}/ScannerServiceType",
                    ),
                ),
                (DSD_PATH, HostedService("urn:dsmshark:dsd", (qname(DSD_TYPE),), ())),
            ],
        )  # fmt: skip

    @property
    def device(self) -> Device:
        """What it is at present; :meth:`ScannerEngine.redescribe` changes it."""
        return self.engine.device

    @property
    def scan_url(self) -> str:
        """Address of WS-Scan."""
        return self.url(SCAN_PATH)

    @property
    def dsd_url(self) -> str:
        """Address of WS-DSD."""
        return self.url(DSD_PATH)

    def press(self, destination: str = "") -> str | None:
        """Press the scan button; see :meth:`ScanService.press`."""
        return self.scan.press(destination)

    def load(self, pages: int | Sequence[Page] | Sequence[str | Path]) -> None:
        """Put other paper into the feeder and on the platen."""
        made = _pages(pages)
        self.engine.feeder.load(made)
        self.engine.feeder.platen = made[0] if made else None

    async def stopping(self) -> None:
        """Stop the timers."""
        self.engine.stop()

    def _subscribed(self, subscription: Subscription) -> None:
        """The button is pressed by itself."""
        wanted = self._press
        if wanted is None:
            return
        for context, (name, _) in subscription.destinations.items():
            if wanted in ("", context, name):
                self._press = None
                self.press(context)
                return

    def _quirks(self, message: Message, point: ServicePoint) -> SoapFault | None:
        """Devices that are picky about the text of a request."""
        xml = message.envelope.xml if message.envelope is not None else b""
        if self.device.quirk("refuses-pretty-xml") and b">\n" in xml.partition(b"Envelope")[2]:
            return SoapFault("Sender", None, "The message is not well-formed")
        if self.device.quirk("literal-prefixes") and not (b"<soap:Envelope" in xml and b"<wsa:Action" in xml):
            return SoapFault("Sender", None, "No Envelope")
        return None


def style_of(device: Device) -> Style:
    """How a device with these quirks dresses its answers."""
    usual = Style()
    return replace(
        usual,
        chunk=None if device.quirk("images-with-length") else usual.chunk,
        close=bool(device.quirk("closes-connections")),
        fault_status=200 if device.quirk("fault-status-200") else None,
        start="<SOAP-ENV:Envelope>" if device.quirk("start-is-element") else None,
        bare_boundary=bool(device.quirk("bare-boundary")),
    )


def _info(device: Device) -> DeviceInfo:
    return DeviceInfo(
        address=device.address, types=(qname("wsdp:Device"), qname("wscn:ScanDeviceType"), *device.types),
        scopes=device.scopes, metadata_version=1, manufacturer=device.manufacturer,
        manufacturer_url=device.manufacturer_url, model_name=device.model_name, model_number=device.model_number,
        model_url=device.model_url, presentation_url=device.presentation_url, friendly_name=device.friendly_name,
        firmware_version=device.firmware_version, serial_number=device.serial_number, device_category="Scanners",
    )  # fmt: skip


def _pages(pages: int | Sequence[Page] | Sequence[str | Path]) -> list[Page]:
    if isinstance(pages, int):
        return list(test_pages(pages))
    if all(isinstance(one, (str, Path)) for one in pages):
        return load_pages([one for one in pages if isinstance(one, (str, Path))])
    return [one for one in pages if not isinstance(one, (str, Path))]
