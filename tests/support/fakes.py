"""Messages without bytes: for tests of what is made of messages, independent of how they are read.

A :class:`Play` writes down who says what; it makes :class:`Message` objects with a ``Field`` tree from nested dicts:
a dict is an element with children, a list a repeated element, anything else a value. ``"@Name"`` is an attribute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from lxml import etree

from dissector.base.origin import Endpoint, FrameMap, Gap, Origin, StreamRef
from dissector.catalog.field import Field
from dissector.catalog.model import MessageDecl
from dissector.http.content import Content
from dissector.http.model import HttpMessage
from dissector.messages import Attachment, Message
from dissector.soap.model import Addressing, EndpointReference, Envelope, Fault, QName

__all__ = [
    "ACTIONS",
    "CLIENT",
    "CONTROL",
    "DEVICE",
    "EMAIL",
    "FILESHARE",
    "SCANNER",
    "SERVER",
    "SHAREPOINT",
    "TOKEN",
    "Play",
    "element",
    "filters",
    "picture",
    "reordered",
]

DEVICE = "192.0.2.10"
SERVER = "192.0.2.20"
CONTROL = "192.0.2.30"
CLIENT = "192.0.2.40"
SCANNER = "192.0.2.50"
TOKEN = "5b7fa4ec-7bf4-4e34-9b5e-3ba1cd1b6b9a"
_FILTER = "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/"
EMAIL, FILESHARE, SHAREPOINT = (_FILTER + name for name in ("email", "fileshare", "sharepoint"))
ACTIONS = {
    "WS-DSP": "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/processing/",
    "WS-DSC": "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/configuration/",
    "WS-Scan": "http://schemas.microsoft.com/windows/2006/08/wdp/scan/",
    "WS-DSD": "http://schemas.microsoft.com/windows/2006/08/wdp/scan/",
    "WS-Eventing": "http://schemas.xmlsoap.org/ws/2004/08/eventing/",
    "WS-Discovery": "http://schemas.xmlsoap.org/ws/2005/04/discovery/",
    "WS-Transfer": "http://schemas.xmlsoap.org/ws/2004/09/transfer/",
}
_NAMED_PLAINLY = ("WS-Eventing", "WS-Discovery", "WS-Transfer")
_PORTS = {"WS-DSP": 5362, "WS-DSC": 5362, "WS-Scan": 80, "WS-DSD": 5358, "WS-Eventing": 5362, "WS-Transfer": 5357}
_SECOND = 10**9

Body = Mapping[str, Any] | None


def element(name: str, content: Any, path: str = "") -> Field:
    """A ``Field`` tree: see the module."""
    children: list[Field] = []
    attributes: dict[str, tuple[Any, str]] = {}
    value, text = None, ""
    if isinstance(content, Mapping):
        for key, given in content.items():
            if key.startswith("@"):
                attributes[key[1:]] = (given, str(given))
                continue
            if key == "#":
                value, text = given, str(given)
                continue
            for one in given if isinstance(given, list) else [given]:
                children.append(element(key, one, f"{path}/{key}" if path else key))
    elif content is not None:
        value, text = content, str(content).lower() if isinstance(content, bool) else str(content)
    return Field(
        name=name, key=name, namespace="", prefix="", decl=None, value=value, text=text, attributes=attributes,
        children=children, path=path, index=0,
    )  # fmt: skip


def filters(*states: tuple[Any, ...]) -> dict[str, Any]:
    """FilterStatus elements from (dialect, state, reason…)."""
    return {
        "FilterStatus": [
            {
                "Dialect": dialect,
                "FilterState": state,
                **({"FilterStateReasons": {"FilterStateReason": list(reasons)}} if reasons else {}),
            }
            for dialect, state, *reasons in states
        ]
    }


def picture(
    data: bytes = b"\xff\xd8\xff\xe0 image", *, lost: int = 0, real_type: str = "jfif", cut: bool = False,
    where: str = "ImageData",
) -> Attachment:  # fmt: skip
    """An image; ``lost`` bytes of it are not in the capture, or (``cut``) its end is not."""
    gaps = [Gap(5, lost, "lost", 3, 5)] if lost else []
    whole = not gaps and not cut
    content = Content(
        size=len(data), head=data[:64], sha256=hashlib.sha256(data).hexdigest() if whole else None, gaps=gaps,
        complete=whole,
    )  # fmt: skip
    return Attachment(content, "image@test", None, "application/octet-stream", real_type, where)


class Play:
    """Makes messages, each with its own number, frame and time (a tenth of a second after the one before)."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.time = 1_700_000_000 * _SECOND
        self._ports = 50_000

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.time += int(seconds * _SECOND)

    # -- kinds of messages ----------------------------------------------------------------------------------

    def request(
        self, service: str, operation: str, body: Body = None, *, client: str = DEVICE, server: str = SERVER,
        port: int | None = None, stream: int = 1, name: str | None = None, attachments: Iterable[Attachment] = (),
        **more: Any,
    ) -> Message:  # fmt: skip
        """A request on a connection of the client."""
        plain = service in _NAMED_PLAINLY
        name = name or (operation if plain else f"{operation}Request")
        where = Endpoint(server, _PORTS.get(service, 80) if port is None else port)
        ref = StreamRef("tcp", stream, Endpoint(client, 50_000 + stream), where)
        decl = MessageDecl(name, service, "request", operation, "", name, (ACTIONS.get(service, "") + operation,))
        return self._soap(ref, "request", service, name, decl, body, attachments=attachments, **more)

    def answer(
        self, request: Message, body: Body = None, /, *, name: str | None = None,
        attachments: Iterable[Attachment] = (), status: int = 200, **more: Any,
    ) -> Message:  # fmt: skip
        """The good answer to a request."""
        assert request.decl is not None
        operation = request.decl.operation
        name = name or f"{operation}Response"
        decl = MessageDecl(name, request.service, "response", operation, "", name)
        more.setdefault("relates_to", request.message_id)
        more.setdefault("request", request.number)
        return self._soap(
            request.stream.reversed(), "response", request.service, name, decl, body, attachments=attachments,
            status=status, **more,
        )  # fmt: skip

    def fault(
        self, request: Message, subcode: str, reason: str = "no", /, *, code: str = "Sender", status: int = 500,
        detail: str | None = None, **more: Any,
    ) -> Message:  # fmt: skip
        """The fault that answers a request."""
        tree = etree.fromstring(detail) if detail else None
        given = Fault(code, QName("", code), [QName("", subcode)], [("en", reason)], detail=tree)
        more.setdefault("relates_to", request.message_id)
        more.setdefault("request", request.number)
        made = self._soap(
            request.stream.reversed(), "fault", request.service, "Fault", None, None, status=status, **more
        )
        made.fault = given
        return made

    def http(self, request: Message, status: int = 202, reason: str = "", *, linked: bool = True) -> Message:
        """A bare HTTP answer."""
        made = self._message(request.stream.reversed(), "response", request.service, f"HTTP {status}")
        made.http = _http(made, status=status, reason=reason)
        made.request = request.number if linked else None
        return made

    def event(
        self, service: str, name: str, body: Body = None, *, source: str = SERVER, sink: str = DEVICE,
        port: int = 5357, stream: int = 100, status: int | None = 202, parameters: Iterable[tuple[str, str]] = (),
        **more: Any,
    ) -> Message:  # fmt: skip
        """An event, answered with ``status`` (None: not answered)."""
        ref = StreamRef("tcp", stream, Endpoint(source, 60_000 + stream), Endpoint(sink, port))
        action = ACTIONS[service] + name
        decl = MessageDecl(name, service, "event", name, "", name, (action,), one_way=True)
        more.setdefault("action", action)
        made = self._soap(ref, "event", service, name, decl, body, parameters=parameters, **more)
        if status is not None:
            self.http(made, status)
        return made

    def datagram(
        self, name: str, body: Body = None, *, source: str, port: int = 3702, to: str = "239.255.255.250",
        to_port: int = 3702, stream: int = 500, **more: Any,
    ) -> Message:  # fmt: skip
        """A WS-Discovery message over UDP."""
        ref = StreamRef("udp", stream, Endpoint(source, port), Endpoint(to, to_port))
        decl = MessageDecl(name, "WS-Discovery", "discovery", name, "", name)
        made = self._soap(ref, "discovery", "WS-Discovery", name, decl, body, **more)
        made.http = None
        made.multicast = to.startswith("239.")
        return made

    # -- the parts of stories --------------------------------------------------------------------------------

    def ask(self, service: str, operation: str, body: Body = None, answer: Body = None, **more: Any) -> Message:
        """A request and its good answer; gives the request."""
        asked = self.request(service, operation, body, **more)
        self.answer(asked, answer)
        return asked

    def subscribe(
        self, names: Iterable[str], *, service: str = "WS-DSP", client: str = DEVICE, server: str = SERVER,
        port: int | None = None, sink: str | None = None, identifier: str = "sub-1", parameter: str | None = "sink-1",
        expires: str = "PT1H", stream: int = 90, contexts: Mapping[str, str] | None = None,
    ) -> Message:  # fmt: skip
        """Subscribe and its answer; ``contexts``: client context → destination token."""
        contexts = contexts or {}
        notify: dict[str, Any] = {"Address": sink or f"http://{client}:5357/sink"}
        if parameter is not None:
            notify["ReferenceParameters"] = {"Identifier": parameter}
        actions = " ".join(ACTIONS[service] + name for name in names)
        body: dict[str, Any] = {
            "Delivery": {"NotifyTo": notify},
            "Expires": expires,
            "Filter": {"@Dialect": "http://schemas.xmlsoap.org/ws/2006/02/devprof/Action", "#": actions},
        }
        if contexts:
            body["ScanDestinations"] = {"ScanDestination": [{"ClientContext": name} for name in contexts]}
        granted: dict[str, Any] = {
            "SubscriptionManager": {
                "Address": f"http://{server}/manager",
                "ReferenceParameters": {"Identifier": identifier},
            },
            "Expires": expires,
        }
        if contexts:
            granted["DestinationResponses"] = {
                "DestinationResponse": [{"ClientContext": c, "DestinationToken": t} for c, t in contexts.items()]
            }
        port = _PORTS[service] if port is None else port
        return self.ask(
            "WS-Eventing", "Subscribe", body, granted, client=client, server=server, port=port, stream=stream
        )

    # -- making -----------------------------------------------------------------------------------------------

    def _message(self, ref: StreamRef, kind: str, service: str, name: str) -> Message:
        self.time += _SECOND // 10
        number = len(self.messages) + 1
        made = Message(
            number, kind, service, name, ref, self.time, self.time - 1_000, (number * 10,),
            Origin.whole(ref, 0, 0, FrameMap()),
        )  # fmt: skip
        self.messages.append(made)
        return made

    def _soap(
        self, ref: StreamRef, kind: str, service: str, name: str, decl: MessageDecl | None, body: Body, *,
        attachments: Iterable[Attachment] = (), status: int = 0, relates_to: str | None = None,
        message_id: str | None = "", to: str | None = None, action: str | None = None, reply_to: str | None = None,
        parameters: Iterable[tuple[str, str]] = (), request: int | None = None, complete: bool = True,
    ) -> Message:  # fmt: skip
        made = self._message(ref, kind, service, name)
        root = etree.Element("Envelope")
        addressing = Addressing(
            "2004/08",
            action=action,
            to=to,
            message_id=f"urn:uuid:{made.number:032x}" if message_id == "" else message_id,
            relates_to=[("", relates_to)] if relates_to else [],
            reply_to=EndpointReference(reply_to) if reply_to else None,
            parameters=[(QName("", key), text) for key, text in parameters],
        )
        made.envelope = Envelope("1.2", b"", "utf-8", root, None, None, None, None, addressing)
        made.body = element(name, body) if body is not None else None
        made.decl = decl
        made.attachments = list(attachments)
        made.http = _http(made, status=status)
        made.request = request
        made.complete = complete
        return made


def _http(message: Message, *, status: int = 0, reason: str = "") -> HttpMessage:
    return HttpMessage(
        is_request=not status, stream=message.stream, version="1.1", headers=[], head=b"", origin=message.origin,
        body=Content(), status=status, reason=reason, trigger=message.frames[-1],
    )  # fmt: skip


def reordered(messages: list[Message]) -> list[Message]:
    """The messages numbered, framed and timed anew in this order; answers still know their requests."""
    times = sorted(message.time for message in messages)
    numbers = {message.number: place for place, message in enumerate(messages, 1)}
    for place, (message, time) in enumerate(zip(messages, times, strict=True), 1):
        message.number, message.frames = place, (place * 10,)
        message.time, message.first_time = time, time - 1_000
        message.request = numbers.get(message.request) if message.request is not None else None
        if message.http is not None:
            message.http.trigger = place * 10
    return messages
