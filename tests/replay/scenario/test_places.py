"""The bytes that hold a value, and a value out of a new text."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.messages import Message
from replay.scenario.correlate import find_values
from replay.scenario.places import Spotter, spans, texts_at
from replay.scenario.values import Place, rebind, snake
from tests.support.talk import Talk, party, read


def cut(message: Message, place: Place, recorded: str) -> list[bytes]:
    http, envelope = message.http, message.envelope
    assert http is not None
    assert envelope is not None
    data = http.head if place.where in ("target", "http") else envelope.xml
    return [data[low:high] for low, high in spans(message, place, recorded)]


@pytest.mark.parametrize(
    ("capture", "address"),
    [
        ("dsm-completed.pcapng", "192.0.2.10"),
        ("scan-push.pcapng", "192.0.2.40"),
        ("others/airscand-push.pcap", "10.77.0.1"),
        ("others/airscand-push.pcap", "10.77.0.2"),
        ("damaged/dsm-quirks.pcap", "192.0.2.10"),
        ("damaged/dsm-ipv6.pcap", "2001:db8::10"),
    ],
)
def test_every_place_of_every_value_is_found_in_the_bytes(samples: Path, capture: str, address: str) -> None:
    messages = read(samples / capture)
    spotters = [Spotter(message) for message in messages]
    count = 0
    for value in find_values(messages, party):
        for place in value.places:
            message = messages[place.message]
            ranges = spotters[place.message].spans(place, value.recorded)
            head = place.where in ("target", "http")
            data = message.http.head if head and message.http else message.envelope.xml if message.envelope else b""
            encoding = message.envelope.encoding if message.envelope and not head else "latin-1"
            assert {data[low:high].decode(encoding).lower() for low, high in ranges} == {value.recorded.lower()}
            count += 1
    assert count >= 50


def test_escaped_text_comments_and_sections() -> None:
    talk = Talk()
    talk.ask(
        "Other",
        "<v:A> a&amp;b&#x20;&lt;c </v:A><v:B><![CDATA[a&b]]></v:B><v:C>x<!-- y -->z</v:C>"
        "<v:D t='q&quot;r' u=\"s\"/><v:E/>",
        "",
    )
    message = talk.messages()[0]
    assert texts_at(message)["body", "A"] == "a&b <c"
    assert cut(message, Place(0, "body", "A"), "a&b <c") == [b"a&amp;b&#x20;&lt;c"]
    assert cut(message, Place(0, "body", "A", whole=False), "a&b") == [b"a&amp;b"]
    assert cut(message, Place(0, "body", "B"), "a&b") == [b"<![CDATA[a&b]]>"]
    assert cut(message, Place(0, "body", "C"), "xz") == [b"x<!-- y -->z"]
    assert cut(message, Place(0, "body", "D/@t"), 'q"r') == [b"q&quot;r"]
    assert cut(message, Place(0, "body", "D/@u"), "s") == [b"s"]
    assert cut(message, Place(0, "body", "E"), "") == []
    assert cut(message, Place(0, "body", "None"), "x") == []


def test_parts_are_never_cut_out_of_longer_words() -> None:
    talk = Talk()
    text = "http://192.0.2.1:80/a 192.0.2.1:80 192.0.2.1:8080 1192.0.2.1:80 http://192.0.2.1:80/ab"
    talk.ask("Other", f"<v:A>{text}</v:A>", "")
    message = talk.messages()[0]

    def at(recorded: str) -> list[int]:
        start = message.envelope.xml.index(b"<v:A>") + 5 if message.envelope else 0
        return [low - start for low, _ in spans(message, Place(0, "body", "A", whole=False), recorded)]

    assert at("192.0.2.1:80") == [7, 22, text.rindex("192.0.2.1:80/ab")]
    assert at("http://192.0.2.1:80/a") == [0]
    assert at("/a") == [text.index("/a ")]


def test_request_line_and_http_headers() -> None:
    talk = Talk(path="/wsd/scan?x=1")
    talk.ask("Other", "", "", http="Cookie: a=1; b=1\r\nX-T: one\r\nx-t:  two \r\n")
    message = talk.messages()[0]
    assert cut(message, Place(0, "target", ""), "") == [b"/wsd/scan?x=1"]
    assert cut(message, Place(0, "target", "", whole=False), "/wsd/scan") == [b"/wsd/scan"]
    assert cut(message, Place(0, "http", "Host"), "") == [b"192.0.2.10:5357"]
    assert cut(message, Place(0, "http", "x-t[2]"), "") == [b"two"]
    head = message.http.head if message.http else b""
    first, second = (spans(message, Place(0, "http", f"Cookie/{name}"), "1") for name in "ab")
    assert head[first[0][0] - 2 : first[0][1]] == b"a=1"
    assert head[second[0][0] - 2 : second[0][1]] == b"b=1"
    assert cut(message, Place(0, "http", "None"), "x") == []


GUID, NEW = "4f9d2c1e-7a3b-4c5d-8e6f-0a1b2c3d4e5f", "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("recorded", "before", "after", "expected"),
    [
        ("t1", " t1 ", "t2", "t2"),
        ("http://a:1/x", "http://a:1/x", "https://b/y/z", "https://b/y/z"),
        ("/x", "http://a:1/x", "https://b/y/z?q", "/y/z?q"),
        ("/x", "http://a:1/x", "http://b", "/"),
        ("a:1", "http://a:1/x", "https://[::1]:7/y", "[::1]:7"),
        ("http://a:1", "http://a:1/x", "https://b/y", "https://b"),
        ("/2", "http://a/1 http://a/2", "http://b/7 http://b/8", "/8"),
        ("/2", "http://a/1 http://a/2", "http://b/7", "/7"),
        (GUID, f"urn:uuid:{GUID}", f"uuid:{NEW}", NEW),
        (GUID, f"urn:uuid:{GUID}", "http://b/", None),
        ("q1", "job:q1;", "job:q22;", "q22"),
        ("q1", "job:q1;", "other", None),
    ],
)
def test_a_new_text_gives_the_new_value(recorded: str, before: str, after: str, expected: str | None) -> None:
    assert rebind(recorded, before, after) == expected


def test_names() -> None:
    names = ("JobToken", "PSP_Identifier", "ShareUNC", "SaveToSharePointSiteURL", "X-T2", "9")
    made = ["job_token", "psp_identifier", "share_unc", "save_to_share_point_site_url", "x_t_2", "value_9"]
    assert [snake(name) for name in names] == made
