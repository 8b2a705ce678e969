"""Event notifications: each with the subscription it was delivered for and the sink's answer.

An event says whom it is for by the reference parameters of NotifyTo, which come back as header blocks; where
there are none, by its To. Several subscriptions may share one sink: then the filter, the sender and who was still
subscribed decide, and where that leaves more than one, nothing is claimed. An event has no RelatesTo (notes-dsm 30).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from dissector.analysis.exchanges import WAITING, Role, Turn
from dissector.analysis.model import Notification
from dissector.analysis.reading import frame_of, is_event, operation_of, parameters_of, seek, text_of
from dissector.analysis.resting import Archive
from dissector.analysis.subscriptions import Subscriptions, Watch
from dissector.base.findings import rule
from dissector.messages import Message

__all__ = ["Notifications"]

FITTING = 64
"""Subscriptions that the header blocks of one event name, from which no further ones are looked for."""

IN_FLIGHT = 2 * 10**9
"""Nanoseconds in which an event may still arrive after the end of its subscription."""

UNKNOWN = rule(
    "event.unknown-subscription", "note", "no Subscribe of this event's sink is in the capture", "dsp.yaml P59"
)
NOT_ASKED = rule("event.filter", "warn", "the filter of the subscription does not let this event pass", "dsp.yaml P59")
AFTER_END = rule("event.after-end", "warn", "the event came after the end of its subscription", "WS-Eventing 3.4")
SHARED = rule("event.ambiguous", "chat", "several subscriptions fit this event")
REFUSED = rule("event.refused", "warn", "the sink did not take the event", "dsp.yaml P61")
NOT_202 = rule("event.answer", "note", "the sink answered other than with an empty HTTP 202", "dsp.yaml P61")
UNANSWERED = rule("event.unanswered", "note", "the capture holds no answer of the sink", "dsp.yaml P61")
CONTEXT = rule(
    "event.client-context", "note", "the event names a destination that its sink did not register", "wsscan.yaml Q19"
)


class Notifications:
    """Collects the events."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._archive: Archive[Notification] = Archive()
        self._subscriptions = subscriptions
        self._waiting: OrderedDict[int, int] = OrderedDict()

    @property
    def notifications(self) -> Sequence[Notification]:
        """All events, in order."""
        return self._archive.items

    def feed(self, message: Message, turn: Turn) -> None:
        """Take the next message; ``turn.notification`` is set where it is an event or answers one."""
        if turn.role is Role.ANSWER:
            waiting = self._waiting.pop(turn.request, None) if turn.request is not None and not turn.late else None
            if waiting is not None:
                turn.notification = self._archive.edit(waiting)
                self._answered(turn.notification, message)
        elif turn.role is not Role.REPEAT and is_event(message):
            turn.notification = self._event(message)

    def finish(self) -> None:
        """No more messages."""
        for place in self._waiting.values():
            self._unanswered(place)
        self._waiting.clear()

    def _unanswered(self, place: int) -> None:
        notification = self._archive.edit(place)
        notification.findings.append(UNANSWERED(frames=(notification.frame,)))

    def _event(self, message: Message) -> Notification:
        token = text_of(seek(message.body, "JobToken"))
        notification = Notification(
            message=message.number,
            time=message.time,
            frame=frame_of(message),
            event=operation_of(message),
            service=message.service,
            job_id=token or text_of(seek(message.body, "JobId")),
        )
        place = self._archive.append(notification)
        watch = self._watch(message, notification)
        if watch is not None:
            notification.subscription = watch.number
            watch.subscription.events.append(message.number)
            self._judge(message, notification, watch)
        if message.http is not None:
            self._waiting[message.number] = place
            if len(self._waiting) > WAITING:
                self._unanswered(self._waiting.popitem(last=False)[1])
        return notification

    def _watch(self, message: Message, notification: Notification) -> Watch | None:
        frames = (notification.frame,)
        # By number: a header may be of many subscriptions, and many headers of one.
        by_number: dict[int, Watch] = {}
        for name, text in parameters_of(message):
            by_number.update((watch.number, watch) for watch in self._subscriptions.with_reference(name, text))
            if len(by_number) > FITTING:
                break
        found = list(by_number.values())
        if not found and message.to:
            # A sink that gave reference parameters gets them back; an event without them is for another one.
            found = self._subscriptions.with_sink(message.to)
            found = [w for w in found if w.plain] or found
        if not found:
            notification.findings.append(
                UNKNOWN(
                    f"no subscription in the capture fits this event (sent to {message.to or message.destination}): "
                    "it was probably made before the capture began",
                    frames=frames,
                )
            )
            return None
        actions = _actions(message)
        source = message.source.address
        tests: list[Callable[[Watch], bool]] = [
            lambda w: w.passes(actions),
            lambda w: w.created <= message.time and not w.over(message.time),
            lambda w: w.server is None or w.server.address == source,
            lambda w: w.accepted,
        ]
        for test in tests:
            found = [w for w in found if test(w)] or found
        if len(found) == 1:
            return found[0]
        numbers = ", ".join(str(w.number) for w in found)
        notification.findings.append(
            SHARED(f"subscriptions {numbers} all fit this event; it is counted for none of them", frames=frames)
        )
        return None

    def _judge(self, message: Message, notification: Notification, watch: Watch) -> None:
        frames = (notification.frame,)
        one = watch.subscription
        if not watch.passes(_actions(message)):
            notification.findings.append(
                NOT_ASKED(
                    f"subscription {one.number} asked for {', '.join(_short(a) for a in one.actions)}, "
                    f"not for {notification.event}",
                    frames=frames,
                )
            )
        if one.ended is not None and one.ended_time is not None and message.time - one.ended_time > IN_FLIGHT:
            late = (message.time - one.ended_time) / 1e9
            notification.findings.append(
                AFTER_END(f"subscription {one.number} ended ({one.ended}) {late:,.0f} s before", frames=frames)
            )
        elif watch.expires is not None and message.time - watch.expires > IN_FLIGHT:
            late = (message.time - watch.expires) / 1e9
            notification.findings.append(
                AFTER_END(f"subscription {one.number} had run out {late:,.0f} s before", frames=frames)
            )
        context = text_of(message.body, "ClientContext")
        if context is not None and one.destinations and not watch.cut and context not in one.destinations:
            registered = ", ".join(sorted(one.destinations))
            notification.findings.append(
                CONTEXT(f"ClientContext {context} is none of those registered: {registered}", frames=frames)
            )

    def _answered(self, notification: Notification, message: Message) -> None:
        status = message.status
        notification.http_status = status
        frames = (notification.frame, frame_of(message))
        if message.fault is not None or (status is not None and status >= 300):
            code = message.fault.subcode or message.fault.code if message.fault is not None else ""
            what = " ".join(part for part in (f"HTTP {status}" if status is not None else "", code) if part)
            notification.findings.append(
                REFUSED(f"the sink did not take {notification.event}: it answered {what}", frames=frames)
            )
        elif status != 202 or message.envelope is not None:
            body = "with a SOAP body" if message.envelope is not None else "without a SOAP body"
            notification.findings.append(
                NOT_202(f"the sink answered HTTP {status} {body}; expected is an empty HTTP 202", frames=frames)
            )


def _actions(message: Message) -> list[str]:
    known = list(message.decl.actions) if message.decl is not None else []
    return [message.action, *known] if message.action else known


def _short(action: str) -> str:
    return action.rstrip("/").rsplit("/", 1)[-1]
