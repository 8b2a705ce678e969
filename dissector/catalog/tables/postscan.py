"""What WS-DSP and WS-DSC say alike, each in its own namespace: post-scan jobs, their states, filters and documents.

Both services show the same jobs of one scan server, by elements of the same names. Only MS-BDSRR publishes a schema
(section numbers below); for WS-DSP the driver documentation and its samples agree with it. The three elements that
differ (JobToken, PSP_Identifier, JobCompletedState) are in the tables of the two services.
"""

from __future__ import annotations

__all__ = ["ATTRIBUTES", "ELEMENTS", "ENUMS"]

ATTRIBUTES = """
Name qname qualified
Valid bool qualified
"""

ENUMS = """
JobState terminal=Aborted,Canceled,Completed [2.2.5.12]
    Aborted       ended by the system before completion
    Canceled      ended by a cancel request or from outside
    Completed     all received images went through the filters
    Creating      being set up; seen while images arrive
    Pending       set up, waiting
    Pending-Held  waiting, barred from scheduling; only reachable from outside the protocol
    Processing    filters work on the images
    Started       short-lived, mostly seen in an event; the sources disagree whether work has begun
    Terminating   cancel or abort under way; Windows never sends it
JobStateReason [2.2.5.11]
    None                              nothing more known
    PostScanJobTimedOut               10 minutes without EndPostScanJob after CreatePostScanJob or SendImage
    NoValidPostScanInstructionsFound  an instruction was invalid, or no dialect is known
    CreatePostScanJobFailed           job could not be created
    SendImageFailed                   an image transfer failed
    PostScanJobCanceled               a cancel request ended it
    PostScanJobProcessingFailed       unrecoverable failure in processing
    PostScanJobCompletedSuccessfully  no warnings, no errors
    PostScanJobCompletedWithErrors    at least one filter error
    PostScanJobCompletedWithWarnings  at least one warning, images expected to be fine
    ~SendImangeFailed                 misspelling of SendImageFailed in the full schema (6.2.1)
FilterState terminal=Canceled,CompletedSuccessfully,CompletedWithErrors,CompletedWithWarnings [2.2.5.6]
    Pending                waiting for image data
    Processing             working
    Canceled               cancelled with the job
    CompletedSuccessfully  done, clean
    CompletedWithErrors    done, at least one error
    CompletedWithWarnings  done, at least one warning
FilterStateReason [2.2.5.5]
    InvalidArgs               instructions not understood
    OutOfDiskSpace            no disk space for processing
    ServerOutOfMemory         no memory
    FileShareAccessDenied     no right on the share
    FileShareOutOfDiskSpace   share full
    SharePointAccessDenied    no right on the library
    SharePointOutOfDiskSpace  library full
    InvalidSMTPServer         configured mail server not reachable
    UnableToSendEmail         mail not sent
    UnknownError              cause unknown
    ~SharepointAccessDenied   SharePointAccessDenied, as the driver documentation spells it
    ~SharepointOutOfDiskSpace SharePointOutOfDiskSpace, as the driver documentation spells it
Format shape=format [2.2.5.2]
    dib                       Windows bitmap
    exif                      Exif 2.x picture
    jbig                      JBIG1 bi-level (ISO/IEC 11544)
    jfif                      JPEG in JFIF wrapper
    jpeg2k                    JPEG 2000
    pdf-a                     PDF/A (ISO/CD 19005-1)
    png                       PNG
    tiff-single-uncompressed  TIFF, one page, raw
    tiff-single-g4            TIFF, one page, fax G4
    tiff-single-g3mh          TIFF, one page, fax G3 MH
    tiff-single-jpeg-tn2      TIFF, one page, JPEG after Technical Note 2
    tiff-multi-uncompressed   TIFF, many pages, raw
    tiff-multi-g4             TIFF, many pages, fax G4
    tiff-multi-g3mh           TIFF, many pages, fax G3 MH
    tiff-multi-jpeg-tn2       TIFF, many pages, JPEG after Technical Note 2
    xps                       XPS document
Dialect shape=uri [2.2.3.37]
    http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/email       e-mail filter
    http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/fileshare   file-share filter
    http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/sharepoint  SharePoint filter
JobSection [3.2.4.3.3.5]
    JobStatus       state of the job and its filters
    JobDescription  which scan process, which user
    Documents       images of the job
"""

