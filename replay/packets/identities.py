"""New identities for recorded datagrams, so that receivers do not take them for what they have heard already.

Rules:

- A recorded MessageID becomes one new MessageID, everywhere: repeats keep one id, RelatesTo follows. A RelatesTo whose
  message is not sent again stays.
- InstanceId of AppSequence is raised: to the seconds since 1970, or one more than recorded where that is more; restarts
  of a device within the capture stay ascending. A receiver drops what has a lower InstanceId than it saw before, so the
  resent messages count, and those of the real device are stale from then on until it restarts with a higher one.
- MessageNumber ascends within (device, InstanceId, SequenceId) in the order of sending; where recorded ones do, they
  stay. A repeat has the number of its first copy.
- XAddrs stay, unless they are to name another host.

Sources: WS-Discovery 2005/04, appendix I; SOAP-over-UDP 3.4; win32 documentation, ``appsequence-validation-rules.md``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from xml.sax.saxutils import escape

from replay.base.ids import Ids
from replay.packets.recorded import Recorded, Slot

__all__ = ["LARGEST", "Identities", "rewritten"]

LARGEST = (1 << 32) - 1
"""Of InstanceId and MessageNumber: xs:unsignedInt."""

_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(\[[^\]]*\]|[^/:?#]*)(.*)", re.DOTALL)

_Sequence = tuple[str, str, str]
"""Device, recorded InstanceId, SequenceId."""


class Identities:
    """New values for the values of a resend.

    Args:
        recorded: all datagrams that are sent, in order.
        ids: makes MessageIDs.
        now: seconds since 1970.

    Attributes:
        notes: what could not be made new, a sentence each.
    """

    def __init__(self, recorded: Sequence[Recorded], ids: Ids, now: int) -> None:
        self.notes: list[str] = []
        self._messages: dict[str, str] = {}
        for one in recorded:
            for slot in one.slots:
                if slot.kind == "MessageID" and slot.value not in self._messages:
                    self._messages[slot.value] = _fresh(slot.value, ids)
        self._instances = self._raised(recorded, now)
        self._numbers = _numbered(recorded)

    def value(self, one: Recorded, slot: Slot) -> str:
        """What stands in a slot of a datagram from now on; the same each time."""
        if slot.kind in ("MessageID", "RelatesTo"):
            return self._messages.get(slot.value, slot.value)
        if slot.kind == "InstanceId":
            return self._instances.get((one.device, int(slot.value)), slot.value)
        if slot.kind == "MessageNumber":
            return self._numbers.get((_sequence(one), _which(one)), slot.value)
        return slot.value

    def _raised(self, recorded: Sequence[Recorded], now: int) -> dict[tuple[str, int], str]:
        seen: dict[str, set[int]] = defaultdict(set)
        for one in recorded:
            seen[one.device].update(int(slot.value) for slot in one.slots if slot.kind == "InstanceId")
        raised: dict[tuple[str, int], str] = {}
        for device, values in seen.items():
            if not values:
                continue
            base = max(now, max(values) + 1)
            if base + len(values) - 1 > LARGEST:
                self.notes.append(f"the InstanceId {max(values)} of {device} cannot be raised: it stays as recorded")
                continue
            raised |= {(device, value): str(base + rank) for rank, value in enumerate(sorted(values))}
        return raised


def rewritten(one: Recorded, identities: Identities | None = None, host: str | None = None) -> bytes:
    """The bytes of a datagram with new values in their places.

    Args:
        one: the datagram, as recorded.
        identities: new ones; None: they stay.
        host: IP address, without a zone, that all XAddrs name instead of theirs (scheme, port and path stay); None:
            they stay.
    """
    pieces, at = [], 0
    for slot in one.slots:
        value = slot.value
        if slot.kind == "XAddrs":
            value = _hosted(value, host) if host else value
        elif identities is not None:
            value = identities.value(one, slot)
        if value != slot.value:
            pieces += [one.payload[at : slot.start], escape(value).encode(slot.encoding, "xmlcharrefreplace")]
            at = slot.end
    return b"".join([*pieces, one.payload[at:]])


def _hosted(addresses: str, host: str) -> str:
    """XAddrs on another host, each once."""
    shown = f"[{host}]" if ":" in host else host
    return " ".join(dict.fromkeys(_AUTHORITY.sub(rf"\g<1>{shown}\g<3>", one) for one in addresses.split()))


def _fresh(old: str, ids: Ids) -> str:
    """A new id in the form of the old one: ``urn:uuid:``, ``uuid:``, with or without more around it."""
    new = ids.guid()
    return _GUID.sub(new, old, count=1) if _GUID.search(old) else f"urn:uuid:{new}"


def _sequence(one: Recorded) -> _Sequence:
    return one.device, one.value("InstanceId") or "", one.sequence


def _which(one: Recorded) -> str:
    """What tells a message from the next one of its device: its id, else its place."""
    return one.value("MessageID") or f"frame {one.frame}"


def _numbered(recorded: Sequence[Recorded]) -> dict[tuple[_Sequence, str], str]:
    last: dict[_Sequence, int] = {}
    numbers: dict[tuple[_Sequence, str], str] = {}
    for one in recorded:
        said = one.value("MessageNumber")
        sequence = _sequence(one)
        if said is None or (sequence, _which(one)) in numbers:
            continue
        number = max(int(said), last.get(sequence, -1) + 1)
        if number <= LARGEST:
            last[sequence] = number
            numbers[sequence, _which(one)] = str(number)
    return numbers
