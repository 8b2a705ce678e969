"""Feeds what a TLS talk sent to the sides of a connection, as the reassembly would, one frame for each piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, FrameMap, Gap, StreamRef
from dissector.transport.model import Conversation, Run, StreamConsumer, StreamEnd
from dissector.transport.tls import KeyMaterial
from dissector.transport.tls.model import TlsFacts
from dissector.transport.tls.table import TlsTable
from tests.support.streams import Taken

__all__ = ["TlsFeed", "read_talk"]

CLIENT = Endpoint("192.0.2.10", 50000)
SERVER = Endpoint("192.0.2.20", 5362)
UP = StreamRef("tcp", 0, CLIENT, SERVER)
START = 1_772_442_904_000_000_000


@dataclass
class _End:
    consumer: StreamConsumer
    frames: FrameMap = field(default_factory=FrameMap)
    at: int = 0


class TlsFeed:
    """One connection. ``plain`` has what came out, by "client" and "server"."""

    def __init__(self, keys: KeyMaterial | bytes | None = None, *, watch: bool = True, limits: Limits = DEFAULT_LIMITS):
        if not isinstance(keys, KeyMaterial):
            material = KeyMaterial()
            material.add_log(keys or b"")
            keys = material
        self.conversation = Conversation(0, CLIENT, SERVER, True, CLIENT, both=True)
        self.plain: dict[str, Taken] = {}
        self.table = TlsTable(keys, lambda _, __: self._inner, limits, watch=watch, records=True)
        self.ends = [
            _End(self.table.consumer(self.conversation, UP)),
            _End(self.table.consumer(self.conversation, UP.reversed())),
        ]
        self.frame = 0

    def _inner(self, stream: StreamRef) -> Taken:
        made = self.plain["client" if stream.source == CLIENT else "server"] = Taken(stream)
        return made

    def data(self, back: bool, data: bytes, step: int | None = None) -> None:
        """Bytes of one side, in segments of ``step`` bytes, a frame each."""
        end = self.ends[back]
        for start in range(0, len(data), step or len(data) or 1):
            part = data[start : start + (step or len(data))]
            self.frame += 1
            end.frames.add(end.at, len(part), self.frame, 54, START + self.frame * 1000)
            end.consumer.data(Run(end.at, part, end.frames))
            end.at += len(part)

    def gap(self, back: bool, length: int, reason: str = "lost") -> None:
        end = self.ends[back]
        if length:
            end.frames.add(end.at, length, 0, -1, 0)
        end.consumer.gap(Gap(end.at, length, reason, self.frame, self.frame + 1, self.frame + 1))
        end.at += length

    def end(self, how: StreamEnd = StreamEnd.FIN, *, back: bool = False, after: float = 0) -> None:
        """Both directions end, first that of the server (``back``) or of the client, so many seconds after the rest."""
        if how is StreamEnd.RESET:
            self.conversation.reset_by = SERVER if back else CLIENT
        for end in (self.ends[back], self.ends[not back]):
            self.frame += how is not StreamEnd.RESET or end is self.ends[back]
            end.consumer.end(how, self.frame, START + self.frame * 1000 + int(after * 1e9))

    @property
    def facts(self) -> TlsFacts:
        (facts,) = self.table.facts
        return facts

    @property
    def findings(self) -> list[Finding]:
        return self.facts.findings

    def rules(self) -> list[str]:
        return [finding.rule for finding in self.findings]

    def text(self, who: str) -> bytes:
        return self.plain[who].bytes if who in self.plain else b""


def read_talk(
    pieces: Iterable[tuple[bool, bytes]],
    keys: KeyMaterial | bytes | None = None,
    *,
    step: int | None = None,
    watch: bool = True,
    end: StreamEnd = StreamEnd.FIN,
    server_first: bool = False,
    after: float = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> TlsFeed:
    """Read a whole talk."""
    feed = TlsFeed(keys, watch=watch, limits=limits)
    for back, data in pieces:
        feed.data(back, data, step)
    feed.end(end, back=server_first, after=after)
    return feed
