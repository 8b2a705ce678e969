"""The event sink of a DSM device that takes its events over https: what a server that refuses it tells."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dissector.base.origin import Endpoint
from replay.base.clock import ManualClock
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.emulator import Around, Encryption
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.net.certificates import own_certificate
from replay.net.tls import client_context, server_context
from replay.net.tls_failure import TlsFailure
from tests.support.dsm import ALL_GOOD
from tests.support.loopback import run

NOW = datetime.now(UTC)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_server_that_does_not_trust_the_sink_is_not_waited_for(
    tmp_path: Path, version: ssl.TLSVersion, trusted: bool
) -> None:
    async def story() -> None:
        identity = own_certificate(tmp_path, ["127.0.0.1"], NOW)
        own = server_context(identity)
        own.maximum_version = version
        trust = Encryption(None, lambda: client_context(identity.cert_path if trusted else "system"))
        takes = Encryption(own, lambda: client_context("none"))
        # The device's clock stands: no time-out ends the wait.
        async with (
            ScanServer(outcomes=ALL_GOOD, around=Around(encryption=trust)) as server,
            DsmDevice(around=Around(encryption=takes, clock=ManualClock(), discovery=False)) as device,
        ):
            told = await device.run(Order(server.url(), ScanProcess.example()))
            assert told.clean is trusted
            if not trusted:
                assert told.failure == (
                    f"no event can come: the server does not accept the certificate of {device.sink_url()} "
                    "(the client refused: it does not know the authority of our certificate); let it trust that "
                    "certificate, or take events over http"
                )
                assert told.steps[-2:] == [told.failure, "unsubscribed"]

    run(story())


@pytest.mark.parametrize(
    ("address", "kind", "by_peer", "refused"),
    [
        ("192.0.2.1", "unknown-authority", True, True),
        ("192.0.2.1", "expired", True, True),
        ("192.0.2.2", "unknown-authority", True, False),
        ("192.0.2.1", "version", True, False),
        ("192.0.2.1", "certificate", False, False),
    ],
)
def test_other_failures_say_nothing_of_the_events(address: str, kind: str, by_peer: bool, refused: bool) -> None:
    """Somebody else's, or such as may be another one's the next time: events may come all the same."""

    async def story() -> None:
        sink = DsmDevice().sink
        sink.server = "192.0.2.1"
        sink.tls_failed(Endpoint(address, 40_000), TlsFailure(kind, "why", by_peer))
        assert sink.refusal == ("why" if refused else "")

    asyncio.run(story())
