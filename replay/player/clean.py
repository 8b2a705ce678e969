"""Messages in clean dress: what ``--normalise`` sends in place of the recorded bytes; and refusals of our own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dissector.messages import Message
from dissector.soap.build import build_fault
from dissector.soap.model import QName
from dissector.soap.namespaces import WSA04
from replay.base.ids import Ids
from replay.player.recorded import read_again
from replay.soap.caller import read_message
from replay.soap.compose import USUAL, Picture, http_request, http_response, pack

__all__ = ["cleaned", "refusal"]

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>\s*")
"""It names an encoding that is no longer the document's."""


def cleaned(pieces: Sequence[bytes], ids: Ids, *, request: bool) -> list[bytes]:
    """A message with the head, MIME layout and length of a usual one, its envelope in UTF-8.

    A message without SOAP, and one that cannot be read, is sent as it is.
    """
    http = read_again(b"".join(pieces), request=request)
    message = read_message(http) if http is not None else None
    if http is None or message is None or message.envelope is None:
        return list(pieces)
    xml = message.envelope.xml
    if message.envelope.encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        text = xml.decode(message.envelope.encoding, "replace").lstrip("\ufeff")
        xml = _DECLARATION.sub("", text, count=1).encode()
    pictures = [
        Picture(part.content_id or ids.guid(), part.content.data(), part.media_type)
        for part in http.parts
        if part is not http.root
    ]
    packed = pack(xml, pictures, ids)
    if request:
        return list(http_request(http.target, http.header("Host") or "", packed).pieces)
    return list(http_response(http.status, packed, USUAL).pieces)


def refusal(message: Message | None, ids: Ids, reason: str) -> Sequence[bytes]:
    """The fault ActionNotSupported: the recording has nothing to answer with."""
    fault = build_fault(
        "Sender", QName(WSA04, "ActionNotSupported", "wsa"), reason,
        message_id=ids.urn(), relates_to=message.message_id if message is not None else None,
    )  # fmt: skip
    return http_response(400, pack(fault, (), ids), USUAL).pieces
