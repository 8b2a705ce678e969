"""Captures of one connection that lost segments of both sides, and swapped some, made from a seed."""

from __future__ import annotations

import random

from tests.support import wsd
from tests.support.stories import Channel, Story
from tests.support.wire import Frame, frames_of, write_pcap

__all__ = ["lossy", "lossy_frames"]


def lossy(seed: int) -> bytes:
    """A capture."""
    return write_pcap(lossy_frames(seed))


def lossy_frames(seed: int) -> list[Frame]:
    """The frames of one."""
    rng = random.Random(seed)
    story = Story(channels={"c": Channel("192.0.2.1", "192.0.2.2", 5357)})
    for number in range(rng.randrange(2, 7)):
        asked = wsd.envelope(f"{wsd.WXF}/Get", "", message_id=f"urn:uuid:{number}")
        came = wsd.envelope(f"{wsd.WXF}/GetResponse", "", relates_to=f"urn:uuid:{number}")
        story.ask("c", wsd.request("/a", "192.0.2.2:5357", asked), wsd.response(came))
    frames = frames_of(story, mss=rng.choice([100, 300, 536]))
    share = rng.choice([0.05, 0.1, 0.2, 0.3])
    left = [frame for number, frame in enumerate(frames) if number < 3 or rng.random() > share]
    for _ in range(rng.randrange(4)):
        where = rng.randrange(len(left))
        left.insert(min(len(left), where + rng.randrange(12)), left.pop(where))
    return left
