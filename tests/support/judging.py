"""Messages for the judge: an envelope as it comes over HTTP, and what a comparison tells."""

from __future__ import annotations

from dissector.base.origin import Endpoint
from dissector.messages import Message
from replay.base.ids import Ids
from replay.net.receiver import HttpReceiver
from replay.player.difference import Difference
from replay.soap.caller import read_message
from replay.soap.compose import USUAL, Picture, http_response, pack

HERE, THERE = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2)
TOKEN, OTHER = "8a2a4d3e-0000-4000-8000-000000000001", "8a2a4d3e-0000-4000-8000-000000000002"


def message(envelope: bytes | str, status: int = 200, pictures: tuple[Picture, ...] = (), cut: int = 0) -> Message:
    """An answer; ``cut`` bytes of its end do not come."""
    data = envelope.encode() if isinstance(envelope, str) else envelope
    dress = http_response(status, pack(data, pictures, Ids(1)), USUAL)
    receiver = HttpReceiver(HERE, THERE, responses=True)
    receiver.asked()
    raw = dress.head + dress.body
    read = receiver.feed(raw[: len(raw) - cut], 1) or receiver.end()
    found = read_message(read[0])
    assert found is not None
    return found


def told(found: list[Difference]) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.what, one.path, one.recorded, one.received) for one in found]
