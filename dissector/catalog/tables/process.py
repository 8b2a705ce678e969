"""The scan process (psp), its extensions (spx), and the instructions of its three filters.

A scan process is kept in the directory; its instructions travel inside CreatePostScanJobRequest. Source: MS-BDSRR 6.2.2
to 6.2.7. Where the two flags of spx stand is not stated; a foreign element at the end fits the schema.
"""

from __future__ import annotations

from dissector.catalog.rows import Table

__all__ = ["PROCESS"]

ELEMENTS = """
PostScanProcess : ScanRepository ScanTicket PostScanInstructions spx:AllowDeviceFileNameChange?
    spx:AllowDeviceFilePathChange? +any +attr -- one scan process; root of the XML kept in the directory [2.2.4.35]
ScanRepository = string255 +attr -- fully qualified host name of the scan server that must be used [2.2.3.44]
ScanTicket : wscn:JobDescription wscn:DocumentParameters? +any +attr -- acquisition settings for the device [2.2.4.71]
PostScanInstructions : ContinueOnError? DocumentRootName FiltersToProcess spx:AllowDeviceFileNameChange?
    spx:AllowDeviceFilePathChange? +any +attr -- what the server does with the images [2.2.4.34]
ContinueOnError = bool +attr -- true: go on after an error; false or absent: stop [2.2.3.36]
DocumentRootName = string255 +attr -- stem of the file names; the server appends date, time, user [2.2.3.38]
FiltersToProcess : Filter+ +any +attr -- filters to run [2.2.4.32]
Filter : Dialect Instructions +any +attr -- one filter with its instructions [2.2.4.33]
Dialect = anyURI:dsp:Dialect +attr -- filter identity; the namespace of the element inside Instructions [2.2.3.37]
Instructions | emlf:EmailConfig? fsf:FileShareConfig? spf:SharePointConfig? +any -- chosen by Dialect [2.2.4.31]

emlf:EmailConfig : emlf:SendToScanUser? emlf:SendToAddresses? +any +attr -- mail with the images attached [2.2.4.74]
emlf:SendToScanUser = bool +attr -- true: also mail to the scanning user; default false [2.2.3.85]
emlf:SendToAddresses : emlf:EmailAddress+ {emlf:CanAddAddresses?} +any +attr -- fixed receivers [2.2.4.75]
emlf:EmailAddress = string255 +attr -- one receiver [2.2.3.82]

fsf:FileShareConfig : fsf:FileShares? +any +attr -- file-share filter [2.2.4.77]
fsf:FileShares : fsf:ShareUNC+ +any +attr -- target shares; every one is tried [2.2.4.78]
fsf:ShareUNC = string255 +attr -- UNC path; the server writes below it in a directory user@domain [2.2.3.88]

spf:SharePointConfig : spf:SaveToMySite? spf:SaveToSharePointSites? +any +attr -- SharePoint filter [2.2.4.81]
spf:SaveToMySite = bool +attr -- true: also the personal library of the scanning user; default false [2.2.3.89]
spf:SaveToSharePointSites : spf:SaveToSharePointSiteURL+ +any +attr -- target libraries; every one is tried [2.2.4.82]
spf:SaveToSharePointSiteURL = string2048 +attr -- URL of one document library [2.2.3.91]

spx:AllowDeviceFileNameChange = bool -- true: a DocumentRootName other than the directory's is accepted; default false
    [2.2.3.93]
spx:AllowDeviceFilePathChange = bool -- true: a ShareUNC other than the directory's is accepted; default false
    [2.2.3.94]
"""

PROCESS = Table(
    prefix="psp",
    source="MS-BDSRR",
    attributes="emlf:CanAddAddresses bool =false",
    elements=ELEMENTS,
)
"""The rows of the scan process."""
