"""Packet-level resend: SOAP over UDP of a capture, sent again on an interface with new addresses and identities.

``recorded`` chooses the datagrams of a capture and finds the values in their bytes, ``identities`` gives those values
anew, ``plan`` says what goes where and when, ``build`` makes IP packets of it with Scapy. Nothing here sends: that is
:mod:`replay.net.raw`, and ``dsmreplay packets`` puts the pieces together.

What has a connection is no matter of packets: sequence numbers, acknowledgements and tokens are the peer's to choose.
"""

from __future__ import annotations

from replay.packets.build import packets_of
from replay.packets.identities import Identities, rewritten
from replay.packets.plan import LeftOut, Plan, Planned, Route, plan, play, route_of
from replay.packets.recorded import Chosen, Recorded, Slot, choose, record

__all__ = [
    "Chosen",
    "Identities",
    "LeftOut",
    "Plan",
    "Planned",
    "Recorded",
    "Route",
    "Slot",
    "choose",
    "packets_of",
    "plan",
    "play",
    "record",
    "rewritten",
    "route_of",
]
