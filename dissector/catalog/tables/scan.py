"""WS-Scan: a client pulls a scan, or the device announces one.

Sources: the scan pages of windows-driver-docs (CC BY 4.0), one page an element; order and cardinality of the scan
ticket from MS-BDSRR 6.2.3. The pages list children alphabetically: the order elsewhere is that of their examples, and
``~`` where no example shows one. Devices often send another order.
"""

from __future__ import annotations

from dissector.catalog.rows import Table

__all__ = ["SCAN"]

ATTRIBUTES = """
MustHonor bool qualified =false -- obey this value or refuse the job; only in a ticket that creates or validates
Override bool qualified -- the device replaced the requested value; only in DocumentFinalParameters
UsedDefault bool qualified -- the client gave none; only in DocumentFinalParameters
Name qname qualified
Valid bool qualified
Id int1 qualified
xml:lang string
"""

ENUMS = """
Format shape=format [format.md]
    dib                       Windows bitmap
    exif                      Exif 2.x JPEG
    jbig                      JBIG1 bi-level
    jfif                      JFIF JPEG
    jpeg2k                    JPEG 2000
    pdf-a                     PDF/A
    png                       PNG
    tiff-single-uncompressed  TIFF, one page, no compression
    tiff-single-g4            TIFF, one page, Group 4
    tiff-single-g3mh          TIFF, one page, Group 3 MH
    tiff-single-jpeg-tn2      TIFF, one page, JPEG per TechNote 2
    tiff-multi-uncompressed   TIFF, many pages, no compression
    tiff-multi-g4             TIFF, many pages, Group 4
    tiff-multi-g3mh           TIFF, many pages, Group 3 MH
    tiff-multi-jpeg-tn2       TIFF, many pages, JPEG per TechNote 2
    xps                       XML Paper Specification
InputSource [inputsource.md]
    ADF        feeder, front side only
    ADFDuplex  feeder, both sides
    Film       film unit
    Platen     flatbed
FilmScanMode [filmscanmodevalue.md]
    NotApplicable              no film source selected; only legal inside DefaultScanTicket
    ColorSlideFilm             positive colour
    ColorNegativeFilm          colour negative
    BlackandWhiteNegativeFilm  monochrome negative (lower-case "and")
ContentType [contenttype.md]
    Auto      device decides
    Text      text
    Photo     continuous tone
    Halftone  screened
    Mixed     several kinds in one document
ColorEntry [colorentry.md]
    BlackAndWhite1  1 bit, 0 is black
    Grayscale4      4 bit grey
    Grayscale8      8 bit grey
    Grayscale16     16 bit grey
    RGB24           3 × 8 bit
    RGB48           3 × 16 bit
    RGBa32          4 × 8 bit with alpha
    RGBa64          4 × 16 bit with alpha
Rotation [rotation.md]
    0    none; every service supports it
    90   quarter turn clockwise
    180  half turn
    270  three quarters clockwise
JobState terminal=Completed,Canceled,Aborted [jobstate.md]
    Creating     being set up
    Pending      ready, waiting
    Started      processing begins; transient, seen mostly in JobStatusEvent
    Processing   scanning, converting or sending
    Held         parked by means outside this service
    Terminating  cancel or abort under way
    Completed    finished and all data sent
    Canceled     cancelled by CancelJob or otherwise
    Aborted      ended by the system
JobCompletedState closed terminal=Completed,Canceled,Aborted [jobcompletedstate.md]
    Aborted      ended by the system
    Canceled     cancelled
    Completed    normal end
    Terminating  listed although it is not a final state
JobStateReason [jobstatereason.md]
    InvalidScanTicket           ticket could not be processed
    DocumentFormatError         format unsupported
    ImageTransferError          image transfer broke; job must be aborted
    JobCanceledAtDevice         cancelled on the panel
    JobCompletedWithErrors      finished with errors
    JobCompletedWithWarnings    finished, ticket may have been altered
    JobScanning                 digitizing
    JobScanningAndTransferring  digitizing and sending
    JobTimedOut                 client did not ask for the image in time
    JobTransferring             sending
    None                        nothing to add
    ScannerStopped              scanner needs attention
ScannerState [scannerstate.md]
    Idle        can start a job
    Processing  working on jobs
    Stopped     needs intervention
ScannerStateReason [scannerstatereason.md]
    AttentionRequired    user must act
    Calibrating          calibrating
    CoverOpen            a cover is open
    InterlockOpen        an interlock is open
    InternalStorageFull  storage of the device is full
    LampError            lamp is broken
    LampWarming          lamp warms up
    MediaJam             paper jam
    MultipleFeedError    double feed
    None                 nothing to add
    Paused               paused; state is then Stopped
ConditionName [name-element-for-devicecondition-and-conditionhistoryentry.md]
    Calibrating          calibrating
    CoverOpen            a cover is open
    InputTrayEmpty       feeder empty
    InterlockOpen        an interlock is open
    InternalStorageFull  storage of the device is full
    LampError            lamp is broken
    LampWarming          lamp warms up
    MediaJam             paper jam
    MultipleFeedError    double feed
Component [component.md]
    ADF        feeder
    Film       film unit
    MediaPath  paper path
    Platen     flatbed
Severity [severity.md]
    Informational  no effect on scanning
    Warning        may become critical
    Critical       scanning cannot go on
ScannerSection [name-for-requestedelements-element.md]
    ScannerDescription    names
    ScannerConfiguration  what the device can do
    ScannerStatus         state and conditions
    DefaultScanTicket     a value for every option; missing from the request page, yet answered
JobSection [name-for-requestedelements-element.md]
    JobStatus   state
    ScanTicket  ticket of the job
    Documents   final parameters and documents
"""

