"""All TLS connections of a pass: makes their consumers, and wakes those that wait when keys come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dissector.base.findings import Finding, Severity
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import Conversation, StreamConsumer
from dissector.transport.tls.keys import KeyMaterial
from dissector.transport.tls.rules import UNTOLD
from dissector.transport.tls.shared import ALL_RECORDS, Shared

if TYPE_CHECKING:
    from dissector.transport.tls.connection import Inner
    from dissector.transport.tls.model import TlsFacts

__all__ = ["TlsTable"]


class TlsTable:
    """The TLS connections of a pass.

    Args:
        keys: key material, which may grow.
        inner: makes, for a connection that is opened and its depth, what makes the consumers of its plain streams.
        limits: bounds.
        watch: keep the facts of all connections, whether they can be opened or not.
        records: keep sizes and times of records too.
    """

    def __init__(
        self,
        keys: KeyMaterial,
        inner: Callable[[Conversation, int], Inner],
        limits: Limits = DEFAULT_LIMITS,
        *,
        watch: bool = False,
        records: bool = False,
    ) -> None:
        self._shared = Shared(keys, watch, records=ALL_RECORDS if records else 0)
        self._inner = inner
        self._limits = limits
        self._version = keys.version
        self._said: list[Finding] | None = None

    @property
    def facts(self) -> list[TlsFacts]:
        """Of the connections met, by their first record; complete after the pass."""
        return list(self._shared.facts.values())

    @property
    def left_out(self) -> int:
        """Connections beyond the limit, whose facts were not kept."""
        return self._shared.left_out

    @property
    def opened(self) -> list[TlsFacts]:
        """Of the connections that were opened, those whose plain streams were read."""
        return self._shared.opened

    @property
    def decrypted(self) -> int:
        """Connections that were opened."""
        return self._shared.decrypted

    @property
    def pairs(self) -> set[tuple[Endpoint, Endpoint]]:
        """Client and server of all connections that were opened."""
        return self._shared.pairs

    @property
    def failed(self) -> dict[tuple[Endpoint, Endpoint], int]:
        """Client and server → connections that failed, where it is known why."""
        return self._shared.failed

    @property
    def sealed(self) -> dict[tuple[Endpoint, Endpoint], int]:
        """Client and server → bytes of connections inside HTTP that were not opened."""
        return self._shared.sealed

    def learnt(self) -> tuple[list[Finding], list[TlsFacts], int]:
        """What a pass in another process is asked for in the end: findings, opened connections, and how many."""
        return self.said(), self.opened, self.decrypted

    def take_over(self, learnt: tuple[list[Finding], list[TlsFacts], int]) -> None:
        """Take what another process learnt, in place of what was seen here."""
        self._said, self._shared.opened, self._shared.decrypted = learnt

    def said(self) -> list[Finding]:
        """Findings on key logs and on connections, by stream. Here none is an error: a capture may hold connections
        that have nothing to do with what is looked for."""
        if self._said is not None:
            return self._said
        found = self._shared.keys.said()
        for number, ends, finding in sorted(self._shared.said, key=lambda one: one[0]):
            severity = Severity.WARN if finding.severity is Severity.ERROR else finding.severity
            found.append(replace(finding, text=f"TCP stream {number}, {ends}: {finding.text}", severity=severity))
        if self._shared.untold:
            one = self._shared.untold == 1
            words = f"{self._shared.untold:,} more finding{'' if one else 's'} on TLS connections"
            found.append(UNTOLD(f"{words} (“dsmshark tls” tells what was found on each)"))
        return found

    def consumer(
        self, conversation: Conversation, stream: StreamRef, tunnel: str | None = None, depth: int = 0
    ) -> StreamConsumer:
        """The consumer of one direction; ``tunnel``: inside HTTP, and what the client asked for there; ``depth``: how
        many TLS connections are around it."""
        connection = self._shared.open.get((conversation.number, depth))
        if connection is None:
            # Only now: with it come the ciphers, a sixth of the start-up of a capture without keys.
            from dissector.transport.tls.connection import TlsConnection

            connection = TlsConnection(conversation, self._shared, self._inner, self._limits, tunnel, depth)
            self._shared.open[conversation.number, depth] = connection
        return connection.direction(stream)

    def keys_came(self) -> None:
        """Key material may have grown: those who wait look again."""
        if self._version == self._shared.keys.version and self._shared.keys.growing:
            return
        self._version = self._shared.keys.version
        for connection in list(self._shared.open.values()):
            connection.progress()
