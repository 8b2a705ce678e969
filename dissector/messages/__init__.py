"""Messages: what the rooms below make of bytes, joined to one object with an origin.

This is what the faces, the analysis and the replayer work with. :class:`MessageBuilder` makes messages from what the
http and transport rooms give.
"""

from __future__ import annotations

from dissector.messages.builder import MessageBuilder
from dissector.messages.images import fits, real_type
from dissector.messages.model import Attachment, Message

__all__ = ["Attachment", "Message", "MessageBuilder", "fits", "real_type"]
