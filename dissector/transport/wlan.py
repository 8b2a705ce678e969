"""802.11: data frames that are not encrypted, behind the four kinds of headers that capture drivers write.

Steps of the row-by-row walk, see :mod:`dissector.transport.layers`. Clauses are those of IEEE 802.11-2020; the
drivers' headers are described at https://www.radiotap.org and https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from dissector.transport.layers import DAMAGED, OTHER, Layer, Step

__all__ = ["amsdu", "avs", "ppi", "prism", "radiotap", "wlan", "wlan_padded"]

_DATA = 2
_NO_DATA = 0x4
_QOS = 0x8
_TO_DS = 0x01
_FROM_DS = 0x02
_MORE_FRAGMENTS = 0x04
_PROTECTED = 0x40
_HT_CONTROL = 0x80
_AMSDU_PRESENT = 0x80

_RADIOTAP_TSFT = 1 << 0
_RADIOTAP_FLAGS = 1 << 1
_RADIOTAP_MORE = 1 << 31
_RADIOTAP_DATA_PAD = 0x20
_AVS_MAGICS = frozenset([b"\x80\x21\x10\x01", b"\x80\x21\x10\x02"])
_DLT_WLAN = 105
_DLT_ETHERNET = 1


def wlan(data: bytes, pos: int, end: int, wire: int) -> Step:
    """An 802.11 frame (9.2.3); everything but plain, whole data frames is other."""
    return _wlan(data, pos, end, wire, 1)


def wlan_padded(data: bytes, pos: int, end: int, wire: int) -> Step:
    """The same, with the header padded to a multiple of four bytes."""
    return _wlan(data, pos, end, wire, 4)


def _wlan(data: bytes, pos: int, end: int, wire: int, multiple: int) -> Step:
    if end - pos < 2:
        return DAMAGED
    control, flags = data[pos], data[pos + 1]
    kind, subtype = control >> 2 & 3, control >> 4
    if kind != _DATA or subtype & _NO_DATA or flags & (_PROTECTED | _MORE_FRAGMENTS):
        return OTHER
    size = 24
    if flags & _TO_DS and flags & _FROM_DS:
        size += 6
    qos = size
    if subtype & _QOS:
        size += 2
        if flags & _HT_CONTROL:
            size += 4
    if end - pos < size:
        return DAMAGED
    if data[pos + 22] & 0x0F:
        # A later fragment of a frame: no header of its own to read.
        return OTHER
    several = subtype & _QOS and data[pos + qos] & _AMSDU_PRESENT
    pos += size + -size % multiple
    return (Layer.AMSDU if several else Layer.LLC, pos, end, wire)


def amsdu(data: bytes, pos: int, end: int, wire: int) -> Iterator[Step]:
    """The subframes of an A-MSDU (9.3.2.2.2): destination, source, length, LLC; padded to four bytes."""
    while end - pos >= 14:
        length = data[pos + 12] << 8 | data[pos + 13]
        start = pos + 14
        if length < 8:
            return
        yield (Layer.LLC, start, min(end, start + length), min(wire, start + length))
        pos = start + length + -(14 + length) % 4


def radiotap(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_IEEE802_11_RADIOTAP. Of its fields only the flags matter here: they tell of padding."""
    if end - pos < 8:
        return DAMAGED
    size = data[pos + 2] | data[pos + 3] << 8
    if size < 8 or size > end - pos:
        return DAMAGED
    present = int.from_bytes(data[pos + 4 : pos + 8], "little")
    field, word = 8, present
    while word & _RADIOTAP_MORE:
        if field + 4 > size:
            return DAMAGED
        word = int.from_bytes(data[pos + field : pos + field + 4], "little")
        field += 4
    padded = False
    if present & _RADIOTAP_FLAGS:
        if present & _RADIOTAP_TSFT:
            field += -field % 8 + 8
        padded = field < size and bool(data[pos + field] & _RADIOTAP_DATA_PAD)
    return (Layer.WLAN_PADDED if padded else Layer.WLAN, pos + size, end, wire)


def prism(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_IEEE802_11_PRISM: message code and length in the byte order of who captured, or an AVS header."""
    if end - pos < 8:
        return DAMAGED
    if data[pos : pos + 4] in _AVS_MAGICS:
        return avs(data, pos, end, wire)
    raw = data[pos + 4 : pos + 8]
    size = min(int.from_bytes(raw, "little"), int.from_bytes(raw, "big"))
    if size < 8 or size > end - pos:
        return DAMAGED
    return (Layer.WLAN, pos + size, end, wire)


def avs(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_IEEE802_11_AVS: version and length, big-endian."""
    if end - pos < 8:
        return DAMAGED
    size = int.from_bytes(data[pos + 4 : pos + 8], "big")
    if size < 8 or size > end - pos:
        return DAMAGED
    return (Layer.WLAN, pos + size, end, wire)


def ppi(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_PPI: version, flags, length, link type of what follows; little-endian."""
    if end - pos < 8:
        return DAMAGED
    size = data[pos + 2] | data[pos + 3] << 8
    if size < 8 or size > end - pos:
        return DAMAGED
    inner = int.from_bytes(data[pos + 4 : pos + 8], "little")
    layer = {_DLT_WLAN: Layer.WLAN, _DLT_ETHERNET: Layer.ETHERNET}.get(inner, Layer.OTHER)
    return (layer, pos + size, end, wire)
