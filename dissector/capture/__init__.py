"""Capture files: pcap and pcapng, plain or compressed, from files and streams, as blocks of numpy columns.

``open_source`` gives a :class:`~dissector.capture.model.FrameSource`; ``writer`` makes files. Nothing here looks into
a frame. Who reads what: ``inputs`` bytes, ``compressed`` (over
``decompressors``) decompressed bytes, ``pcap`` and ``pcapng`` records (over
``records`` and ``walk``), ``source`` all files of a capture.
"""

from dissector.capture.linktypes import LINK_NAMES, link_name
from dissector.capture.model import Block, FrameSource, Interface, SourceInfo
from dissector.capture.source import CaptureSource, open_source
from dissector.capture.writer import TLS_KEY_LOG, PcapngWriter, PcapWriter

__all__ = [
    "LINK_NAMES",
    "TLS_KEY_LOG",
    "Block",
    "CaptureSource",
    "FrameSource",
    "Interface",
    "PcapWriter",
    "PcapngWriter",
    "SourceInfo",
    "link_name",
    "open_source",
]
