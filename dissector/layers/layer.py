"""What all layers share: the bytes they came from, whether they were changed since, and the dissector's message.

Scapy forgets the bytes of a layer when a field is assigned. A list or dictionary that is changed in place
(``packet[…].JobStateReason.append(…)``) is seen here by holding the values against a copy.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from scapy.packet import NoPayload, Packet

from dissector.messages import Message

__all__ = ["CARRIERS", "Layer", "untouched"]

CARRIERS: list[type[Packet]] = []
"""Layers that ``summary()`` tells together with the body above them: the HTTP layer enters itself here, since it says
whether something is missing. Scapy asks the topmost layer for them."""


class Layer(Packet):  # type: ignore[misc]  # Scapy has no types
    """Base of the layers.

    Attributes:
        wsd: the dissector's message, where the packet came out of a session, ``read_wsd`` or ``to_scapy``; else None.
    """

    name = "WSD"
    match_subclass = True
    wsd: Message | None = None

    def remember(self, data: bytes) -> None:
        """These are the bytes that the layer, with all below it, was dissected from."""
        self.raw_packet_cache = data
        self.raw_packet_cache_fields = {
            name: deepcopy(value) for name, value in self.fields.items() if isinstance(value, (list, dict))
        }

    def unchanged(self) -> bool:
        """This layer is as it was dissected; says nothing of those below."""
        if self.raw_packet_cache is None:
            return False
        before = self.raw_packet_cache_fields or {}
        return all(self.fields.get(name) == value for name, value in before.items())

    def copy(self) -> Any:
        """A deep copy; the message is the same."""
        clone = super().copy()
        clone.wsd = self.wsd
        return clone


def untouched(packet: Any) -> bool:
    """The packet and all below it are as they were dissected."""
    while packet is not None and not isinstance(packet, NoPayload):
        if not (packet.unchanged() if isinstance(packet, Layer) else packet.raw_packet_cache is not None):
            return False
        packet = packet.payload
    return True
