"""What messages tell of a job's state: status events, end events, answers about a job, lists of jobs. The elements have
one content model in WS-DSP and WS-DSC, and another in WS-Scan and WS-DSD."""

from __future__ import annotations

from sys import intern

from dissector.analysis.model import FilterResult
from dissector.analysis.reading import LONGEST, frame_of, number_of, parameters_of, text_of, texts_of
from dissector.analysis.story import Final, Report
from dissector.analysis.words import is_end_state
from dissector.catalog.field import Field
from dissector.messages import Message

__all__ = ["end_report", "scan_final", "scan_report", "status_report"]

MANY = 32
"""Reasons and filters read of one report."""


def status_report(by: str, message: Message, root: Field | None) -> Report:
    """JobStatus or JobSummary of WS-DSP and WS-DSC."""
    report = scan_report(by, message, root)
    report.filters = _filters(root, "FilterStatuses")
    report.images = number_of(root, "ImagesReceived")
    return report


def end_report(message: Message, root: Field | None) -> Final:
    """PostScanJobEndState of WS-DSP and WS-DSC."""
    final = scan_final(message, root)
    final.filters = _filters(root, "FilterCompletedStatuses")
    final.images = number_of(root, "ImagesReceived")
    final.process = text_of(root, "PSP_Identifier")
    return final


def scan_report(by: str, message: Message, root: Field | None) -> Report:
    """JobStatus or JobSummary of WS-Scan and WS-DSD. ``by``: see :class:`Report`."""
    return Report(
        by,
        message.number,
        message.time,
        frame_of(message),
        _listener(message, by),
        _word(root, "JobState"),
        _words(root, "JobStateReasons/JobStateReason"),
        images=number_of(root, "ScansCompleted"),
        created_time=text_of(root, "JobCreatedTime"),
        completed_time=text_of(root, "JobCompletedTime"),
    )


def scan_final(message: Message, root: Field | None) -> Final:
    """JobEndState of WS-Scan and WS-DSD."""
    reasons = _words(root, "JobCompletedStateReasons/JobStateReason")
    state = _word(root, "JobCompletedState")
    if state is None and is_end_state(text_of(root, "JobState")):
        # The WS-DSD summary page gives the end event the content of a status (wsdsd.yaml K07).
        state = _word(root, "JobState")
        reasons = reasons or _words(root, "JobStateReasons/JobStateReason")
    return Final(
        "event",
        message.number,
        message.time,
        frame_of(message),
        _listener(message, "event"),
        state,
        reasons,
        images=number_of(root, "ScansCompleted"),
        completed_time=text_of(root, "JobCompletedTime"),
        service=message.service,
        has_reasons=bool(reasons),
    )


def _word(root: Field | None, path: str) -> str | None:
    """A text that is one of a few, as one object in all jobs."""
    text = text_of(root, path)
    return None if text is None else intern(text)


def _words(root: Field | None, path: str) -> list[str]:
    """The first texts at the path, each as one object in all jobs."""
    return [intern(text) for text in texts_of(root, path)[:MANY]]


def _listener(message: Message, by: str) -> str:
    """Who hears a state, so that what one listener was told can be compared: for events service, sink and the
    Identifier that the subscriber chose, since several subscriptions may share a sink."""
    if by != "event":
        return f"{message.service} {message.destination.address} {by}"
    given = sorted({text for name, text in parameters_of(message) if name == "Identifier"})
    return " ".join([message.service, message.to or message.destination.address, *given])[:LONGEST]


def _filters(root: Field | None, name: str) -> list[FilterResult]:
    if root is None:
        return []
    return [
        FilterResult(
            _word(status, "Dialect") or "",
            _word(status, "FilterState") or "",
            _words(status, "FilterStateReasons/FilterStateReason"),
        )
        for status in root.find_all(f"{name}/FilterStatus")[:MANY]
    ]
