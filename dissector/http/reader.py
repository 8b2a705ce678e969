"""One direction of a connection: bytes and gaps in, HTTP messages out.

The reader is a state machine fed with runs of any size; its result does not depend on how the bytes were cut into runs.
States and what ends them::

    START    at the place where a message begins     → the head is whole → BODY, or START
    BODY     in a body                               → it ends (see ``framing``) → START; framing lost → RESYNC
    RESYNC   the place in the protocol is not known  → a start line is found (see ``search``) → START
    OPAQUE   another protocol from here on, or ended

A gap inside a body of which the framing is known leaves a hole there and nothing more. Any other gap ends the message
in progress, which is given as far as it is known, and RESYNC follows.

Buffering: START holds the head (``Limits.head``), RESYNC a tail, BODY a few bytes. Body bytes are passed on as they
come. Each byte that comes alone costs a bounded time, also in a long head.

What is made of a message is in ``draft``; one that leaves no doubt is made at once, in ``plain``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import IntEnum

from dissector.base.findings import Finding, Rule, rule
from dissector.base.limits import Limits
from dissector.base.origin import NO_FRAMES, Gap
from dissector.http.draft import Draft
from dissector.http.framing import Framing
from dissector.http.head import HEAD_END, BodyPlan, plan_body
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.plain import plain_head, plain_message
from dissector.http.refused import begins_tls, by_400, by_tls, without_a_word
from dissector.http.search import JOINED, NO_START_LINE, SKIPPED, Search, Skipped
from dissector.http.speaker import Speaker
from dissector.http.start import StartLine, parse_start_line
from dissector.http.tunnel import TLS_ALERT, TLS_RECORD, Ended
from dissector.transport.model import Conversation, Run, StreamConsumer, StreamEnd

__all__ = ["MessageReader"]

HEAD_LIMIT = rule("http.head-limit", "error", "the head is longer than is read")
HEAD_CUT = rule("http.head-cut", "error", "the head is not whole")
TUNNEL = rule("http.tunnel", "note", "from here on the connection carries another protocol", "RFC 9110 7.8, 9.3.6")

_EMPTY_LINES = re.compile(rb"[\r\n]*")


class _State(IntEnum):
    START = 0
    BODY = 1
    RESYNC = 2
    OPAQUE = 3


class MessageReader:
    """Takes one direction (a :class:`~dissector.transport.model.StreamConsumer`) and emits its messages.

    Args:
        conversation: takes findings that belong to no message.
        speaker: whose messages they are.
        emit: called with each message as soon as it is whole or given up.
        policy: what is done with the bytes of bodies.
        limits: bounds.

    Attributes:
        consumed: stream offset below which frames are no longer needed.
        tunnelled: stream offset from which on it is TLS, None where it is not.
    """

    def __init__(
        self,
        conversation: Conversation,
        speaker: Speaker,
        emit: Callable[[HttpMessage], None],
        policy: BodyPolicy,
        limits: Limits,
    ) -> None:
        self.consumed = 0
        self.tunnelled: int | None = None
        self._conversation = conversation
        self._speaker = speaker
        self._tunnel = speaker.tunnel
        self._emit = emit
        self._policy = policy
        self._limits = limits
        self._frames = NO_FRAMES
        self._end = 0
        self._state = _State.START
        self._buffer = bytearray()
        """START: the head so far."""
        self._at = 0
        """Stream offset of the first byte of the buffer."""
        self._line_seen = False
        self._framing: Framing | None = None
        self._search: Search | None = None
        self._inner: StreamConsumer | None = None
        """OPAQUE: what reads the TLS."""
        self._skipped: Skipped | None = None
        self._refused = False
        """It was told that the server wants https: once is enough."""

    @property
    def under_way(self) -> Draft | None:
        """The message whose head was read and whose end was not: a live server looks at it for Expect and size."""
        return self._framing.draft if self._framing is not None else None

    @property
    def held(self) -> int:
        """Bytes of the unfinished message in memory."""
        inner = getattr(self._inner, "held", 0) if self._inner is not None else 0
        held = len(self._buffer) + inner
        if self._framing is not None:
            held += self._framing.held
        if self._search is not None:
            held += self._search.held
        return held

    # -- what the transport calls --------------------------------------------------------------------------------

    def data(self, run: Run) -> None:
        """The next bytes."""
        speaker = self._speaker
        self._frames = run.frames
        speaker.high = max(speaker.high, run.released)
        self._end = run.offset + len(run.data)
        self._feed(run.data, run.offset)
        if self._framing is not None:
            self.consumed = self._framing.draft.start
        elif self._buffer:
            self.consumed = self._at
        elif self._search is not None:
            self.consumed = self._search.at
        elif self._inner is not None:
            self.consumed = getattr(self._inner, "consumed", self._end)
        else:
            self.consumed = self._end

    def gap(self, gap: Gap) -> None:
        """Bytes that the capture does not hold."""
        self._speaker.high = max(self._speaker.high, gap.released)
        self._end = gap.offset + gap.length
        framing = self._framing
        if framing is not None:
            framing.settle()
            self._look(framing, gap.offset)
        if self._framing is None and self._inner is None and self._tunnel.begun:
            self._enter(gap.offset)
        if self._framing is not None:
            self._framing.hole(gap)
            self._look(self._framing, self._end)
        elif self._inner is not None:
            self._inner.gap(gap)
        elif self._state is not _State.OPAQUE:
            self._gap_between(gap)

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """No more bytes."""
        self._speaker.high = max(self._speaker.high, frame)
        if self._framing is not None:
            over = how in (StreamEnd.FIN, StreamEnd.RESET)
            self._framing.close(self._end, _END_WORDS[how], closed=how is StreamEnd.FIN, over=over)
            self._look(self._framing, self._end)
        if self._search is not None:
            self._skip(self._search.why, self._search.region, self._search.passed)
            self._search = None
        elif self._state is _State.START and self._buffer:
            if self._line_seen:
                self._head_cut(_END_WORDS[how])
            elif not self._may_be_tls(self._at, self._buffer[:3]):
                self._skip(NO_START_LINE, self._at, len(self._buffer))
        self._buffer = bytearray()
        self._state = _State.OPAQUE
        if self._tunnel.begun:
            self._tunnel.enter(self._speaker.stream).end(how, frame, time)
            self._inner = None
        if self._skipped is not None:
            self._conversation.findings.extend(self._skip_findings())
        self._conversation.ended += 1
        mine = Ended(self._speaker.stream.source, how, frame, self._end > 0, self._speaker.asked)
        first, self._tunnel.over = self._tunnel.over, mine
        if first is not None:
            # Only now: an end may be told before what the other side said before it.
            sealed = self._tunnel.sealed
            for one, other in ((mine, first), (first, mine)):
                if (finding := without_a_word(self._conversation, one, other, sealed=sealed)) is not None:
                    self._conversation.findings.append(finding)

    def _feed(self, data: bytes | memoryview, offset: int) -> None:
        pos, size = 0, len(data)
        while pos < size:
            pos = _STEPS[self._state](self, data, offset, pos, size)

    # -- heads -----------------------------------------------------------------------------------------------------

    def _read_head(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        buffer = self._buffer
        limit = self._limits.head
        if not buffer:
            blank = _EMPTY_LINES.match(data, pos, size)
            pos = blank.end() if blank else pos
            if pos == size:
                return size
            if (self._tunnel.agreed or self._speaker.may_tunnel) and self._tunnels(data, base, pos):
                return pos
            found = HEAD_END.search(data, pos, min(size, pos + limit))
            if found:
                end = found.end()
                head = bytes(data[pos:end])
                plain = plain_head(head)
                if plain is not None and end + plain.length <= size:
                    stop = end + plain.length
                    message = plain_message(
                        plain, head, base + pos, data[end:stop], self._frames, self._speaker, self._policy, self._limits
                    )
                    if message is not None:
                        if self._skipped is not None:
                            message.findings = self._skip_findings()
                        self._give(message)
                        return stop
                line = parse_start_line(head[: head.find(b"\n") + 1])
                if line is None:
                    return self._no_start_line(b"", base + pos, pos, data[pos : pos + 3])
                self._take_head(head, base + pos, line)
                return end
            self._at = base + pos
            self._line_seen = False
        before = len(buffer)
        end = min(size, pos + limit - before)
        buffer += data[pos:end]
        found = HEAD_END.search(buffer, max(before - 2, 0))
        stop = found.end() if found else len(buffer)
        if not self._line_seen:
            feed = buffer.find(b"\n", max(before - 1, 0), stop)
            if feed >= 0 and parse_start_line(bytes(buffer[: feed + 1])) is not None:
                self._line_seen = True
            elif feed >= 0 or stop >= limit:
                return self._no_start_line(bytes(buffer[:before]), self._at, pos, buffer[:3])
        if found:
            head = bytes(buffer[:stop])
            line = parse_start_line(head[: head.find(b"\n") + 1])
            assert line is not None
            self._buffer = bytearray()
            self._take_head(head, self._at, line)
            return pos + stop - before
        if len(buffer) >= limit:
            draft = self._begin_partial()
            draft.report(HEAD_LIMIT, f"the head is longer than {limit} bytes", offset=draft.start)
            self._finish(draft, draft.start + limit)
            self._speaker.lost = True
            self._resync(draft.start + limit, SKIPPED)
        return end

    def _no_start_line(self, before: bytes, at: int, pos: int, start: bytes | bytearray | memoryview) -> int:
        """No message begins here. ``before``: the bytes from ``at`` on that earlier runs held; ``start``: the first."""
        tls = self._may_be_tls(at, start)
        if self._speaker.may_tunnel or self._tunnel.agreed:
            self._conversation.findings.append(TUNNEL(frames=self._frames_at(at), offset=at))
            self._opaque()
            return pos
        # What the bytes of TLS are is told already.
        self._resync(at, None if tls else NO_START_LINE, before)
        return pos

    def _may_be_tls(self, at: int, start: bytes | bytearray | memoryview) -> bool:
        """What stands in place of an answer may be an alert, or all of a handshake."""
        asked = self._speaker.answering.read and not self._speaker.answered
        if not asked or not begins_tls(bytes(start)):
            return False
        self._conversation.findings.append(by_tls(self._speaker.stream.source, self._frames_at(at), at))
        return True

    def _begin(self, head: bytes, at: int, line: StartLine, stop: int) -> Draft:
        draft = Draft(head, at, line, head.find(b"\n") + 1, stop, self._limits)
        draft.enter(self._policy.room)
        speaker, numbers = self._speaker, self._frames_at(at)
        frame = numbers[0] if numbers else 0
        known = max(self._frames.frames_of(at, at + len(head)), default=0) if frame else 0
        if not line.status:
            may_tunnel = draft.may_tunnel
            speaker.ask(at, frame, line.method, known, draft.wish if may_tunnel else "", may_tunnel=may_tunnel)
        elif line.status < 200 and line.status != 101:
            draft.interim = speaker.interim(frame, known)
        else:
            draft.answer = speaker.answer(at, frame, known)
        return draft

    def _begin_partial(self) -> Draft:
        """Begin the message of a head in the buffer that is not whole."""
        head, at = bytes(self._buffer), self._at
        line = parse_start_line(head[: head.find(b"\n") + 1])
        assert line is not None
        draft = self._begin(head, at, line, head.rfind(b"\n") + 1)
        draft.complete = False
        return draft

    def _take_head(self, head: bytes, at: int, line: StartLine) -> None:
        """Begin the message of a whole head, and decide how its body ends."""
        draft = self._begin(head, at, line, len(head) - (2 if head.endswith(b"\r\n") else 1))
        offset = at + len(head)
        request, status = draft.request, line.status
        method = request.method if request else None
        plan = plan_body(draft.fields, status=status, version=line.version, method=method, report=draft.report, base=at)
        if status == 101 or (method == "CONNECT" and 200 <= status < 300):
            draft.report(TUNNEL, offset=offset)
            self._finish(draft, offset)
            self._tunnel.agreed = True
            return
        if method == "HEAD" and not self._speaker.answering.read:
            # A live client has its answer with the head: it cannot wait whether more comes.
            plan = BodyPlan()
        if not plan.chunked and plan.lengths == (0,):
            self._finish(draft, offset)
            return
        self._framing = Framing(draft, plan, self._policy, offset)
        self._state = _State.BODY

    def _head_cut(self, why: str, gap: Gap | None = None) -> None:
        """Give the message of a head that is not whole."""
        draft = self._begin_partial()
        if gap is not None:
            draft.gaps.append(gap)
        draft.report(HEAD_CUT, f"the head is not whole: {why}", offset=draft.start)
        self._finish(draft, draft.start + len(draft.head))

    # -- bodies ----------------------------------------------------------------------------------------------------

    def _read_body(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        framing = self._framing
        assert framing is not None
        pos = framing.feed(data, base, pos, size)
        if framing.end is not None:
            self._look(framing, framing.end)
        return pos

    def _look(self, framing: Framing, onward: int) -> None:
        """Give the message where its body has ended. Where the framing is lost, the search begins at ``onward``."""
        end = framing.end
        if end is None:
            return
        if framing.seen:
            # It is known only now that the message is whole.
            self._speaker.high = max([self._speaker.high, *self._frames.frames_of(end, framing.seen)])
        self._finish(framing.draft, end)
        if framing.lost:
            self._speaker.lost = True
            self._resync(onward, SKIPPED, framing.back)
        else:
            self._feed(framing.back, end)

    # -- gaps and damage -------------------------------------------------------------------------------------------

    def _gap_between(self, gap: Gap) -> None:
        """A gap outside a message, or in a head."""
        self._speaker.lost = True
        search = self._search
        if search is not None:
            self._skip(search.why, search.region, search.passed)
        elif self._buffer:
            if self._line_seen:
                self._head_cut("bytes of it are lost", gap)
            else:
                self._skip(SKIPPED, self._at, len(self._buffer))
        self._resync(self._end, JOINED if gap.reason == "start" else SKIPPED)

    def _resync(self, offset: int, why: Rule | None, held: bytes = b"") -> None:
        self._tunnel.give_up()
        self._speaker.whole = False
        self._state = _State.RESYNC
        self._buffer = bytearray()
        self._search = Search(offset, why, held)

    def _read_resync(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        if self._tunnel.begun:
            self._enter(base + pos)
            return pos
        if self._tunnel.agreed:
            self._opaque()
            return size
        search, speaker = self._search, self._speaker
        assert search is not None
        pos = search.feed(data, base, pos, size, requests=speaker.asks, responses=speaker.answers)
        if search.found:
            self._skip(search.why, search.region, search.at - search.region)
            self._search = None
            self._state = _State.START
            self._feed(search.back, search.at)
        return pos

    def _skip(self, why: Rule | None, offset: int, count: int) -> None:
        """Remember skipped bytes; ``why``: None where they were told."""
        if why is None or count <= 0:
            return
        if self._skipped is None:
            self._skipped = Skipped()
        self._skipped.add(why, offset, self._frames_at(offset), count)

    def _skip_findings(self) -> list[Finding]:
        """What is to be told of skipped bytes; it is told once."""
        assert self._skipped is not None
        made, self._skipped = self._skipped.findings(), None
        return made

    # -- tunnels ---------------------------------------------------------------------------------------------------

    def _tunnels(self, data: bytes | memoryview, base: int, pos: int) -> bool:
        """Where a message has to begin another protocol does; HTTP in the clear inside a tunnel is read on."""
        first = data[pos]
        begins = first == TLS_RECORD or (first == TLS_ALERT and self._tunnel.begun)
        if begins and self._tunnel.readable:
            self._enter(base + pos)
        elif self._tunnel.agreed and not (0x41 <= first <= 0x5A or first in b"\r\n"):
            self._opaque()
        return self._state is _State.OPAQUE

    def _enter(self, at: int) -> None:
        """TLS from here on."""
        self._inner = self._tunnel.enter(self._speaker.stream)
        self.tunnelled = at
        self._opaque()

    def _opaque(self) -> None:
        self._state = _State.OPAQUE
        self._buffer = bytearray()
        self._search = None

    def _read_opaque(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        if self._inner is not None:
            self._inner.data(Run(base + pos, data[pos:size], self._frames, self._speaker.high))
        return size

    # -- giving out ------------------------------------------------------------------------------------------------

    def _frames_at(self, offset: int) -> Sequence[int]:
        frames = self._frames
        return frames.frames_of(offset, offset + 1) if frames.starts and offset >= frames.starts[0] else ()

    def _finish(self, draft: Draft, end: int) -> None:
        """Give the message, which ends at the stream offset ``end``; another one may begin there."""
        speaker = self._speaker
        self._framing = None
        self._state = _State.START
        self._buffer = bytearray()
        frames = self._frames.cut_off(draft.start, end)
        if frames.frames:
            speaker.high = max(speaker.high, max(frames.frames))
        message = draft.message(speaker.stream, end, frames, speaker.high)
        if self._skipped is not None:
            message.findings = self._skip_findings() + message.findings
        self._give(message)

    def _give(self, message: HttpMessage) -> None:
        if message.status == 400 and not self._refused and not self._tunnel.sealed:
            finding = by_400(self._speaker.stream.source, message)
            if finding is not None:
                self._refused = True
                self._conversation.findings.append(finding)
        self._emit(message)


# In the order of the states' numbers. Of the class, not bound to an object, which would hold itself by them.
_STEPS: tuple[Callable[[MessageReader, bytes | memoryview, int, int, int], int], ...] = (
    MessageReader._read_head,
    MessageReader._read_body,
    MessageReader._read_resync,
    MessageReader._read_opaque,
)

_END_WORDS = {
    StreamEnd.FIN: "the connection was closed",
    StreamEnd.RESET: "the connection was reset",
    StreamEnd.REUSED: "a new connection uses the same ports",
    StreamEnd.CAPTURE: "the capture ends",
}
