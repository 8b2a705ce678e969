"""Scapy layers for WSD, made from the catalogue, and a Scapy session on the dissector's own stream rebuilding.

    >>> from dissector.layers import *
    >>> packet = SOAPEnvelope(MessageID="urn:uuid:1") / EndPostScanJobRequest(JobToken="t-1")
    >>> SOAPEnvelope(bytes(packet))[EndPostScanJobRequest].JobToken
    't-1'

Importing this package imports Scapy; nothing else in dsmshark does.
"""

from dissector.layers import bodies as _bodies
from dissector.layers.bodies import *  # noqa: F403 - the layers are made from the catalogue, their names are its rows
from dissector.layers.messages import HTTPMessage, SOAPEnvelope
from dissector.layers.session import WsdSession, read_wsd, to_scapy

__all__ = [
    "HTTPMessage",
    "SOAPEnvelope",
    "WsdSession",
    "read_wsd",
    "to_scapy",
    *[name for name in _bodies.__all__ if name not in ("BODIES", "body_class", "xml_of")],
]
