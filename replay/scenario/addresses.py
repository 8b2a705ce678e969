"""Addresses of a conversation: who handed them out, and the requests that go there.

An address that is handed out (XAddrs, Hosted, SubscriptionManager, NotifyTo, EndTo, ReplyTo) gives up to three values:
the URL, its path for the request line, its authority for ``Host``; all are born in the one place. Equal URLs with other
meanings are other values: a peer that has its subscription manager where its service is need not be the next one's
habit. Which one a request goes to is told by its operation.

A request to an address that nothing handed out goes to one that was configured: its base and authority are those of the
party that listens there, its path is a parameter of the site (but a sink's, which whoever subscribed has made).

Sources: WS-Addressing 2004/08 2, WS-Discovery 2005/04 4 and 6 (XAddrs), DPWS 2006/02 5 (Hosted), WS-Eventing 2004/08 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from replay.scenario.places import Text
from replay.scenario.story import Story
from replay.scenario.values import Value, authority_of, base_of, is_url, path_of, snake

__all__ = ["find_addresses"]


class Meaning(NamedTuple):
    """What an address is for.

    Attributes:
        name: begins the names of its values.
        why: what it is, as words.
    """

    name: str
    why: str


DEVICE = Meaning("device", "the device's transport address")
SERVICE = Meaning("service", "the address of a hosted service")
MANAGER = Meaning("manager", "the subscription manager's address")
SINK = Meaning("sink", "the event sink's address")
END = Meaning("end_to", "where the end of a subscription is told")
REPLY = Meaning("reply", "where an answer is wanted")

_MANAGING = (MANAGER, SERVICE, DEVICE)
_PREFERRED = {
    "Renew": _MANAGING, "GetStatus": _MANAGING, "Unsubscribe": _MANAGING,
    "Get": (DEVICE, SERVICE), "SubscriptionEnd": (END, SINK),
}  # fmt: skip
_EVENT = (SINK, END)
_OTHERS = (SERVICE, DEVICE, SINK, END, REPLY)
"""What a request may go to, the likeliest first: a service is not called at its subscription manager's address, though
many have the same for both."""

_HOST = re.compile(r"(?:https?://)?[\w.-]+:\d+|https?://[\w.-]+|(?:https?://)?\[[0-9A-Fa-f:.%]+\](?::\d+)?")


@dataclass(frozen=True, slots=True, eq=False)
class _Address:
    """One that was handed out, and where."""

    meaning: Meaning
    owner: str
    url: str
    value: Value
    message: int
    text: Text


class _Finder:
    def __init__(self, story: Story) -> None:
        self.story = story
        self.known: dict[tuple[str, str, str], _Address] = {}
        self.by_url: dict[tuple[str, str], list[_Address]] = {}
        self.owners: dict[str, str] = {}
        self.parts: dict[tuple[str, str, str], Value] = {}
        self.called: list[_Address] = []

    # -- handed out -------------------------------------------------------------------------------------------------

    def births(self) -> None:
        found = [(index, text, meaning) for index, text in self.story.all_texts() if (meaning := _meaning(text))]
        # EndTo stands before NotifyTo, and mostly holds the same address: it is a sink's then.
        for index, text, meaning in sorted(found, key=lambda one: (one[0], one[2] is END)):
            urls = [one for one in text.text.split() if is_url(one) and not one.endswith("/anonymous")]
            for url in urls:
                self._handed_out(index, text, url, meaning, whole=text.text == url)

    def _handed_out(self, index: int, text: Text, url: str, meaning: Meaning, *, whole: bool) -> None:
        story = self.story
        owner = story.owner(index, authority_of(url))
        if meaning is END and (SINK.name, owner, url) in self.known:
            meaning = SINK
        known = self.known.get((meaning.name, owner, url))
        if known is not None:
            story.use(known.value, index, text, whole=whole)
            return
        value = story.add(
            f"{meaning.name}_address", url, "address", owner,
            f"{text.name} is {meaning.why}; requests go there.",
        )  # fmt: skip
        story.born(value, index, text, whole=whole)
        made = _Address(meaning, owner, url, value, index, text)
        self.known[meaning.name, owner, url] = made
        self.by_url.setdefault((owner, url.lower()), []).append(made)

    # -- used -------------------------------------------------------------------------------------------------------

    def requests(self) -> None:
        for index, message in enumerate(self.story.messages):
            if message.http is not None and message.http.is_request:
                self._request(index)

    def _request(self, index: int) -> None:
        story = self.story
        owner = story.receivers[index]
        found = {(one.where, one.path): one for one in story.texts[index]}
        target, to = found.get(("target", "")), found.get(("header", "To"))
        host = next((one for one in story.texts[index] if one.where == "http" and one.path.lower() == "host"), None)
        address = None
        if to is not None and is_url(to.text):
            address = self._best(index, owner, [to.text])
            if address is not None:
                story.use(address.value, index, to)
            else:
                self._unborn(index, owner, to)
        if target is None:
            return
        wanted = target.text if is_url(target.text) else ""
        if not wanted and host is not None:
            wanted = f"http://{host.text}{target.text}"
        if wanted and (address is None or not _leads_to(address.url, target.text, host)):
            urls = [wanted, "https" + wanted[4:]] if wanted.startswith("http:") else [wanted]
            address = self._best(index, owner, urls)
        if address is not None and is_url(target.text):
            story.use(address.value, index, target)
        elif address is not None:
            story.use(self._part("path", address), index, target)
        elif is_url(target.text):
            self._unborn(index, owner, target)
        else:
            story.use(self._path(index, owner, target.text), index, target)
        if host is not None:
            if address is not None and authority_of(address.url).lower() == host.text.lower():
                story.use(self._part("host", address), index, host)
            else:
                story.use(self._own("host", owner, host.text), index, host)

    def _best(self, index: int, owner: str, urls: list[str]) -> _Address | None:
        """The address that a request goes to, of those that were handed out before it."""
        event = self.story.messages[index].kind == "event"
        order = _PREFERRED.get(self.story.operation(index), _EVENT if event else _OTHERS)
        found = [
            one
            for url in urls
            for one in self.by_url.get((owner, url.lower()), ())
            if one.message < index and one.meaning in order
        ]
        best = min(found, key=lambda one: order.index(one.meaning), default=None)
        if best is not None:
            self.called.append(best)
        return best

    def _unborn(self, index: int, owner: str, text: Text) -> None:
        """A whole URL that nothing handed out: base and path."""
        self.story.use(self._own("base", owner, base_of(text.text)), index, text, whole=False)
        if text.text.endswith(path_of(text.text)):
            self.story.use(self._path(index, owner, path_of(text.text)), index, text, whole=False)

    def _part(self, part: str, address: _Address) -> Value:
        key = (part, address.meaning.name + address.owner, address.url)
        value = self.parts.get(key)
        if value is None:
            text = path_of(address.url) if part == "path" else authority_of(address.url)
            what = "the path" if part == "path" else "host and port"
            value = self.parts[key] = self.story.add(
                f"{address.meaning.name}_{part}", text, "address", address.owner,
                f"It is {what} of {address.meaning.why}, as requests that go there name it.",
            )  # fmt: skip
            self.story.born(value, address.message, address.text, whole=False)
        return value

    def _own(self, part: str, owner: str, text: str) -> Value:
        """Base or host of a party, where no address that was handed out tells it."""
        key = (part, owner, text.lower())
        value = self.parts.get(key)
        if value is None:
            value = self.parts[key] = self.story.add(
                f"{snake(owner)}_{part}", text, "address", owner,
                f"It is where the {owner} listens; no message before it hands that out.",
            )  # fmt: skip
            self.owners.setdefault((authority_of(text) if part == "base" else text).lower(), owner)
        return value

    def _path(self, index: int, owner: str, path: str) -> Value:
        key = ("path", owner, path)
        value = self.parts.get(key)
        if value is None:
            event = self.story.messages[index].kind == "event"
            value = self.parts[key] = self.story.add(
                "sink_path" if event else "service_path", path, "address", owner if event else "",
                "It is the path of an event sink; the Subscribe that tells it is not in the capture." if event
                else "It is a path that no message before it hands out, so it was configured.",
            )  # fmt: skip
        return value

    def prune(self) -> None:
        """A device may list dozens of services: those that nobody calls need no name."""
        used = {id(address) for address in self.called}
        kept, unused = {}, []
        for key, address in self.known.items():
            if address.meaning is SERVICE and id(address) not in used:
                unused.append(address.value)
                self.by_url[address.owner, address.url.lower()].remove(address)
            else:
                kept[key] = address
                self.owners.setdefault(authority_of(address.url).lower(), address.owner)
        self.known = kept
        self.story.drop(unused)

    # -- elsewhere --------------------------------------------------------------------------------------------------

    def elsewhere(self) -> None:
        """Known addresses in other texts, whole; and known authorities within longer ones."""
        urls: dict[str, list[_Address]] = {}
        for (_, url), found in self.by_url.items():
            urls.setdefault(url, []).extend(found)
        for index, text in list(self.story.free_texts()):
            if text.where == "target" or self.story.touched(index, text):
                continue
            same = urls.get(text.text.lower(), ())
            if same and same[0].url == text.text:
                self.story.use(same[0].value, index, text)
                continue
            for part_of in dict.fromkeys(_HOST.findall(text.text)) if ":" in text.text else ():
                authority = authority_of(part_of) if "://" in part_of else part_of
                owner = self.owners.get(authority.lower())
                if owner is not None:
                    part = "base" if "://" in part_of else "host"
                    self.story.use(self._own(part, owner, part_of), index, text, whole=False)


def _meaning(text: Text) -> Meaning | None:
    """What a text that holds addresses is for, None where it is none."""
    if text.attribute or text.where not in ("body", "header"):
        return None
    if text.where == "header":
        return REPLY if text.path in ("ReplyTo/Address", "FaultTo/Address", "From/Address") else None
    if text.name == "XAddrs":
        return DEVICE
    if text.name != "Address":
        return None
    steps = [step.partition("[")[0] for step in text.path.split("/")[:-1]]
    for step, meaning in (("SubscriptionManager", MANAGER), ("NotifyTo", SINK), ("EndTo", END), ("Hosted", SERVICE)):
        if step in steps:
            return meaning
    return DEVICE if "EndpointReference" in steps else None


def _leads_to(url: str, target: str, host: Text | None) -> bool:
    """The request line (and Host) say the same as a URL."""
    if is_url(target):
        return url == target
    return path_of(url) == target and (host is None or host.text.lower() == authority_of(url).lower())


def find_addresses(story: Story) -> None:
    """Add the addresses of a story to its values."""
    finder = _Finder(story)
    finder.births()
    finder.requests()
    finder.prune()
    finder.elsewhere()
