"""What a capture is: ``dsmshark.info/1`` (see ``schemas/info.json``), and text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dissector.analysis.endpoints import Host
from dissector.base.findings import Finding
from dissector.capture.linktypes import link_name
from dissector.capture.model import Interface, SourceInfo
from dissector.http.model import HttpMessage
from dissector.messages import Message
from dissector.output.findings import finding_lines, findings_json
from dissector.output.summary import LONGEST
from dissector.output.text import PLAIN, Palette, clip, count, printable, size_text
from dissector.output.times import duration_text, iso_time
from dissector.transport.model import TransportStats

__all__ = ["SCHEMA", "Report", "Tally", "info_json", "info_lines"]

SCHEMA = "dsmshark.info/1"
_SHOWN = 10
_COMMENT = 2000
"""Columns of one comment."""


@dataclass(slots=True)
class Tally:
    """Counts messages while the pass runs.

    Attributes:
        messages: (service, kind) → WSD messages.
        http: HTTP messages of all kinds.
        incomplete: WSD messages that are not whole.
        findings: rule → (severity word, how many) of all messages.
    """

    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    http: int = 0
    incomplete: int = 0
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)

    def message(self, message: Message) -> None:
        """A sink for the pass. Bodies are not decoded for it: that is what ``read`` is for."""
        self.messages[message.service, message.kind] += 1
        self.incomplete += not message.complete
        for finding in message.findings:
            self.rules[finding.rule, finding.severity.value] += 1

    def on_http(self, message: HttpMessage) -> None:
        """Count an HTTP message."""
        self.http += 1


@dataclass(slots=True)
class Report:
    """All that is reported of a capture."""

    info: SourceInfo
    interfaces: Sequence[Interface]
    stats: TransportStats
    digits: int
    tally: Tally
    hosts: Sequence[Host]
    jobs: Counter[str]
    events: int
    subscriptions: int
    findings: Sequence[Finding]
    notes: Sequence[str]
    interrupted: bool = False
    decrypted: int = 0
    """TLS connections that were opened."""

    @property
    def noise(self) -> float | None:
        """Share of packets that belong to no conversation of interest, 0..1."""
        return None if not self.stats.frames else 1 - min(self.stats.taken / self.stats.frames, 1.0)


def info_json(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    info, stats, digits = report.info, report.stats, report.digits
    span = _span(stats)
    return {
        "schema": SCHEMA,
        "files": [
            {"path": path, "container": container} for path, container in zip(info.paths, info.containers, strict=False)
        ],
        "size": info.bytes_total,
        "interfaces": [
            {
                "number": one.number,
                "link_type": one.link_type,
                "link_name": link_name(one.link_type),
                "name": one.name or None,
                "description": one.description or None,
                "os": one.os or None,
                "snaplen": one.snaplen or None,
                "digits": one.digits,
            }
            for one in report.interfaces
        ],
        "link_types": [
            {"link_type": number, "link_name": link_name(number), "packets": packets}
            for number, packets in sorted(stats.link_types.items())
        ],
        "first_time": iso_time(stats.first_time, digits),
        "last_time": iso_time(stats.last_time, digits),
        "seconds": None if span is None else span / 1_000_000_000,
        "packets": {
            "total": stats.frames,
            "bytes": stats.bytes,
            "tcp": stats.tcp,
            "udp": stats.udp,
            "other": stats.other,
            "wsd": stats.taken,
            "noise": None if report.noise is None else round(report.noise, 6),
            "cut": stats.cut,
            "damaged": stats.damaged,
            "fragments": stats.fragments,
            "unknown_link": stats.unknown_link,
        },
        "conversations": stats.conversations,
        "http_messages": report.tally.http,
        "messages": [
            {"service": service, "kind": kind, "count": number}
            for (service, kind), number in sorted(report.tally.messages.items())
        ],
        "incomplete_messages": report.tally.incomplete,
        "jobs": [{"kind": kind, "count": number} for kind, number in sorted(report.jobs.items())],
        "events": report.events,
        "subscriptions": report.subscriptions,
        "endpoints": [host.to_json() for host in report.hosts],
        "opaque": [
            {
                "protocol": protocol,
                "client": str(client),
                "server": str(server),
                "packets": packets,
                "bytes": size,
            }
            for protocol, pairs in stats.opaque.items()
            for (client, server), (packets, size) in sorted(pairs.items())
        ],
        "decrypted": report.decrypted,
        "comments": [{"frame": frame or None, "text": text} for frame, text in info.comments],
        "key_logs": sum(kind == 0x544C534B for kind, _ in info.secrets),
        "message_findings": [
            {"rule": rule, "severity": severity, "count": number}
            for (rule, severity), number in sorted(report.tally.rules.items())
        ],
        "findings": findings_json(report.findings),
        "notes": list(report.notes),
        "interrupted": report.interrupted,
    }


def _span(stats: TransportStats) -> int | None:
    if stats.first_time is None or stats.last_time is None:
        return None
    return stats.last_time - stats.first_time


def info_lines(report: Report, paint: Palette = PLAIN) -> Iterator[str]:
    """The report for people."""
    info, stats, digits = report.info, report.stats, report.digits
    containers = [*info.containers, *[""] * (len(info.paths) - len(info.containers))]
    for path, container in zip(info.paths, containers, strict=False):
        yield _fact("file", f"{printable(path)} ({container})" if container else printable(path))
    if info.bytes_total is not None:
        yield _fact("size", size_text(info.bytes_total))
    named = [one for one in report.interfaces if one.name or one.description]
    for one in named[:_SHOWN]:
        words = [one.name, one.description, f"limit {one.snaplen} bytes" if one.snaplen else "", one.os]
        yield _fact("interface", _told(", ".join(word for word in words if word)))
    links = [
        f"{link_name(number)} ({count(packets, 'packet')})" for number, packets in sorted(stats.link_types.items())
    ]
    yield _fact("link types", ", ".join(links) or "none")
    span = _span(stats)
    if span is not None:
        first, last = iso_time(stats.first_time, digits), iso_time(stats.last_time, digits)
        yield _fact("time", f"{first} to {last} ({duration_text(span)})")
    yield _fact(
        "packets",
        f"{stats.frames:,} ({size_text(stats.bytes)}): {stats.tcp:,} TCP, {stats.udp:,} UDP, {stats.other:,} other",
    )
    if report.noise is not None:
        yield _fact("of interest", f"{count(stats.taken, 'packet')}; {report.noise:.1%} are noise")
    if report.decrypted:
        yield _fact("decrypted", f"{count(report.decrypted, 'TLS connection')} (“dsmshark tls” shows each)")
    yield from _messages(report)
    yield from _hosts(report, paint)
    if info.comments:
        yield ""
        yield paint("title", "Comments in the capture")
        for frame, text in info.comments[:_SHOWN]:
            yield f"  {f'frame {frame}: ' if frame else ''}{clip(printable(text), _COMMENT)}"
        if len(info.comments) > _SHOWN:
            yield f"  and {len(info.comments) - _SHOWN:,} more"
    if report.tally.rules:
        yield ""
        yield paint("title", "Findings on messages (“dsmshark read -V” shows each)")
        for (rule, severity), number in report.tally.rules.most_common(_SHOWN):
            yield f"  {number:>6,} × {paint(severity, severity):<5} {rule}"
    if report.findings:
        yield ""
        yield paint("title", "Findings on the capture")
        for line in finding_lines(report.findings, paint):
            yield f"  {line}"
    if report.notes:
        yield ""
        for note in report.notes:
            yield f"note: {printable(note)}"


def _told(text: str) -> str:
    """What others wrote: a name of 60,000 characters would hide the rest."""
    return clip(printable(text), LONGEST)


def _fact(label: str, text: str) -> str:
    return f"{label:<14}{text}"


def _messages(report: Report) -> Iterator[str]:
    total = sum(report.tally.messages.values())
    incomplete = f", {report.tally.incomplete:,} of them incomplete" if report.tally.incomplete else ""
    yield _fact("messages", f"{total:,} of WSD{incomplete}; {count(report.tally.http, 'HTTP message')} in all")
    by_service: dict[str, Counter[str]] = {}
    for (service, kind), number in report.tally.messages.items():
        by_service.setdefault(service or "unknown service", Counter())[kind] += number
    for service, kinds in sorted(by_service.items()):
        said = ", ".join(
            count(number, kind) if kind != "discovery" else f"{number:,}" for kind, number in kinds.items()
        )
        yield _fact("", f"{printable(service):<20} {said}")
    jobs = ", ".join(count(number, f"{kind} job") for kind, number in sorted(report.jobs.items()))
    yield _fact("jobs", jobs or "none")
    if report.events or report.subscriptions:
        yield _fact("events", f"{report.events:,}, {count(report.subscriptions, 'subscription')}")


def _hosts(report: Report, paint: Palette) -> Iterator[str]:
    if not report.hosts:
        return
    yield ""
    yield paint("title", "WSD endpoints")
    for host in report.hosts:
        name = f"  “{_told(host.name)}”" if host.name else ""
        yield f"  {printable(host.address)}{name}  {', '.join(host.roles) or 'role unknown'}"
        for port, services in sorted(host.serves.items()):
            yield f"      serves {', '.join(services)} on port {port}"
        if host.calls:
            yield f"      calls {', '.join(host.calls)}"
        facts = [
            " ".join(part for part in (host.manufacturer, host.model) if part),
            f"firmware {host.firmware}" if host.firmware else "",
            f"serial {host.serial}" if host.serial else "",
        ]
        known = ", ".join(fact for fact in facts if fact)
        if known:
            yield f"      {_told(known)}"
        if host.identifiers:
            yield f"      {_told(', '.join(host.identifiers[:2]))}"
        if host.types:
            yield f"      types {_told(', '.join(host.types[:6]))}"
        for hosted in host.hosted[:_SHOWN]:
            places = ", ".join(dict.fromkeys(hosted.addresses[:2]))
            yield f"      hosts {_told(', '.join(hosted.types))} at {_told(places)}"
        if len(host.hosted) > _SHOWN:
            yield f"      hosts {len(host.hosted) - _SHOWN} more services"
