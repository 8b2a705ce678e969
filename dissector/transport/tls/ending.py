"""Why a connection failed: who refused, by an alert, by closing, by an answer that is no TLS, or by silence; and why.

At most one of the rules in :data:`~dissector.transport.tls.rules.WHY` is told of a connection. It judges by what both
sides said, by who ended it and when.
"""

from __future__ import annotations

from collections.abc import Iterator

from dissector.base.findings import Finding
from dissector.transport.model import StreamEnd
from dissector.transport.tls.alerts import ABOUT_CERTIFICATES, HARMLESS, WORDS, alert_text
from dissector.transport.tls.model import Alert, TlsFacts
from dissector.transport.tls.names import TLS13, Content
from dissector.transport.tls.reasons import flaw, guess, offer, reason, refused_client
from dissector.transport.tls.records import begins_record, first_line
from dissector.transport.tls.rules import ALERT, HANDSHAKE_FAILED, HANDSHAKE_UNFINISHED, ONE_WAY, SAID_NOTHING, UNUSED
from dissector.transport.tls.sizes import REFUSAL

__all__ = ["end"]

PATIENT = 1_000_000_000
"""Nanoseconds that a side waits at least before its closing counts as giving up."""
BRIEF = 5_000_000_000
"""Nanoseconds within which a client that refuses the certificate ends the connection, from its hello on."""
SHOWN = 8
"""Bytes shown of an answer that is neither TLS nor text."""
_SIDES = {True: "client", False: "server"}


def end(facts: TlsFacts) -> Iterator[Finding]:
    """The finding on why it failed; none where it did not, or where the capture does not show it."""
    if facts.version is None and not begins_record(facts.answered):
        yield _clear(facts)
        return
    if facts.lone is not None:
        yield from _lone(facts, facts.lone)
        return
    closer = _closer(facts)
    fatal = [a for a in facts.alerts if a.description not in HARMLESS and not _warning(a) and not _after(facts, a)]
    told = [a for a in fatal if a.description is not None]
    if fatal:
        yield from _alert(facts, (told or fatal)[0])
    elif closer is not None and facts.handshakes:
        yield from _closed(facts, closer)


def _lone(facts: TlsFacts, client: bool) -> Iterator[Finding]:
    """Of a connection of which only one side was captured: what that side says in the clear is all that tells."""
    told = [a for a in facts.alerts if a.description not in (*HARMLESS, None) and not _warning(a)]
    if told:
        yield from _alert(facts, told[0])
    elif facts.handshakes:
        yield ONE_WAY(
            f"only packets of the {_SIDES[client]} are in the capture: how the handshake went on cannot be told",
            frames=(facts.frame,),
        )


# -- what it was ended by --------------------------------------------------------------------------------------------


def _clear(facts: TlsFacts) -> Finding:
    line = first_line(facts.answered)
    means = "it expects no TLS on this port"
    if line.startswith("HTTP/"):
        means = "it expects http on this port, not https"
    elif line.startswith("<"):
        means += ", most likely http"
    shown = (
        f"in the clear, with “{line}”" if line else f"with bytes that are no TLS ({facts.answered[:SHOWN].hex(' ')})"
    )
    return HANDSHAKE_FAILED(
        f"the server answered the ClientHello {shown}: {means}",
        frames=(facts.answer_frame,) if facts.answer_frame else (),
    )


def _alert(facts: TlsFacts, alert: Alert) -> Iterator[Finding]:
    side, code, frames = _SIDES[alert.from_client], alert.description, (alert.frame,)
    if code is None:
        yield from _sealed(facts, alert)
        return
    why = reason(facts, alert)
    said = f"{WORDS.get(code, ('', 'it does not say why'))[1]}{why}"
    if not alert.from_client and facts.given is False and why and why == refused_client(facts):
        # Each library has another alert for it: what that one means otherwise leads astray.
        said = why.removeprefix("; ")
    if not facts.finished or code in ABOUT_CERTIFICATES:
        yield HANDSHAKE_FAILED(f"the {side} broke the handshake off with {alert_text(code)}: {said}", frames=frames)
    else:
        yield ALERT(f"the {side} ended the connection with {alert_text(code)}: {said}", frames=frames)


def _sealed(facts: TlsFacts, alert: Alert) -> Iterator[Finding]:
    """An alert that is encrypted: only its place tells something, and that only where nothing before it is missing."""
    if _unplaced(facts, alert):
        return
    if not facts.finished:
        yield HANDSHAKE_FAILED(
            f"the {_SIDES[alert.from_client]} broke the handshake off with an encrypted alert"
            f"{guess(facts, alert.from_client)}",
            frames=(alert.frame,),
        )
    elif facts.version == TLS13 and not alert.from_client and facts.state != "opened":
        why = refused_client(facts)
        if not facts.by_size:
            why = "; most likely it does not accept the client's certificate, or wants one (keys would tell)"
        yield HANDSHAKE_FAILED(
            f"the server answered the end of the handshake with what can only be an encrypted alert{why}",
            frames=(alert.frame,),
        )
    elif alert.from_client:
        yield from _unused(facts, alert.time, "ended", (alert.frame,))