ELEMENTS = """
# messages of the same name
CancelPostScanJobRequest : JobToken -- stop one active job, best effort [3.2.4.2.3.1]
CancelPostScanJobResponse - +any -- noted; best effort [3.2.4.2.3.2]
GetPostScanJobElementsRequest : JobToken RequestedElements@job -- ask about one job [3.2.4.3.3.1]
GetPostScanJobElementsResponse : JobElements -- the answer [3.2.4.3.3.2]
PostScanJobStatusEvent : JobStatus +any -- a job changed [3.2.4.8.3.1]
PostScanJobEndStateEvent : PostScanJobEndState +any -- a job is over [3.2.4.9.3.2]

# other spellings, of the driver documentation
GetPostScanJobElementRequest -> GetPostScanJobElementsRequest
GetPostScanJobElementResponse -> GetPostScanJobElementsResponse
PSP_Identifer -> PSP_Identifier

# sections of a job
RequestedElements@job : Name@job+ +attr -- what is wanted [3.2.4.3.3.5]
Name@job = qname:JobSection +attr -- name of a section [3.2.4.3.2.4]
JobElements : ElementData@job+ +attr -- answers in request order [3.2.4.3.3.4]
ElementData@job | JobStatus Documents JobDescription {Name Valid} +any +attr
    -- the child named by Name; none when Valid is false [3.2.4.3.3.3]
JobStatus : JobToken JobState JobStateReasons? FilterStatuses ImagesReceived JobCreatedTime? JobCompletedTime?
    +any +attr -- state of a job [2.2.4.21]
JobDescription : PSP_Identifier PSP_DisplayName JobOriginatingUserName +any +attr -- which process, which user
    [2.2.4.17]
PostScanJobEndState : JobToken PSP_Identifier PSP_DisplayName JobOriginatingUserName JobCompletedState
    JobCompletedStateReasons FilterCompletedStatuses ImagesReceived JobCompletedTime? +any
    -- final values; the prose also requires JobCompletedTime [3.2.4.9.3.1]
Documents : Document* +any +attr -- images of the job [2.2.4.5]
Document : DocumentDescription +any +attr -- one image file [2.2.4.4]
DocumentDescription : DocumentId Format +any +attr -- number and format [2.2.4.2]

# states
JobState = enum:JobState +attr -- current state [2.2.4.20]
JobStateReasons : JobStateReason+ +attr -- reasons [2.2.4.18]
JobStateReason = enum:JobStateReason +attr -- one reason [2.2.4.19]
JobCompletedStateReasons : JobStateReason+ +attr -- final reasons [2.2.3.18]
FilterStatuses : FilterStatus+ +attr -- every filter of the job [2.2.4.10]
FilterCompletedStatuses : FilterStatus+ +attr -- final state of every filter [2.2.3.7]
FilterStatus : Dialect@status FilterState FilterStateReasons? +attr -- one filter [2.2.4.11]
Dialect@status = anyURI:Dialect +attr -- filter identity as a URI [2.2.3.1.1]
FilterState = enum:FilterState +attr -- filter state [2.2.4.9]
FilterStateReasons : FilterStateReason+ +attr -- reasons [2.2.4.7]
FilterStateReason = enum:FilterStateReason +attr -- one reason [2.2.4.8]

# values
PSP_DisplayName = string255 +attr -- name of the scan process as shown to users [2.2.3.29]
JobOriginatingUserName = string255 +attr -- account that created the job; user@domain in the samples [2.2.3.22]
ImagesReceived = int0 +attr -- images received so far [2.2.3.16]
JobCreatedTime = dateTime +attr -- creation time, local time of the server [2.2.3.20]
JobCompletedTime = dateTime +attr -- completion time, local time of the server [2.2.3.19]
DocumentId = int1 +attr -- number, unique in the job; need not begin at 1 [2.2.3.5]
Format = enum:Format +attr -- file format [2.2.3.15]
"""
