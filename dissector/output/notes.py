"""What one must know of a capture to understand what was, or was not, found in it: in sentences, for the person who
has a customer on the phone."""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest

from dissector.base.origin import Endpoint
from dissector.output.text import count
from dissector.transport.model import TransportStats
from dissector.transport.opaque import OTHERS
from dissector.transport.tls.failing import PORTS

__all__ = ["notes"]

_SHOWN = 5


def notes(
    stats: TransportStats, messages: int, http: int | None = None, *, jobs: int | None = None, faulty: int = 0
) -> list[str]:
    """Sentences, each one line, none where all is plain.

    Args:
        stats: of the pass.
        messages: WSD messages found.
        http: HTTP messages seen, None where they were not counted.
        jobs: jobs found, None where nobody asked.
        faulty: WSD messages that have findings of severity error.
    """
    said = []
    if not messages:
        seen = "" if http is None else f", {count(http, 'HTTP message') if http else 'no HTTP'} seen"
        said.append(f"no WSD messages in this capture: {count(stats.frames, 'packet')}{seen}")
    elif jobs == 0:
        held, how = count(messages, "WSD message"), "read"
        if faulty:
            # Damage, or a limit that was hit, may be why.
            held, how = f"{held}, {faulty:,} of them with errors", "read -V"
        said.append(f"no job in this capture; it holds {held} (see “dsmshark {how}”)")
    said += _opaque(stats)
    if stats.cut:
        was, their = ("was", "its") if stats.cut == 1 else ("were", "their")
        said.append(
            f"{count(stats.cut, 'packet')} {was} cut by the capture length; {their} missing bytes are gaps "
            "(“tcpdump -s 0” cuts nothing)"
        )
    if stats.unknown_link:
        said.append(f"{count(stats.unknown_link, 'packet')} of unknown link types could not be read")
    return said


def _opaque(stats: TransportStats) -> list[str]:
    said = []
    for protocol, pairs in stats.opaque.items():
        # Many connections between the same two hosts and the same server port are one thing to a reader.
        merged: dict[tuple[str, Endpoint], list[int]] = {}
        failures: Counter[tuple[str, Endpoint]] = Counter()
        for (client, server), number in stats.failed.items():
            failures[client.address, server] += number
        too_late: Counter[tuple[str, Endpoint]] = Counter()
        for (client, server), number in stats.late.items():
            too_late[client.address, server] += number
        for ((address, _), server), (packets, _) in pairs.items():
            counts = merged.get((address, server))
            if counts is None:
                merged[address, server] = [1, packets]
            else:
                counts[0] += 1
                counts[1] += packets
        name = protocol.upper()
        # By the names too: the transport meets them in the order of a salted hash.
        shown = nsmallest(_SHOWN, merged.items(), key=lambda one: (one[0][1].port not in PORTS, -one[1][1], one[0]))
        for (client_address, server), (connections, packets) in shown:
            if server == OTHERS[1]:
                said.append(f"{count(packets, 'packet')} of still more {name} connections could not be read")
                continue
            where = f" ({PORTS[server.port]})" if server.port in PORTS else ""
            whom = f"from {client_address} to {server}{where}"
            failed = min(failures[client_address, server], connections)
            if failed == connections:
                said.append(f"{count(connections, f'{name} connection')} {whom} failed: see the findings")
                continue
            but = f"; {failed:,} of them failed" if failed else ""
            # Inside of HTTP packets are not counted.
            size = count(packets, "packet") if packets else "inside HTTP"
            late = min(too_late[client_address, server], connections - failed)
            # Keys that fit are of no use without both hellos; which of them are there, only “tls” looks at.
            lack = "none of the keys fits, or the handshake is not in the capture" if stats.keyed else "no keys"
            if late == connections - failed:
                lack = "the keys came too late"
            elif late:
                but += f"; the keys of {late:,} of them came too late"
            why = f" could not be read: {lack} ({size}{but})" if protocol == "tls" else f": {name} is not read here"
            said.append(f"{count(connections, f'{name} connection')} {whom}{why}")
        others = len(merged) - len(shown)
        if others:
            rest = len(pairs) - sum(connections for _, (connections, _) in shown)
            said.append(
                f"{count(rest, f'more {name} connection')} between {count(others, 'other pair')} of hosts could not be "
                "read either"
            )
        if protocol == "tls":
            if all(failures[pair] >= connections for pair, (connections, _) in merged.items()):
                # A handshake that failed has no keys.
                said.append("“dsmshark tls” says what can be seen of them")
                continue
            keys = "their own keys" if stats.keyed else "keys (--keylog, --rsa-key)"
            said.append(
                f"“dsmshark tls” says what can be seen of them; {keys} open those whose handshake is in the capture"
            )
    return said
