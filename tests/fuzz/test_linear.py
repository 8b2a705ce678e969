"""Texts made to cost, given to the places that look at them: four times the size may cost little more than four times
the time of the processor. Those that need a whole capture are in ``attacks``."""

from __future__ import annotations

from collections.abc import Callable
from tempfile import NamedTemporaryFile

import pytest

from dissector.base.findings import Finding
from dissector.base.origin import Endpoint
from dissector.catalog.times import parse_date_time, parse_duration
from dissector.http.headers import parse_media_type
from dissector.messages import Message
from dissector.output.text import printable
from dissector.soap.envelope import parse_envelope
from dissector.soap.xml import parse_xml
from replay.net.receiver import HttpReceiver
from replay.player.judge import Judge
from replay.player.serve.hearing import _ID, _VARIES
from replay.scenario.correlate import find_values
from replay.scenario.extract import extract
from replay.scenario.parties import Actor, Round
from replay.scenario.stories import stories_of
from replay.soap.caller import read_message
from tests.fuzz.attacks import Line, capture
from tests.fuzz.proportion import grows_no_faster
from tests.support import wsd
from tests.support.loopback import received

HEAD = b"POST / HTTP/1.1\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def packed(more: bytes) -> bytes:
    """The beginning of a request whose body is a package."""
    return HEAD + b"Content-Length: 9999999\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\n" + more


def read(data: bytes) -> list[Finding]:
    """As one side of a connection reads it, whole."""
    receiver = HttpReceiver(Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2))
    return [finding for http in [*receiver.feed(data, 0), *receiver.end()] for finding in http.findings]


def includes(count: int) -> bytes:
    """A package of so many parts, and as many elements that include one that is not there."""
    one = '<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:none"/>'
    parts = b"".join(b"\r\n--b\r\nContent-ID: <%d%%41>\r\n\r\nx" % at for at in range(count))
    whole = b"--b\r\n\r\n" + body(one * count) + parts + b"\r\n--b--"
    kind = b'Content-Type: multipart/related; boundary=b; type="application/xop+xml"\r\n'
    return HEAD + kind + b"Content-Length: %d\r\n\r\n" % len(whole) + whole


def listed(count: int) -> bytes:
    """A capture in which a scanner tells so many active jobs."""
    jobs = "".join(wsd.scan_job_status(k, "Processing", "JobScanning", 0, "wscn:JobSummary") for k in range(count))
    answer = f"<wscn:ActiveJobs>{jobs}</wscn:ActiveJobs>"
    line = Line()
    return capture([
        *line.say(wsd.request("/a", "a", wsd.scan_request("GetActiveJobsRequest", "", "urn:uuid:q", "http://a"))),
        *line.say(
            wsd.response(wsd.scan_response("GetActiveJobsResponse", answer, "urn:uuid:a", "urn:uuid:q")), back=True
        ),
    ])  # fmt: skip


def scenario(raw: bytes) -> None:
    """Make a scenario out of a capture."""
    with NamedTemporaryFile(suffix=".pcap") as file:
        file.write(raw)
        file.flush()
        extract(file.name)


def asked(envelope: bytes) -> Message:
    """A request."""
    head = b"Content-Type: application/soap+xml\r\nContent-Length: %d\r\n\r\n" % len(envelope)
    message = read_message(received(HEAD + head + envelope))
    assert message is not None
    return message


def judge(envelope: bytes) -> None:
    """Compare a message with itself."""
    message = asked(envelope)
    assert not Judge().compare(message, message)


def hosted(count: int) -> bytes:
    """A message that tells so many services."""
    ends = (f"<wsa:Address>http://192.0.2.1/{at}</wsa:Address>" for at in range(count))
    return body("<a>" + "".join(f"<Hosted>{end}</Hosted>" for end in ends) + "</a>")


def clients(one_each: bytes) -> None:
    """So many clients of one server are one story."""
    message, server = asked(body("<a/>")), Actor("192.0.2.1", ["scan server"])
    rounds = [
        Round(message, None, False, "WS-DSP", Actor(f"host {at}", ["DSM device"]), server)
        for at in range(len(one_each))
    ]
    (story,) = stories_of(rounds, [])
    assert len(story.rounds) == len(rounds)


def body(text: str) -> bytes:
    return wsd.envelope("urn:a", text)


