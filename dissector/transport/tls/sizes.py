"""What the sizes of encrypted records tell of a handshake of TLS 1.3 that no keys open: whether it ended well, whether
the client was asked for a certificate, and whether it gave one.

An alert, a Certificate message without a certificate, and a Finished have one length each, and nothing else that is
sent where they are has it, unless somebody pads (RFC 8446 5.4), which nobody is known to do in a handshake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dissector.transport.tls.model import Alert, TlsFacts
from dissector.transport.tls.suites import suite

__all__ = ["Sealed", "guess"]

OVERHEAD = 17
"""Bytes of a fragment besides what it carries: content type and tag."""
ALERT = 2 + OVERHEAD
NO_CERTIFICATE = 8
"""Bytes of a Certificate message without a certificate: header, empty context, empty list."""
FINISHED = {"sha256": 36, "sha384": 52}
"""Bytes of a Finished message, by the suite's hash."""
FLIGHT = 5
"""Records that a client's part of the handshake comes in: certificates, a signature, Finished."""
REFUSAL = 5_000_000_000
"""Nanoseconds within which a server refuses a client; what it says later most likely ends a connection that idles."""


class Sealed(NamedTuple):
    """A record that was not opened: frame, time, who sent it, bytes of its fragment."""

    frame: int
    time: int
    client: bool
    size: int


def guess(facts: TlsFacts, sealed: Sequence[Sealed]) -> list[Alert]:
    """Conclude what the first encrypted records of a connection, in order of the frames, tell; the facts take it up.

    Returns:
        What can only be an alert.
    """
    _flight(facts, sealed)
    found = []
    last = 0
    for one in sealed:
        brief = one.size == ALERT
        if facts.finished:
            # The server's first word behind the handshake is a ticket or an answer; as short as an alert, it refuses.
            # Where the client closes, it is the answer to that.
            if brief and not one.client and one.time - last < REFUSAL:
                found.append(_alert(one))
            if brief or not one.client:
                break
        elif brief:
            found.append(_alert(one))
        elif one.client and facts.early != "accepted":
            for talk in facts.talks:
                talk.finished = True
        last = one.time if one.client else last
    return found


def _alert(one: Sealed) -> Alert:
    return Alert(one.client, None, None, one.frame, one.time)


def _flight(facts: TlsFacts, sealed: Sequence[Sealed]) -> None:
    """What the client's part of the handshake was made of, and whether anything but alerts came behind it."""
    known = suite(facts.suite) if facts.suite is not None else None
    done = FINISHED.get(known.prf if known is not None else "", 0)
    mine = [one for one in sealed if one.client]
    sizes = [one.size for one in mine[:FLIGHT]]
    if not done or facts.early:
        return
    if sizes[:1] == [NO_CERTIFICATE + done + OVERHEAD]:
        # Both in one record.
        count, none = 1, True
    elif done + OVERHEAD in sizes:
        count = sizes.index(done + OVERHEAD) + 1
        none = count == 2 and sizes[0] == NO_CERTIFICATE + OVERHEAD
    else:
        return
    if ALERT in sizes[:count]:
        return
    if facts.asked is None:
        facts.by_size = True
        facts.asked = none or count > 1
        facts.given = not none if facts.asked else None
    client, server = facts.talks
    client.spoke = any(one.size != ALERT for one in mine[count:])
    over = mine[count - 1].frame
    server.spoke = any(one.frame > over and one.size != ALERT for one in sealed if not one.client)
