"""States and reasons in words, and what is known of them: the sets that the rules look up, and the few words that
tell a support engineer what a keyword of the specifications means.

Source: JobState, JobStateReason, FilterState, FilterStateReason of MS-BDSRR 2.2.5 and of the DSM pages (WS-DSP);
JobState, JobStateReason and the faults of WS-Scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dissector.analysis.model import FilterResult
from dissector.catalog import ENUMS

__all__ = [
    "CANCELED",
    "END_FILTER_STATES",
    "END_STATES",
    "FAULTS",
    "FILTER_OF_REASON",
    "FILTER_REASONS",
    "JOB_REASONS",
    "JOB_STATES",
    "MULTI_PAGE",
    "REASONS_OF_STATE",
    "SCAN_JOB_STATES",
    "SCAN_REASONS",
    "count",
    "explain",
    "filter_name",
    "in_another_case",
    "is_end_state",
    "is_vendor_keyword",
    "join",
    "size_text",
    "state_text",
]

END_STATES = ENUMS["dsp:JobState"].terminal
"""JobState values that end a job, and the legal values of JobCompletedState, in WS-DSP, WS-DSC and WS-Scan."""

CANCELED = "Canceled"

JOB_STATES = frozenset(ENUMS["dsp:JobState"].values)
"""JobState of WS-DSP and WS-DSC."""

SCAN_JOB_STATES = frozenset(ENUMS["wscn:JobState"].values)
"""JobState of WS-Scan and WS-DSD."""

END_FILTER_STATES = ENUMS["dsp:FilterState"].terminal

JOB_REASONS = {
    "PostScanJobTimedOut": "the server waited 10 minutes for EndPostScanJob",
    "NoValidPostScanInstructionsFound": "none of the post-scan instructions could be used",
    "CreatePostScanJobFailed": "the job could not be created",
    "SendImageFailed": "the transfer of an image failed",
    "SendImangeFailed": "the transfer of an image failed",
    "PostScanJobCanceled": "it was cancelled",
    "PostScanJobProcessingFailed": "the server could not process it to the end",
    "PostScanJobCompletedSuccessfully": "without errors or warnings",
    "PostScanJobCompletedWithErrors": "at least one filter reported an error",
    "PostScanJobCompletedWithWarnings": "at least one filter reported a warning",
}

SCAN_REASONS = {
    "InvalidScanTicket": "the scan ticket could not be processed",
    "DocumentFormatError": "the format is not supported",
    "ImageTransferError": "the transfer of an image broke off",
    "JobCanceledAtDevice": "it was cancelled at the device's panel",
    "JobCompletedWithErrors": "it ended with errors",
    "JobCompletedWithWarnings": "the ticket may have been altered",
    "JobTimedOut": "the client did not ask for the image in time",
    "ScannerStopped": "the scanner needs attention",
}

REASONS_OF_STATE = {
    "Completed": frozenset(
        {"PostScanJobCompletedSuccessfully", "PostScanJobCompletedWithErrors", "PostScanJobCompletedWithWarnings"}
    ),
    "Canceled": frozenset({"PostScanJobCanceled"}),
    "Aborted": frozenset(
        {
            "PostScanJobTimedOut",
            "NoValidPostScanInstructionsFound",
            "CreatePostScanJobFailed",
            "SendImageFailed",
            "SendImangeFailed",
            "PostScanJobProcessingFailed",
        }
    ),
}
"""Reasons that fit an end state of a post-scan job (dsp.yaml, JobStateReason, by_final_state); None fits any."""

FILTER_REASONS = {
    "invalidargs": "its instructions are wrong",
    "outofdiskspace": "the server has no disk space left for processing",
    "serveroutofmemory": "the server is out of memory",
    "fileshareaccessdenied": "the server has no right to write to the share",
    "fileshareoutofdiskspace": "the share is full",
    "sharepointaccessdenied": "the server has no right to write to the SharePoint library",
    "sharepointoutofdiskspace": "the SharePoint library is full",
    "invalidsmtpserver": "the configured mail server cannot be reached",
    "unabletosendemail": "the mail server did not take the mail",
    "unknownerror": "the server does not know the cause",
}
"""By lower case, since two spellings of Sharepoint are in use (dsp.yaml Q07)."""

FILTER_OF_REASON = {
    "fileshareaccessdenied": "fileshare",
    "fileshareoutofdiskspace": "fileshare",
    "sharepointaccessdenied": "sharepoint",
    "sharepointoutofdiskspace": "sharepoint",
    "invalidsmtpserver": "email",
    "unabletosendemail": "email",
}

FAULTS = {
    "ActionNotSupported": "the peer does not offer this operation",
    "InvalidArgs": "the peer does not accept an argument",
    "OperationFailed": "the state of the service forbids it",
    "ServerErrorTemporaryError": "passing trouble; the same request may work later",
    "ServerErrorInternalError": "lasting trouble; repeating gives the same fault",
    "ClientErrorJobTokenNotFound": "the server knows no job with this token, or it is over",
    "ServerErrorPostScanJobCanceled": "the job was cancelled meanwhile",
    "EndpointUnavailable": "a Windows 2008 R2 server says so to a token that is no GUID",
    "ServerErrorNotAcceptingJobs": "the scanner is busy, blocked, or waits for somebody at its panel",
    "ClientErrorFormatNotSupported": "the scanner does not offer the format of the ticket",
    "ClientErrorDocumentFormatNotSupported": "the scanner does not offer the format of the ticket",
    "ClientErrorInvalidScanIdentifier": "the scan identifier is unknown, stale or meant for another client",
    "ClientErrorInvalidDestinationToken": "the scanner does not know the destination token",
    "ClientErrorNoImagesAvailable": "nothing to scan: the feeder is empty",
    "ClientErrorJobIdNotFound": "the scanner knows no job with this number",
    "ClientErrorInvalidJobToken": "the token does not belong to the job",
    "ClientErrorJobCancelled": "the job was cancelled",
    "ClientErrorJobCanceled": "the job was cancelled",
    "ClientErrorConflictingRequiredParameters": "settings that must be honoured exclude each other",
}

MULTI_PAGE = ("pdf", "tiff-multi", "xps")
"""Beginnings of formats of which one file holds all pages of a job."""

_VENDOR = re.compile(r"[^\s:]+:[\w.\-]+")
_END_LOOKALIKES = {"cancelled": "Canceled"}


def in_another_case(value: str, known: Iterable[str]) -> str | None:
    """The one of these that a value is, whatever its case (also its own); None where it is none."""
    folded = value.casefold()
    return next((one for one in known if one.casefold() == folded), None)


def is_end_state(state: str | None) -> bool:
    """One of the three end states, exactly as specified."""
    return state in END_STATES


def lookalike(state: str) -> str | None:
    """The end state that a misspelt value probably means, None where none is near."""
    return _END_LOOKALIKES.get(state.lower())


def is_vendor_keyword(text: str) -> bool:
    """A vendor's value: prefix, colon, word (MS-BDSRR 1.8)."""
    return _VENDOR.fullmatch(text) is not None