ELEMENTS = """
# body elements
CreateScanJobRequest : ScanIdentifier? DestinationToken? ScanTicket
CreateScanJobResponse : JobId JobToken ImageInformation DocumentFinalParameters
RetrieveImageRequest : JobId JobToken DocumentDescription
RetrieveImageResponse : ScanData
CancelJobRequest : JobId
CancelJobResponse -
GetScannerElementsRequest : RequestedElements@scanner
GetScannerElementsResponse : ScannerElements
GetJobElementsRequest : JobId RequestedElements@job
GetJobElementsResponse : JobElements
GetActiveJobsRequest -
GetActiveJobsResponse : ActiveJobs
GetJobHistoryRequest -
GetJobHistoryResponse : JobHistory
ValidateScanTicketRequest : ScanTicket
ValidateScanTicketResponse : ValidationInfo
ScanAvailableEvent : ClientContext ScanIdentifier
JobStatusEvent : JobStatus
JobEndStateEvent : JobEndState
ScannerElementsChangeEvent : ElementChanges
ScannerStatusSummaryEvent : StatusSummary
ScannerStatusConditionEvent : DeviceCondition
ScannerStatusConditionClearedEvent : DeviceConditionCleared

# other spellings, of the pages
GetJobElements -> GetJobElementsRequest
ScannerElementsChangedEvent -> ScannerElementsChangeEvent
DocumentFinalParamters -> DocumentFinalParameters
ClientDisplayString -> ClientDisplayName
DeviceConditonCleared -> DeviceConditionCleared

# destinations of a push scan, inside wse:Subscribe and wse:SubscribeResponse
ScanDestinations : ScanDestination+
ScanDestination : ClientDisplayName ClientContext
DestinationResponses : DestinationResponse+
DestinationResponse : ClientContext DestinationToken +any
ClientDisplayName = string -- name shown on the device panel
ClientContext = string -- opaque client string, echoed back
DestinationToken = string -- opaque device string for one destination
ScanIdentifier = string -- opaque device string, unique per event

# scan ticket (order: MS-BDSRR 6.2.3)
$ticket = JobDescription DocumentParameters?
ScanTicket : $ticket +any +attr
DefaultScanTicket : $ticket +any +attr -- a value for every ticket option the device supports
ValidScanTicket : $ticket +any +attr -- corrected ticket
JobDescription : JobName JobOriginatingUserName JobInformation? +any +attr
JobName = string255 +attr -- friendly name
JobOriginatingUserName = string255 +attr -- submitting user; may be empty in a default ticket
JobInformation = string255 +attr -- purpose of the job
$parameters = Format? CompressionQualityFactor? ImagesToTransfer? InputSource? FilmScanMode? ContentType? InputSize?
    Exposure? Scaling? Rotation? MediaSides?
DocumentParameters : $parameters +any +attr
DocumentFinalParameters : $parameters +any +attr -- what the device will do; each parameter filled in once known
Format = enum:Format {MustHonor? Override? UsedDefault?} +attr -- file format to produce
CompressionQualityFactor = quality {MustHonor? Override? UsedDefault?} +attr
    -- higher is better, 100 = least compression
ImagesToTransfer = int0 {MustHonor? Override? UsedDefault?} +attr
    -- 0: one image from Platen or Film, all sheets from ADF; each side of a sheet counts as one
InputSource = enum:InputSource {MustHonor? Override? UsedDefault?} +attr -- paper path
FilmScanMode = enum:FilmScanMode {MustHonor? Override? UsedDefault?} +attr -- film kind; only with source Film
ContentType = enum:ContentType {MustHonor? Override? UsedDefault?} +attr -- kind of original
InputSize | DocumentSizeAutoDetect InputMediaSize {MustHonor?} +attr
DocumentSizeAutoDetect = bool +attr -- device finds the size
InputMediaSize : $size +attr <1/1000_inch> -- size of the original
Exposure | AutoExposure ExposureSettings {MustHonor?} +attr
AutoExposure = bool +attr -- device whitens the background
ExposureSettings : Contrast? Brightness? Sharpness? +any +attr
Contrast = adj1000 {Override? UsedDefault?} +attr -- 0 = no change
Brightness = adj1000 {Override? UsedDefault?} +attr -- 0 = no change
Sharpness = adj100 {Override? UsedDefault?} +attr -- a tenth of the range of the other two
Scaling : ScalingWidth@value ScalingHeight@value {MustHonor?} +attr
ScalingWidth@value = scale {Override? UsedDefault?} +attr <percent> -- fast scan direction
ScalingHeight@value = scale {Override? UsedDefault?} +attr <percent> -- slow scan direction
Rotation = enum:Rotation {MustHonor? Override? UsedDefault?} +attr <degrees> -- clockwise, after acquisition
MediaSides : MediaFront MediaBack? {MustHonor?} +attr
$side = ScanRegion? ColorProcessing? Resolution?
MediaFront : $side +any +attr -- front side
MediaBack : $side +any +attr -- back side; only with source ADFDuplex
ScanRegion : ScanRegionXOffset? ScanRegionYOffset? ScanRegionWidth ScanRegionHeight +attr <1/1000_inch>
ScanRegionXOffset = int0 {MustHonor? Override? UsedDefault?} +attr <1/1000_inch> -- from the fast-scan lead edge
ScanRegionYOffset = int0 {MustHonor? Override? UsedDefault?} +attr <1/1000_inch> -- from the slow-scan lead edge
ScanRegionWidth = int1 {MustHonor? Override? UsedDefault?} +attr <1/1000_inch> -- fast-scan extent
ScanRegionHeight = int1 {MustHonor? Override? UsedDefault?} +attr <1/1000_inch> -- slow-scan extent
ColorProcessing = enum:ColorEntry {MustHonor? Override? UsedDefault?} +attr -- colour mode
Resolution : Width@resolution Height@resolution? {MustHonor?} +attr <pixels_per_inch> -- no Height means square
DocumentDescription : DocumentName
DocumentName = string

# sizes and resolutions
$size = Width@size Height@size
$resolution = Width@resolution Height@resolution?
Width@size = int1 {Override? UsedDefault?} +attr <1/1000_inch> -- fast scan direction
Height@size = int1 {Override? UsedDefault?} +attr <1/1000_inch> -- slow scan direction
Width@resolution = int1 {Override? UsedDefault?} +attr <pixels_per_inch> -- fast scan direction
Height@resolution = int1 {Override? UsedDefault?} +attr <pixels_per_inch> -- slow scan direction
Widths : Width@resolution+ <pixels_per_inch>
Heights : Height@resolution+ <pixels_per_inch>

# jobs and images
JobId = int1 -- unique on the device only; not to be reused soon
JobToken = string -- opaque proof of ownership of the job
ScanData xop xop:Include -- place of the image
ImageInformation ~ MediaFrontImageInfo MediaBackImageInfo?
$image = PixelsPerLine NumberOfLines BytesPerLine
MediaFrontImageInfo : $image
MediaBackImageInfo : $image
PixelsPerLine = int0 <pixels> -- from 1 on the page; an example shows 0 when the ticket is invalid
NumberOfLines = int0 <pixels> -- from 1 on the page; an example shows 0 when the ticket is invalid
BytesPerLine = int0 <bytes> -- includes padding; 0 for compressed formats
ValidationInfo : ValidTicket ImageInformation ValidScanTicket?
ValidTicket = bool

# configuration
ScannerConfiguration : DeviceSettings Platen? ADF? Film?
DeviceSettings : FormatsSupported CompressionQualityFactorSupported ContentTypesSupported
    DocumentSizeAutoDetectSupported AutoExposureSupported BrightnessSupported ContrastSupported ScalingRangeSupported
    RotationsSupported
FormatsSupported : FormatValue+
FormatValue = enum:Format
CompressionQualityFactorSupported : MinValue@quality MaxValue@quality
ContentTypesSupported : ContentTypeValue+
ContentTypeValue = enum:ContentType
DocumentSizeAutoDetectSupported = bool
AutoExposureSupported = bool
BrightnessSupported = bool
ContrastSupported = bool
ScalingRangeSupported : ScalingWidth@range ScalingHeight@range
ScalingWidth@range : MinValue@scale MaxValue@scale <percent> -- must cover 100 [scalingwidth2.md]
ScalingHeight@range : MinValue@scale MaxValue@scale <percent> -- must cover 100 [scalingheight2.md]
MinValue@quality = quality1
MaxValue@quality = quality1
MinValue@scale = scale <percent>
MaxValue@scale = scale <percent>
RotationsSupported : RotationValue+
RotationValue = enum:Rotation <degrees>
Platen : PlatenOpticalResolution PlatenResolutions PlatenColor PlatenMinimumSize PlatenMaximumSize
PlatenOpticalResolution : $resolution <pixels_per_inch>
PlatenResolutions : Widths Heights <pixels_per_inch> -- any width may pair with any height on most devices
PlatenColor : ColorEntry+
PlatenMinimumSize : $size <1/1000_inch>
PlatenMaximumSize : $size <1/1000_inch>
ADF : ADFSupportsDuplex ADFFront ADFBack?
ADFSupportsDuplex = bool
$feeder = ADFOpticalResolution ADFResolutions ADFColor ADFMinimumSize ADFMaximumSize
ADFFront : $feeder
ADFBack : $feeder
ADFOpticalResolution : $resolution <pixels_per_inch>
ADFResolutions : Widths Heights <pixels_per_inch>
ADFColor : ColorEntry+
ADFMinimumSize : $size <1/1000_inch>
ADFMaximumSize : $size <1/1000_inch>
Film : FilmScanModesSupported FilmOpticalResolution FilmResolutions FilmColor FilmMinimumSize FilmMaximumSize
FilmScanModesSupported : FilmScanModeValue+
FilmScanModeValue = enum:FilmScanMode
FilmOpticalResolution : $resolution <pixels_per_inch>
FilmResolutions : Widths Heights <pixels_per_inch>
FilmColor : ColorEntry+
FilmMinimumSize : $size <1/1000_inch>
FilmMaximumSize : $size <1/1000_inch>
ColorEntry = enum:ColorEntry
ScannerDescription : ScannerName+ ScannerInfo* ScannerLocation* -- repeated once per language
ScannerName = string {xml:lang?}
ScannerInfo = string {xml:lang?}
ScannerLocation = string {xml:lang?}

# status
ScannerStatus : ScannerCurrentTime ScannerState ScannerStateReasons ActiveConditions ConditionHistory?
ScannerCurrentTime = dateTime -- device clock, may begin at year 0001 at power-on
ScannerState = enum:ScannerState
ScannerStateReasons : ScannerStateReason*
ScannerStateReason = enum:ScannerStateReason
StatusSummary : ScannerState ScannerStateReasons
ActiveConditions : DeviceCondition*
$condition = Time Name@condition Component Severity
DeviceCondition : $condition {Id}
ConditionHistory ~ ConditionHistoryEntry*
ConditionHistoryEntry ~ $condition ClearTime {Id}
Time = dateTime
Component = enum:Component
Severity = enum:Severity
Name@condition = enum:ConditionName [name-element-for-devicecondition-and-conditionhistoryentry.md]
ClearTime = dateTime
DeviceConditionCleared : ConditionId ConditionClearTime
ConditionId = int1 -- Id of a condition reported earlier
ConditionClearTime = dateTime

# sections asked for and given
RequestedElements@scanner : Name@scanner+
RequestedElements@job : Name@job+
Name@scanner = qname:ScannerSection [name-for-requestedelements-element.md]
Name@job = qname:JobSection [name-for-requestedelements-element.md]
ScannerElements : ElementData@scanner+
ElementData@scanner | ScannerDescription? ScannerConfiguration? ScannerStatus? DefaultScanTicket? {Name Valid} +any
    -- the child named by Name, none when Valid is false [elementdata-for-scannerelements-element.md]
JobElements : ElementData@job+
ElementData@job | JobStatus? ScanTicket? Documents? {Name Valid} +any
    -- the child named by Name, none when Valid is false [elementdata-for-jobelements-element.md]
ElementChanges ~ ScannerDescription? ScannerConfiguration? DefaultScanTicket? +any
    -- each child is complete; a missing optional part is no longer supported

# jobs as lists
JobTable ~ ActiveJobs JobHistory? -- model element, never on the wire by itself
ActiveJobs | JobSummary* Job* -- JobSummary on the wire, Job only in the JobTable model
JobHistory | JobSummary* Job* -- JobSummary on the wire, Job only in the JobTable model
Job ~ JobStatus ScanTicket Documents -- model element
JobSummary : JobId JobName JobOriginatingUserName JobState JobStateReasons ScansCompleted
JobStatus : JobId JobState JobStateReasons ScansCompleted JobCreatedTime? JobCompletedTime?
JobEndState : JobId JobCompletedState JobCompletedStateReasons JobName JobOriginatingUserName ScansCompleted
    JobCompletedTime?
JobState = enum:JobState
JobCompletedState = enum:JobCompletedState
JobStateReasons : JobStateReason*
JobCompletedStateReasons : JobStateReason*
JobStateReason = enum:JobStateReason
ScansCompleted = int0 -- examples show 0 before the first scan; a duplex sheet counts 2
JobCreatedTime = dateTime
JobCompletedTime = dateTime
Documents ~ DocumentFinalParameters Document+
Document ~ DocumentDescription
"""

