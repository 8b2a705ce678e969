"""The pass over a capture: frames in, messages out.

This module joins the rooms, and decides nothing that one of them could decide. What it adds is order: the
transport hands over whole batches of one direction at a time, so messages become known out of order inside a
block; they are sorted by the frame that completed them, which makes the result independent of how the input was
cut into blocks. An answer never comes before its request: one that overtakes it (a fault sent while the image is
still coming in) waits for it.

This file is long since all of it shares the batch, the requests that wait and what was told: also the stages of
``--jobs``, which are this very pass cut in two places (the processes themselves are in ``ahead``).
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from mmap import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

from dissector.ahead import ColumnRing, Stage
from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import StreamRef
from dissector.capture.model import Block, FilePlace, FrameSource, SourceInfo
from dissector.http import content
from dissector.http.connection import HttpConnection
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.pairing import SWAPPED
from dissector.http.room import Room
from dissector.http.start import INTEREST_WORDS
from dissector.keyfiles import KeyFiles
from dissector.messages import Message, MessageBuilder
from dissector.transport.flows import FlowTable
from dissector.transport.model import Conversation, Datagram, Interest, StreamConsumer, TransportStats
from dissector.transport.packets import PacketDecoder
from dissector.transport.tally import Tally
from dissector.transport.tls.failing import Failing
from dissector.transport.tls.table import TlsTable

if TYPE_CHECKING:
    from dissector.http.packed import Packed
    from dissector.transport.tls.model import TlsFacts

__all__ = ["INTEREST", "TLS", "MessagePass"]

DISCOVERY_PORT = 3702
TLS = "tls"

INTEREST = Interest(
    words=INTEREST_WORDS,
    opaque={b"\x16\x03": TLS},
    # The ClientHello of SSL 2.0, which old clients begin with: length with its highest bit set, 1, major version 3.
    masked=((0xFFFF0080, 0x03010080, TLS),),
    # "<", the first bytes of the three byte order marks, white space, and the NUL of UTF-16BE without a mark.
    datagram=frozenset([b"<", b"\xef", b"\xfe", b"\xff", b" ", b"\t", b"\r", b"\n", b"\x00"]),
    ports=frozenset([DISCOVERY_PORT]),
)
"""What the transport is asked to look for: HTTP start lines, and datagrams that can be XML, on any port."""

REMEMBERED_IDS = 10_000
"""MessageIDs of datagrams remembered to tell repeats; repeats come within a second (SOAP-over-UDP 3.4)."""

AT_ONCE = 16_384
"""Frames that are looked at before the messages they made whole are given out. A block of large packets has fewer; one
of tiny ones has 100,000, each of which may be a connection of its own."""

PRUNED = 1000
"""Connections remembered before those that are over are forgotten."""

LONGEST_ID = 1000
"""Characters of a MessageID that is remembered; a longer one is no identifier but a burden."""

SHOWN = 100
"""Frames named by one finding."""

SAME_ID = rule(
    "udp.same-id-differs",
    "note",
    "a datagram has the MessageID of an earlier one of the same sender, but other content",
    "SOAP-over-UDP 4.4",
)
MESSAGES_LIMIT = rule(
    "http.messages-limit", "error", "so many HTTP messages came at once that some of them were left out"
)
LIMITS_ELSEWHERE = rule("http.limits-elsewhere", "note", "HTTP messages without SOAP hit a limit of what is read")
NOT_SOAP = rule("udp.not-soap", "note", "datagrams on the discovery port hold no SOAP message", "WS-Discovery 2.4")


class Asked(NamedTuple):
    """What is remembered of a request until its answer comes: not the message, since thousands may wait."""

    number: int
    service: str
    wsd: bool
    message_id: str | None


class Early(NamedTuple):
    """An answer without a request before it: the frame until which it waits, its place in the order of what was read,
    and the message that it carries."""

    until: int
    place: int
    http: HttpMessage
    message: Message | None


class Seen(NamedTuple):
    """What is remembered of a datagram, to tell its repeats."""

    number: int
    frame: int
    address: str
    content: int
    """Hash of its bytes, by a key of this process."""


Entry = tuple[int, int, int, "HttpMessage | Datagram | Packed | bytes"]
"""What was read, on its way to be told: trigger, first frame, its place in the order of reading. It is packed
where another process is to tell it."""


class MessagePass:
    """One pass over an input. Iterating gives every SOAP message (see ``Message.wsd``), in order.

    Args:
        source: the opened input.
        policy: what is done with the bytes of bodies.
        limits: bounds.
        on_http: called with every HTTP message, SOAP or not, in order.
        progress: called after each block.
        keyfiles: key material for TLS; secrets inside the capture count without.
        watch_tls: look at all TLS connections, and keep what was seen of each.
        tls_records: and of each of their records.
        jobs: with 2 or more, the first stages run in processes of their own, see :mod:`dissector.ahead`. For one
            regular file; what is kept or seen of bodies and TLS connections stays in those processes.

    Attributes:
        stats: counts, growing.
        not_soap: how many datagrams on the discovery port hold no SOAP message.
        waiting: a read of the input is under way (it may wait for a pipe).
    """

    def __init__(
        self,
        source: FrameSource,
        *,
        policy: BodyPolicy,
        limits: Limits = DEFAULT_LIMITS,
        on_http: Callable[[HttpMessage], None] | None = None,
        progress: Callable[[SourceInfo, TransportStats], None] | None = None,
        keyfiles: KeyFiles | None = None,
        watch_tls: bool = False,
        tls_records: bool = False,
        jobs: int = 1,
    ) -> None:
        self.source = source
        self._jobs = jobs
        # One byte that all stages see: the pass is to end.
        self._halt: mmap | bytearray = mmap(-1, 1) if jobs > 1 else bytearray(1)
        self.stats = TransportStats()
        self.not_soap = 0
        self._not_soap: list[int] = []
        self._limits = limits
        self._room = Room(limits.held)
        self._policy = replace(policy, room=self._room)
        self._on_http = on_http
        self._progress = progress
        self._builder = MessageBuilder(digits=self._digits, limits=limits)
        self._conversations: list[Conversation] = []
        self._pruned = PRUNED
        self._told: list[Finding] = []
        self._elsewhere: list[Finding] = []
        self._limits_elsewhere = Tally(
            self._elsewhere, LIMITS_ELSEWHERE, lambda n: f"{n} HTTP messages without SOAP hit a limit of what is read"
        )
        self._left_out = Tally(self._elsewhere, MESSAGES_LIMIT, lambda n: f"{n} HTTP messages were left out")
        self._half_open: dict[int, HttpConnection] = {}
        self._batch: list[Entry] = []
        self._count = 0
        self._numbered_so_far = 0
        self._open_requests: OrderedDict[tuple[int, int], Asked | None] = OrderedDict()
        self._waiting: OrderedDict[tuple[int, int], HttpMessage] = OrderedDict()
        self._early: list[Early] = []
        # Answers given to the next stage without a request, which may come yet.
        self._unpaired: deque[tuple[int, HttpMessage]] = deque(maxlen=2 * limits.unpaired)
        self._seen_ids: OrderedDict[str, Seen] = OrderedDict()
        self._stop = False
        self.waiting = False
        self._unpack: Callable[[bytes], HttpMessage]
        # Of the findings that an earlier stage told: where they are among those of this one.
        self._places: list[int] = []
        self._interest = replace(INTEREST, opened=set())
        self._keyfiles = keyfiles or KeyFiles()
        self._watch_tls = watch_tls
        self._late = False
        """Secrets that come from now on stand behind packets."""
        self._tls = TlsTable(self._keyfiles.keys, self._plain, limits, watch=watch_tls, records=tls_records)
        self._failing = Failing(self.stats, limits, INTEREST.masked)
        self.flows = FlowTable(
            self._interest, self._consumer, self._datagram, self.stats, limits,
            kept=lambda: self._room.under_way, observer=None if watch_tls else self._failing,
            opaque_met=self._look_ahead,
        )  # fmt: skip
        self._decoder = PacketDecoder(source.interfaces, self.stats, limits)

    def stop(self) -> None:
        """End the pass after the present block, as if the capture ended there."""
        self._stop = True

    @property
    def findings(self) -> list[Finding]:
        """Of the container, the network and the transport, by frame; complete after the pass."""
        # The transport works block by block and flow by flow: only the frames give an order that is always the same.
        found = [*self.source.info.findings, *sorted(self.stats.findings, key=lambda f: (f.frames, f.rule, f.text))]
        found += self._elsewhere
        found += self._told
        for conversation in self._conversations:
            found += _told(conversation)
        found += self._failing.findings()
        found += self._tls.said()
        if self.not_soap:
            count = self.not_soap
            found.append(
                NOT_SOAP(
                    f"{count} datagram{'s' if count > 1 else ''} on port {DISCOVERY_PORT} "
                    f"{'hold' if count > 1 else 'holds'} no SOAP message",
                    frames=self._not_soap,
                )
            )
        return found

    def __iter__(self) -> Iterator[Message]:
        return self._blocks() if self._jobs < 2 else self._pipeline()

    def _blocks(self) -> Iterator[Message]:
        blocks = iter(self.source)
        while not self._stop:
            self.waiting = True
            try:
                block = next(blocks, None)
            except KeyboardInterrupt:
                self._stop = True
                break
            finally:
                self.waiting = False
            if block is None:
                break
            yield from self.feed(block)
            if self._progress is not None:
                self._progress(self.source.info, self.stats)
        yield from self.finish()

    def feed(self, block: Block) -> Iterator[Message]:
        """The messages that a block makes whole: for callers that read the frames themselves."""
        self._find_keys()
        for _, part in block.parts(AT_ONCE):
            self.flows.feed(self._decoder.decode(part))
            yield from self._flush()
            if len(self._conversations) > self._pruned:
                self._prune()

    def _prune(self) -> None:
        """Forget the connections that are over, but for what is to be said of them."""
        left = []
        for conversation in self._conversations:
            if conversation.ended < 2:
                left.append(conversation)
            elif len(self._told) < self._limits.findings:
                self._told += _told(conversation)
        self._conversations = left
        self._pruned = PRUNED + 2 * len(left)

    def finish(self) -> Iterator[Message]:
        """The capture is over: the messages that were still open."""
        self._decoder.finish()
        self._end_streams()
        yield from self._end_messages()

    def _end_streams(self) -> None:
        self._find_keys()
        self._keyfiles.end()
        self._tls.keys_came()
        self.flows.finish()
        self._uncount_opened()

    def _end_messages(self) -> Iterator[Message]:
        yield from self._flush()
        yield from self._overdue(sys.maxsize)
        # Requests of these were lost or never became whole.
        for http in list(self._waiting.values()):
            yield from self._message(http, None)
        self._waiting.clear()

    # -- stages in processes of their own ----------------------------------------------------------------------

    def _pipeline(self) -> Iterator[Message]:
        """What :meth:`_blocks` gives. Each stage works with its own copy of this object."""
        from dissector.http.packed import unpack

        self._unpack = unpack
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
        source.interfaces[:] = news.get("interfaces", source.interfaces)
        source.info.secrets[:] = news.get("secrets", source.info.secrets)
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
            for early in self._early:
                if early.place == count:
                    early.http.answers = answers
        if "over" in news:
            self._told = news["told"]
            self._tls.take_over(news["tls"])

    def _decoded(self, ring: ColumnRing) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The first stage: for each block its columns, and what it learnt of the capture."""
        ring.write_only()
        info, interfaces = self.source.info, self.source.interfaces
        known = (0, 0)
        said: list[Finding] = []
        for block, place in self._parts():
            columns = ring.put(self._decoder.decode(block), place)
            news: dict[str, Any] = {"so far": (info.bytes_read, self.stats.frames, self.stats.first_time)}
            if self.stats.findings:
                news["findings"] = self._changed(said)
            if known != (len(info.secrets), len(interfaces)):
                known = (len(info.secrets), len(interfaces))
                news.update(secrets=info.secrets, interfaces=interfaces)
            yield columns, news
            if self._halt[0]:
                break
        self._decoder.finish()
        so_far = info.bytes_read, self.stats.frames, self.stats.first_time
        changed = self._changed(said)
        self.stats.findings.clear()
        yield (
            None,
            {"so far": so_far, "interfaces": interfaces, "stats": self.stats, "info": info, "findings": changed},
        )

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
        from dissector.hashing import HashProcess

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
            told = [*self._told, *(finding for conversation in self._conversations for finding in _told(conversation))]
            told += [*self._failing.findings(), *self._elsewhere]
            news = {**news, "stats": self.stats, "told": told, "tls": self._tls.learnt(), "over": True}
            yield _written((self._given(), news))

    def _given(self) -> list[Entry]:
        """What is given to the next stage."""
        from dissector.http.packed import pack

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

    # -- TLS ---------------------------------------------------------------------------------------------------

    @property
    def tls(self) -> list[TlsFacts]:
        """What was seen of the TLS connections (``watch_tls``), by their first record; complete after the pass."""
        return self._tls.facts

    @property
    def tls_left_out(self) -> int:
        """TLS connections that were not kept."""
        return self._tls.left_out

    @property
    def tls_decrypted(self) -> int:
        """TLS connections that were decrypted."""
        return self._tls.decrypted

    @property
    def tls_opened(self) -> list[TlsFacts]:
        """Of the TLS connections that were decrypted."""
        return self._tls.opened

    def _look_ahead(self) -> None:
        """There is TLS: secrets inside the capture may stand behind the packets that they open."""
        from dissector.capture.secrets import secrets_ahead

        logs, _ = secrets_ahead(self.source.info.paths, self._limits)
        self._keyfiles.ahead(logs)
        self._find_keys()

    def _find_keys(self) -> None:
        """Take up secrets that came with the last block, and lines that key logs grew by."""
        late = self._late
        self._late = True
        if self._keyfiles.refresh(self.source.info.secrets, late=late) or self._watch_tls:
            self._interest.opened.add(TLS)
        self._tls.keys_came()

    def _uncount_opened(self) -> None:
        """What was opened is not among what could not be read; what failed is told apart."""
        for pair, number in self._tls.failed.items():
            self.stats.failed[pair] = self.stats.failed.get(pair, 0) + number
        unread = self.stats.opaque.setdefault(TLS, {})
        for pair, size in self._tls.sealed.items():
            unread[pair] = (0, size)
        for client, server in self._tls.pairs:
            unread.pop((client, server), None)
            unread.pop((server, client), None)
        if not unread:
            self.stats.opaque.pop(TLS, None)

    # -- order -----------------------------------------------------------------------------------------------

    def _consumer(self, conversation: Conversation, stream: StreamRef) -> StreamConsumer:
        if conversation.protocol == TLS:
            return self._tls.consumer(conversation, stream)
        connection = self._half_open.pop(conversation.number, None)
        if connection is None:
            self._conversations.append(conversation)
            connection = HttpConnection(conversation, self._http, self._policy, self._limits, self._inside)
            self._half_open[conversation.number] = connection
        return connection.direction(stream)

    def _inside(self, conversation: Conversation, asked: str) -> Callable[[StreamRef], StreamConsumer]:
        """The readers of TLS that begins inside a connection of HTTP."""
        return lambda stream: self._tls.consumer(conversation, stream, asked)

    def _plain(self, conversation: Conversation) -> Callable[[StreamRef], StreamConsumer]:
        """The readers of a connection whose TLS was opened."""
        # One whose TLS is inside HTTP is known already.
        if conversation.protocol == TLS:
            self._conversations.append(conversation)
        return HttpConnection(conversation, self._http, self._policy, self._limits).direction

    def _http(self, http: HttpMessage) -> None:
        if len(self._batch) >= self._limits.messages or self._room.full:
            self._left_out.add(http.first_frame)
            return
        self._count += 1
        self._batch.append((http.trigger, http.first_frame, self._count, http))

    def _datagram(self, datagram: Datagram) -> None:
        self._count += 1
        self._batch.append((datagram.frame, datagram.frame, self._count, datagram))

    def _flush(self) -> Iterator[Message]:
        batch, self._batch = self._batch, []
        batch.sort(key=lambda entry: entry[:3])
        for trigger, _, count, item in batch:
            if self._early:
                yield from self._overdue(trigger)
            if isinstance(item, Datagram):
                yield from self._udp_message(item)
                continue
            if isinstance(item, bytes):
                item = self._unpack(item)
            assert isinstance(item, HttpMessage)
            if self._on_http is not None:
                self._on_http(item)
            if item.is_request:
                key = (item.stream.number, item.origin.ranges.pieces[0][1])
                message = self._soap(item)
                asked = None
                if message is not None:
                    yield from self._numbered(message)
                    asked = Asked(message.number, message.service, message.wsd, _remembered(message.message_id))
                self._open_requests[key] = asked
                while len(self._open_requests) > self._limits.unpaired * 10:
                    self._open_requests.popitem(last=False)
                if self._early:
                    yield from self._meet_early(key, asked)
                answer = self._waiting.pop(key, None)
                if answer is not None:
                    yield from self._message(answer, self._open_requests.pop(key, None))
            elif item.status // 100 == 1:
                continue
            elif item.answers is None:
                self._unmatched(item, count)
            else:
                key = (item.stream.number, item.answers)
                if key in self._open_requests:
                    yield from self._message(item, self._open_requests.pop(key))
                else:
                    yield from self._wait(key, item)
        self._room.give_out()

    def _wait(self, key: tuple[int, int], answer: HttpMessage) -> Iterator[Message]:
        """An answer whose request has begun and is not whole waits for it."""
        self._waiting[key] = answer
        if len(self._waiting) > self._limits.unpaired:
            yield from self._message(self._waiting.popitem(last=False)[1], None)

    # -- answers before their requests ----------------------------------------------------------------------------

    def _unmatched(self, http: HttpMessage, count: int) -> None:
        """An answer without a request before it. That may have been captured a few frames late (a capture can swap
        packets of the two directions), and its head may still be coming in: the answer is held back for
        :data:`SWAPPED` frames."""
        self._early.append(Early(http.trigger + SWAPPED, count, http, self._soap(http)))

    def _meet_early(self, key: tuple[int, int], request: Asked | None) -> Iterator[Message]:
        for place, (_, _, http, message) in enumerate(self._early):
            if http.stream.number != key[0]:
                continue
            if http.answers == key[1]:
                del self._early[place]
                yield from self._message(http, self._open_requests.pop(key, None))
                return
            if message is not None and request is not None and message.relates_to == request.message_id is not None:
                del self._early[place]
                self._open_requests.pop(key, None)
                yield from self._answered(message, request)
                return

    def _overdue(self, trigger: int) -> Iterator[Message]:
        while self._early and (self._early[0][0] < trigger or len(self._early) > self._limits.unpaired):
            _, _, http, message = self._early.pop(0)
            if http.answers is not None:
                # Its request's head came meanwhile.
                key = (http.stream.number, http.answers)
                if key in self._open_requests:
                    yield from self._message(http, self._open_requests.pop(key))
                else:
                    yield from self._wait(key, http)
            elif message is not None:
                yield from self._numbered(message)

    def _soap(self, http: HttpMessage) -> Message | None:
        """The message that is carried. Where there is none its findings are nobody's, but for limits that were hit: of
        what is behind them nothing is known."""
        message = self._builder.from_http(http)
        if message is None and http.findings:
            for finding in http.findings:
                if finding.rule.endswith("-limit"):
                    self._limits_elsewhere.add(http.first_frame)
                    break
        return message

    # -- messages ------------------------------------------------------------------------------------------------

    def _message(self, http: HttpMessage, request: Asked | None) -> Iterator[Message]:
        message = self._soap(http)
        if message is None:
            if request is None:
                return
            message = self._builder.bare_answer(http, request.service, wsd=request.wsd)
        yield from self._answered(message, request)

    def _answered(self, message: Message, request: Asked | None) -> Iterator[Message]:
        if request is not None:
            message.request = request.number or None
            if message.kind == "fault" and request.wsd:
                message.wsd = True
                message.service = request.service or message.service
        yield from self._numbered(message)

    def _udp_message(self, datagram: Datagram) -> Iterator[Message]:
        message = self._builder.from_datagram(datagram)
        if message is None:
            if DISCOVERY_PORT in (datagram.stream.source.port, datagram.stream.destination.port):
                self.not_soap += 1
                if len(self._not_soap) < SHOWN:
                    self._not_soap.append(datagram.frame)
            return
        ident = _remembered(message.message_id)
        if ident is None:
            yield from self._numbered(message)
            return
        first = self._seen_ids.get(ident)
        content = hash(datagram.data)
        if first is None:
            # The number is given below, and is known before the next datagram is looked at.
            number = self._numbered_so_far + 1 if message.wsd else 0
            self._seen_ids[ident] = Seen(number, message.frames[0], message.source.address, content)
            if len(self._seen_ids) > REMEMBERED_IDS:
                self._seen_ids.popitem(last=False)
        elif first.content == content:
            message.repeat_of = first.number
        elif first.address == message.source.address:
            message.findings.append(
                SAME_ID(
                    f"MessageID {ident} was already used in frame {first.frame} for other content",
                    frames=(first.frame, *message.frames),
                )
            )
        yield from self._numbered(message)

    def _numbered(self, message: Message) -> Iterator[Message]:
        if message.wsd:
            self._numbered_so_far += 1
            message.number = self._numbered_so_far
        yield message

    def _digits(self) -> int:
        return max((i.digits for i in self.source.interfaces), default=6)


def _written(given: tuple[list[Entry], dict[str, Any]]) -> tuple[list[Entry], dict[str, Any]]:
    """What is given to the next stage, once all digests in it are there."""
    batch, news = given
    return [(*entry[:3], _plain(entry[3])) for entry in batch], news


def _plain(item: HttpMessage | Datagram | Packed | bytes) -> HttpMessage | Datagram | bytes:
    return item if isinstance(item, (HttpMessage, Datagram, bytes)) else item.written()


def _remembered(ident: str | None) -> str | None:
    """A MessageID that is worth remembering, None where there is none."""
    return ident if ident and len(ident) <= LONGEST_ID else None


def _told(conversation: Conversation) -> list[Finding]:
    """The findings on a connection that are not the transport's (those are told by the counts of the pass)."""
    where = f"TCP stream {conversation.number}"
    return [replace(f, text=f"{where}: {f.text}") for f in conversation.findings if not f.rule.startswith("tcp.")]
