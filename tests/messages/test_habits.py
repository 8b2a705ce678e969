"""Habits of devices and programs, from frames to messages."""

from __future__ import annotations

import pytest

from tests.support import wsd
from tests.support.stories import Channel, Story
from tests.support.talk import CLIENT, DEVICE, decoded


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_empty_lines_before_the_first_request_of_a_connection(lines: int) -> None:
    """RFC 9112 2.2 asks a server to pass over them."""
    story = Story()
    story.channels["c"] = Channel(CLIENT, DEVICE, 5357)
    asked = b"\r\n" * lines + wsd.request("/x", DEVICE, wsd.get("urn:uuid:1", "urn:uuid:d"))
    story.ask("c", asked, wsd.response(wsd.envelope(f"{wsd.WXF}/GetResponse", "", relates_to="urn:uuid:1")))
    messages = decoded(story)
    assert [one.name for one in messages] == ["Get", "GetResponse"]
    assert messages[0].findings == []
