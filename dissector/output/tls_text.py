"""TLS connections for people: who spoke with whom how, which certificates were shown, and what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from dissector.base.findings import Severity
from dissector.output.findings import finding_lines
from dissector.output.text import PLAIN, Palette, count, printable, size_text
from dissector.output.times import duration_text, iso_time, seconds_text
from dissector.output.tls_json import content_name, message_name
from dissector.output.tls_trust import trust_lines
from dissector.transport.tls.alerts import WORDS, alert_text
from dissector.transport.tls.certificates import Certificate, day
from dissector.transport.tls.model import RECORDS, Talk, TlsFacts
from dissector.transport.tls.names import TLS13, version_name
from dissector.transport.tls.rules import WHY
from dissector.transport.tls.suites import suite_name

__all__ = ["connection_lines", "failed", "record_lines", "summary"]

_NAMES = 6
_STREAMS = 20

_STATES = {
    "opened": "good",
    "partly": "warn",
    "late keys": "warn",
    "wrong keys": "warn",
    "unsupported": "warn",
}

_SUMMED = {
    "no keys": "without keys",
    "late keys": "with keys that came too late",
    "partly": "partly opened",
    "wrong keys": "with wrong keys",
}

_RESUMED = {
    "id": "resumed by session id",
    "ticket": "resumed by ticket",
    "psk": "by a pre-shared key (of a session before, or agreed upon)",
}


def failed(facts: TlsFacts) -> bool:
    """It is known why the connection failed."""
    return any(finding.rule in WHY for finding in facts.findings)


def summary(connections: Sequence[TlsFacts]) -> str:
    """How many there are, and which failed, on one line."""
    lost = [facts.number for facts in connections if failed(facts)]
    states = Counter(facts.state for facts in connections if not failed(facts))
    parts = [f"{number:,} {_SUMMED.get(state, state)}" for state, number in states.most_common()]
    if lost:
        streams = ", ".join(map(str, lost[:_STREAMS])) + (", …" if len(lost) > _STREAMS else "")
        parts.insert(0, f"{len(lost):,} failed (stream{'s' if len(lost) > 1 else ''} {streams})")
    return f"{count(len(connections), 'TLS connection')}: {', '.join(parts)}"


def _outcome(facts: TlsFacts, paint: Palette) -> str:
    """Version and state."""
    state = paint("error", "failed") if failed(facts) else ""
    if facts.version is None:
        refused = any(not alert.from_client for alert in facts.alerts)
        version = "ClientHello refused" if refused else "no answer to the ClientHello"
        if facts.lone is not None:
            version = "one side only"
        elif not facts.offered:
            version = "without its hellos, which are not in the capture"
        elif facts.talks[1].lost:
            version = "ServerHello not in the capture"
        return f"{version}, {state}" if state else version
    keys = f" ({facts.keys})" if facts.keys else ""
    known = paint(_STATES.get(facts.state, "dim"), facts.state + keys)
    shown = [state, known if not state or facts.state != "no keys" else ""]
    return ", ".join([version_name(facts.version), *(part for part in shown if part)])


def connection_lines(
    facts: TlsFacts, digits: int, paint: Palette = PLAIN, shown: dict[str, int] | None = None
) -> Iterator[str]:
    """One connection: a head line, what went wrong, then what is known, indented.

    Args:
        facts: of the connection.
        digits: decimals of the capture's times.
        paint: colours.
        shown: certificates shown before, by fingerprint, and of which stream: they are named only. Grows.
    """
    shown = {} if shown is None else shown
    name = f"  “{printable(facts.server_name)}”" if facts.server_name else ""
    head = f"Stream {facts.number}  {facts.client} → {facts.server}{name}"
    yield f"{paint('title', head)}  {_outcome(facts, paint)}"
    grave = [finding for finding in facts.findings if finding.severity is Severity.ERROR or finding.rule in WHY]
    for line in finding_lines(grave, paint):
        yield f"    {line}"
    yield _fact(
        "time",
        f"{iso_time(facts.time, digits)}, {duration_text(facts.last_time - facts.time)}, frames "
        f"{facts.frame}-{facts.last_frame}",
    )
    if facts.tunnel:
        around = "HTTP inside TLS" if facts.depth else "HTTP"
        yield _fact("inside", f"{around}: {printable(facts.tunnel)}")
    if facts.offered:
        offered = ", ".join(version_name(v) for v in sorted(facts.offered))
        alpn = f", ALPN {printable(', '.join(facts.alpn_offered))}" if facts.alpn_offered else ""
        hidden = ", Encrypted Client Hello (the name may be that of another server)" if facts.hidden else ""
        yield _fact("offered", f"{offered}; {count(len(facts.suites), 'cipher suite')}{alpn}{hidden}")
    if facts.suite is not None:
        extras = [
            f"ALPN {printable(facts.alpn)}" if facts.alpn else "",
            _RESUMED.get(facts.resumed, ""),
            "second ClientHello asked for" if facts.retried else "",
            f"certificates compressed ({printable(facts.compression)})" if facts.compression else "",
            "extended master secret" if facts.extended_master else "",
            "encrypt-then-MAC" if facts.encrypt_then_mac else "",
            f"early data {facts.early}" if facts.early else "",
            f"renegotiated {count(facts.handshakes - 1, 'time')}" if facts.handshakes > 1 else "",
            count(facts.key_updates, "key update") if facts.key_updates else "",
        ]
        yield _fact("chosen", ", ".join([suite_name(facts.suite), *(extra for extra in extras if extra)]))
    for place, one in enumerate(facts.certificates):
        label = "certificate" if not place else f"chain {place + 1}"
        yield from _certificate(label, one, facts, paint, shown)
    closed = facts.state in ("no keys", "late keys")
    if not facts.certificates and facts.version == TLS13 and closed and not facts.resumed:
        yield _fact("certificate", "encrypted, as always in TLS 1.3: keys would show it")
    yield from _client_certificate(facts, paint, shown)
    for place, said in enumerate(trust_lines(facts.trust, paint) if facts.trust is not None else ()):
        yield _fact("" if place else "trust", said)
    for who, talk in zip(("client", "server"), facts.talks, strict=True):
        yield _fact(f"{who} sent", _talk(talk))
    for alert in facts.alerts:
        words = WORDS[alert.description][1] if alert.description in WORDS else ""
        said = f": {words}" if words else ""
        who = "client" if alert.from_client else "server"
        level = {1: "warning ", 2: "fatal "}.get(alert.level or 0, "")
        if alert.description is None and facts.finished and not failed(facts):
            said = ": most likely close_notify"
        yield _fact("alert", f"{level}{alert_text(alert.description)} from the {who}{said} (frame {alert.frame})")
    for line in finding_lines([finding for finding in facts.findings if finding not in grave], paint):
        yield f"    {line}"


def _fact(label: str, text: str) -> str:
    return f"    {label:<12}{text}"


def _talk(talk: Talk) -> str:
    if not talk.records:
        return "nothing"
    kinds = ", ".join(f"{number:,} {content_name(type)}" for type, number in sorted(talk.records.items()))
    plain = f"; {size_text(talk.plain)} of application data" if talk.opened else ""
    lost = f"; {count(talk.lost, 'damaged place')}" if talk.lost else ""
    end = {"fin": "closed", "reset": "reset", "reused": "ports used again", "capture": "still open at the end"}
    how = f"; {end[talk.end.value]}" if talk.end is not None else ""
    return f"{count(sum(talk.records.values()), 'record')} ({kinds}), {size_text(talk.bytes)}{plain}{lost}{how}"


def _certificate(label: str, one: Certificate, facts: TlsFacts, paint: Palette, shown: dict[str, int]) -> Iterator[str]:
    time = facts.time
    span = f"valid {day(one.first)} to {day(one.last)}"
    late = (one.last is not None and one.last < time) or (one.first is not None and one.first > time)
    if late:
        span = paint("error", f"{span}: not when it was shown")
    before = shown.setdefault(one.sha256, facts.number)
    if before != facts.number:
        also = f", {span}" if late else ""
        yield _fact(label, f"{printable(one.subject) or one.key or 'no subject'}, as in stream {before}{also}")
        return
    if one.raw:
        yield _fact(label, f"none, but a raw public key: {one.key or printable(one.problem)}")
        yield _fact("", f"SHA-256 {one.sha256}")
        return
    if one.problem and one.last is None:
        yield _fact(label, f"cannot be read: {printable(one.problem)}")
        yield _fact("", f"SHA-256 {one.sha256}")
        return
    own = " (signed by itself)" if one.self_signed else f", issued by {printable(one.issuer)}"
    yield _fact(label, f"{printable(one.subject) or 'no subject'}{own}")
    signed = f", {one.signature}" if one.signature else ""
    yield _fact("", f"{span}; {one.key}{signed}; serial {one.serial}")
    if one.names:
        more = f" and {len(one.names) - _NAMES} more" if len(one.names) > _NAMES else ""
        yield _fact("", f"for {printable(', '.join(one.names[:_NAMES]))}{more}")
    yield _fact("", f"SHA-256 {one.sha256}")


def _client_certificate(facts: TlsFacts, paint: Palette, shown: dict[str, int]) -> Iterator[str]:
    if facts.asked:
        more = f" and {len(facts.authorities) - 3} more" if len(facts.authorities) > 3 else ""
        accepted = f"; accepted are those of {printable('; '.join(facts.authorities[:3]))}{more}"
        given = {True: "given", False: "not given", None: "not known whether given"}[facts.given]
        sizes = " (by the sizes of the encrypted records)" if facts.by_size else ""
        yield _fact("client's", f"certificate asked for, {given}{sizes}{accepted if facts.authorities else ''}")
    elif facts.by_size:
        yield _fact("client's", "certificate not asked for (by the sizes of the encrypted records)")
    elif facts.asked is None and facts.version is not None and not facts.resumed:
        why = "encrypted" if facts.version == TLS13 else "it is not in the capture"
        yield _fact("client's", f"certificate: not known whether asked for ({why})")
    for place, one in enumerate(facts.client_certificates):
        yield from _certificate("client" if not place else f"chain {place + 1}", one, facts, paint, shown)


def record_lines(facts: TlsFacts, digits: int) -> Iterator[str]:
    """Every record of a connection: time since the first one, sender, type, size, frame; with handshake messages."""
    for one in facts.records:
        kind = content_name(one.type)
        if one.inner is not None and one.inner != one.type:
            kind = f"{content_name(one.inner)} (in {kind})"
        names = ", ".join(message_name(type) for type in one.messages)
        who = "client" if one.from_client else "server"
        line = f"    {seconds_text(one.time - facts.time, digits):>14}  {one.frame:>6}  {who}  {one.size:>6}  {kind}"
        yield f"{line}  {names}" if names else line
    total = sum(sum(talk.records.values()) for talk in facts.talks)
    if total > len(facts.records):
        yield f"    and {total - len(facts.records):,} more (of each connection {RECORDS:,} are kept)"
