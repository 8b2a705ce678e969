"""The event sink of a DSM device: what scan servers tell of their jobs.

Events may overtake the answer that names their job: they are kept by token, known or not (note 29). Anybody may send
events, also of jobs that nobody knows, so all that is kept is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dissector.base.origin import Endpoint
from replay.base.clock import Clock
from replay.base.log import Log
from replay.base.waiting import Waiting
from replay.devices.dsmstory import End, read_end
from replay.devices.emulator import events_of
from replay.devices.host import Call, Host, Reply
from replay.net.tls_failure import TlsFailure
from replay.soap.faults import SoapFault

__all__ = ["ACTIONS", "SINK_PATH", "DsmSink", "Told"]

SINK_PATH = "/dsm/events"

ACTIONS = tuple(events_of("WS-DSP"))
"""Of the events that are subscribed to."""

MAX_EVENT = 64 << 10
"""Bytes of the envelope of an event."""

MAX_EVENTS = 10_000
"""Events of one job whose names are kept."""

MAX_TOKEN = 255
"""Characters of the token of an event that is kept; a longer one is no job's."""

MAX_JOBS = 100
"""Jobs whose events are kept: a server tells of all its jobs, and anybody may tell of jobs that nobody knows."""

DISTRUST = frozenset({"unknown-authority", "expired", "certificate", "purpose"})
"""Kinds of :class:`TlsFailure`: a client that refuses our certificate for one of these will do so again."""


@dataclass(slots=True)
class Told:
    """What was told of one job: the names of its events, and its end."""

    names: list[str] = field(default_factory=list)
    end: End | None = None


class DsmSink:
    """Takes the events.

    Args:
        host: where it is offered.
        clock, log: of the device.

    Attributes:
        server: IP address that the events of the device's own jobs come from, "" where that is not known.
        refusal: why that server cannot deliver any, "" as long as it may.
        told: JobToken (in lower case) → what was told of the job.
        mine: tokens of the device's own jobs, in lower case: they are not forgotten for others.
    """

    def __init__(self, host: Host, *, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._waiting = Waiting()
        self.server = self.refusal = ""
        self.told: dict[str, Told] = {}
        self.mine: set[str] = set()
        point = host.point(SINK_PATH)
        point.offer("WS-DSP", {name.rpartition("/")[2]: self.event for name in ACTIONS})
        point.offer("WS-Eventing", {"SubscriptionEnd": self._subscription_end})

    def expect(self, token: str) -> None:
        """A job of the device's own: its events are kept until :meth:`take`."""
        self.mine.add(token.lower())

    def take(self, token: str) -> list[str]:
        """Names of all events of a job, in order; nothing is kept of it any more."""
        self.mine.discard(token.lower())
        return self.told.pop(token.lower(), Told()).names

    async def end_of(self, token: str, seconds: float) -> End | None:
        """Wait for the end of a job; None where it was not told in so many seconds, or :attr:`refusal` says why it
        cannot be."""
        over = False

        def give_up() -> None:
            nonlocal over
            over = True
            self._waiting.changed()

        def end() -> End | None:
            told = self.told.get(token.lower())
            return told.end if told is not None else None

        timer = self._clock.call_later(seconds, give_up)
        try:
            await self._waiting.until(lambda: over or bool(self.refusal) or end() is not None)
        finally:
            timer.cancel()
        return end()

    def tls_failed(self, peer: Endpoint, failure: TlsFailure) -> None:
        """A connection to the sink failed. Where it was the server's, and for our certificate, no event can come."""
        if failure.by_peer and failure.kind in DISTRUST and peer.address == self.server:
            self.refusal = str(failure)
            self._waiting.changed()

    async def event(self, call: Call) -> Reply:
        """One event."""
        envelope = call.message.envelope
        if envelope is not None and len(envelope.xml) > MAX_EVENT:
            raise SoapFault("Sender", None, f"No event of more than {MAX_EVENT} bytes is taken")
        body = call.body
        inner = body.find("JobStatus") or body.find("PostScanJobEndState") or body
        token = str(inner.get("JobToken") or "").lower()
        if not 0 < len(token) <= MAX_TOKEN:
            raise SoapFault("Sender", None, "The event names no job")
        told = self.told.setdefault(token, Told())
        if len(told.names) >= MAX_EVENTS:
            raise SoapFault("Receiver", None, f"No more than {MAX_EVENTS} events of one job are taken")
        told.names.append(call.message.name)
        if told.end is None and call.message.name == "PostScanJobEndStateEvent":
            told.end = read_end(body)
        if len(self.told) > MAX_JOBS and (old := next((one for one in self.told if one not in self.mine), "")):
            del self.told[old]
        self._waiting.changed()
        return Reply(empty=True)

    async def _subscription_end(self, call: Call) -> Reply:
        self._log.say("warning", f"the server ended the subscription: {call.body.get('Status') or 'no status'}")
        return Reply(empty=True)
