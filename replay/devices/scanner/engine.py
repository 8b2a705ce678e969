"""What happens at the scanner: paper, jobs, conditions, the button. The services ask it; it tells its listeners.

All waiting goes by the clock. Sources: createscanjobresponse.md (60 s), retrieveimageresponse.md, imagestotransfer.md,
jobstate.md, scannerstate.md, devicecondition.md; fact table wsscan.yaml sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dissector.catalog import build
from dissector.output.text import count
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.base.waiting import Waiting
from replay.devices.scanner.device import Device
from replay.devices.scanner.feeder import FEEDER, Feeder
from replay.devices.scanner.jobs import ScanJob, ScanJobTable, date_time, short
from replay.devices.scanner.pages import Page
from replay.devices.scanner.render import MULTI_PAGE

__all__ = ["Condition", "Listener", "ScannerEngine"]

BUSY, LINGER = 30.0, 10.0
"""Seconds of the quirks busy-after-job and stays-processing where the device file names none."""

MAX_CONDITIONS = 50
MAX_HISTORY = 20


class Listener:
    """Is told of changes; the services override what they want to know."""

    def job_changed(self, job: ScanJob) -> None:
        """A job's state, reasons or count of scans changed."""

    def job_ended(self, job: ScanJob) -> None:
        """A job has its end state."""

    def status_changed(self) -> None:
        """The scanner's state or its reasons changed."""

    def condition_set(self, condition: Condition) -> None:
        """A condition was added or changed."""

    def condition_cleared(self, condition: Condition) -> None:
        """A condition went away."""

    def elements_changed(self, names: Sequence[str]) -> None:
        """Sections changed: ``ScannerDescription``, ``ScannerConfiguration``, ``DefaultScanTicket``."""


@dataclass(slots=True)
class Condition:
    """A condition of the device (devicecondition.md)."""

    number: int
    name: str
    component: str
    severity: str
    time: int
    cleared: int | None = None

    def plain(self) -> dict[str, Any]:
        """The plain form of DeviceCondition."""
        data: dict[str, Any] = {
            "@id": self.number,
            "time": date_time(self.time),
            "name": self.name,
            "component": self.component,
            "severity": self.severity,
        }
        if self.cleared is not None:
            data["clear_time"] = date_time(self.cleared)
        return data


