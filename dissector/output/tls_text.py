"""TLS connections for people: who spoke with whom how, which certificates were shown, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator

from dissector.output.findings import finding_lines
from dissector.output.text import PLAIN, Palette, count, printable, size_text
from dissector.output.times import duration_text, iso_time, seconds_text
from dissector.output.tls_json import content_name, message_name
from dissector.output.tls_trust import trust_lines
from dissector.transport.tls.alerts import WORDS, alert_text
from dissector.transport.tls.certificates import Certificate
from dissector.transport.tls.diagnosis import day
from dissector.transport.tls.model import RECORDS, Talk, TlsFacts
from dissector.transport.tls.names import version_name
from dissector.transport.tls.suites import suite_name

__all__ = ["connection_lines", "record_lines"]

_NAMES = 6

_STATES = {
    "opened": "good",
    "partly": "warn",
    "wrong keys": "warn",
    "unsupported": "warn",
}

_RESUMED = {
    "id": "resumed by session id",
    "ticket": "resumed by ticket",
    "psk": "by a pre-shared key (of a session before, or agreed upon)",
}


def connection_lines(facts: TlsFacts, digits: int, paint: Palette = PLAIN) -> Iterator[str]:
    """One connection: a head line, then what is known, indented."""
    name = f"  “{printable(facts.server_name)}”" if facts.server_name else ""
    version = version_name(facts.version) if facts.version is not None else "no answer to the ClientHello"
    keys = f" ({facts.keys})" if facts.keys else ""
    state = paint(_STATES.get(facts.state, "dim"), facts.state + keys)
    yield paint("title", f"Stream {facts.number}  {facts.client} → {facts.server}{name}") + f"  {version}, {state}"
    yield _fact(
        "time",
        f"{iso_time(facts.time, digits)}, {duration_text(facts.last_time - facts.time)}, frames "
        f"{facts.frame}-{facts.last_frame}",
    )
    if facts.tunnel:
        yield _fact("inside", f"HTTP: {printable(facts.tunnel)}")
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
        yield from _certificate("certificate" if not place else f"chain {place + 1}", one, facts.time, paint)
    yield from _client_certificate(facts, paint)
    for place, said in enumerate(trust_lines(facts.trust, paint) if facts.trust is not None else ()):
        yield _fact("" if place else "trust", said)
    for who, talk in zip(("client", "server"), facts.talks, strict=True):
        yield _fact(f"{who} sent", _talk(talk))
    for alert in facts.alerts:
        words = WORDS[alert.description][1] if alert.description in WORDS else ""
        said = f": {words}" if words else ""
        who = "client" if alert.from_client else "server"
        level = {1: "warning ", 2: "fatal "}.get(alert.level or 0, "")
        yield _fact("alert", f"{level}{alert_text(alert.description)} from the {who}{said} (frame {alert.frame})")
    for line in finding_lines(facts.findings, paint):
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


def _certificate(label: str, one: Certificate, time: int, paint: Palette) -> Iterator[str]:
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
    span = f"valid {day(one.first)} to {day(one.last)}"
    if (one.last is not None and one.last < time) or (one.first is not None and one.first > time):
        span = paint("error", f"{span}: not when it was shown")
    signed = f", {one.signature}" if one.signature else ""
    yield _fact("", f"{span}; {one.key}{signed}; serial {one.serial}")
    if one.names:
        more = f" and {len(one.names) - _NAMES} more" if len(one.names) > _NAMES else ""
        yield _fact("", f"for {printable(', '.join(one.names[:_NAMES]))}{more}")
    yield _fact("", f"SHA-256 {one.sha256}")


def _client_certificate(facts: TlsFacts, paint: Palette) -> Iterator[str]:
    if facts.asked:
        more = f" and {len(facts.authorities) - 3} more" if len(facts.authorities) > 3 else ""
        accepted = f"; accepted are those of {printable('; '.join(facts.authorities[:3]))}{more}"
        given = {True: "given", False: "not given", None: "not known whether given"}[facts.given]
        yield _fact("client's", f"certificate asked for, {given}{accepted if facts.authorities else ''}")
    elif facts.asked is None and facts.version is not None:
        yield _fact("client's", "certificate: not known whether asked for (encrypted)")
    for place, one in enumerate(facts.client_certificates):
        yield from _certificate("client" if not place else f"chain {place + 1}", one, facts.time, paint)


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
