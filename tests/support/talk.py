"""Short conversations as decoded messages: written as SOAP and HTTP text, carried as packets, read by the dissector."""

from __future__ import annotations

import io

import dissector
from dissector.messages import Message
from replay.scenario.values import Value
from tests.support import wsd
from tests.support.stories import Channel, Story
from tests.support.wire import frames_of, write_pcap

__all__ = ["CLIENT", "DEVICE", "Talk", "decoded", "party", "read", "where"]

CLIENT = "192.0.2.40"
DEVICE = "192.0.2.10"


def read(path: object) -> list[Message]:
    """The messages of a capture file."""
    with dissector.open(str(path), keep=True) as capture:
        return list(capture.messages)


def decoded(story: Story) -> list[Message]:
    """The messages of a story."""
    with dissector.open(io.BytesIO(write_pcap(frames_of(story))), keep=True) as capture:
        return list(capture.messages)


PARTIES = {
    CLIENT: "client", DEVICE: "device", "192.0.2.20": "server", "192.0.2.30": "control",
    "10.77.0.1": "client", "10.77.0.2": "device",
}  # fmt: skip
"""Addresses in the sample captures → names."""


def party(message: Message) -> str:
    """Name of the party that sent a message."""
    return PARTIES.get(message.source.address, message.source.address)


def where(value: Value) -> list[tuple[int, str, str]]:
    """Message, place and path of each use."""
    return [(place.message, place.where, place.path) for place in value.uses]


class Talk:
    """A client that asks a device, and a device that tells events."""

    def __init__(
        self, seed: int = 1, path: str = "/wsd/scan", *, device: str = DEVICE, story: Story | None = None
    ) -> None:
        self.ids = wsd.Ids(seed)
        self.path = path
        self.host = f"{device}:5357"
        self.url = f"http://{self.host}{path}"
        self.story = Story() if story is None else story
        self.calls, self.events = f"{device} calls", f"{device} events"
        self.story.channels[self.calls] = Channel(CLIENT, device, 5357)
        self.story.channels[self.events] = Channel(device, CLIENT, 5358)

    def raw(self, request: bytes, answer: bytes) -> None:
        """HTTP messages as they are."""
        self.story.ask(self.calls, request, answer)

    def ask(
        self,
        name: str,
        inner: str,
        answer: str,
        *,
        headers: str = "",
        answer_headers: str = "",
        http: str = "",
        answer_http: str = "",
        to: str | None = None,
    ) -> None:
        """An operation of WS-Scan. ``headers`` are SOAP header blocks, ``http`` are header lines with CRLF."""
        asked = self.ids.message()
        names = wsd.ns(wscn=wsd.WSCN, wse=wsd.WSE, v="urn:example:vendor")
        sent = wsd.envelope(
            f"{wsd.WSCN}/{name}", f"<wscn:{name}Request>{inner}</wscn:{name}Request>", message_id=asked,
            to=to or self.url, reply_to=True, headers=headers, namespaces=names,
        )  # fmt: skip
        came = wsd.envelope(
            f"{wsd.WSCN}/{name}Response", f"<wscn:{name}Response>{answer}</wscn:{name}Response>",
            message_id=self.ids.message(), relates_to=asked, headers=answer_headers, namespaces=names,
        )  # fmt: skip
        response = wsd.response(came)
        if answer_http:
            response = response.replace(b"Server:", answer_http.encode() + b"Server:", 1)
        self.raw(wsd.request(self.path, self.host, sent, extra=http), response)

    def subscribe(self, sink: str, identifier: str, manager: str, subscription: str, extra: str = "") -> None:
        """Subscribe; ``extra`` goes into the answer."""
        asked = self.ids.message()
        sent = wsd.subscribe(asked, self.url, sink, [f"{wsd.WSCN}/JobStatusEvent"], identifier)
        came = wsd.subscribe_response(self.ids.message(), asked, manager, subscription, extra=extra)
        self.raw(wsd.request(self.path, self.host, sent), wsd.response(came))

    def manage(self, name: str, manager: str, subscription: str) -> None:
        """Renew, GetStatus or Unsubscribe."""
        asked = self.ids.message()
        path = "/" + manager.split("/", 3)[3]
        headers = wsd.identifier_header(subscription)
        spaces = wsd.ns(wse=wsd.WSE)
        sent = wsd.envelope(
            f"{wsd.WSE}/{name}", f"<wse:{name}/>", message_id=asked, to=manager, headers=headers, namespaces=spaces
        )
        came = wsd.envelope(f"{wsd.WSE}/{name}Response", "", message_id=self.ids.message(), relates_to=asked)
        self.raw(wsd.request(path, self.host, sent), wsd.response(came))

    def tell(self, name: str, inner: str, sink: str, identifier: str = "") -> None:
        """An event of WS-Scan."""
        header = wsd.identifier_header(identifier) if identifier else ""
        body = wsd.scan_event(name, inner, self.ids.message(), sink, identifier=header)
        host, _, path = sink.removeprefix("http://").partition("/")
        self.story.ask(self.events, wsd.request(f"/{path}", host, body), wsd.accepted())

    def messages(self) -> list[Message]:
        """What the dissector reads."""
        return decoded(self.story)
