"""The named limits: what bounds memory and time on hostile or broken input.

Each limit that is hit becomes a finding of the thing it was hit in; it never raises and never stops the rest of
the capture. The defaults are far above what real devices send.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds, in bytes unless the name says otherwise. Each field's meaning is in its comment below."""

    record: int = 64 << 20
    """One record (packet or block) of a capture file; a longer one is left out as damage."""
    notes: int = 32 << 20
    """Comments, names and secrets kept of all capture files together; further ones are left out."""
    interfaces: int = 100_000
    """Capture interfaces of all files together; packets of further ones are left out."""
    sections: int = 20_000
    """Sections of one pcapng file (0.2 ms each); the file is read no further."""
    unpack_ratio: int = 1000
    """Decompressed to compressed size of a capture file, above `unpack_free`; the file is read no further."""
    unpack_free: int = 1 << 30
    """Decompressed bytes of a capture file to which `unpack_ratio` does not apply."""
    tunnel_depth: int = 6
    """Encapsulations opened in one frame (GRE, VXLAN, IP in IP, 802.1Q tags count); what lies deeper is not read."""
    fragments: int = 4096
    """IP datagrams under reassembly at once; the oldest is given up."""
    fragment_bytes: int = 16 << 20
    """Bytes held for all incomplete IP datagrams; the oldest is given up."""
    streams: int = 200_000
    """TCP conversations remembered; the longest idle are closed."""
    connections: int = 10_000
    """TCP conversations being read at once (those of interest); the longest idle are closed."""
    held: int = 40 << 20
    """Memory held at once for all conversations (behind gaps, undecided, of unfinished messages), as much for bodies
    that wait to be given out, and one and a half times as much for the frame numbers of unfinished messages (2.8 GB of
    them); what the longest idle hold is given up."""
    findings: int = 10_000
    """Findings of the transport, and of connections, that are kept; one says that there were more."""
    undecided: int = 64 << 10
    """Bytes of one direction held until it is known what it carries; then it is taken for noise."""
    out_of_order: int = 16 << 20
    """Bytes of one direction held behind a missing segment before the gap is given up."""
    gap_wait_segments: int = 64
    """Segments of a conversation after the peer acknowledged missing bytes, before the gap is given up."""
    tls_waiting: int = 4 << 20
    """Encrypted bytes of one direction held until what opens them is known; then they stay closed."""
    tls_connections: int = 10_000
    """TLS connections whose handshake and certificates are kept for ``dsmshark tls``; the others are counted."""
    tls_depth: int = 4
    """TLS connections inside of one another (HTTP CONNECT through a proxy that is itself reached by TLS is two); what
    lies deeper is not read."""
    head: int = 256 << 10
    """One HTTP head (start line and headers); the message ends there, and the next start line is searched."""
    headers: int = 1000
    """Header lines kept of one HTTP head or MIME part."""
    chunk_line: int = 4096
    """One chunk-size line with its extensions; a longer one ends the message."""
    xml: int = 4 << 20
    """One XML document (a SOAP envelope or the root part of a package); a longer one is not read as SOAP."""
    xml_depth: int = 100
    """Nesting of elements; a deeper document is read and said to be so (libxml2 stops at 256)."""
    xml_elements: int = 50_000
    """Elements of one document; one with more is not parsed."""
    xml_attributes: int = 200
    """Attributes of one element; a document with more is not parsed."""
    parts: int = 1000
    """MIME parts of one message; further ones are not told apart."""
    inflate_ratio: int = 200
    """Decoded to encoded size of gzip or deflate content, above the first MiB; it ends there."""
    inflated: int = 1 << 30
    """Decoded size of one gzip or deflate content; it ends there."""
    keep: int = 1 << 20
    """Bytes of one body held in memory; a larger one that is to be kept goes to a temporary file."""
    messages: int = 30_000
    """HTTP messages that wait to be put in order, of 16,384 frames; the others are left out."""
    unpaired: int = 1000
    """Requests of one connection that wait for an answer; the oldest is counted as unanswered."""


DEFAULT_LIMITS = Limits()
"""The limits used where none are given."""
