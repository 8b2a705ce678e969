"""WS-DSD, distributed scan device: the control point asks the DSM device.

Body element and its child are in the namespace of this service, everything deeper is WS-Scan's. Events have actions in
the scan namespace. No request or response has been published: the namespace of their first level and their actions are
inferred, so both forms are accepted. Source: DSM pages of windows-driver-docs (CC BY 4.0).
"""

from __future__ import annotations

from dissector.catalog.rows import Table

__all__ = ["DEVICE"]

ELEMENTS = """
GetScannerElementsRequest : RequestedElements@scanner [getscannerelementsrequest4.md]
GetScannerElementsResponse : ScannerElements [getscannerelementsresponse4.md]
GetJobElementsRequest : JobId RequestedElements@job [getjobelementsrequest2.md]
GetJobElementsResponse : JobElements [getjobelementsresponse3.md]
GetActiveJobsRequest - [getactivejobsrequest2.md]
GetActiveJobsResponse : ActiveJobs [getactivejobsresponse2.md]
GetJobHistoryRequest - [getjobhistoryrequest2.md]
GetJobHistoryResponse : JobHistory [getjobhistoryresponse4.md]
ValidateScanTicketRequest : ScanTicket [validatescanticketrequest4.md]
ValidateScanTicketResponse : ValidationInfo [validatescanticketresponse3.md]
JobStatusEvent : JobStatus [jobstatusevent6.md]
JobEndStateEvent : JobEndState [jobendstateevent11.md]
ScannerElementsChangeEvent : ElementChanges [scannerelementschangeevent3.md]
ScannerStatusSummaryEvent : StatusSummary [scannerstatussummaryevent6.md]
ScannerStatusConditionEvent : DeviceCondition [scannerstatusconditionevent6.md]
ScannerStatusConditionClearedEvent : DeviceConditionCleared [scannerstatusconditionclearedevent3.md]

# other spellings, of the pages
ScannerElementsChangedEvent -> ScannerElementsChangeEvent
DeviceConditonCleared -> DeviceConditionCleared

RequestedElements@scanner : wscn:Name@scanner+ -- QNames stay in the scan namespace
    [getscannerelementsrequest-requestedelements.md]
RequestedElements@job : wscn:Name@job+ [getjobelementsrequest-requestedelements.md]
ScannerElements : wscn:ElementData@scanner+ [getscannerelementsresponse-scannerelements.md]
JobId = int1 [getjobelementsrequest-jobid.md]
JobElements : wscn:ElementData@job+ [getjobelementsresponse-jobelements.md]
ActiveJobs : wscn:JobSummary* [getactivejobsresponse-activejobs.md]
JobHistory : wscn:JobSummary* [getjobhistoryresponse-jobhistory.md]
ScanTicket : wscn:JobDescription wscn:DocumentParameters? [validatescanticketrequest-scanticket.md]
ValidationInfo : wscn:ValidTicket wscn:ImageInformation wscn:ValidScanTicket?
    [validatescanticketresponse-validationinfo.md]
JobStatus : wscn:JobId wscn:JobState wscn:JobStateReasons wscn:ScansCompleted wscn:JobCreatedTime?
    wscn:JobCompletedTime? [jobstatusevent-jobstatus.md]
JobEndState : wscn:JobId wscn:JobCompletedState wscn:JobCompletedStateReasons wscn:JobName wscn:JobOriginatingUserName
    wscn:ScansCompleted wscn:JobCompletedTime? [jobendstateevent-jobendstate.md]
ElementChanges ~ wscn:ScannerDescription? wscn:ScannerConfiguration? wscn:DefaultScanTicket? +any
    -- vendor parts may be added [scannerelementschangeevent-elementchanges.md]
StatusSummary : wscn:ScannerState wscn:ScannerStateReasons [scannerstatussummaryevent-statussummary.md]
DeviceCondition : wscn:Time wscn:Name@condition wscn:Component wscn:Severity {Id}
    [scannerstatusconditionevent-devicecondition.md]
DeviceConditionCleared : wscn:ConditionId wscn:ConditionClearTime
    [scannerstatusconditionclearedevent-deviceconditoncleared.md]
"""

MESSAGES = """
operation GetScannerElements -- read description, configuration, status, default ticket or vendor sections
operation GetActiveJobs -- list running jobs
operation GetJobHistory -- list finished jobs; depth is up to the device
operation GetJobElements -- read one job
operation ValidateScanTicket -- check a ticket before it goes into a scan process
event JobStatusEvent -- job changed; the first one normally has state Started
event JobEndStateEvent -- job finished: the last image is digitized
event ScannerElementsChangeEvent -- description, configuration, default ticket or a vendor part changed
event ScannerStatusSummaryEvent -- scanner state changed
event ScannerStatusConditionEvent -- one condition changed
event ScannerStatusConditionClearedEvent -- a condition was cleared
"""

FAULTS = """
wsa:ActionNotSupported Sender -- operation not supported [dsm-schemas.md]
InvalidArgs Sender -- too few, too many, unknown or wrongly typed arguments [dsm-schemas.md]
OperationFailed Receiver -- service state forbids the operation [dsm-schemas.md]
ServerErrorTemporaryError Receiver -- temporary trouble; the same request may succeed later [dsm-schemas.md]
ServerErrorInternalError Receiver -- lasting internal error [dsm-schemas.md]
ClientErrorJobIdNotFound Sender GetJobElements -- unknown job, never existed or already dropped
    [getjobelementsrequest2.md]
ClientErrorConflictingRequiredParameters Sender ValidateScanTicket
    -- two or more elements with MustHonor true cannot be met together (as in WS-Scan)
"""

DEVICE = Table(
    prefix="dsd",
    source="windows-driver-docs",
    service="WS-DSD",
    roles=("control point", "DSM device"),
    action_bases=("dsd", "wscn"),
    event_bases=("wscn", "dsd"),
    attributes="Id int1",
    elements=ELEMENTS,
    messages=MESSAGES,
    faults=FAULTS,
)
"""The rows of WS-DSD."""
