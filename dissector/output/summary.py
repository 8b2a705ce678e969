"""A message in few words: the last column of the packet list.

One row of :data:`TABLE` for each message that has something to say; a message without a row says what its images are
and the first few simple values of its body. Texts are of the peer's making: everything returned here is harmless to a
terminal and at most :data:`LONGEST` columns wide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dissector.analysis.reading import operation_of, text_of, texts_of
from dissector.catalog.field import Field
from dissector.messages import Attachment, Message
from dissector.messages.images import fits
from dissector.output.text import clip, count, printable, short_id, short_uri, size_text

__all__ = ["LONGEST", "attachment_text", "summary"]

LONGEST = 160
"""Columns of the longest summary."""

Say = Callable[[Message, Field], Iterator[str]]
"""Gives the pieces of a summary of a message that has a body."""


def summary(message: Message) -> str:
    """What the message says, in few words, on one line."""
    if message.fault is not None:
        text = _fault(message)
    elif message.envelope is None and message.body is None:
        text = _bare(message)
    else:
        text = "; ".join(piece for piece in _said(message) if piece)
        if not text and message.request is not None:
            text = f"answers message {message.request}"
    if message.repeat_of is not None:
        text = f"repeat of {message.repeat_of}" + (f"; {text}" if text else "")
    if not message.complete:
        text = f"[incomplete] {text}".rstrip()
    return clip(printable(text), LONGEST)


def attachment_text(attachment: Attachment) -> str:
    """An image as type and size: ``jfif, 24.3 KiB``; a declared type that differs is named."""
    real, declared = attachment.real_type, attachment.declared
    kind = real or declared or attachment.media_type or "unknown type"
    text = f"{kind}, {size_text(attachment.content.size)}"
    if real and declared and not fits(declared, real):
        text += f", declared {declared}"
    missing = sum(gap.length for gap in attachment.content.gaps)
    if missing:
        text += f", {count(missing, 'byte')} missing"
    elif not attachment.content.complete:
        text += ", cut short"
    return text


def _fault(message: Message) -> str:
    fault = message.fault
    assert fault is not None
    name = fault.subcode or fault.code or "fault"
    reason = fault.reason.strip()
    return name + (f": {reason}" if reason and reason != name else "")


def _bare(message: Message) -> str:
    http = message.http
    if http is None:
        return "no body"
    if http.is_request:
        return f"{http.method} {http.target}"
    return http.reason + (f", {size_text(http.transferred)} without SOAP" if http.transferred else "")


def _said(message: Message) -> Iterator[str]:
    body = message.body
    say = TABLE.get(message.name) or TABLE.get(operation_of(message) if message.kind == "request" else "")
    if body is not None:
        yield from say(message, body) if say is not None else _fallback(message, body)
    if say is None or say not in (_send_image,):
        for attachment in message.attachments:
            yield attachment_text(attachment)


# -- pieces ----------------------------------------


def _job(body: Field, path: str = "") -> str:
    """``job 264a19bf`` or ``job 12`` of an element that holds JobToken or JobId."""
    root = body.find(path) if path else body
    number, token = text_of(root, "JobId"), text_of(root, "JobToken")
    name = number or token
    return f"job {short_id(name)}" if name else ""


def _state(body: Field, state: str = "JobState", reasons: str = "JobStateReasons") -> str:
    given = [reason for reason in texts_of(body, f"{reasons}/JobStateReason") if reason != "None"]
    return (text_of(body, state) or "no state") + (f" ({', '.join(given[:3])})" if given else "")


def _filter_states(body: Field, path: str) -> str:
    said = []
    for status in body.find_all(f"{path}/FilterStatus")[:4]:
        reasons = texts_of(status, "FilterStateReasons/FilterStateReason")[:2]
        name = short_uri(text_of(status, "Dialect") or "filter")
        said.append(f"{name} {text_of(status, 'FilterState') or '?'}" + (f" ({', '.join(reasons)})" if reasons else ""))
    return ", ".join(said)


def _number(body: Field, path: str, noun: str) -> str:
    text = text_of(body, path)
    if text is None:
        return ""
    return count(int(text), noun) if text.isdecimal() and len(text) < 10 else f"{text} {noun}s"


def _ticket(root: Field | None) -> Iterator[str]:
    if root is None:
        return
    parameters = root.find("DocumentParameters") or root
    front = parameters.find("MediaSides/MediaFront")
    wide, high = text_of(front, "Resolution/Width"), text_of(front, "Resolution/Height")
    resolution = f"{wide} dpi" if wide and high in (None, wide) else f"{wide}×{high} dpi" if wide else ""
    said = [
        text_of(parameters, "InputSource"),
        text_of(front, "ColorProcessing"),
        resolution,
        text_of(parameters, "Format"),
    ]
    yield ", ".join(one for one in said if one)


# -- WS-DSP, WS-DSC ----------------------------------------


def _create_post_scan(message: Message, body: Field) -> Iterator[str]:
    instructions = body.find("PostScanInstructions")
    names = [short_uri(uri) for uri in texts_of(instructions, "FiltersToProcess/Filter/Dialect")[:5]]
    yield f"filters {', '.join(names)}" if names else "no filters"
    name = text_of(instructions, "DocumentRootName")
    yield f"document {name}" if name else ""
    process = text_of(body, "PSP_Identifier")
    yield f"process {short_id(process)}" if process else ""


def _send_image(message: Message, body: Field) -> Iterator[str]:
    yield _job(body)
    number = text_of(body, "DocumentDescription/DocumentId")
    if not message.attachments:
        yield f"image {number or '?'} without attachment"
    for attachment in message.attachments:
        yield f"image {number or '?'} ({attachment_text(attachment)})"


def _status_event(message: Message, body: Field) -> Iterator[str]:
    status = body.find("JobStatus") or body
    yield _job(status)
    yield _state(status)
    yield _filter_states(status, "FilterStatuses")
    yield _number(status, "ImagesReceived", "image")
    yield _number(status, "ScansCompleted", "scan")


def _post_scan_end(message: Message, body: Field) -> Iterator[str]:
    end = body.find("PostScanJobEndState") or body
    yield _job(end)
    yield _state(end, "JobCompletedState", "JobCompletedStateReasons")
    yield _filter_states(end, "FilterCompletedStatuses")
    yield _number(end, "ImagesReceived", "image")


def _of_job(message: Message, body: Field) -> Iterator[str]:
    yield _job(body)
    names = [short_uri(name.rsplit(":", 1)[-1]) for name in texts_of(body, "RequestedElements/Name")]
    yield ", ".join(names[:4])


def _sections(message: Message, body: Field) -> Iterator[str]:
    names = [name.rsplit(":", 1)[-1] for name in texts_of(body, "RequestedElements/Name")]
    yield ", ".join(names[:5])


def _elements(message: Message, body: Field) -> Iterator[str]:
    for wrapper in ("JobElements", "ScannerElements", "RepositoryElements"):
        for data in body.find_all(f"{wrapper}/ElementData")[:5]:
            name = str(data.attributes.get("Name", ("", ""))[1]).rsplit(":", 1)[-1]
            valid = data.attributes.get("Valid", (True, ""))[0]
            status = data.find("JobStatus") or data.find("ScannerStatus") or data.find("RepositoryStatus")
            state = next(
                (s for s in (text_of(status, n) for n in ("JobState", "ScannerState", "RepositoryState")) if s), ""
            )
            scanner = text_of(data, "ScannerDescription/ScannerName")
            detail = state or (f"“{scanner}”" if scanner else "")
            yield f"{name} not valid" if valid is False else f"{name} {detail}".strip()


def _job_list(message: Message, body: Field) -> Iterator[str]:
    jobs = body.find_all("ActiveJobs/JobSummary") + body.find_all("JobHistory/JobSummary")
    yield count(len(jobs), "job")
    for job in jobs[:3]:
        yield f"{_job(job)} {_state(job)}".strip()


# -- WS-Scan, WS-DSD ----------------------------------------


def _create_scan(message: Message, body: Field) -> Iterator[str]:
    yield from _ticket(body.find("ScanTicket"))
    name = text_of(body, "ScanTicket/JobDescription/JobName")
    yield f"“{name}”" if name else ""
    if text_of(body, "ScanIdentifier"):
        yield f"scan {short_id(text_of(body, 'ScanIdentifier') or '')}"


def _scan_created(message: Message, body: Field) -> Iterator[str]:
    yield _job(body)
    wide = text_of(body, "ImageInformation/MediaFrontImageInfo/PixelsPerLine")
    high = text_of(body, "ImageInformation/MediaFrontImageInfo/NumberOfLines")
    yield f"{wide}×{high} pixels" if wide and high else ""
    yield from _ticket(body.find("DocumentFinalParameters"))


def _scan_end(message: Message, body: Field) -> Iterator[str]:
    end = body.find("JobEndState") or body
    yield _job(end)
    yield _state(end, "JobCompletedState", "JobCompletedStateReasons")
    yield _number(end, "ScansCompleted", "scan")


def _available(message: Message, body: Field) -> Iterator[str]:
    context, identifier = text_of(body, "ClientContext"), text_of(body, "ScanIdentifier")
    yield f"destination {context}" if context else ""
    yield f"scan {short_id(identifier)}" if identifier else "no scan identifier"


def _summary_event(message: Message, body: Field) -> Iterator[str]:
    status = body.find("StatusSummary") or body
    reasons = texts_of(status, "ScannerStateReasons/ScannerStateReason")
    reasons += texts_of(status, "RepositoryStateReasons/RepositoryStateReason")
    given = [reason for reason in reasons if reason != "None"]
    state = text_of(status, "ScannerState") or text_of(status, "RepositoryState") or "no state"
    yield state + (f" ({', '.join(given)})" if given else "")


def _condition(message: Message, body: Field) -> Iterator[str]:
    condition = body.find("DeviceCondition") or body
    said = [text_of(condition, name) for name in ("Name", "Component", "Severity")]
    yield ", ".join(one for one in said if one)


def _cleared(message: Message, body: Field) -> Iterator[str]:
    number = text_of(body, "DeviceConditionCleared/ConditionId")
    yield f"condition {number or '?'}"


def _changes(message: Message, body: Field) -> Iterator[str]:
    changes = body.find("ElementChanges")
    yield ", ".join(child.name for child in changes.children[:5]) if changes is not None else ""


def _validated(message: Message, body: Field) -> Iterator[str]:
    valid = text_of(body, "ValidationInfo/ValidTicket")
    yield {"true": "valid", "1": "valid", "false": "not valid", "0": "not valid"}.get(valid or "", "")


def _validate(message: Message, body: Field) -> Iterator[str]:
    yield from _ticket(body.find("ScanTicket"))


# -- the services below ----------------------------------------


def _target(root: Field) -> Iterator[str]:
    address = text_of(root, "EndpointReference/Address")
    yield short_id(address) if address else ""
    types = (text_of(root, "Types") or "").split()
    yield ", ".join(name.rsplit(":", 1)[-1] for name in types[:3])
    addresses = (text_of(root, "XAddrs") or "").split()
    yield addresses[0] + (f" and {len(addresses) - 1} more" if len(addresses) > 1 else "") if addresses else ""


def _announce(message: Message, body: Field) -> Iterator[str]:
    yield from _target(body)


def _probe(message: Message, body: Field) -> Iterator[str]:
    types = (text_of(body, "Types") or "").split()
    yield "for " + ", ".join(name.rsplit(":", 1)[-1] for name in types[:4]) if types else "for anything"
    scopes = (text_of(body, "Scopes") or "").split()
    yield "in " + ", ".join(scopes[:2]) if scopes else ""


def _matches(message: Message, body: Field) -> Iterator[str]:
    matches = body.find_all("ProbeMatch") + body.find_all("ResolveMatch")
    if len(matches) != 1:
        yield count(len(matches), "match", "matches")
    for match in matches[:2]:
        yield " ".join(piece for piece in _target(match) if piece)


def _resolve(message: Message, body: Field) -> Iterator[str]:
    address = text_of(body, "EndpointReference/Address")
    yield f"where is {short_id(address)}?" if address else "without address"


def _subscribe(message: Message, body: Field) -> Iterator[str]:
    actions = (text_of(body, "Filter") or "").split()
    names = [short_uri(action) for action in actions[:3]]
    yield ", ".join(names) + (f" and {len(actions) - 3} more" if len(actions) > 3 else "")
    sink = text_of(body, "Delivery/NotifyTo/Address")
    yield f"to {_place(sink)}" if sink else ""
    yield from _expires(message, body)
    contexts = texts_of(body, "ScanDestinations/ScanDestination/ClientContext")
    yield f"destinations {', '.join(contexts[:3])}" if contexts else ""


def _place(url: str) -> str:
    """Host and port of a URL; a URL that has none as it is."""
    scheme, mark, rest = url.partition("://")
    return rest.split("/", 1)[0] if mark and scheme else url


def _expires(message: Message, body: Field) -> Iterator[str]:
    expires = text_of(body, "Expires")
    yield f"expires {expires}" if expires else ""


def _subscribed(message: Message, body: Field) -> Iterator[str]:
    yield from _expires(message, body)
    manager = body.find("SubscriptionManager")
    for holder in ("ReferenceParameters", "ReferenceProperties"):
        identifier = text_of(manager, f"{holder}/Identifier")
        yield f"subscription {short_id(identifier)}" if identifier else ""
    tokens = texts_of(body, "DestinationResponses/DestinationResponse/DestinationToken")
    yield f"destination token {', '.join(short_id(token) for token in tokens[:3])}" if tokens else ""


def _subscription_end(message: Message, body: Field) -> Iterator[str]:
    yield short_uri(text_of(body, "Status") or text_of(body, "Code") or "without status")
    yield text_of(body, "Reason") or ""


def _metadata(message: Message, body: Field) -> Iterator[str]:
    hosted = 0
    for section in body.find_all("MetadataSection"):
        model = section.find("ThisModel")
        maker, name = text_of(model, "Manufacturer"), text_of(model, "ModelName")
        yield " ".join(one for one in (maker, name) if one)
        friendly = text_of(section, "ThisDevice/FriendlyName")
        yield f"“{friendly}”" if friendly else ""
        hosted += len(section.find_all("Relationship/Hosted"))
    yield count(hosted, "hosted service") if hosted else ""


def _fallback(message: Message, body: Field) -> Iterator[str]:
    """The first simple values anywhere in the body."""
    said: list[str] = []
    queue = [body]
    while queue and len(said) < 3:
        at = queue.pop(0)
        text = text_of(at)
        if not at.children and text and at is not body:
            said.append(f"{at.name} {clip(text, 40)}")
        queue[0:0] = at.children[:8]
    yield from said


TABLE: dict[str, Say] = {
    "CreatePostScanJobRequest": _create_post_scan,
    "CreatePostScanJobResponse": _of_job,
    "SendImageRequest": _send_image,
    "EndPostScanJobRequest": _of_job,
    "CancelPostScanJobRequest": _of_job,
    "GetPostScanJobElementsRequest": _of_job,
    "GetPostScanJobElementsResponse": _elements,
    "PostScanJobStatusEvent": _status_event,
    "PostScanJobEndStateEvent": _post_scan_end,
    "GetRepositoryElementsRequest": _sections,
    "GetRepositoryElementsResponse": _elements,
    "RepositoryStatusSummaryEvent": _summary_event,
    "RepositoryElementsChangeEvent": _changes,
    "GetActiveJobsResponse": _job_list,
    "GetJobHistoryResponse": _job_list,
    "CreateScanJobRequest": _create_scan,
    "CreateScanJobResponse": _scan_created,
    "RetrieveImageRequest": _of_job,
    "RetrieveImageResponse": lambda message, body: iter(()),
    "CancelJobRequest": _of_job,
    "GetJobElementsRequest": _of_job,
    "GetJobElementsResponse": _elements,
    "GetScannerElementsRequest": _sections,
    "GetScannerElementsResponse": _elements,
    "ValidateScanTicketRequest": _validate,
    "ValidateScanTicketResponse": _validated,
    "JobStatusEvent": _status_event,
    "JobEndStateEvent": _scan_end,
    "ScanAvailableEvent": _available,
    "ScannerStatusSummaryEvent": _summary_event,
    "ScannerStatusConditionEvent": _condition,
    "ScannerStatusConditionClearedEvent": _cleared,
    "ScannerElementsChangeEvent": _changes,
    "Hello": _announce,
    "Bye": _announce,
    "Probe": _probe,
    "ProbeMatches": _matches,
    "Resolve": _resolve,
    "ResolveMatches": _matches,
    "Subscribe": _subscribe,
    "SubscribeResponse": _subscribed,
    "Renew": _expires,
    "RenewResponse": _expires,
    "GetStatusResponse": _expires,
    "SubscriptionEnd": _subscription_end,
    "GetResponse": _metadata,
    "GetMetadataResponse": _metadata,
}
"""Message name → what to say of it."""
