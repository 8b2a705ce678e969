"""The pass over a capture: frames in, messages out.

This module joins the rooms, and decides nothing that one of them could decide. In which order messages are told is
:mod:`~dissector.order`'s matter; the same pass in several processes (``--jobs``) is :mod:`~dissector.stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import StreamRef
from dissector.capture.model import Block, FrameSource, SourceInfo
from dissector.http.connection import HttpConnection
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.room import Room
from dissector.http.start import INTEREST_WORDS
from dissector.keyfiles import KeyFiles
from dissector.messages import Message, MessageBuilder
from dissector.order import DISCOVERY_PORT, Entry, MessageOrder
from dissector.transport.flows import FlowTable
from dissector.transport.model import NOBODY, Conversation, Datagram, Interest, StreamConsumer, TransportStats
from dissector.transport.packets import PacketDecoder
from dissector.transport.tally import Tally
from dissector.transport.tls.failing import Failing
from dissector.transport.tls.table import TlsTable
from dissector.transport.unreached import Unreached

if TYPE_CHECKING:
    from dissector.transport.tls.model import TlsFacts

__all__ = ["INTEREST", "TLS", "MessagePass", "told_of"]

TLS = "tls"

INTEREST = Interest(
    words=INTEREST_WORDS,
    opaque={b"\x16\x03": TLS},
    # The ClientHello of SSL 2.0, which old clients begin with: length with its highest bit set, 1, major version: 3, or
    # 0 for those that know nothing newer.
    masked=((0xFFFF0080, 0x03010080, TLS), (0xFFFF0080, 0x00010080, TLS)),
    # Records of application data, TLS 1.0 to 1.3.
    midst={b"\x17\x03\x01": TLS, b"\x17\x03\x02": TLS, b"\x17\x03\x03": TLS},
    # "<", the first bytes of the three byte order marks, white space, and the NUL of UTF-16BE without a mark.
    datagram=frozenset([b"<", b"\xef", b"\xfe", b"\xff", b" ", b"\t", b"\r", b"\n", b"\x00"]),
    ports=frozenset([DISCOVERY_PORT]),
)
"""What the transport is asked to look for: HTTP start lines, and datagrams that can be XML, on any port."""

AT_ONCE = 16_384
"""Frames that are looked at before the messages they made whole are given out. A block of large packets has fewer; one
of tiny ones has 100,000, each of which may be a connection of its own."""

PRUNED = 1000
"""Connections remembered before those that are over are forgotten."""

MESSAGES_LIMIT = rule(
    "http.messages-limit", "error", "so many HTTP messages came at once that some of them were left out"
)


TLS_DEPTH = rule("tls.depth", "warn", "TLS inside of so many TLS connections is not read", "limits.tls_depth")


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

    Attributes:
        stats: counts, growing.
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
    ) -> None:
        self.source = source
        self.stats = TransportStats()
        self._limits = limits
        self._room = Room(limits.held)
        self._policy = replace(policy, room=self._room)
        self._progress = progress
        self._conversations: list[Conversation] = []
        self._pruned = PRUNED
        self._told: list[Finding] = []
        self._elsewhere: list[Finding] = []
        self._order = MessageOrder(MessageBuilder(digits=self._digits, limits=limits), limits, self._elsewhere, on_http)
        self._left_out = Tally(self._elsewhere, MESSAGES_LIMIT, lambda n: f"{n} HTTP messages were left out")
        self._half_open: dict[int, HttpConnection] = {}
        self._insides = [partial(self._inside, depth) for depth in range(limits.tls_depth + 1)]
        """The readers of TLS inside so many TLS connections."""
        self._batch: list[Entry] = []
        self._count = 0
        self._stop = False
        self.waiting = False
        self._interest = replace(INTEREST, opened=set())
        self._keyfiles = keyfiles or KeyFiles()
        self._watch_tls = watch_tls
        self._late = False
        """Secrets that come from now on stand behind packets."""
        self._tls = TlsTable(self._keyfiles.keys, self._plain, limits, watch=watch_tls, records=tls_records)
        self._failing = Failing(self.stats, limits, INTEREST.masked)
        self._unreached = Unreached()
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
        """Of the container in the order of the file, then of the network and the transport by frame; complete after the
        pass."""
        found = [*self.stats.findings, *self._elsewhere, *self._told]
        for conversation in self._conversations:
            found += told_of(conversation)
        found += [*self._failing.findings(), *self._unreached.findings(), *self._tls.said(), *self._order.findings()]
        # What was found goes block by block and flow by flow: only the frames give an order that is always the same.
        return [*self.source.info.findings, *sorted(found, key=lambda one: (one.frames, one.rule, one.text))]

    @property
    def not_soap(self) -> int:
        """How many datagrams on the discovery port hold no SOAP message."""
        return self._order.not_soap

    def __iter__(self) -> Iterator[Message]:
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
            block = None
            if self._progress is not None:
                self._progress(self.source.info, self.stats)
        yield from self.finish()

    def feed(self, block: Block) -> Iterator[Message]:
        """The messages that a block makes whole: for callers that read the frames themselves."""
        self._find_keys()
        for _, part in block.parts(AT_ONCE):
            columns = self._decoder.decode(part)
            self.flows.feed(columns)
            self._unreached.feed(columns)
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
                self._told += told_of(conversation)
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
        self._unreached.finish()
        self._uncount_opened()

    def _flush(self) -> Iterator[Message]:
        batch, self._batch = self._batch, []
        yield from self._order.told(batch)
        self._room.give_out()

    def _end_messages(self) -> Iterator[Message]:
        yield from self._flush()
        yield from self._order.finish()

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

        logs, _ = secrets_ahead(self.source.paths, self._limits)
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
        self.stats.late.update(self._keyfiles.keys.missed)
        self.stats.keyed = self.stats.keyed or self._keyfiles.given
        for pair, number in self._tls.failed.items():
            self.stats.failed[pair] = self.stats.failed.get(pair, 0) + number
        unread = self.stats.opaque.setdefault(TLS, {})
        for client, server in self._tls.pairs:
            unread.pop((client, server), None)
            unread.pop((server, client), None)
        # After those: one that was opened may hold one that was not.
        for pair, size in self._tls.sealed.items():
            unread[pair] = (0, size)
        if not unread:
            self.stats.opaque.pop(TLS, None)

    # -- what is read -----------------------------------------------------------------------------------------------

    def _consumer(self, conversation: Conversation, stream: StreamRef) -> StreamConsumer:
        if conversation.protocol == TLS:
            return self._tls.consumer(conversation, stream)
        connection = self._half_open.pop(conversation.number, None)
        if connection is None:
            self._conversations.append(conversation)
            connection = HttpConnection(conversation, self._http, self._policy, self._limits, self._insides[0])
            self._half_open[conversation.number] = connection
        return connection.direction(stream)

    def _inside(self, depth: int, conversation: Conversation, asked: str) -> Callable[[StreamRef], StreamConsumer]:
        """The readers of TLS that begins inside a connection of HTTP, which is in so many of TLS."""
        if depth >= self._limits.tls_depth:
            conversation.findings.append(TLS_DEPTH(f"TLS inside of {depth} TLS connections is not read"))
            return lambda _: NOBODY
        return lambda stream: self._tls.consumer(conversation, stream, asked, depth)

    def _plain(self, conversation: Conversation, depth: int) -> Callable[[StreamRef], StreamConsumer]:
        """The readers of a connection whose TLS was opened."""
        # One whose TLS is inside HTTP is known already.
        if conversation.protocol == TLS and not depth:
            self._conversations.append(conversation)
        inside = self._insides[depth + 1]
        return HttpConnection(conversation, self._http, self._policy, self._limits, inside, ordered=True).direction

    def _http(self, http: HttpMessage) -> None:
        if len(self._batch) >= self._limits.messages or self._room.full:
            self._left_out.add(http.first_frame)
            return
        self._count += 1
        self._batch.append((http.trigger, http.first_frame, self._count, http))

    def _datagram(self, datagram: Datagram) -> None:
        self._count += 1
        self._batch.append((datagram.frame, datagram.frame, self._count, datagram))

    def _digits(self) -> int:
        return max((i.digits for i in self.source.interfaces), default=6)


def told_of(conversation: Conversation) -> list[Finding]:
    """The findings on a connection that are not the transport's (those are told by the counts of the pass)."""
    where, hosts = f"TCP stream {conversation.number}", conversation.hosts
    found = [finding for finding in conversation.findings if not finding.rule.startswith("tcp.")]
    return [replace(finding, text=f"{where}: {finding.text}", hosts=hosts) for finding in found]
