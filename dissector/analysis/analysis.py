"""The analysis: feed it the messages one by one, ask it at the end.

Each question has a tracker of its own; they see every message in the same order, together with what pairing made of
it. Nothing of a message is kept but summaries: no bodies, no envelopes, no image bytes. So memory grows with the
number of messages (about a kilobyte each), not with what they carry.
"""

from __future__ import annotations

from collections.abc import Sequence

from dissector.analysis.endpoints import Endpoints, Host
from dissector.analysis.exchanges import Exchanges
from dissector.analysis.jobs import PostScanJobs
from dissector.analysis.model import Exchange, Job, Notification, Subscription
from dissector.analysis.notifications import Notifications
from dissector.analysis.resting import JobList
from dissector.analysis.scanjobs import ScanJobs
from dissector.analysis.subscriptions import Subscriptions
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.messages import Message

__all__ = ["Analysis"]


class Analysis:
    """What is made of the messages: exchanges, subscriptions, notifications, jobs, endpoints.

    Feed it every WSD message in the order in which the reader gives them (an answer never before its request), then
    call :meth:`finish`. It never raises on what a peer sent. Jobs are settled and judged by ``finish``; what the
    attributes show before it is what was collected so far.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._exchanges = Exchanges(limits)
        self._subscriptions = Subscriptions()
        self._notifications = Notifications(self._subscriptions)
        self._post_scan = PostScanJobs(self._subscriptions)
        self._scan = ScanJobs(self._subscriptions)
        self._endpoints = Endpoints()
        self._jobs: Sequence[Job] | None = None
        self._last_time = 0

    def feed(self, message: Message) -> Notification | None:
        """Take the next message; messages of other protocols (``wsd`` False) are passed over.

        Returns:
            The event notification that it is, or that it answers, as far as it is known.
        """
        if not message.wsd:
            return None
        self._last_time = max(self._last_time, message.time)
        turn = self._exchanges.feed(message)
        self._subscriptions.feed(message, turn)
        self._notifications.feed(message, turn)
        self._post_scan.feed(message, turn)
        self._scan.feed(message, turn)
        self._endpoints.feed(message, turn)
        return turn.notification

    def finish(self) -> None:
        """No more messages: settle what is open and judge the jobs. A second call does nothing."""
        if self._jobs is not None:
            return
        self._exchanges.finish()
        self._subscriptions.finish()
        self._notifications.finish()
        jobs, order = JobList(), []
        for tracker in (self._post_scan, self._scan):
            for job in tracker.finish(self._last_time):
                jobs.append(job)
                order.append(_first(job))
        jobs.sort(order)
        self._jobs = jobs if jobs.packed else list(jobs)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """Requests with their answers, in order."""
        return self._exchanges.exchanges

    @property
    def subscriptions(self) -> list[Subscription]:
        """WS-Eventing subscriptions, in order."""
        return self._subscriptions.subscriptions

    @property
    def notifications(self) -> Sequence[Notification]:
        """Event notifications, in order."""
        return self._notifications.notifications

    @property
    def jobs(self) -> Sequence[Job]:
        """Post-scan jobs and scan jobs, by their first message."""
        if self._jobs is None:
            return sorted([*self._post_scan.jobs, *self._scan.jobs], key=_first)
        return self._jobs

    @property
    def endpoints(self) -> list[Host]:
        """The hosts that speak WSD, with their roles, in order of first sight."""
        return self._endpoints.hosts


def _first(job: Job) -> int:
    return min((step.message for step in job.timeline[:1]), default=0)