def explain(reason: str) -> str:
    """A reason with what it means: ``FileShareAccessDenied (the server has no right …)``; alone where unknown."""
    words = JOB_REASONS.get(reason) or SCAN_REASONS.get(reason) or FILTER_REASONS.get(reason.lower())
    return f"{reason} ({words})" if words else reason


def filter_name(dialect: str) -> str:
    """Short name of a filter: last step of its dialect URI, such as ``fileshare``."""
    return dialect.rstrip("/").rsplit("/", 1)[-1].rsplit("}", 1)[-1] or "filter"


def count(number: int, noun: str) -> str:
    """``1 image``, ``3 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(size: int) -> str:
    """``1,234,567 bytes``."""
    return count(size, "byte")


def join(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def state_text(
    state: str | None, reasons: list[str], filters: list[FilterResult] | None = None, images: int | None = None
) -> str:
    """A job's state in few words: ``Processing; fileshare Processing``, ``Completed (reason), 3 images``."""
    shown = [reason for reason in reasons if reason != "None"]
    text = (state or "no state") + (f" ({', '.join(shown)})" if shown else "")
    if images is not None:
        text += f", {count(images, 'image')}"
    for result in filters or []:
        text += f"; {filter_name(result.dialect)} {result.state or 'without state'}"
        if result.reasons:
            text += f" ({', '.join(result.reasons)})"
    return text
