"""The device's side of Distributed Scan Management as a program: finds the scan server, sends a job, waits for its end.

The steps are those of the DSM sequence (dsm-scan-job-sequence-diagram.md): unicast Probe, Get, Subscribe,
CreatePostScanJob, SendImage for each document, EndPostScanJob, then events until PostScanJobEndStateEvent; a device
that does not subscribe asks with GetPostScanJobElements instead. What happened is a :class:`Story`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lxml.etree import _Element as Element

from dissector.base.errors import TargetUnreachable, UsageError
from dissector.base.origin import Endpoint
from dissector.catalog import DateTime, Duration, build
from dissector.messages import Message
from dissector.soap.model import QName
from dissector.soap.namespaces import DSP, WSE
from replay.base.repeats import DPWS_2006
from replay.behaviour.effects import Effects, cut_image, malform, other_image
from replay.behaviour.rules import Occasion
from replay.devices.discovery import build_probe, read_matches
from replay.devices.dsmsink import ACTIONS, SINK_PATH, DsmSink
from replay.devices.dsmstory import Order, Story, filters_of
from replay.devices.emulator import Around
from replay.devices.eventing import ACTION_DIALECT, PUSH
from replay.devices.scanner.device import Device
from replay.devices.scanner.jobs import FINAL, ScanJob
from replay.devices.scanner.pages import Page
from replay.devices.scanner.render import media_type, render
from replay.devices.scanner.retold import plain_ticket
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanner.ticket import judge_ticket, settings_for
from replay.devices.source import FAREWELL
from replay.net.client import target_of
from replay.net.probing import probe_unicast
from replay.net.target import is_loopback
from replay.soap.caller import Refused, action_of
from replay.soap.compose import Picture

__all__ = ["DsmDevice", "Order", "Story"]

PROBE_PORTS = (5362, 3702)
"""UDP ports that a unicast Probe is sent to, in turn: the server's own, then that of WS-Discovery (note 16)."""

POLL = 2.0
"""Seconds between two GetPostScanJobElements of a device that does not subscribe."""

RENEW = 0.5
"""Part of the granted time after which a subscription is renewed."""

ASKED: frozenset[Occasion] = frozenset(
    (service, name, "request")
    for service, names in (
        ("WS-Discovery", ("Probe",)),
        ("WS-Transfer", ("Get",)),
        ("WS-Eventing", ("Subscribe", "Renew", "Unsubscribe")),
        (
            "WS-DSP",
            ("CreatePostScanJob", "SendImage", "EndPostScanJob", "CancelPostScanJob", "GetPostScanJobElements"),
        ),
    )
    for name in names
)
"""The requests that it sends."""


@dataclass(slots=True)
class _Subscription:
    """What the server granted: the manager's address, the identifier, seconds."""

    manager: str
    identifier: str
    seconds: float


