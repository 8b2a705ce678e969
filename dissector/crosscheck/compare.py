"""Two sides compared, and each difference explained."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain
from typing import Any

from dissector.crosscheck.ours import Direction, HttpFact, Side

__all__ = ["Line", "compare"]


@dataclass()
class Line:
    """One comparison.

    Attributes:
        kind: "stream" or "message".
        verdict: "same", "differs", "only ours", "only tshark".
        why: the explanation of a difference; "" where none was found.
    """

    kind: str
    stream: int
    what: str
    verdict: str
    ours: str = ""
    theirs: str = ""
    why: str = ""
    frame: int = 0

    @property
    def unexplained(self) -> bool:
        """A difference without a reason."""
        return self.verdict != "same" and not self.why

    def to_json(self) -> dict[str, Any]:
        """The line as plain data."""
        return {
            "kind": self.kind,
            "stream": self.stream,
            "frame": self.frame,
            "what": self.what,
            "verdict": self.verdict,
            "ours": self.ours,
            "tshark": self.theirs,
            "why": self.why,
        }


def compare(ours: Side, theirs: Side) -> list[Line]:
    """All comparisons: streams first, then messages, by stream."""
    lines = [line for number in sorted(ours.streams) for line in _stream(number, ours, theirs)]
    mine, its = _by_direction(ours.messages), _by_direction(theirs.messages)
    messages: dict[int, list[Line]] = {}
    # Of each stream the requests first.
    for number, answers in sorted((number, not is_request) for number, is_request in mine.keys() | its.keys()):
        key = number, not answers
        messages.setdefault(number, []).extend(_messages(number, mine.get(key, []), its.get(key, []), ours))
    for line in lines:
        if line.unexplained:
            told = messages.get(line.stream, [])
            if told and all(other.verdict == "same" for other in told):
                # Seen in tshark 4.0 with segments both moved and sent twice.
                line.why = (
                    f"tshark's followed stream contradicts its own HTTP reassembly: all {len(told)} messages of this "
                    "stream are the same on both sides, bodies included, so ours is right"
                )
    return [*lines, *chain.from_iterable(messages.values())]


def _by_direction(messages: list[HttpFact]) -> dict[tuple[int, bool], list[HttpFact]]:
    """The messages by stream and whether they are requests."""
    found: dict[tuple[int, bool], list[HttpFact]] = {}
    for message in messages:
        found.setdefault((message.stream, message.is_request), []).append(message)
    return found


# -- streams -------------------------------------------------------------------------------------------------------


def _stream(number: int, ours: Side, theirs: Side) -> list[Line]:
    lines = []
    other = theirs.streams.get(number, {})
    for source, mine in ours.streams[number].items():
        what = f"bytes from {source}"
        its = other.get(source)
        if its is None:
            why = "" if number in theirs.streams else "only the first streams are followed"
            if not mine.size:
                continue
            lines.append(Line("stream", number, what, "only ours", _size(mine.size, mine.sha256), why=why))
            continue
        same = (mine.size, mine.sha256) == (its.size, its.sha256)
        why = "" if same else _why_stream(number, mine, its, ours)
        lines.append(
            Line(
                "stream",
                number,
                what,
                "same" if same else "differs",
                _size(mine.size, mine.sha256),
                _size(its.size, its.sha256),
                why,
            )
        )
    return lines


def _why_stream(number: int, mine: Direction, its: Direction, ours: Side) -> str:
    rules = ours.rules.get(number, set())
    gaps = mine.gaps
    before = its.size - mine.size
    if any(gap.reason == "start" for gap in gaps) and before > 0:
        if number in ours.opened:
            return (
                f"the stream begins with no HTTP start line that we look for: tshark shows the {before} bytes "
                "before the first one"
            )
        return (
            f"the capture began inside this stream: tshark shows {before} bytes before the first HTTP message, "
            "which belong to no message that could be read"
        )
    if "tcp.differing-copy" in rules:
        return "a segment was sent twice with other bytes: we keep the first copy, as the receiver had it"
    if any(gap.reason == "cut" for gap in gaps):
        return "packets were cut by the capture length: tshark counts the bytes that are not there in another way"
    if any(gap.reason == "lost" for gap in gaps):
        return "segments were lost: we keep a gap of known length, tshark joins or drops what is behind it"
    if "tcp.late-segment" in rules:
        return "a segment came after its place had been given up as lost"
    if "tcp.after-end" in rules:
        return "data came after the end of the stream (FIN or RST): its receiver had no use for it, nor do we"
    if "tcp.far-ahead" in rules:
        return "a segment far outside the window is not used by us"
    if its.missing:
        # Seen in tshark 4.0, also where its own HTTP reassembly has the bytes.
        return (
            f"tshark's followed stream says that {its.missing} bytes are missing, and none is: it takes for lost what "
            "is captured behind its acknowledgement"
        )
    return ""


# -- messages --------------------------------------------------------------------------------------------------------


def _messages(number: int, ours: list[HttpFact], theirs: list[HttpFact], side: Side) -> list[Line]:
    # The matcher takes quadratic time where most are alike: it gets what is left between equal ends.
    head = _alike(ours, theirs)
    tail = _alike(ours[head:][::-1], theirs[head:][::-1])
    lines = [_pair(mine, its, side) for mine, its in zip(ours[:head], theirs[:head], strict=True)]
    last = ours[len(ours) - tail :], theirs[len(theirs) - tail :]
    ours, theirs = ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
    matcher = SequenceMatcher(None, [m.start for m in ours], [m.start for m in theirs], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            lines += [_pair(mine, its, side) for mine, its in zip(ours[a:b], theirs[c:d], strict=True)]
            continue
        for mine in ours[a:b]:
            lines.append(
                Line(
                    "message",
                    number,
                    mine.start,
                    "only ours",
                    _size(mine.size, mine.sha256),
                    why=_why_alone(mine, side, ours_has=True),
                    frame=mine.frame,
                )
            )
        for its in theirs[c:d]:
            lines.append(
                Line(
                    "message",
                    number,
                    its.start,
                    "only tshark",
                    "",
                    _size(its.size, its.sha256),
                    _why_alone(its, side, ours_has=False),
                    its.frame,
                )
            )
    return [*lines, *(_pair(mine, its, side) for mine, its in zip(*last, strict=True))]


def _alike(ours: list[HttpFact], theirs: list[HttpFact]) -> int:
    """How many of them begin alike, from the first on."""
    differ = (at for at, (mine, its) in enumerate(zip(ours, theirs, strict=False)) if mine.start != its.start)
    return next(differ, min(len(ours), len(theirs)))


def _pair(mine: HttpFact, its: HttpFact, side: Side) -> Line:
    same = mine.size == its.size and (mine.sha256 == its.sha256 or not mine.size)
    line = Line(
        "message", mine.stream, mine.start, "same" if same else "differs", _size(mine.size, mine.sha256),
        _size(its.size, its.sha256), frame=mine.frame,
    )  # fmt: skip
    if same:
        return line
    damage = _damage(mine.stream, side)
    if not mine.complete:
        line.why = f"{damage or 'the capture ends inside it'}: ours is marked incomplete"
    elif damage and not its.size:
        line.why = f"{damage}: tshark shows the head without its body"
    elif damage:
        line.why = f"{damage}: tshark's body is not the one that was sent"
    elif "http.header-value" in side.rules.get(mine.stream, ()):
        line.why = "a header line has control characters: tshark ends the head at a CR, browsers and servers do not"
    elif mine.lost_by:
        line.why = f"{mine.lost_by}: tshark has lost the place in the stream"
    elif not its.size and mine.size:
        line.why = "tshark shows no bytes of this body (it left it to another dissector)"
    return line


def _why_alone(message: HttpFact, side: Side, *, ours_has: bool) -> str:
    damage = _damage(message.stream, side)
    if damage:
        if ours_has:
            return f"{damage}: tshark takes what follows for a continuation, we found the next start line"
        return f"{damage}: tshark shows a start line that we take for a part of something else"
    if ours_has and "http.tunnel" in side.rules.get(message.stream, ()):
        return "inside of a tunnel (CONNECT, or an upgrade) tshark does not look for HTTP, and we do"
    if ours_has and message.lost_by:
        return f"{message.lost_by}: tshark takes it for a continuation"
    if ours_has and not message.complete and "http.body-not-sent" in side.rules.get(message.stream, ()):
        return "the client announced a body and did not send it: tshark waits for it and shows nothing"
    if ours_has and not message.complete:
        return "the capture ends inside it: tshark does not show it"
    if not ours_has and "tls.early-data-rejected" in side.rules.get(message.stream, ()):
        return "early data that the server refused: it never read it, so it is no message; tshark shows it"
    return ""


def _damage(stream: int, side: Side) -> str:
    """What is wrong with a stream, in words; "" for a whole one."""
    gaps = [gap for direction in side.streams.get(stream, {}).values() for gap in direction.gaps]
    reasons = {gap.reason for gap in gaps}
    if "lost" in reasons:
        first = next(gap for gap in gaps if gap.reason == "lost")
        where = f" after frame {first.before}" if first.before else ""
        return f"{sum(gap.length for gap in gaps if gap.reason == 'lost')} bytes of the stream were lost{where}"
    if "cut" in reasons:
        return "packets were cut by the capture length"
    if "start" in reasons:
        if stream in side.opened:
            return "the stream begins with no HTTP start line that we look for"
        return "the capture began inside the stream"
    rules = side.rules.get(stream, set())
    return next((words for rule, words in _DAMAGES.items() if rule in rules), "")


_DAMAGES = {
    "http.no-start-line": "bytes stand where a message has to begin",
    "http.head-body": "an answer to HEAD has a body",
    "http.not-chunked": "a body is not chunked, as its head says",
    "http.length-exceeds": "a body is shorter than its Content-Length says",
    "http.no-length": "an answer does not say its length",
    "tcp.differing-copy": "a segment was sent twice with other bytes",
}


def _size(size: int | None, sha256: str | None) -> str:
    return "" if size is None else f"{size} bytes" + (f" {sha256[:12]}" if sha256 and size else "")
