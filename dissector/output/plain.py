"""Messages as plain data: what ``read --json`` and ``--ndjson`` print. The shape is stable and versioned, see
``schemas/messages.json``; every key is always there, null where there is no value."""

from __future__ import annotations

from typing import Any

from dissector.catalog.field import Field
from dissector.messages import Attachment, Message
from dissector.output.findings import findings_json
from dissector.output.times import iso_time

__all__ = ["attachment_json", "fault_json", "fields_json", "message_json"]


def fields_json(body: Field | None) -> Any:
    """The body element's content by element name in snake_case; null without body."""
    return None if body is None else body.to_json()


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """An attachment: what it is and where, without its bytes."""
    content = attachment.content
    return {
        "content_id": attachment.content_id,
        "media_type": attachment.media_type or None,
        "declared": attachment.declared,
        "real_type": attachment.real_type,
        "element": attachment.element,
        "size": content.size,
        "sha256": content.sha256,
        "complete": content.complete,
        "gaps": [gap.to_json() for gap in content.gaps],
        "frames": list(attachment.frames),
    }


def fault_json(message: Message) -> dict[str, Any] | None:
    """The fault of a message, null unless it is one."""
    fault = message.fault
    if fault is None:
        return None
    return {
        "code": fault.code,
        "subcode": fault.subcode,
        "subcodes": [str(name) for name in fault.subcodes],
        "reason": fault.reason,
        "detail": "".join(map(str, fault.detail.itertext())).strip() or None if fault.detail is not None else None,
    }


def message_json(message: Message) -> dict[str, Any]:
    """A message as one object of ``dsmshark.messages/1``."""
    http = message.http
    return {
        "number": message.number,
        "time": iso_time(message.time, message.digits),
        "frames": list(message.frames),
        "protocol": message.stream.protocol,
        "stream": message.stream.number,
        "source": str(message.source),
        "destination": str(message.destination),
        "service": message.service,
        "message": message.name,
        "operation": message.operation or None,
        "kind": message.kind,
        "wsd": message.wsd,
        "action": message.action,
        "message_id": message.message_id,
        "relates_to": message.relates_to,
        "to": message.to,
        "request": message.request,
        "repeat_of": message.repeat_of,
        "method": http.method if http is not None and http.is_request else None,
        "target": http.target if http is not None and http.is_request else None,
        "status": message.status,
        "complete": message.complete,
        "fields": fields_json(message.body),
        "fault": fault_json(message),
        "attachments": [attachment_json(attachment) for attachment in message.attachments],
        "findings": findings_json(message.all_findings()),
    }