CASES: dict[str, tuple[Callable[[bytes], object], Callable[[int], bytes], int]] = {
    "folded header lines": (read, lambda n: HEAD + b"X: y\r\n" + b" z\r\n" * n + b"\r\n", 15_000),
    "blanks in a header": (read, lambda n: HEAD + b"X:" + b" \t" * n + b"y\r\n\r\n", 30_000),
    "lines without a colon": (read, lambda n: HEAD + b"xxxx\r\n" * n + b"\r\n", 10_000),
    "almost a status line": (read, lambda n: b"HTTP/1.1 200 " + b" \t" * n + b"x\r\r\r", 30_000),
    "methods in a row": (read, lambda n: b"x\r\n" + b"POST " * n, 50_000),
    "versions in a row": (read, lambda n: b"x\r\n" + b"POST /a HTTP/1.1 " * n, 20_000),
    "chunk extensions": (read, lambda n: CHUNKED + (b"1;" + b"a=b;" * 100 + b"\r\nx\r\n") * n, 500),
    "zeros of a chunk size": (read, lambda n: CHUNKED + (b"0" * 3000 + b"1\r\nx\r\n") * n, 60),
    "trailers": (read, lambda n: CHUNKED + b"0\r\n" + b"a: b\r\n" * n, 20_000),
    "header lines of a part": (read, lambda n: packed(b"a: b\r\n" * n), 20_000),
    "boundary look-alikes": (read, lambda n: packed(b"\r\n\r\n" + b"\r\n--b-" * n), 60_000),
    "dashes": (read, lambda n: packed(b"\r\n\r\n" + b"-" * n), 200_000),
    "line ends": (read, lambda n: packed(b"\r\n\r\n" + b"\r\n" * n), 200_000),
    "base64 of a part": (
        read, lambda n: packed(b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QQ==\r\n=\r\n" * n), 40_000,
    ),
    "quoted-printable of a part": (
        read, lambda n: packed(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n =" * n), 40_000,
    ),
    "prefixes in a text": (parse_envelope, lambda n: body("xmlns:" * n), 20_000),
    "declarations in a text": (parse_envelope, lambda n: body("xmlns = " * n), 20_000),
    "declarations that stay open": (parse_envelope, lambda n: body("xmlns:a='" * n), 20_000),
    "attributes": (
        parse_envelope, lambda n: body(("<a " + " ".join(f"b{k}=''" for k in range(190)) + "/>") * n), 40,
    ),
    "namespaces": (parse_envelope, lambda n: body("".join(f"<a:b xmlns:a='urn:{k}'/>" for k in range(n))), 3000),
    "includes and parts": (lambda d: read_message(received(d)), includes, 800),
    "details of a fault": (
        judge, lambda n: wsd.fault("urn:1", "urn:2", "Sender", "a", "urn:x", "no", detail="<a/>" * n), 8000,
    ),
    "services that nobody calls": (lambda d: find_values([asked(d)], lambda _: "server"), hosted, 12_000),
    "a list of jobs, recorded": (scenario, listed, 800),
    "clients of one server": (clients, lambda n: b"x" * n, 8000),
    "comments that stay open": (parse_xml, lambda n: b"<a>" + b"<!--" * n, 40_000),
    "sections that stay open": (parse_xml, lambda n: b"<a>" + b"<![CDATA[" * n, 20_000),
    "quotes that stay open": (parse_xml, lambda n: b"<a>" + b"<b c='" * n, 10_000),
    "references": (parse_xml, lambda n: b"<a>" + b"&#65;&x;" * n + b"</a>", 10_000),
    "brackets": (parse_xml, lambda n: b"<" * n, 40_000),
    "media types": (lambda d: parse_media_type(d.decode()), lambda n: b"a/b" + b'; c="\\' * n, 30_000),
    "a date": (lambda d: parse_date_time(d.decode()), lambda n: b"2026-01-01T00:00:00." + b"1" * n, 200_000),
    "a duration": (lambda d: parse_duration(d.decode()), lambda n: b"P" + b"1" * n + b"Y", 200_000),
    "harmful characters": (lambda d: printable(d.decode()), lambda n: "\u202e\x1b".encode() * n, 40_000),
    "blanks in a MessageID": (_ID.findall, lambda n: b"<MessageID>" + b" " * n, 200_000),
    "MessageIDs that stay open": (_ID.findall, lambda n: b"<a:MessageID>x" * n, 20_000),
    "tokens that stay open": (_VARIES.findall, lambda n: b"<JobToken>x" * n, 10_000),
}  # fmt: skip
"""What is told in it → what looks at it, what makes so many, how many for the larger one."""


@pytest.mark.parametrize("name", CASES)
def test_cost_grows_with_size(name: str) -> None:
    look, make, size = CASES[name]

    def told(count: int) -> Callable[[], object]:
        data = make(count)
        return lambda: look(data)

    grows_no_faster(told, size)
