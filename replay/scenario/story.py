"""What finding values needs to know of a conversation: whose each message is, what it answers, its texts, and which
place already belongs to a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from dissector.analysis.exchanges import is_answer
from dissector.analysis.reading import operation_of
from dissector.base.origin import Endpoint
from dissector.messages import Message
from replay.scenario.looks import LONGEST
from replay.scenario.places import Text, texts
from replay.scenario.values import Place, Value

__all__ = ["UNKNOWN", "Story"]

UNKNOWN = "peer"
"""Name of a party that says nothing in the capture."""


class _Owners:
    """Which party listens where.

    Two parties may be on one host, and then only the port tells them apart: who answers from an end listens there.
    Where nobody answers, an address of one party only is that party's, and of two parties the one that did not send.

    Attributes:
        at: ``host:port`` → party, for the ends that were answered from.
    """

    def __init__(self, messages: Sequence[Message], senders: Sequence[str], asked: Sequence[int | None]) -> None:
        self.at: dict[str, str] = {}
        self._hosts: dict[str, set[str]] = {}
        self._parties = list(dict.fromkeys(senders))
        for message, party, question in zip(messages, senders, asked, strict=True):
            self._hosts.setdefault(message.source.address, set()).add(party)
            if question is not None:
                self.at.setdefault(str(message.source).lower(), party)

    def of(self, end: Endpoint, sender: str) -> str:
        """The party that a message went to."""
        known = self.at.get(str(end).lower())
        if known is not None:
            return known
        here = self._hosts.get(end.address, set()) - {sender}
        if len(here) == 1:
            return next(iter(here))
        others = [one for one in self._parties if one != sender]
        return others[0] if len(others) == 1 else UNKNOWN

    def named(self, authority: str, sender: str) -> str:
        """Whose an address is that a party tells, as ``host:port``: its own, unless another one was seen there."""
        known = self.at.get(authority.lower())
        here = self._hosts.get(authority.rpartition(":")[0].strip("[]") or authority, {sender})
        return known or (next(iter(here)) if len(here) == 1 else sender)


class Story:
    """The messages, and the values found so far.

    Attributes:
        messages: as given.
        senders: name of the party that sent each.
        receivers: name of the party that each went to, :data:`UNKNOWN` where the capture does not tell.
        answer: it answers something, for each message.
        asked: index of the request that each answers, None where there is none.
        texts: those of each message, none longer than ``looks.LONGEST``.
        values: found, in the order in which they were.
        names: base of the name of each value, by identity.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        party_of: Callable[[Message], str],
        receiver_of: Callable[[Message], str] | None = None,
    ) -> None:
        self.messages = messages
        self.senders = [party_of(message) for message in messages]
        self.answer = [is_answer(message) for message in messages]
        numbers = {message.number: index for index, message in enumerate(messages)}
        self.asked = [numbers.get(one.request) if one.request is not None else None for one in messages]
        self.replies = {asked: index for index, asked in enumerate(self.asked) if asked is not None}
        self.texts = [[one for one in texts(message) if 0 < len(one.text) <= LONGEST] for message in messages]
        self._owners = _Owners(messages, self.senders, self.asked)
        if receiver_of is not None:
            self.receivers = [receiver_of(message) for message in messages]
        else:
            self.receivers = [self._receiver(index) for index in range(len(messages))]
        self.values: list[Value] = []
        self.names: dict[int, str] = {}
        self._whole: dict[tuple[int, str, str], Value] = {}
        self._parts: set[tuple[int, str, str]] = set()
        self._used: set[tuple[int, int, str, str, bool]] = set()

    def all_texts(self) -> Iterator[tuple[int, Text]]:
        """Every text with the index of its message."""
        for index, found in enumerate(self.texts):
            for one in found:
                yield index, one

    def free_texts(self) -> Iterator[tuple[int, Text]]:
        """Those that are not wholly a value yet."""
        for index, one in self.all_texts():
            if self.holder(index, one) is None:
                yield index, one

    def holder(self, index: int, text: Text) -> Value | None:
        """The value that a text wholly is."""
        return self._whole.get((index, text.where, text.path))

    def touched(self, index: int, text: Text) -> bool:
        """The text, or a part of it, is a value."""
        key = (index, text.where, text.path)
        return key in self._whole or key in self._parts

    def add(self, name: str, recorded: str, kind: str, maker: str, why: str, *, sure: bool = True) -> Value:
        """A new value without a place."""
        value = Value(name, recorded, kind, maker, why=why, sure=sure)
        self.values.append(value)
        self.names[id(value)] = name
        return value

    def born(self, value: Value, index: int, text: Text, *, whole: bool = True) -> None:
        """It was handed out here."""
        value.born = self._claim(value, index, text.where, text.path, whole)

    def use(self, value: Value, index: int, text: Text, *, whole: bool = True) -> None:
        """It stands here; a place is told once."""
        place = self._claim(value, index, text.where, text.path, whole)
        # A value may stand in thousands of places.
        key = (id(value), index, text.where, text.path, whole)
        if place != value.born and key not in self._used:
            self._used.add(key)
            value.uses.append(place)

    def drop(self, values: Iterable[Value]) -> None:
        """They are none: their places are free again."""
        # By identity, which another value may have later: nothing is kept of them.
        gone = {id(one) for one in values}
        self.values = [one for one in self.values if id(one) not in gone]
        self._whole = {key: one for key, one in self._whole.items() if id(one) not in gone}
        self._used = {key for key in self._used if key[0] not in gone}

    def _claim(self, value: Value, index: int, where: str, path: str, whole: bool) -> Place:
        if whole:
            self._whole.setdefault((index, where, path), value)
        else:
            self._parts.add((index, where, path))
        return Place(index, where, path, whole)

    def _receiver(self, index: int) -> str:
        asked = self.asked[index]
        if asked is not None:
            return self.senders[asked]
        return self._owners.of(self.messages[index].destination, self.senders[index])

    def owner(self, index: int, authority: str) -> str:
        """Whose an address is that a message tells, as ``host:port``: its sender's, unless another party was seen
        there."""
        return self._owners.named(authority, self.senders[index])

    def server(self, index: int) -> str:
        """Address of the side that serves: the one that answers, and that sends events."""
        message = self.messages[index]
        serving = self.answer[index] or message.kind == "event"
        return message.source.address if serving else message.destination.address

    def operation(self, index: int) -> str:
        """Operation or event of a message; of an answer, that of its request."""
        asked = self.asked[index]
        return operation_of(self.messages[asked if asked is not None else index])

    def finish(self) -> list[Value]:
        """The values with unique names, in the order of their first places; message ids last."""
        kept = [one for one in self.values if one.places]
        for value in kept:
            value.uses.sort(key=lambda place: place.message)
        kept.sort(key=lambda one: (one.kind == "message_id", min(place.message for place in one.places)))
        counts: dict[str, int] = {}
        taken: set[str] = set()
        for value in kept:
            base = self.names[id(value)]
            name = base
            while name in taken:
                counts[base] = counts.get(base, 1) + 1
                name = f"{base}_{counts[base]}"
            taken.add(name)
            value.name = name
        return kept
