"""The emulated scan server as a whole: device host, WS-DSP, WS-DSC, filters, events."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dissector.base.errors import UnwritableOutput
from dissector.catalog import qname
from dissector.soap.namespaces import DSC, DSP
from replay.devices.emulator import Around, Emulator
from replay.devices.host import Call
from replay.devices.metadata import DeviceInfo, HostedService
from replay.devices.scanserver.answers import no_endpoint
from replay.devices.scanserver.configuration import Configuration
from replay.devices.scanserver.engine import SPECIFIED, EngineLimits, JobEngine
from replay.devices.scanserver.filters import Outcome, Places
from replay.devices.scanserver.jobs import PostScanJob
from replay.devices.scanserver.processes import ScanProcess, load_processes
from replay.devices.scanserver.processing import Processing
from replay.devices.scanserver.profiles import PROFILES, Profile
from replay.net.certificates import describe

__all__ = ["ScanServer", "callers"]

HOST_PATH = "/ScanServer"
DSP_TYPE = "dsp:DistributedScanProcessingServiceType"
"""Port type of WS-DSP: not published; a type that ends in ServiceType in its namespace is likely (fact table)."""

DSC_TYPE = "dsc:RepositoryConfigurationServiceType"
DEVICE_TYPE = "dsp:ScanServerDeviceType"
"""Device type: not published either."""


class ScanServer(Emulator):
    """A scan server that devices send post-scan jobs to.

    Args:
        output: folder for images while their job is known, and for what is written to shares without a folder of
            their own; None: a temporary one.
        places: what filters may write to.
        outcomes: kind of filter (``fileshare``, ``email``, ``sharepoint``) → outcome instead of running it.
        processes: folder of scan processes, or the processes; None: any process is taken.
        profile: a :class:`Profile` or its name.
        users: SID → user name.
        may_manage: whether a caller of WS-DSC is a scan administrator; None: everybody is.
        limits: bounds and times of jobs.
        around: addresses, discovery, TLS, capture, behaviour, clock.

    Raises:
        UsageError, UnreadableInput, UnwritableOutput: the scan processes or the folder are no such things; says which
            and why.

    Example:
        ``async with ScanServer() as server: print(server.processing_url)``
    """

    kind = "scan server"

    def __init__(
        self,
        output: str | Path | None = None,
        *,
        places: Places | None = None,
        outcomes: Mapping[str, Outcome] | None = None,
        processes: str | Path | Mapping[str, ScanProcess] | None = None,
        profile: Profile | str = "specification",
        users: Mapping[str, str] | None = None,
        may_manage: Callable[[Call], bool] | None = None,
        limits: EngineLimits = SPECIFIED,
        around: Around | None = None,
    ) -> None:
        self.profile = profile if isinstance(profile, Profile) else PROFILES[profile]
        super().__init__(around or Around(), path=HOST_PATH, style=self.profile.style)
        directory = load_processes(processes) if isinstance(processes, (str, Path)) else processes
        self._users = {key.upper(): name for key, name in (users or {}).items()}
        if output is None:
            # A filter that is stopped may have a thread that still writes.
            temporary = tempfile.TemporaryDirectory(prefix="scan-server-", ignore_cleanup_errors=True)
            self._closing.callback(temporary.cleanup)
            output = temporary.name
        self.output = Path(output)
        try:
            (self.output / "jobs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"{self.output}: {error.strerror or error}; expected a folder for images") from error
        self.engine = JobEngine(
            clock=self.clock, log=self.log, folder=self.output / "jobs", places=places or Places(), outcomes=outcomes,
            limits=limits, terminating=self.profile.terminating, warnings_known=self.profile.warnings,
        )  # fmt: skip
        self.processing = Processing(
            self.engine, ids=self.ids, log=self.log, profile=self.profile, processes=directory, user=self._user,
            owner=_owner,
        )  # fmt: skip
        self.configuration = Configuration(
            self.engine, profile=self.profile, may_manage=may_manage or (lambda call: True)
        )
        if self.profile.token_must_be_guid:
            self.host.on_request = lambda message, point: no_endpoint(message)
        # The real servers have a GUID in the path of each service, another one on each machine (note 18).
        self._processing_path = f"{HOST_PATH}/{self.ids.guid()}"
        self._configuration_path = f"{HOST_PATH}/{self.ids.guid()}"
        self.host.point(self._processing_path, "WS-DSP").offer("WS-DSP", self.processing.operations())
        self.host.point(self._configuration_path, "WS-DSC").offer("WS-DSC", self.configuration.operations())
        self.processing.source = self.event_source(self._processing_path, "WS-DSP")
        self.configuration.source = self.event_source(self._configuration_path, "WS-DSC")
        self.describe(
            DeviceInfo(
                address=self.ids.urn(), types=(qname("wsdp:Device"), qname(DEVICE_TYPE)), scopes=(), metadata_version=1,
                manufacturer="dsmshark", model_name="Emulated scan server",
                friendly_name=self.around.name or "Scan server", firmware_version="1", serial_number="1",
            ),
            [
                (self._processing_path, HostedService(DSP, (qname(DSP_TYPE),), ())),
                (self._configuration_path, HostedService(DSC, (qname(DSC_TYPE),), ())),
            ],
        )  # fmt: skip

    @property
    def processing_url(self) -> str:
        """Address of WS-DSP."""
        return self.url(self._processing_path)

    @property
    def configuration_url(self) -> str:
        """Address of WS-DSC."""
        return self.url(self._configuration_path)

    @property
    def jobs(self) -> list[PostScanJob]:
        """All jobs that are known: those that are over first, then those under way."""
        return [*self.engine.jobs.all_ended(), *self.engine.jobs.all_active()]

    async def job_over(self, number: int = 1) -> PostScanJob:
        """Wait until so many jobs have ended; gives the last of them."""
        await self.engine.wait_for(lambda: self.engine.jobs.ended >= number)
        return self.engine.jobs.all_ended()[-1]

    async def stopping(self) -> None:
        """Stop timers and filters."""
        await self.engine.stop()

    def _user(self, call: Call, sid: str) -> str:
        """JobOriginatingUserName: by the list of users, by the client's certificate, or the SID itself."""
        known = self._users.get(sid.upper())
        if known is not None:
            return known
        if call.request.certificate:
            info = describe(call.request.certificate)
            named = next((name for name in info.names if "@" in name), "")
            return named or info.subject
        return sid[:255]


def callers(call: Call) -> list[str]:
    """The names that a caller goes by: address, and of its certificate fingerprint, subject and names."""
    if not call.request.certificate:
        return [call.request.peer.address]
    info = describe(call.request.certificate)
    return [call.request.peer.address, info.fingerprint, info.subject, *info.names]


def _owner(call: Call) -> str:
    """Who a request comes from: the client's certificate where there is one, else its address."""
    if call.request.certificate:
        return describe(call.request.certificate).fingerprint
    return call.request.peer.address
