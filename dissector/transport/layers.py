"""The words of the row-by-row walk through the headers of one frame.

A step reads one header and says what follows: it takes ``(data, pos, end, wire)`` and gives the same with the
:class:`Layer` that begins there. ``pos`` is where the header begins, ``end`` is behind the last byte that was
captured, ``wire`` is behind the last byte that the packet had (``end`` or more). A step never raises on what it
reads, and never reads at or behind ``end``: a header that is not all there is :data:`DAMAGED`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

__all__ = ["DAMAGED", "OTHER", "Layer", "Step", "StepFunction"]


class Layer(IntEnum):
    """What begins at a position."""

    OTHER = 0
    """Something readable that carries neither TCP nor UDP, or is not looked into."""
    DAMAGED = 1
    """A header that is cut or contradicts itself."""
    ETHERNET = 2
    VLAN = 3
    """Behind the type number of an 802.1Q or 802.1ad tag: tag control information and type."""
    LLC = 4
    LINUX_SLL = 5
    LINUX_SLL2 = 6
    NULL = 7
    IP = 8
    """IPv4 or IPv6, told by the version."""
    IPV4 = 9
    IPV6 = 10
    PPP = 11
    PPP_HDLC = 12
    PPPOE = 13
    CISCO_HDLC = 14
    MPLS = 15
    GRE = 16
    VXLAN = 17
    WLAN = 18
    WLAN_PADDED = 19
    """802.11 whose header is padded to a multiple of four bytes (a radiotap flag)."""
    AMSDU = 20
    """Several MAC service data units in one 802.11 frame."""
    RADIOTAP = 21
    PRISM = 22
    AVS = 23
    PPI = 24
    PPP_WITH_DIRECTION = 25


Step = tuple[Layer, int, int, int]
"""Layer, pos, end, wire."""

StepFunction = Callable[[bytes, int, int, int], Step]

OTHER: Step = (Layer.OTHER, 0, 0, 0)
DAMAGED: Step = (Layer.DAMAGED, 0, 0, 0)