class ScannerEngine:
    """One scanner.

    Args:
        device: what it is.
        feeder: its paper.
        clock, ids, log: of the whole emulator.
    """

    def __init__(self, device: Device, feeder: Feeder, *, clock: Clock, ids: Ids, log: Log) -> None:
        self.device = device
        self.feeder = feeder
        self.jobs = ScanJobTable(device.jobs.history)
        self.conditions: dict[int, Condition] = {}
        self.history: list[Condition] = []
        self._clock = clock
        self._ids = ids
        self._log = log
        self._listeners: list[Listener] = []
        self._numbers = 0
        self._busy_until = -1.0
        self._state: tuple[str, tuple[str, ...]] = ("Idle", ("None",))
        self._waiting = Waiting()
        self.paused = False

    def listen(self, listener: Listener) -> None:
        """Tell this one too."""
        self._listeners.append(listener)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def empty(self, source: str) -> bool:
        """Nothing is there to be scanned: no sheet in the feeder, or nothing on the platen."""
        return self.feeder.empty if source in FEEDER else self.feeder.platen is None

    @property
    def accepting(self) -> bool:
        """A further job can be taken now."""
        if len(self.jobs.active()) >= self.device.jobs.active or self._clock.monotonic() < self._busy_until:
            return False
        return self.state[0] != "Stopped"

    def create(
        self, ticket: Mapping[str, Any], final: Mapping[str, Any], source: str, images: int, format: str, *,
        service: str = "WS-Scan", peer: str = "",
    ) -> ScanJob:  # fmt: skip
        """A new job, with the paper that it will scan.

        Args:
            ticket, final: plain forms, as used.
            source: InputSource.
            images: ImagesToTransfer; 0: one from the platen, all from the feeder (imagestotransfer.md).
            format: tells whether one file holds one page or all.
            service: the service that it belongs to.
            peer: who asked for it.
        """
        if source in FEEDER:
            # Whole sheets are fed: of an odd number of sides, the back of the last sheet is not scanned (rule Q10).
            pages = self.feeder.take(images + images % 2 if source == "ADFDuplex" else images)
            pages = pages[: images or None]
        else:
            pages = [self.feeder.platen] if self.feeder.platen is not None else []
        together = format in MULTI_PAGE or (self.device.quirk("feeder-as-one-pdf") and len(pages) > 1)
        files = [pages] if together and pages else [[page] for page in pages]
        job = ScanJob(
            self.jobs.number(), self._ids.guid(), ticket, final, files, self._clock.time_ns(), service, source, peer
        )
        self.jobs.add(job)
        self._await(job, self.device.jobs.first_image_timeout)
        self._log.say(
            "job", f"job {job.job_id} created: {source}, {format}, {count(len(files), 'file')} to come",
            job_id=job.job_id, source=source, format=format, peer=peer, state=job.state,
        )  # fmt: skip
        self._update()
        return job

    def begin_image(self, job: ScanJob) -> list[Page]:
        """The pages of the next file; the 60 s stand still while it is scanned and sent."""
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        job.rendering = True
        if job.state == "Pending":
            job.go("Started", ["JobScanning"])
            self._changed(job)
            job.go("Processing", ["JobScanningAndTransferring"])
            self._changed(job)
        return job.pages.pop(0)

    def image_sent(self, job: ScanJob, count: int, name: str, sent: bool, *, lasts: bool = False) -> None:
        """A file went out, or the client broke off (ImageTransferError, rule Q20).

        Args:
            count: the pages in it.
            name: DocumentName of the request.
            sent: it went out whole.
            lasts: the client keeps its connection, which some devices take for a client that wants more.
        """
        job.rendering = False
        if job.over:
            return
        if not sent:
            self.end(job, "Aborted", "ImageTransferError")
            return
        job.scans_completed += count
        job.documents.append(short(name))
        self._log.say("image", f"job {job.job_id}: file {len(job.documents)} sent, {count} pages", job_id=job.job_id)
        if job.pages or self._waits_for_more(job):
            self._await(job, self.device.jobs.next_image_timeout)
            self._changed(job)
        elif lasts and (linger := self._seconds("stays-processing", LINGER)):
            job.timer = self._clock.call_later(linger, lambda: self.end(job, "Completed", "None"))
            self._changed(job)
        else:
            # The last image is out; a further RetrieveImage gets ClientErrorNoImagesAvailable.
            self.end(job, "Completed", "None")

    def no_more(self, job: ScanJob) -> None:
        """A client asks for an image that is not there: a job that waited for it is over."""
        if not job.over and not job.rendering and self._waits_for_more(job):
            self.end(job, "Completed", "None")

    def _waits_for_more(self, job: ScanJob) -> bool:
        """All images are out, and the device does not see that there cannot be another one."""
        asked = job.final.get("images_to_transfer")
        return bool(self.device.quirk("flatbed-waits-for-more")) and asked == 0 and job.source not in FEEDER

    def cancel(self, job: ScanJob, *, at_device: bool = False) -> None:
        """CancelJob, or the button at the device."""
        job.go("Terminating", ["JobCanceledAtDevice"] if at_device else [])
        self._changed(job)
        self.end(job, "Canceled", "JobCanceledAtDevice" if at_device else "None")

    def end(self, job: ScanJob, state: str, reason: str) -> None:
        """A job is over."""
        left = [page for file in job.pages for page in file]
        job.end(state, [reason], self._clock.time_ns())
        self.jobs.retire(job)
        if job.source in FEEDER:
            self.feeder.job_over(left)
        self._busy_until = self._clock.monotonic() + self._seconds("busy-after-job", BUSY)
        why = "" if reason == "None" else f": {reason}"
        self._log.say(
            "job", f"job {job.job_id} {state}{why}; {count(job.scans_completed, 'scan')}", job_id=job.job_id,
            state=state, reasons=[reason], scans=job.scans_completed,
        )  # fmt: skip
        self._changed(job)
        self._tell(lambda one: one.job_ended(job))
        self._update()

    def _seconds(self, quirk: str, default: float) -> float:
        """The value of a quirk that has seconds; 0 where the device does not have it."""
        value = self.device.quirk(quirk)
        return default if value is True else float(value)

    def _await(self, job: ScanJob, seconds: float) -> None:
        job.timer = self._clock.call_later(seconds, lambda: self._timed_out(job))

    def _timed_out(self, job: ScanJob) -> None:
        if not job.over:
            self.end(job, "Aborted", "JobTimedOut")

    # -- state and conditions ------------------------------------------------------------------------------------

    @property
    def state(self) -> tuple[str, tuple[str, ...]]:
        """ScannerState and ScannerStateReasons."""
        reasons = [one.name for one in self.conditions.values() if one.name != "InputTrayEmpty"]
        critical = any(one.severity == "Critical" for one in self.conditions.values())
        if self.paused or critical:
            if self.paused:
                reasons.append("Paused")
            elif "AttentionRequired" not in reasons:
                reasons.append("AttentionRequired")
            return "Stopped", tuple(dict.fromkeys(reasons))
        state = "Processing" if self.jobs.active() else "Idle"
        return state, tuple(dict.fromkeys(reasons)) or ("None",)

    def set_condition(self, name: str, component: str = "MediaPath", severity: str = "Warning") -> Condition:
        """A condition appears."""
        if len(self.conditions) >= MAX_CONDITIONS:
            self.clear_condition(min(self.conditions))
        self._numbers += 1
        made = Condition(self._numbers, name, component, severity, self._clock.time_ns())
        self.conditions[made.number] = made
        self._log.say("note", f"condition {made.number}: {name} at {component}, {severity}", condition=name)
        self._tell(lambda one: one.condition_set(made))
        self._update()
        return made

    def clear_condition(self, number: int) -> Condition | None:
        """A condition goes away; None where there is none of that number."""
        found = self.conditions.pop(number, None)
        if found is None:
            return None
        found.cleared = self._clock.time_ns()
        self.history = [found, *self.history][:MAX_HISTORY]
        self._log.say("note", f"condition {number} cleared: {found.name}", condition=found.name)
        self._tell(lambda one: one.condition_cleared(found))
        self._update()
        return found

    def pause(self, paused: bool = True) -> None:
        """Somebody pauses the scanner at its panel, or lets it go on."""
        self.paused = paused
        self._log.say("note", "paused" if paused else "goes on")
        self._update()

    def redescribe(
        self, *, description: Mapping[str, Any] | None = None, configuration: Mapping[str, Any] | None = None,
        default_ticket: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Other sections from now on, each whole, in the plain forms of :class:`Device`: an accessory was added, or
        somebody renamed the scanner. Jobs under way keep what they have."""
        given = {
            "description": ("ScannerDescription", description),
            "configuration": ("ScannerConfiguration", configuration),
            "default_ticket": ("DefaultScanTicket", default_ticket),
        }
        changed = {key: (name, data) for key, (name, data) in given.items() if data is not None}
        for name, data in changed.values():
            build(f"wscn:{name}", data)
        sections: dict[str, Any] = {key: data for key, (_, data) in changed.items()}
        self.device = replace(self.device, **sections)
        names = [name for name, _ in changed.values()]
        if names:
            self._log.say("note", f"changed: {', '.join(names)}", sections=names)
            self._tell(lambda one: one.elements_changed(names))

    def status(self) -> dict[str, Any]:
        """The plain form of ScannerStatus."""
        state, reasons = self.state
        data: dict[str, Any] = {
            "scanner_current_time": date_time(self._clock.time_ns()),
            "scanner_state": state,
            "scanner_state_reasons": {"scanner_state_reason": list(reasons)},
            "active_conditions": {"device_condition": [one.plain() for one in self.conditions.values()]},
        }
        if self.history:
            data["condition_history"] = {"condition_history_entry": [one.plain() for one in self.history]}
        return data

    def summary(self) -> dict[str, Any]:
        """The plain form of StatusSummary."""
        state, reasons = self.state
        return {"scanner_state": state, "scanner_state_reasons": {"scanner_state_reason": list(reasons)}}

    def _update(self) -> None:
        now = self.state
        if now != self._state:
            self._state = now
            self._tell(lambda one: one.status_changed())
        self._waiting.changed()

    def _changed(self, job: ScanJob) -> None:
        self._tell(lambda one: one.job_changed(job))
        self._waiting.changed()

    def _tell(self, what: Callable[[Listener], None]) -> None:
        for listener in self._listeners:
            what(listener)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition holds; looked at after each change."""
        await self._waiting.until(condition)

    def stop(self) -> None:
        """Stop the timers of jobs; who waits for a change is told so (CancelledError)."""
        self._waiting.stop()
        for job in self.jobs.active():
            if job.timer is not None:
                job.timer.cancel()
