"""What the TLS connections of a pass share: keys, facts, and what bounds them together."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dissector.base.findings import Finding
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import StreamConsumer
from dissector.transport.tls.keys import KeyMaterial
from dissector.transport.tls.lock import Tries

if TYPE_CHECKING:
    from dissector.transport.tls.model import TlsFacts

__all__ = ["ALL_RECORDS", "Open", "Shared"]

SAID = 1000
"""Findings of all connections."""
ALL_RECORDS = 200_000
"""Records of all connections whose sizes and times are kept; each takes about 150 bytes."""
ALL_MESSAGES = 200_000
SAME = 1000
"""Different offers of which one object each is kept."""

T = TypeVar("T", bound=Hashable)


class Open(Protocol):
    """A connection that is not over, as the pass sees it."""

    def direction(self, stream: StreamRef) -> StreamConsumer:
        """The consumer of one direction; called once for each of the two."""
        ...

    def progress(self) -> None:
        """Keys may have come: read on, where that is possible now."""
        ...


@dataclass(slots=True)
class Shared:
    """What all connections of a pass share.

    Attributes:
        keys: key material.
        watch: keep the facts of every connection; without, those that cannot be opened are let go.
        waiting: bytes that wait for keys.
        facts: of the connections, in the order of their first record, by identity: one that turns out to be none is
            taken out again.
        open: connections that are not over, by number and depth (TLS connections around them).
        left_out: connections whose facts were not kept.
        decrypted: connections that were opened.
        records, messages: how many more of them are kept.
        opened: facts of the connections whose plain streams were read; pairs: client and server of all of them.
        sealed: client and server → bytes of connections inside HTTP that were not opened.
        failed: client and server → connections that failed, where it is known why.
        said: findings, with number and ends of their connection; untold: how many more there were.
        tries: how often the number of a record behind a loss may still be tried.
    """

    keys: KeyMaterial
    watch: bool = False
    waiting: int = 0
    facts: dict[int, TlsFacts] = field(default_factory=dict)
    open: dict[tuple[int, int], Open] = field(default_factory=dict)
    left_out: int = 0
    decrypted: int = 0
    records: int = 0
    messages: int = ALL_MESSAGES
    opened: list[TlsFacts] = field(default_factory=list)
    pairs: set[tuple[Endpoint, Endpoint]] = field(default_factory=set)
    sealed: dict[tuple[Endpoint, Endpoint], int] = field(default_factory=dict)
    failed: dict[tuple[Endpoint, Endpoint], int] = field(default_factory=dict)
    said: list[tuple[int, str, Finding]] = field(default_factory=list)
    untold: int = 0
    tries: Tries = field(default_factory=Tries)
    same: dict[Any, Any] = field(default_factory=dict)

    def one(self, value: T) -> T:
        """The same object for equal values: most clients offer the same."""
        if len(self.same) > SAME:
            self.same.clear()
        found: T = self.same.setdefault(value, value)
        return found

    def tell(self, facts: TlsFacts, finding: Finding) -> None:
        """A finding on a connection."""
        if len(self.said) < SAID:
            hosts = facts.client.address, facts.server.address
            self.said.append((facts.number, facts.ends, replace(finding, hosts=hosts)))
        else:
            self.untold += 1
