"""What the sizes of encrypted records tell of a handshake of TLS 1.3 that no keys open: whether it ended well, whether
the client was asked for a certificate, and whether it gave one.

An alert, a Certificate message without a certificate, and a Finished have one length each, and nothing else that is
sent where they are has it. Padding (RFC 8446 5.4) would hide that: in a handshake Java alone is known to pad, each
record with the same 16 bytes, which the length of a Finished gives away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dissector.transport.tls.model import Alert, TlsFacts
from dissector.transport.tls.suites import suite

__all__ = ["Sealed", "guess"]

OVERHEAD = 17
"""Bytes of a fragment besides what it carries: content type and tag."""
PADDING = 16
"""Bytes of zero that Java appends to each record."""
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
    known = suite(facts.suite) if facts.suite is not None else None
    done = FINISHED.get(known.prf if known is not None else "", 0)
    sealed = _bare(facts, done, sealed)
    _flight(facts, done, sealed)
    found = []
    last = 0
    for one in sealed:
        brief = one.size == ALERT
        if facts.finished:
            # The server's first word behind the handshake is a ticket or an answer; as short as an alert, it refuses.
            # Where the client ends the connection first, it is the answer to that.
            if brief and (one.client or one.time - last < REFUSAL):
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


def _bare(facts: TlsFacts, done: int, sealed: Sequence[Sealed]) -> list[Sealed]:
    """The records as if nobody had padded; ``done``: bytes of a Finished message, 0 where nothing is known of it."""
    first = next((number for number, one in enumerate(sealed) if one.client), len(sealed))
    mine = [one.size - OVERHEAD for one in sealed if one.client][:FLIGHT]
    his = [one.size - OVERHEAD for one in sealed[:first]]
    pads = {True: False, False: False}
    if done and not facts.early:
        # What looks like a padded Finished behind one that is not is what the client says then.
        both = NO_CERTIFICATE + done
        end = next((size for size in mine if size in (done, done + PADDING)), 0)
        # A client that refuses the server's certificate sends an alert and no Finished.
        alone = mine[:1] in ([2 + PADDING], [both + PADDING])
        pads[True] = mine[:1] != [both] and (end == done + PADDING or (not end and alone))
        pads[False] = his[-1:] == [done + PADDING]
    return [one._replace(size=one.size - PADDING) if pads[one.client] else one for one in sealed]


def _flight(facts: TlsFacts, done: int, sealed: Sequence[Sealed]) -> None:
    """What the client's part of the handshake was made of, and whether anything but alerts came behind it."""
    mine = [one for one in sealed if one.client]
    sizes = [one.size for one in mine[:FLIGHT]]
    if not done or facts.early or facts.talks[0].lost:
        # What is missing may be the certificate.
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
