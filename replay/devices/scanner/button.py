"""The scan button: the destinations that clients registered, what is told when one is chosen, and what it entitles to.

A ScanIdentifier is good once, for the client whose destination was chosen, and for a minute.

Sources: scandestinations.md, scanavailableevent.md, scanidentifier.md, createscanjobrequest.md; fact table wsscan.yaml,
sequence push_scan, rules Q02 to Q04, Q17 to Q19.
"""

from __future__ import annotations

from typing import Any

from dissector.catalog import Field, build
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.devices.eventing import Subscription
from replay.devices.source import EventSource, Notice
from replay.soap.faults import service_fault

__all__ = ["IDENTIFIER_LIFE", "Button"]

SCAN = "WS-Scan"
EVENT = "ScanAvailableEvent"

IDENTIFIER_LIFE = 60.0
"""Seconds for which a ScanIdentifier may be used: as long as the first RetrieveImage may take."""


class Button:
    """The button.

    Args:
        clock, ids, log: of the whole emulator.
        invalid_token: subcode for a DestinationToken that is not known.

    Attributes:
        source: the subscriptions; None until there are some.
    """

    def __init__(
        self, *, clock: Clock, ids: Ids, log: Log, invalid_token: str = "ClientErrorInvalidDestinationToken"
    ) -> None:
        self.source: EventSource | None = None
        self._clock = clock
        self._ids = ids
        self._log = log
        self._invalid_token = invalid_token
        self._identifiers: dict[str, tuple[str, float]] = {}
        self._stale = ""

    def destinations(self) -> list[tuple[Subscription, str, str]]:
        """What the panel offers: subscription, ClientContext, ClientDisplayName."""
        if self.source is None:
            return []
        self.source.table.expired(self._clock.monotonic())
        return [
            (one, context, name) for one in self.source.table.all() for context, (name, _) in one.destinations.items()
        ]

    def press(self, wanted: str = "") -> str | None:
        """The user chooses a destination and presses scan: ScanAvailableEvent to its subscriber alone.

        Args:
            wanted: ClientContext or ClientDisplayName; "" for the first there is.

        Returns:
            The ScanIdentifier, None where nobody registered such a destination, or its subscriber does not want the
            event.
        """
        found = next((one for one in self.destinations() if wanted in ("", one[1], one[2])), None)
        if found is None or self.source is None:
            self._log.say("note", f"scan pressed, but nobody registered {wanted or 'a destination'}")
            return None
        subscription, context, name = found
        identifier = self._ids.guid()
        stale, self._stale = self._stale, identifier

        def body(effects: Effects) -> Any:
            told = {"": identifier, "unknown": self._ids.guid(), "stale": stale or self._ids.guid()}
            shown = told.get(effects.token, effects.token)
            return build(f"wscn:{EVENT}", {"client_context": context, "scan_identifier": shown})

        self._log.say("note", f"scan pressed for “{name}”", client_context=context, scan_identifier=identifier)
        self._issue(identifier, subscription.destinations[context][1])
        notice = Notice(SCAN, EVENT, body, facts={"client_context": context})
        if not self.source.notify(notice, only=lambda one: one is subscription):
            self._log.say("note", f"“{name}” does not want to be told of it")
            self.use(identifier)
            return None
        return identifier

    def check(self, body: Field) -> str:
        """ScanIdentifier and DestinationToken of a CreateScanJobRequest: both or none, and known (rules Q02 to Q04).

        Returns:
            The ScanIdentifier, to be used up when the job is there; "" for a client that pulls.

        Raises:
            SoapFault: ClientErrorInvalidDestinationToken, ClientErrorInvalidScanIdentifier.
        """
        token, identifier = body.find("DestinationToken"), body.find("ScanIdentifier")
        if token is None and identifier is None:
            return ""
        now = self._clock.monotonic()
        given = token.text.strip() if token is not None else ""
        if self.source is not None:
            self.source.table.expired(now)
        if not given or self.source is None or self.source.table.destination(given) is None:
            raise service_fault(SCAN, self._invalid_token)
        name = identifier.text.strip() if identifier is not None else ""
        issued, until = self._identifiers.get(name, ("", 0.0))
        if issued != given or until < now:
            raise service_fault(SCAN, "ClientErrorInvalidScanIdentifier")
        return name

    def use(self, identifier: str) -> None:
        """A ScanIdentifier is used up."""
        self._identifiers.pop(identifier, None)

    def _issue(self, identifier: str, token: str) -> None:
        now = self._clock.monotonic()
        for old in [one for one, (_, until) in self._identifiers.items() if until < now]:
            del self._identifiers[old]
        self._identifiers[identifier] = (token, now + IDENTIFIER_LIFE)