MESSAGES = """
operation GetScannerElements -- read description, configuration, status, default ticket or a vendor section
operation ValidateScanTicket -- check a ticket without scanning
operation CreateScanJob -- reserve the scanner and fix the parameters; no image data yet
operation RetrieveImage -- fetch the next image file of a job
operation CancelJob -- ask for a job to be ended
operation GetJobElements -- read status, ticket or documents of one job
operation GetActiveJobs -- list jobs not yet finished
operation GetJobHistory -- list recently finished jobs
event ScanAvailableEvent -- a user chose this destination at the device and pressed scan
event JobStatusEvent -- a job changed; the first one normally shows state Started
event JobEndStateEvent -- a job is finished
event ScannerElementsChangeEvent -- description, configuration, default ticket or a vendor section changed
event ScannerStatusSummaryEvent -- overall scanner state changed
event ScannerStatusConditionEvent -- one condition was added or changed
event ScannerStatusConditionClearedEvent -- a reported condition went away
"""

FAULTS = """
wsa:ActionNotSupported Sender -- operation not supported [common-wsd-scan-service-operation-error-codes.md]
InvalidArgs Sender -- too few, too many, unknown or wrongly typed arguments
    [common-wsd-scan-service-operation-error-codes.md]
OperationFailed Receiver -- service state forbids the operation [common-wsd-scan-service-operation-error-codes.md]
ServerErrorTemporaryError Receiver -- temporary trouble; the same request may succeed later
    [common-wsd-scan-service-operation-error-codes.md]
ServerErrorInternalError Receiver -- lasting internal error; a retry fails the same way
    [common-wsd-scan-service-operation-error-codes.md]
ServerErrorNotAcceptingJobs Receiver CreateScanJob
    -- blocked for new jobs: service mode, or user action needed and buffers exhausted [createscanjobrequest.md]
ClientErrorFormatNotSupported Sender CreateScanJob ~ClientErrorDocumentFormatNotSupported
    -- Format in the ticket is not offered by the device [createscanjobrequest.md, format.md]
ClientErrorInvalidScanIdentifier Sender CreateScanJob -- identifier unknown, stale or for another client
    [createscanjobrequest.md]
ClientErrorInvalidDestinationToken Sender CreateScanJob ~ClientErrorInvalidDetinationToken
    -- token unknown to the device [createscanjobrequest.md]
ClientErrorNoImagesAvailable Sender CreateScanJob RetrieveImage!
    -- CreateScanJob: no media, such as an empty feeder; RetrieveImage: no further image, the normal end of a pull
    [createscanjobrequest.md, retrieveimagerequest.md]
ClientErrorJobIdNotFound Sender RetrieveImage GetJobElements CancelJob -- no such job, or value out of range
    [retrieveimagerequest.md]
ClientErrorInvalidJobToken Sender RetrieveImage -- JobToken does not belong to JobId [retrieveimagerequest.md]
ClientErrorJobCancelled Sender RetrieveImage -- job cancelled before or during retrieval [retrieveimagerequest.md]
ClientErrorConflictingRequiredParameters Sender ValidateScanTicket
    -- two or more elements with MustHonor true cannot be met together [validatescanticketrequest.md]
"""

SCAN = Table(
    prefix="wscn",
    source="windows-driver-docs",
    pages=True,
    service="WS-Scan",
    roles=("client", "scanner"),
    action_bases=("wscn",),
    event_bases=("wscn",),
    attributes=ATTRIBUTES,
    enums=ENUMS,
    elements=ELEMENTS,
    messages=MESSAGES,
    faults=FAULTS,
)
"""The rows of WS-Scan."""
