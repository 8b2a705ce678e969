"""TLS connections as plain data: ``dsmshark.tls/1`` (see ``schemas/tls.json``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dissector.base.findings import Finding
from dissector.output.findings import findings_json
from dissector.output.jsontext import dumps
from dissector.output.times import iso_time
from dissector.output.tls_trust import trust_json
from dissector.transport.tls.alerts import WORDS, alert_text
from dissector.transport.tls.certificates import Certificate
from dissector.transport.tls.model import RecordSeen, Talk, TlsFacts
from dissector.transport.tls.names import Content, Shake, group_name, version_name
from dissector.transport.tls.suites import suite_name

__all__ = ["SCHEMA", "content_name", "message_name", "tls_json", "tls_json_text"]

SCHEMA = "dsmshark.tls/1"


def content_name(type: int) -> str:
    """``handshake``, ``application data`` …"""
    names = {
        Content.CHANGE_CIPHER_SPEC: "change cipher spec",
        Content.ALERT: "alert",
        Content.HANDSHAKE: "handshake",
        Content.DATA: "application data",
        Content.HEARTBEAT: "heartbeat",
    }
    known = {int(content): name for content, name in names.items()}
    return known.get(type, "SSL 2.0 hello" if type == 128 else f"type {type}")


def message_name(type: int) -> str:
    """``ClientHello``, ``NewSessionTicket`` …"""
    try:
        return "".join(word.capitalize() for word in Shake(type).name.split("_"))
    except ValueError:
        return f"type {type}"


def tls_json(
    connections: Iterable[TlsFacts],
    digits: int,
    *,
    records: bool,
    left_out: int,
    notes: Sequence[str],
    findings: Iterable[Finding],
    interrupted: bool,
) -> dict[str, Any]:
    """All connections.

    Args:
        connections: in order.
        digits: decimals of the capture's times.
        records: with each record.
        left_out: connections of which nothing was kept.
        notes, findings: on the capture.
        interrupted: reading was broken off.
    """
    return {
        "schema": SCHEMA,
        "connections": [_connection(facts, digits, records) for facts in connections],
        "left_out": left_out,
        "notes": list(notes),
        "findings": findings_json(findings),
        "interrupted": interrupted,
    }


def tls_json_text(connections: Iterable[TlsFacts], digits: int, *, records: bool, **rest: Any) -> Iterator[str]:
    """The same as JSON text, in pieces: there may be many connections."""
    frame = tls_json([], digits, records=records, **rest)
    yield f'{{\n"schema": {dumps(frame.pop("schema"))},\n"connections": ['
    for place, facts in enumerate(connections):
        yield ("," if place else "") + "\n" + dumps(_connection(facts, digits, records), indent=2)
    del frame["connections"]
    yield "\n],\n" + ",\n".join(f"{dumps(key)}: {dumps(value, indent=2)}" for key, value in frame.items()) + "\n}\n"


def _who(from_client: bool) -> str:
    return "client" if from_client else "server"


def _connection(facts: TlsFacts, digits: int, records: bool) -> dict[str, Any]:
    client, server = facts.talks
    return {
        "stream": facts.number,
        "client": str(facts.client),
        "server": str(facts.server),
        "first_frame": facts.frame,
        "last_frame": facts.last_frame,
        "first_time": iso_time(facts.time, digits),
        "last_time": iso_time(facts.last_time, digits),
        "tunnel": facts.tunnel or None,
        "depth": facts.depth,
        "server_name": facts.server_name or None,
        "versions_offered": [version_name(version) for version in facts.offered],
        "suites_offered": [suite_name(number) for number in facts.suites],
        "alpn_offered": list(facts.alpn_offered),
        "groups_offered": [group_name(number) for number in facts.groups],
        "encrypted_client_hello": facts.hidden,
        "version": None if facts.version is None else version_name(facts.version),
        "suite": None if facts.suite is None else suite_name(facts.suite),
        "alpn": facts.alpn or None,
        "resumed": facts.resumed or None,
        "certificate_compression": facts.compression or None,
        "retried": facts.retried,
        "extended_master_secret": facts.extended_master,
        "encrypt_then_mac": facts.encrypt_then_mac,
        "early_data": facts.early or None,
        "handshakes": facts.handshakes,
        "key_updates": facts.key_updates,
        "finished": facts.finished,
        "state": facts.state,
        "keys": facts.keys or None,
        "certificates": [_certificate(one) for one in facts.certificates],
        "client_certificate": {
            "asked": facts.asked,
            "given": facts.given,
            "by_size": facts.by_size,
            "authorities": list(facts.authorities),
            "certificates": [_certificate(one) for one in facts.client_certificates],
        },
        "trust": trust_json(facts.trust),
        "alerts": [
            {
                "from": _who(alert.from_client),
                "level": {1: "warning", 2: "fatal"}.get(alert.level or 0),
                "code": alert.description,
                "name": alert_text(alert.description),
                "meaning": WORDS[alert.description][1] if alert.description in WORDS else None,
                "frame": alert.frame,
                "time": iso_time(alert.time, digits),
            }
            for alert in facts.alerts
        ],
        "messages": [
            {
                "from": _who(message.from_client),
                "name": message_name(message.type),
                "frame": message.frame,
                "time": iso_time(message.time, digits),
            }
            for message in facts.messages
        ],
        "sent": {"client": _talk(client), "server": _talk(server)},
        "records": [_record(one, digits) for one in facts.records] if records else None,
        "findings": findings_json(facts.findings),
    }


def _certificate(one: Certificate) -> dict[str, Any]:
    return {
        "subject": one.subject or None,
        "issuer": one.issuer or None,
        "serial": one.serial or None,
        "not_before": iso_time(one.first, 0),
        "not_after": iso_time(one.last, 0),
        "names": list(one.names),
        "key": one.key or None,
        "signature": one.signature or None,
        "authority": one.authority,
        "sha256": one.sha256,
        "problem": one.problem or None,
        "raw_public_key": one.raw,
    }


def _talk(talk: Talk) -> dict[str, Any]:
    return {
        "records": {content_name(type): count for type, count in sorted(talk.records.items())},
        "bytes": talk.bytes,
        "plain_bytes": talk.plain if talk.opened else None,
        "damaged": talk.lost,
        "finished": talk.finished,
        "end": talk.end.value if talk.end is not None else None,
    }


def _record(one: RecordSeen, digits: int) -> dict[str, Any]:
    return {
        "from": _who(one.from_client),
        "type": content_name(one.type),
        "inner_type": None if one.inner is None else content_name(one.inner),
        "messages": [message_name(type) for type in one.messages],
        "bytes": one.size,
        "frame": one.frame,
        "time": iso_time(one.time, digits),
    }
