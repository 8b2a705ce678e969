"""WS-DSC, distributed scan configuration: the control point asks the scan server. Source: MS-BDSRR v20180912."""

from __future__ import annotations

from dissector.catalog.rows import Table
from dissector.catalog.tables import postscan

__all__ = ["CONFIGURATION"]

ENUMS = """
RepositoryState [2.2.5.18]
    Idle        ready for a job
    Processing  jobs in work
    Stopped     blocked until somebody intervenes; Windows never sends it
RepositoryStateReason [2.2.5.17]
    None  nothing more known
RepositorySection [3.2.4.1.3.5]
    RepositoryConfiguration  what the repository can do
    RepositoryStatus         its state
"""

ELEMENTS = """
GetRepositoryElementsRequest : RequestedElements@repository -- ask for configuration and/or status [3.2.4.1.3.1]
GetRepositoryElementsResponse : RepositoryElements -- the answer [3.2.4.1.3.2]
GetActiveJobsRequest - +any -- list jobs in work [3.2.4.4.3.1]
GetActiveJobsResponse : ActiveJobs -- the list; a published sample has nothing in it [3.2.4.4.3.2]
GetJobHistoryRequest - +any -- list finished jobs still remembered [3.2.4.5.3.1]
GetJobHistoryResponse : JobHistory -- the list [3.2.4.5.3.2]
RepositoryElementsChangeEvent : ElementChanges +any -- configuration changed; Windows never sends it [3.2.4.6.3.2]
RepositoryStatusSummaryEvent : StatusSummary +any -- repository state changed [3.2.4.7.3.1]

# other spelling, of sample 4.1
GetJobsHistoryRequest -> GetJobHistoryRequest

RequestedElements@repository : Name@repository+ +attr -- what is wanted [3.2.4.1.3.5]
Name@repository = qname:RepositorySection -- name of a section; others are vendor-defined [3.2.4.1.2.4]
RepositoryElements : ElementData@repository+ +attr -- answers in request order [3.2.4.1.3.4]
ElementData@repository | RepositoryConfiguration RepositoryStatus {Name Valid} +any +attr
    -- the child named by Name; none when Valid is false [3.2.4.1.3.3]
RepositoryConfiguration : Filters? +any +attr -- what the repository can do [2.2.4.23]
Filters : Filter+ +attr -- supported filters [2.2.4.12]
Filter : Dialect@filter FilterConfig +any -- one supported filter [2.2.4.13]
Dialect@filter = qname -- filter identity as a QName; namespace + "/" + local name is the URI used elsewhere
    [2.2.3.1.2]
FilterConfig any -- filter-defined XML, may be empty [2.2.4.6]
RepositoryStatus : RepositoryState RepositoryStateReasons? +any +attr -- state with reasons [2.2.4.27]
RepositoryState = enum:RepositoryState +attr -- overall state [2.2.4.24]
RepositoryStateReasons : RepositoryStateReason+ +attr -- reasons [2.2.4.25]
RepositoryStateReason = enum:RepositoryStateReason +attr -- one reason [2.2.4.26]
ElementChanges : RepositoryConfiguration? +any -- changed sections, sent whole [3.2.4.6.3.1]
StatusSummary : RepositoryState RepositoryStateReasons? +any -- state at the moment of the event [3.2.4.7.3.2]
ActiveJobs : JobSummary* +attr -- jobs in work; may be empty [3.2.4.4.2.1]
JobHistory : JobSummary* +attr -- finished jobs; depth chosen by the server [3.2.4.5.2.1]
JobSummary : JobToken PSP_Identifier PSP_DisplayName JobOriginatingUserName JobState JobStateReasons? FilterStatuses
    ImagesReceived +any +attr -- short form of a job; no times [2.2.4.22]
JobToken = string255 +attr -- job identity, opaque, unique in this repository only; Windows: GUID [2.2.3.28]
PSP_Identifier = string255 +attr -- identity of the scan process; examples: GUID [2.2.3.30]
JobCompletedState = enum:JobState +attr -- final state; the schema allows all nine, a final one is meant [2.2.3.17]
"""

MESSAGES = """
operation GetRepositoryElements -- read configuration and/or status of the repository
operation CancelPostScanJob -- stop one active job, best effort
operation GetPostScanJobElements -- read one job, running or finished
operation GetActiveJobs -- list jobs in work
operation GetJobHistory -- list finished jobs
event RepositoryElementsChangeEvent -- repository configuration changed
event RepositoryStatusSummaryEvent -- repository state changed
event PostScanJobStatusEvent -- any part of a job status changed
event PostScanJobEndStateEvent -- a job completed
"""

FAULTS = """
wsa:ActionNotSupported Sender -- service does not offer the operation [3.1.4.1.1]
InvalidArgs Sender -- too few, too many, unknown or wrongly typed arguments [3.1.4.1.2]
OperationFailed Receiver -- state forbids it, such as a configuration change or a disabled service [3.1.4.1.3]
ServerErrorTemporaryError Receiver -- passing trouble; the same request may work later; never from Windows [3.1.4.1.4]
ServerErrorInternalError Receiver -- lasting trouble; repeating gives the same fault [3.1.4.1.5]
ClientErrorJobTokenNotFound Sender CancelPostScanJob GetPostScanJobElements -- no job matches the token [3.1.4.1.6]
ClientErrorCurrentUserNotScanAdmin Sender -- the caller is no scan administrator [name only, 6.2.1]
ServerErrorPostScanJobCanceled Receiver -- the job was cancelled meanwhile [name only, 6.2.1]
wsa:EndpointUnavailable Receiver CancelPostScanJob GetPostScanJobElements -- Server 2008 R2: the token is no GUID
    [notes 14, 15]
"""

CONFIGURATION = Table(
    prefix="dsc",
    source="MS-BDSRR",
    service="WS-DSC",
    roles=("control point", "scan server"),
    action_bases=("dsc",),
    event_bases=("dsc",),
    attributes=postscan.ATTRIBUTES,
    enums=postscan.ENUMS + ENUMS,
    extends=(postscan.ELEMENTS,),
    elements=ELEMENTS,
    messages=MESSAGES,
    faults=FAULTS,
)
"""The rows of WS-DSC."""
