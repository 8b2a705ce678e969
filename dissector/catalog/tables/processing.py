"""WS-DSP, distributed scan processing: the DSM device sends a post-scan job to the scan server.

Here the scanner is the HTTP client and the sink of the events. No schema is public; names and samples are from the DSM
pages of windows-driver-docs (CC BY 4.0), cardinalities from the same-named types of MS-BDSRR (see postscan).
"""

from __future__ import annotations

from dissector.catalog.rows import Table
from dissector.catalog.tables import postscan

__all__ = ["PROCESSING"]

ENUMS = """
JobCompletedState terminal=Aborted,Canceled,Completed [postscanjobendstateevent-postscanjobendstate-jobcompletedstate]
    Aborted    ended by the system
    Canceled   ended by a cancel
    Completed  normal end
"""

ELEMENTS = """
CreatePostScanJobRequest : UserIdentifier PSP_Identifier PostScanInstructions -- open a job
CreatePostScanJobResponse : JobToken -- job opened
SendImageRequest : JobToken DocumentDescription ImageData -- one image file, attached
SendImageResponse - -- image taken over by the job
EndPostScanJobRequest : JobToken -- no more images
EndPostScanJobResponse - -- noted; processing starts
UserIdentifier = sid +attr -- security identifier of the scanning user
PSP_Identifier = guid +attr -- scan process, id made by the management console
PostScanInstructions : psp:ContinueOnError? psp:DocumentRootName psp:FiltersToProcess +any +attr
    -- copy of the instructions of the scan process: wrapper in dsp, children in psp
JobToken = guid +attr -- job identity made by the server; links all later messages
ImageData xop xop:Include +attr -- place of the image; the bytes are in another MIME part
JobCompletedState = enum:JobCompletedState +attr -- final state
"""

MESSAGES = """
operation CreatePostScanJob -- open a job on the scan server, with the instructions of a scan process
operation SendImage -- hand over one image file
operation EndPostScanJob -- say that the last image was sent
operation CancelPostScanJob -- stop a job, best effort; files already written stay
operation GetPostScanJobElements -- read status or description of a job
event PostScanJobStatusEvent -- job created, state changed, or a filter changed
event PostScanJobEndStateEvent -- job completed, cancelled or aborted
"""

FAULTS = """
wsa:ActionNotSupported Sender -- operation not offered
InvalidArgs Sender -- too few, too many, unknown or wrongly typed arguments
OperationFailed Receiver -- state of the service forbids it
ServerErrorTemporaryError Receiver -- passing trouble; the unchanged request may work later
ServerErrorInternalError Receiver -- lasting trouble; repeating gives the same fault
ClientErrorJobTokenNotFound Sender SendImage EndPostScanJob CancelPostScanJob GetPostScanJobElements
    -- unknown or finished job [inferred from MS-BDSRR 3.1.4.1.6]
ServerErrorPostScanJobCanceled Receiver SendImage EndPostScanJob -- the job was cancelled meanwhile
    [name only, MS-BDSRR 6.2.1]
wsa:EndpointUnavailable Receiver CancelPostScanJob GetPostScanJobElements
    -- Server 2008 R2: the token is no GUID [inferred from MS-BDSRR notes 14, 15]
"""

PROCESSING = Table(
    prefix="dsp",
    source="windows-driver-docs, MS-BDSRR",
    service="WS-DSP",
    roles=("DSM device", "scan server"),
    action_bases=("dsp",),
    # No sample of an event is published; WS-DSC's pattern is namespace plus name.
    event_bases=("dsp", "dsc"),
    attributes=postscan.ATTRIBUTES,
    enums=postscan.ENUMS + ENUMS,
    extends=(postscan.ELEMENTS,),
    elements=ELEMENTS,
    messages=MESSAGES,
    faults=FAULTS,
)
"""The rows of WS-DSP."""
