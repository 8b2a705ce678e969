"""The pass in several processes (``--jobs``): the very same, cut in two places.

What a stage learns that the next ones need goes along with each block (``news``); the processes, and how a block's
bytes come from one to the next, are in :mod:`~dissector.ahead`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from mmap import mmap
from typing import Any

from dissector.ahead import ColumnRing, Stage
from dissector.assembly import AT_ONCE, MessagePass, told_of
from dissector.base.findings import Finding
from dissector.capture.model import Block, FilePlace, SourceInfo
from dissector.hashing import HashProcess
from dissector.http import content
from dissector.http.model import HttpMessage
from dissector.http.packed import Packed, pack
from dissector.messages import Message
from dissector.order import Entry
from dissector.transport.model import Datagram

__all__ = ["DividedPass"]

_GROWING = ("secrets", "paths", "containers", "starts")
"""What is known of the source, and is of use to the next stages while it is read: lists that only grow. What is new in
them is sent, since a ring of captures can have ten thousand files."""


class DividedPass(MessagePass):
    """A pass whose first stages run in processes of their own. Each works with its own copy of this object.

    For regular files; what is kept or seen of bodies and TLS connections stays in those processes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # One byte that all stages see: the pass is to end.
        self._halt = mmap(-1, 1)
        # Answers given to the next stage without a request, which may come yet.
        self._unpaired: deque[tuple[int, HttpMessage]] = deque(maxlen=2 * self._limits.unpaired)
        # Of the findings that an earlier stage told: where they are among those of this one.
        self._places: list[int] = []

    def __iter__(self) -> Iterator[Message]:
        stage = Stage(self._followed)
        try:
            blocks = iter(stage)
            while True:
                self.waiting = True
                try:
                    given = next(blocks, None)
                except KeyboardInterrupt:
                    self.stop()
                    continue
                finally:
                    self.waiting = False
                if given is None:
                    break
                self._batch, news = given
                self._learn(news)
                if self._stop:
                    self._halt[0] = 1
                if "over" in news:
                    yield from self._end_messages()
                    continue
                yield from self._flush()
                if self._progress is not None:
                    self._progress(self.source.info, self.stats)
        finally:
            stage.close()

    def _learn(self, news: dict[str, Any]) -> None:
        """Take over what a stage before this one learnt."""
        source = self.source
        for name, new in news.get("more", {}).items():
            self._growing()[name].extend(new)
        source.info.bytes_read, self.stats.frames, self.stats.first_time = news["so far"]
        # At the places they would have got here: how many more are kept depends on those before.
        for number, finding in news.pop("findings", ()):
            if number == len(self._places):
                self._places.append(len(self.stats.findings))
                self.stats.findings.append(finding)
            else:
                self.stats.findings[self._places[number]] = finding
        if "info" in news:
            self.stats.take_over(news["stats"])
            for name in SourceInfo.__slots__:
                setattr(source.info, name, getattr(news["info"], name))
        for count, answers in news.get("answers", ()):
            self._order.met(count, answers)
        if "over" in news:
            self._told = news["told"]
            self._tls.take_over(news["tls"])

    def _growing(self) -> dict[str, list[Any]]:
        """What is known of the source and sent to the next stages."""
        info = self.source.info
        return {"interfaces": self.source.interfaces, **{name: getattr(info, name) for name in _GROWING}}

    def _more(self, known: dict[str, int]) -> dict[str, list[Any]]:
        """What was added since the last call; ``known``: lengths, which are brought up to date."""
        more = {}
        for name, found in self._growing().items():
            if len(found) > known[name]:
                more[name] = found[known[name] :]
                known[name] = len(found)
        return more

    def _decoded(self, ring: ColumnRing) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The first stage: for each block its columns, and what it learnt of the capture."""
        ring.write_only()
        info = self.source.info
        # The next stages have what was known when the processes were made.
        known = {name: len(found) for name, found in self._growing().items()}
        said: list[Finding] = []
        for block, place in self._parts():
            columns = ring.put(self._decoder.decode(block), place)
            news: dict[str, Any] = {"so far": (info.bytes_read, self.stats.frames, self.stats.first_time)}
            if self.stats.findings:
                news["findings"] = self._changed(said)
            more = self._more(known)
            if more:
                news["more"] = more
            yield columns, news
            if self._halt[0]:
                break
        self._decoder.finish()
        so_far = info.bytes_read, self.stats.frames, self.stats.first_time
        changed = self._changed(said)
        self.stats.findings.clear()
        more = self._more(known)
        yield None, {"so far": so_far, "more": more, "stats": self.stats, "info": info, "findings": changed}

    def _parts(self) -> Iterator[tuple[Block, FilePlace | None]]:
        """The blocks in parts, and where the bytes of each are."""
        for whole in self.source:
            place = self.source.place(whole)
            for begin, part in whole.parts(AT_ONCE):
                yield part, place and place._replace(offset=place.offset + begin)

    def _changed(self, said: list[Finding]) -> list[tuple[int, Finding]]:
        """The findings that were not said yet, or are now other ones, with their numbers."""
        found = self.stats.findings
        changed = [(n, finding) for n, finding in enumerate(found) if n >= len(said) or said[n] is not finding]
        said[:] = found
        return changed

    def _followed(self) -> Iterator[tuple[list[Any], dict[str, Any]]]:
        """The second stage: for each block the HTTP messages and datagrams that it made whole."""
        ring = ColumnRing()
        stage = Stage(partial(self._decoded, ring))
        ring.read_only()
        before: tuple[list[Entry], dict[str, Any]] | None = None
        with closing(stage), closing(HashProcess()) as digests:
            content.new_sha256 = digests
            for sent, news in stage:
                self._learn(news)
                if sent is not None:
                    self._find_keys()
                    with ring.taken(sent) as columns:
                        self.flows.feed(columns)
                        self._unreached.feed(columns)
                    news["answers"] = self._paired_late()
                    given = self._given()
                    # One block late, so that the digests in it are computed meanwhile.
                    digests.tell()
                    if before is not None:
                        yield _written(before)
                    before = given, news
            if before is not None:
                yield _written(before)
            self._end_streams()
            news["answers"] = self._paired_late()
            told = [
                *self._told,
                *(finding for conversation in self._conversations for finding in told_of(conversation)),
            ]
            told += [*self._failing.findings(), *self._unreached.findings(), *self._elsewhere]
            news = {**news, "stats": self.stats, "told": told, "tls": self._tls.learnt(), "over": True}
            yield _written((self._given(), news))

    def _given(self) -> list[Entry]:
        """What is given to the next stage."""
        batch: list[Entry] = []
        for trigger, first, count, item in self._batch:
            if isinstance(item, HttpMessage):
                if item.answers is None and not item.is_request:
                    self._unpaired.append((count, item))
                packed = pack(item)
                # Written at once where nothing is waited for: thousands of tuples would be looked at by the collector.
                batch.append((trigger, first, count, packed if packed.waits else packed.written()))
            else:
                batch.append((trigger, first, count, item))
        self._batch.clear()
        self._room.give_out()
        if len(self._conversations) > self._pruned:
            self._prune()
        return batch

    def _paired_late(self) -> list[tuple[int, int]]:
        """Answers that were given to the next stage, and whose request came only now: their count, and its place."""
        late = [(count, http) for count, http in self._unpaired if http.answers is not None]
        for one in late:
            self._unpaired.remove(one)
        return [(count, http.answers or 0) for count, http in late]


def _written(given: tuple[list[Entry], dict[str, Any]]) -> tuple[list[Entry], dict[str, Any]]:
    """What is given to the next stage, once all digests in it are there."""
    batch, news = given
    return [(*entry[:3], _settled(entry[3])) for entry in batch], news


def _settled(item: HttpMessage | Datagram | Packed | bytes) -> HttpMessage | Datagram | bytes:
    return item if isinstance(item, (HttpMessage, Datagram, bytes)) else item.written()
