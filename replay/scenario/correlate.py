"""Finding the values of a recorded conversation that a replay must change, by what the protocols say of elements.

Each pass looks at one kind: message ids, reference parameters, tokens and identifiers, identities, addresses (in
``addresses``), what belongs to a site, and last what no specification of these names (in ``unnamed``): cookies, and
texts that look random and that a later request of another party repeats.

Rules:

* Texts that are equal are one value only where they mean the same. A token that is handed out a second time is a second
  value, since another peer will hand out two.
* What was born off the capture is no secret: its ``born`` is None and ``why`` says so.
* Enumerated values, dates, formats and small numbers (but JobId) are never values.

Sources: WS-Addressing 2004/08 2.2 (reference parameters come back as header blocks), 3.1 (MessageID, RelatesTo);
WS-Eventing 2004/08 3.1; WS-Scan CreateScanJob, RetrieveImage, ScanAvailableEvent; MS-BDSRR 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dissector.messages import Message
from dissector.messages.ids import normal_id
from replay.scenario.addresses import find_addresses
from replay.scenario.looks import distinctive
from replay.scenario.places import Text, spans
from replay.scenario.story import Story
from replay.scenario.unnamed import ADDRESSING, find_cookies, find_repeated, find_tokens
from replay.scenario.values import GUID, Value, is_url, snake

__all__ = ["find_values", "spans"]


class Token(NamedTuple):
    """An element that holds something handed out.

    Attributes:
        kind: of the value.
        births: messages that hand a new one out.
        maker: who does.
    """

    kind: str
    births: tuple[str, ...]
    maker: str


TOKENS = {
    "JobToken": Token("token", ("CreatePostScanJobResponse", "CreateScanJobResponse"), "the creation of a job"),
    "JobId": Token("identifier", ("CreateScanJobResponse",), "CreateScanJob"),
    "DestinationToken": Token("token", ("SubscribeResponse",), "Subscribe"),
    "ScanIdentifier": Token("identifier", ("ScanAvailableEvent",), "ScanAvailableEvent"),
}  # fmt: skip

SITE = {
    "UserIdentifier": "who scans",
    "PSP_Identifier": "which scan process",
    "ShareUNC": "where files go",
    "DocumentRootName": "what documents are called",
    "EmailAddress": "who gets mail",
    "SaveToSharePointSiteURL": "where documents go",
    "JobOriginatingUserName": "who scans",
    "ScanRepository": "which scan server",
}
"""Elements whose text belongs to a site → what it says."""

PASSWORD = re.compile(r"(?:password|passwd|pwd|passphrase)$", re.IGNORECASE)
"""Elements and attributes that hold one: of vendors, since the specifications have none."""

MAIL = re.compile(r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")

REFERENCES = ("ReferenceParameters/", "ReferenceProperties/")


def find_values(
    messages: Sequence[Message],
    party_of: Callable[[Message], str],
    receiver_of: Callable[[Message], str] | None = None,
) -> list[Value]:
    """The values of a conversation.

    Args:
        messages: of the story, in order, as the dissector gives them.
        party_of: name of the party that sent a message, also an answer or an event.
        receiver_of: name of the party that it went to; without it, who answers from where, and which parties there
            are, tells that.

    Returns:
        In the order of their first places, message ids last; names are unique.
    """
    story = Story(messages, party_of, receiver_of)
    _message_ids(story)
    _references(story)
    _tokens(story)
    _identities(story)
    find_addresses(story)
    _site(story)
    _contexts(story)
    find_cookies(story)
    find_tokens(story)
    find_repeated(story)
    return story.finish()


# -- addressing and eventing ----------------------------------------------------------------------------------------


def _message_ids(story: Story) -> None:
    known: dict[str, Value] = {}
    for index, text in story.all_texts():
        if text.where != "header" or text.path != "MessageID":
            continue
        key = normal_id(text.text)
        value = known.get(key)
        if value is None:
            value = known[key] = story.add(
                "message_id", text.text, "message_id", story.senders[index],
                "MessageID is made anew for each message; RelatesTo of its answer repeats it.",
            )  # fmt: skip
            story.born(value, index, text)
        else:
            story.use(value, index, text)
    for index, text in story.all_texts():
        if text.where == "header" and text.name == "RelatesTo" and (value := known.get(normal_id(text.text))):
            story.use(value, index, text)


def _references(story: Story) -> None:
    """Reference parameters, and their echoes in header blocks of messages to whoever gave them."""
    made: dict[tuple[str, str], dict[str, list[Value]]] = {}
    for index, text in story.all_texts():
        if text.where == "target" or not any(mark in text.path for mark in REFERENCES) or text.attribute:
            continue
        maker = story.senders[index]
        manager = "SubscriptionManager/" in text.path
        known = made.setdefault((text.name, text.text), {}).setdefault(maker, [])
        fresh = [one for one in known if one.born is not None and one.born.message == index]
        if known and not (manager and not fresh):
            story.use(known[-1], index, text)
            continue
        if text.name != "Identifier":
            base = snake(text.name)
        elif manager:
            base = "subscription"
        else:
            base = "sink_identifier" if "NotifyTo/" in text.path or "EndTo/" in text.path else "reference"
        whose = "the subscription's" if manager else "an address's"
        value = story.add(
            base, text.text, "identifier", maker,
            f"{text.name} is {whose} reference parameter, which messages to that address repeat as a header block.",
        )  # fmt: skip
        known.append(value)
        story.born(value, index, text)
    unborn: dict[tuple[str, str], Value] = {}
    for index, text in story.free_texts():
        if text.where != "header" or text.attribute or text.path.split("/")[0].partition("[")[0] in ADDRESSING:
            continue
        maker = story.receivers[index]
        makers = made.get((text.name, text.text), {})
        # A sink may be another party than the one that subscribed for it, and gave its reference parameters.
        others = [one for party, given in makers.items() if party != story.senders[index] for one in given]
        candidates = makers.get(maker) or others
        earlier = [one for one in candidates if one.born is not None and one.born.message < index]
        if candidates:
            story.use((earlier or candidates)[-1], index, text)
        elif text.name == "Identifier":
            lost = unborn.get((maker, text.text))
            if lost is None:
                base = "sink_identifier" if story.messages[index].kind == "event" else "subscription"
                lost = unborn[maker, text.text] = story.add(
                    base, text.text, "identifier", maker,
                    "Identifier repeats a reference parameter; the message that gave it is not in the capture.",
                )  # fmt: skip
            story.use(lost, index, text)


# -- tokens and identifiers -----------------------------------------------------------------------------------------


def _tokens(story: Story) -> None:
    made: dict[tuple[str, str, str], list[Value]] = {}

    def key(index: int, text: Text) -> tuple[str, str, str]:
        # A short one means nothing at another device.
        return text.name, text.text, "" if distinctive(text.text) else story.server(index)

    for index, text in story.all_texts():
        rule = TOKENS.get(text.name) if text.where == "body" and not text.attribute else None
        if rule is None or story.messages[index].name not in rule.births:
            continue
        known = made.setdefault(key(index, text), [])
        if any(one.born is not None and one.born.message == index for one in known):
            continue
        value = story.add(
            snake(text.name), text.text, rule.kind, story.senders[index],
            f"{text.name} is handed out by {story.operation(index) or rule.maker} and repeated by what belongs to it.",
        )  # fmt: skip
        known.append(value)
        story.born(value, index, text)
    for index, text in story.free_texts():
        rule = TOKENS.get(text.name) if text.where == "body" and not text.attribute else None
        if rule is None:
            continue
        known = made.setdefault(key(index, text), [])
        if not known:
            known.append(_found_late(story, index, text, rule))
            continue
        earlier = [one for one in known if one.born is None or one.born.message <= index]
        value = (earlier or known[:1])[-1]
        if len(earlier) > 1 and text.name == "DestinationToken":
            value = _destination(story, index, earlier) or value
        story.use(value, index, text)


def _found_late(story: Story, index: int, text: Text, rule: Token) -> Value:
    """A token that nothing in the capture hands out as new: an answer or event tells it, or a request knows it."""
    serving = story.answer[index] or story.messages[index].kind == "event"
    if serving:
        value = story.add(
            snake(text.name), text.text, rule.kind, story.senders[index],
            f"{text.name} is made by {rule.maker}, which is not in the capture; this message tells it first.",
        )  # fmt: skip
        story.born(value, index, text)
        return value
    value = story.add(
        snake(text.name), text.text, rule.kind, story.receivers[index],
        f"{text.name} is made by {rule.maker}, which is not in the capture; the recorded one is sent unless given.",
    )  # fmt: skip
    story.use(value, index, text)
    return value


def _destination(story: Story, index: int, candidates: list[Value]) -> Value | None:
    """The token of the subscription to which the scan was announced, where several subscriptions got the same one.

    CreateScanJob → ScanIdentifier → ScanAvailableEvent → its Identifier → Subscribe → its answer.
    """
    held = [story.holder(index, one) for one in story.texts[index] if one.name == "ScanIdentifier"]
    events = [one.born.message for one in held if one is not None and one.born is not None]
    for event in events:
        for text in story.texts[event]:
            echoed = story.holder(event, text) if text.where == "header" and text.name == "Identifier" else None
            if echoed is None or echoed.born is None:
                continue
            answered = {story.replies.get(place.message) for place in echoed.places}
            for value in candidates:
                if value.born is not None and value.born.message in answered:
                    return value
    return None


def _identities(story: Story) -> None:
    """UUIDs of devices: endpoint addresses, the sender in From, the addressee in To, and containers."""
    made: dict[tuple[str, str], Value] = {}
    claims: list[tuple[int, Text, str, str, bool]] = []
    for index, text in story.free_texts():
        found = GUID.search(text.text)
        if found is None or text.attribute or text.where not in ("header", "body") or is_url(text.text):
            continue
        party, base, birth = story.senders[index], "device_uuid", True
        if text.where == "header" and text.path == "To":
            party, birth = story.receivers[index], False
        elif text.name == "ContainerId":
            base = "container_id"
        elif text.name != "Address" or ("EndpointReference/" not in text.path and text.path != "From/Address"):
            continue
        elif story.messages[index].name == "Resolve":
            party, birth = story.receivers[index], False
        claims.append((index, text, party, base, birth))
    # What a party says of itself comes before what another one calls it.
    for index, text, party, base, birth in sorted(claims, key=lambda claim: (not claim[4], claim[0])):
        found = GUID.search(text.text)
        assert found is not None
        value = made.get((party, found[0].lower()))
        whole = found[0] == text.text
        if value is None:
            what = "the container that the device is in" if base == "container_id" else "a device"
            value = made[party, found[0].lower()] = story.add(
                base, found[0], "uuid", party,
                f"{text.name} holds the identity of {what}"
                + ("; another device has another one." if birth else "; the capture does not have its announcement."),
            )  # fmt: skip
            if birth:
                story.born(value, index, text, whole=whole)
                continue
        story.use(value, index, text, whole=whole)


# -- sites and contexts ---------------------------------------------------------------------------------------


def _site(story: Story) -> None:
    made: dict[tuple[str, str], Value] = {}
    for index, text in story.free_texts():
        told = text.where in ("body", "header")
        if text.where == "http" and text.name.lower() in ("authorization", "proxy-authorization"):
            what = "it proves who asks"
        elif told and PASSWORD.search(text.name):
            what = "it is a password"
        elif told and not text.attribute and text.name in SITE:
            what = f"it says {SITE[text.name]}"
        elif told and MAIL.fullmatch(text.text):
            what = "it is an e-mail address"
        else:
            continue
        value = made.get((text.name, text.text))
        if value is None:
            value = made[text.name, text.text] = story.add(
                snake(text.name), text.text, "parameter", "", f"{text.name} belongs to the site: {what}."
            )
            story.born(value, index, text)
        else:
            story.use(value, index, text)


def _contexts(story: Story) -> None:
    """ClientContext is the client's own word for a destination; another client may say another one."""
    made: dict[str, Value] = {}
    for index, text in story.free_texts():
        if text.name != "ClientContext" or text.where != "body" or text.attribute:
            continue
        known = made.get(text.text)
        if known is not None:
            story.use(known, index, text)
        elif story.messages[index].name == "Subscribe":
            value = made[text.text] = story.add(
                "client_context", text.text, "identifier", story.senders[index],
                "ClientContext is the client's own word for a destination, which answer and event give back.",
            )  # fmt: skip
            story.born(value, index, text)