def _unplaced(facts: TlsFacts, alert: Alert) -> bool:
    """What is missing may have ended the handshake: then the alert most likely says that all is said."""
    client, server = facts.talks
    if client.lost:
        return True
    if alert.from_client:
        return bool(server.lost) and client.finished and not server.finished
    # The server's certificates are long and missing first: behind a client that waits, its alert refuses all the same.
    return bool(server.lost) and (facts.version != TLS13 or client.spoke is not False)


def _warning(alert: Alert) -> bool:
    # no_certificate is sent as a warning, and is what matters; TLS 1.3 does without levels.
    return alert.level == 1 and alert.description not in (41, 112)


def _after(facts: TlsFacts, alert: Alert) -> bool:
    """The other side had closed before: it is the answer to that."""
    other = facts.talks[alert.from_client]
    return other.end is StreamEnd.FIN and 0 < other.end_frame < alert.frame


# -- what ended without a word ---------------------------------------------------------------------------------------


def _closer(facts: TlsFacts) -> bool | None:
    """Who ended the TCP connection: the client (True), the server; None: the capture does not show it."""
    client, server = facts.talks
    ends = [
        (talk.end_frame, mine)
        for talk, mine in ((client, True), (server, False))
        if talk.end is StreamEnd.FIN and talk.end_frame
    ]
    if ends:
        return min(ends)[1]
    return facts.reset_by_client


def _closed(facts: TlsFacts, by_client: bool) -> Iterator[Finding]:
    client, server = facts.talks
    mine, other = (client, server) if by_client else (server, client)
    # Before the other direction had ended a reset may have ended both.
    how = "closed" if mine.end is StreamEnd.FIN else "reset"
    frames = (mine.end_frame,) if mine.end_frame else (facts.last_frame,)
    who = _SIDES[by_client]
    waited = mine.end_time - max(mine.last, other.last)
    patience = f" within {waited / 1e9:.1f} s" if waited >= PATIENT else ""
    if facts.version is None and facts.offered:
        if server.lost:
            return
        if by_client:
            said = f"the server did not answer the ClientHello{patience}: the client {how} the connection"
            if not patience:
                said = f"the client {how} the connection before the server answered its ClientHello"
        else:
            said = (
                f"the server {how} the connection without an answer to the ClientHello: it may expect no TLS on this "
                f"port, or refuse without a word what was offered ({offer(facts)})"
            )
    elif not facts.offered:
        # Where it begins is not in the capture.
        return
    elif not client.finished:
        if client.cut or (facts.version != TLS13 and Content.DATA in {**client.records, **server.records}):
            # The end of the handshake is among what is missing.
            return
        after = f", {waited / 1e9:.1f} s after the last message of it" if patience else ""
        said = f"the {who} {how} the connection in the midst of the handshake{after}, without an alert"
        if other.lost or mine.lost:
            lost = "" if other.cut or mine.cut else "lost on the way (large packets?), or "
            said += f"; parts of it are missing: {lost}not captured"
        else:
            said += guess(facts, by_client)
    elif not server.finished or (facts.version == TLS13 and not by_client and server.spoke is False):
        if server.lost or client.lost:
            return
        if by_client:
            said = f"the server did not answer the client's part of the handshake{patience}: "
            said += f"the client {how} the connection"
        elif mine.end_time - client.last < REFUSAL and not any(a.description == 0 for a in facts.alerts):
            said = f"the server {how} the connection in answer to the client's part of the handshake, without an alert"
            said += refused_client(facts) or (
                "; most likely it does not accept the client's certificate, or wants one"
                if facts.version == TLS13 and facts.asked is None
                else ""
            )
        else:
            return
    else:
        # A server closes where the client has said that it does.
        said_so = next((a for a in facts.alerts if a.description in (0, None)), None)
        if said_so is not None and said_so.from_client and said_so.frame < frames[0]:
            yield from _unused(facts, said_so.time, "ended", (said_so.frame,))
        elif by_client:
            yield from _unused(facts, mine.end_time, how, frames)
        return
    yield HANDSHAKE_UNFINISHED(said, frames=frames)


def _unused(facts: TlsFacts, time: int, how: str, frames: tuple[int, ...]) -> Iterator[Finding]:
    """The client ended the connection at ``time``: who checks the certificate only behind the handshake does then."""
    client, server = facts.talks
    if client.spoke is not False or client.lost or server.plain or facts.resumed or time - facts.time > BRIEF:
        # Those that lasted were opened in advance; what is lost may be what it said.
        return
    why = flaw(facts)
    said = f"the client {how} the connection after the handshake and had said nothing"
    if why:
        yield UNUSED(f"{said}; most likely it did not accept the server's certificate ({why})", frames=frames)
    elif facts.version == TLS13 and not facts.certificates:
        yield SAID_NOTHING(
            f"{said}: it tested the port, or did not accept the server's certificate, which only keys show",
            frames=frames,
        )
    elif facts.certificates and facts.certificates[0].self_signed:
        yield SAID_NOTHING(
            f"{said}: it tested the port, or does not trust the server's certificate, which is signed by itself",
            frames=frames,
        )