class DsmDevice(Scanner):
    """A DSM device.

    Args:
        device: what kind of scanner it is (its settings judge the scan process's ticket).
        pages: what it scans.
        host: offer the services of a scanner too (WS-Scan, WS-DSD).
        around: as for :class:`Scanner`.

    Example:
        ``async with DsmDevice(pages=3) as device: story = await device.run(Order(url, process))``
    """

    kind = "DSM device"

    def __init__(
        self,
        device: Device | str | Path = "default",
        pages: int | Sequence[Page] | Sequence[str | Path] = 1,
        *,
        host: bool = False,
        around: Around | None = None,
    ) -> None:
        super().__init__(device, pages, offer=host, around=around)
        self.sink = DsmSink(self.host, clock=self.clock, log=self.log)
        self.server.on_tls_failure = self.sink.tls_failed
        self._stale = ""
        """JobToken of the job before."""

    def occasions(self) -> set[Occasion]:
        """What it asks of a server belongs to it too."""
        return super().occasions() | ASKED

    # -- the sequence --------------------------------------------------------------------------------------------

    async def run(self, order: Order) -> Story:
        """Do the whole sequence; failures are in the story.

        Raises:
            TargetUnreachable: the server was not found or does not answer.
        """
        story = Story()
        try:
            service = await self._find(order, story)
            subscription = await self._subscribe(order, service, story) if order.subscribe else None
            keeping = asyncio.create_task(self._keep(subscription, order)) if subscription is not None else None
            try:
                await self._job(order, service, story)
            finally:
                if keeping is not None:
                    keeping.cancel()
                    await asyncio.gather(keeping, return_exceptions=True)
                if subscription is not None:
                    with contextlib.suppress(TargetUnreachable, Refused):
                        await self._unsubscribe(subscription, story)
                story.events = self.sink.take(story.job_token)
                self._stale = story.job_token or self._stale
        except Refused as refusal:
            story.failure = str(refusal)
            story.steps.append(f"refused: {refusal}")
        return story

    async def _find(self, order: Order, story: Story) -> str:
        """The address of WS-DSP."""
        if order.direct:
            return order.server
        address = order.server
        to = ""
        if "://" not in address:
            address, to = await self._probe_for(address, story)
        message = await self._say(address, "Get", None, service="WS-Transfer", to=to or address)
        found = _hosted(message, DSP) if message is not None else ""
        if not found:
            raise Refused("no WS-DSP", f"the metadata of {address} names no service of {DSP}", 200, message)
        # Metadata may name a host that the user did not; only the one that was named is spoken to.
        there, here = target_of(found), target_of(address)
        if there.host.lower() != here.host.lower():
            story.steps.append(f"metadata name {there.host}, kept to {here.host}")
            found = f"{there.scheme}://{_bracket(here.host)}:{there.port}{there.path}"
        story.steps.append(f"found WS-DSP at {found}")
        return found

    async def _probe_for(self, host: str, story: Story) -> tuple[str, str]:
        message_id, data = build_probe((), (), self.ids)
        for port in PROBE_PORTS:
            effects = self.behaviour.choose("WS-Discovery", "Probe", "request", {})
            if effects:
                self.log.say("behaviour", f"Probe: {effects.describe()}", operation="Probe")
            if effects.lost:
                continue
            await self.clock.sleep(effects.delay)
            said = malform(data) if effects.malformed else data
            times = DPWS_2006.unicast * (2 if effects.doubled else 1)
            self.log.say("sent", f"Probe to {host} by UDP port {port}", message="Probe", target=host)
            answers = await probe_unicast(Endpoint(host, port), said, self.clock, 2.0, times, tap=self.tap)
            for answer, _ in answers:
                for match in read_matches(answer, message_id):
                    urls = [one for one in match.xaddrs if one.startswith(("https://", "http://"))]
                    if urls:
                        story.steps.append(f"Probe to UDP {port}: {match.address} at {urls[0]}")
                        return urls[0], match.address
        raise TargetUnreachable(f"{host} does not answer a Probe on UDP port {' or '.join(map(str, PROBE_PORTS))}")

    async def _subscribe(self, order: Order, service: str, story: Story) -> _Subscription:
        """Subscribe to both events."""
        local = self.sink_url()
        if is_loopback(target_of(local).host) and not is_loopback(target_of(service).host):
            words = f"the server is another machine, and {local} is this one's loopback: its events cannot come there"
            self.log.say("warning", f"{words}; --listen ADDRESS:0 takes them")
        body = build(
            "wse:Subscribe",
            {
                "end_to": {"address": local},
                "delivery": {"@mode": PUSH, "notify_to": {"address": local}},
                "expires": f"PT{round(order.expires)}S",
                "filter": list(ACTIONS),
                "filter@dialect": ACTION_DIALECT,
            },
        )
        message = await self._say(service, "Subscribe", body, service="WS-Eventing")
        self.sink.server, self.sink.refusal = message.source.address if message is not None else "", ""
        manager = str(message.get("SubscriptionManager/Address") or "") if message is not None else ""
        identifier = ""
        if message is not None and message.body is not None:
            inner = message.body.find("SubscriptionManager/ReferenceParameters/Identifier")
            identifier = inner.text.strip() if inner is not None else ""
        story.steps.append(f"subscribed, events come to {local}")
        return _Subscription(manager or service, identifier, self._granted(message, order))

    async def _keep(self, subscription: _Subscription, order: Order) -> None:
        """Renew the subscription in good time, as long as the job lasts."""
        while True:
            await self.clock.sleep(max(subscription.seconds * RENEW, 1.0))
            body = build("wse:Renew", {"expires": f"PT{round(order.expires)}S"})
            try:
                message = await self._manage(subscription, "Renew", body)
            except (TargetUnreachable, Refused) as error:
                self.log.say("warning", f"the subscription cannot be renewed: {error}")
                return
            subscription.seconds = self._granted(message, order)

    async def _unsubscribe(self, subscription: _Subscription, story: Story) -> None:
        await self._manage(subscription, "Unsubscribe", build("wse:Unsubscribe", {}))
        story.steps.append("unsubscribed")

    async def _manage(self, subscription: _Subscription, operation: str, body: Element) -> Message | None:
        identifier = subscription.identifier
        parameters = [(QName(WSE, "Identifier", "wse"), identifier)] if identifier else []
        return await self._say(
            subscription.manager, operation, body, service="WS-Eventing", parameters=parameters
        )  # fmt: skip

    def _granted(self, message: Message | None, order: Order) -> float:
        """Seconds that a subscription was granted."""
        field = message.body.find("Expires") if message is not None and message.body is not None else None
        value = field.value if field is not None else None
        if isinstance(value, Duration):
            return value.seconds
        if isinstance(value, DateTime) and value.datetime is not None and value.datetime.tzinfo is not None:
            return value.datetime.timestamp() - self.clock.time_ns() / 1e9
        return order.expires

    async def _job(self, order: Order, service: str, story: Story) -> None:
        reply = await self._say(service, "CreatePostScanJob", order.process.request(order.user_identifier))
        token = story.job_token = str(reply.get("JobToken") or "").strip() if reply is not None else ""
        if not token:
            raise Refused("no JobToken", "the answer to CreatePostScanJob names no job", 200, reply)
        self.sink.expect(token)
        story.steps.append(f"job {token} created")
        scan = self._scan_job(order)
        try:
            canceled = await self._send_images(order, service, token, scan, story)
        except (asyncio.CancelledError, Refused) as reason:
            await self._abandon(service, token)
            if isinstance(reason, Refused):
                story.steps.append("job cancelled: an image was refused")
                if order.subscribe:
                    # Its end is told as well: a device that is gone by then would miss it, or not, by chance.
                    await self._await_end(replace(order, wait=min(order.wait, FAREWELL)), token, story)
            raise
        finally:
            # What the control point is told by WS-DSD ends with the last image; the server's work goes on.
            if not scan.over:
                self.engine.cancel(scan, at_device=True)
        if canceled:
            await self._say(service, "CancelPostScanJob", _cancel(token))
            story.steps.append("job cancelled")
        elif order.finish == "end":
            await self._say(service, "EndPostScanJob", build("dsp:EndPostScanJobRequest", {"job_token": token}))
            story.steps.append("end of the images told")
        if order.subscribe:
            await self._await_end(order, token, story)
        elif order.finish != "leave" or canceled:
            await self._ask_for_end(order, service, token, story)

    async def _abandon(self, service: str, token: str) -> None:
        """Images are not sent any more: the job is not left to the server's ten minutes."""
        saying = asyncio.create_task(self._say(service, "CancelPostScanJob", _cancel(token)))
        timer = self.clock.call_later(FAREWELL, saying.cancel)
        await asyncio.gather(saying, return_exceptions=True)
        timer.cancel()

    async def _send_images(self, order: Order, service: str, token: str, scan: ScanJob, story: Story) -> bool:
        """Scan and send, one file after the other; whether the job is to be cancelled."""
        settings = settings_for(scan.final, "front")
        number = 0
        while scan.pages and not (order.finish == "cancel" and number >= order.cancel_after):
            if scan.timer is not None:
                # The 60 s are for clients that do not fetch; this one is the device itself.
                scan.timer.cancel()
            if number and order.pause:
                await self.clock.sleep(order.pause)
            if scan.over:
                break
            number += 1
            pages = self.engine.begin_image(scan)
            sent = False
            try:
                data = await asyncio.to_thread(render, pages, settings)
                await self._send_image(service, token, number, settings.format, data)
                sent = True
            finally:
                self.engine.image_sent(scan, len(pages), f"image {number}", sent)
            story.images = number
            story.steps.append(f"image {number} sent, {settings.format}, {len(data)} bytes")
        if scan.state == "Canceled":
            story.steps.append("the scan was cancelled at the device")
        return order.finish == "cancel" or scan.state == "Canceled"

    async def _send_image(self, service: str, token: str, number: int, format_name: str, data: bytes) -> None:
        effects = self.behaviour.choose(
            "WS-DSP", "SendImage", "request", {"document_id": str(number), "job_token": token}
        )
        if effects.image is not None:
            if effects.image.cut is not None:
                data = cut_image(data, effects.image.cut)
            if effects.image.as_format:
                data = other_image(data, effects.image.as_format)
        content_id = f"{self.ids.guid()}@wsd"
        body = build(
            "dsp:SendImageRequest",
            {
                "job_token": token,
                "document_description": {"document_id": number, "format": format_name},
                "image_data": {"include": {"@href": f"cid:{content_id}"}},
            },
        )
        picture = Picture(content_id, data, media_type(format_name))
        await self._say(service, "SendImage", body, effects=effects, pictures=[picture])

    async def _say(
        self, url: str, operation: str, body: Element | None, *, service: str = "WS-DSP",
        effects: Effects | None = None, **more: Any,
    ) -> Message | None:  # fmt: skip
        """One request, harmed as the behaviour orders (``effects``: what was chosen already); gives the answer.

        Raises:
            Refused, TargetUnreachable: see :class:`Caller`.
        """
        tokens = list(body.iter(f"{{{DSP}}}JobToken")) if body is not None else []
        if effects is None:
            facts = {"job_token": tokens[0].text or ""} if tokens else {}
            effects = self.behaviour.choose(service, operation, "request", facts)
        if effects.token and tokens:
            right = tokens[0].text
            known = {"unknown": self.ids.guid(), "stale": self._stale or self.ids.guid()}
            tokens[0].text = known.get(effects.token, effects.token)
        name = f"{operation}Request" if service == "WS-DSP" else operation
        try:
            reply = await self.caller.call(url, body, action_of(name, service), name=name, effects=effects, **more)
        finally:
            if effects.token and tokens:
                tokens[0].text = right  # the same body may be sent again
        return reply.accepted()

    # -- the end -------------------------------------------------------------------------------------------------

    async def _await_end(self, order: Order, token: str, story: Story) -> None:
        """Wait for PostScanJobEndStateEvent."""
        end = await self.sink.end_of(token, order.wait)
        if end is not None:
            story.ended(end)
            return
        story.failure = f"no PostScanJobEndStateEvent within {order.wait:g} s"
        if self.sink.refusal:
            story.failure = (
                f"no event can come: the server does not accept the certificate of {self.sink_url()} "
                f"({self.sink.refusal}); let it trust that certificate, or take events over http"
            )
        story.steps.append(story.failure)

    async def _ask_for_end(self, order: Order, service: str, token: str, story: Story) -> None:
        """Ask until the state is final (inferred use of GetPostScanJobElements, note 32)."""
        until = self.clock.monotonic() + order.wait
        body = build(
            "dsp:GetPostScanJobElementsRequest",
            {"job_token": token, "requested_elements": {"name": [QName(DSP, "JobStatus", "dsp")]}},
        )
        while True:
            message = await self._say(service, "GetPostScanJobElements", body)
            status = message.body.find("JobElements/ElementData/JobStatus") if message and message.body else None
            state = str(status.get("JobState") or "") if status is not None else ""
            known = state in ("Creating", "Pending", "Pending-Held", "Started", "Processing", "Terminating", "")
            if status is not None and (state in FINAL or not known):
                story.completed_state = state
                story.reasons = [one.text.strip() for one in status.find_all("JobStateReasons/JobStateReason")]
                story.filters = filters_of(status, "FilterStatuses")
                story.steps.append(f"the server says {state}: {', '.join(story.reasons)}")
                return
            if self.clock.monotonic() + POLL > until:
                story.failure = f"no final state within {order.wait:g} s"
                story.steps.append(story.failure)
                return
            await self.clock.sleep(POLL)

    def sink_url(self) -> str:
        """Where events are to come."""
        return self.url(SINK_PATH)

    # -- what is sent --------------------------------------------------------------------------------------------

    def _scan_job(self, order: Order) -> ScanJob:
        """The device's own job, by the scan process's ticket: a control point sees it through WS-DSD."""
        ticket = order.process.ticket
        judged = judge_ticket(ticket, self.device)
        if judged.fault is not None:
            raise UsageError(
                f"the ticket of the scan process cannot be done by this device: {judged.fault.subcode} "
                f"at {judged.fault.path}"
            )
        # A scan process with no word on it takes all there is in the feeder, or what lies on the platen.
        source = judged.final["input_source"]
        if judged.final.get("input_source@used_default") and "ADF" in self.device.sources and self.engine.feeder.pages:
            source = "ADF"
        images = 0 if source != judged.final["input_source"] else judged.final["images_to_transfer"]
        settings = settings_for(judged.final, "front")
        return self.engine.create(
            plain_ticket(ticket), judged.final, source, images, settings.format, service="WS-DSD", peer="panel"
        )


def _cancel(token: str) -> Element:
    return build("dsp:CancelPostScanJobRequest", {"job_token": token})


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _hosted(message: Message, namespace: str) -> str:
    """The address of the hosted service whose Types are in a namespace."""
    body = message.body
    if body is None:
        return ""
    for section in body.find_all("MetadataSection/Relationship/Hosted"):
        types = section.find("Types")
        values = types.value if types is not None and isinstance(types.value, list) else []
        if any(isinstance(one, QName) and one.namespace == namespace for one in values):
            address = section.find("EndpointReference/Address")
            if address is not None:
                return address.text.strip()
    return ""
