"""What one must know of a capture to understand what was, or was not, found in it: in sentences, for the person who
has a customer on the phone."""

from __future__ import annotations

from collections import Counter

from dissector.base.origin import Endpoint
from dissector.output.text import count
from dissector.transport.model import TransportStats

__all__ = ["notes"]

_SHOWN = 5


def notes(stats: TransportStats, messages: int, http: int | None = None, *, jobs: int | None = None) -> list[str]:
    """Sentences, each one line, none where all is plain.

    Args:
        stats: of the pass.
        messages: WSD messages found.
        http: HTTP messages seen, None where they were not counted.
        jobs: jobs found, None where nobody asked.
    """
    said = []
    if not messages:
        seen = "" if http is None else f", {count(http, 'HTTP message') if http else 'no HTTP'} seen"
        said.append(f"no WSD messages in this capture: {count(stats.frames, 'packet')}{seen}")
    elif jobs == 0:
        said.append(f"no job in this capture; it holds {count(messages, 'WSD message')} (see “dsmshark read”)")
    said += _opaque(stats)
    if stats.cut:
        said.append(f"{count(stats.cut, 'packet')} were cut by the capture length; their missing bytes are gaps")
    if stats.unknown_link:
        said.append(f"{count(stats.unknown_link, 'packet')} of unknown link types could not be read")
    return said


def _opaque(stats: TransportStats) -> list[str]:
    said = []
    for protocol, pairs in stats.opaque.items():
        # Many connections between the same two hosts and the same server port are one thing to a reader.
        merged: Counter[tuple[str, Endpoint]] = Counter()
        # Sorted: the transport meets them in the order of a salted hash.
        for (client, server), (packets, _) in sorted(pairs.items()):
            merged[(client.address, server)] += packets
        name = protocol.upper()
        for (client_address, server), packets in merged.most_common(_SHOWN):
            said.append(
                f"{count(packets, f'{name} packet')} between {client_address} and {server} could not be read: no keys"
            )
        if protocol == "tls":
            said[-1] += " (“dsmshark tls” says what can be seen)"
        rest = len(merged) - _SHOWN
        if rest > 0:
            said.append(f"{name} between {count(rest, 'more pair')} of hosts could not be read either")
    return said
