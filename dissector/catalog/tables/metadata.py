"""WS-Transfer, WS-MetadataExchange, and the metadata of the device profile: ThisModel, ThisDevice, Relationship.

Sources: WS-Transfer (2004/09), WS-MetadataExchange 1.1 (2004/09), DPWS 2006/02 (sections R2012 to R2045, appendix II)
and 1.1; the PnP-X and device-foundation additions of Windows.
"""

from __future__ import annotations

from dissector.catalog.rows import Table

__all__ = ["METADATA", "PROFILE", "PROFILE_11", "PROFILE_DRAFT", "TRANSFER"]

_TRANSFER = """
request Get - wxf/Get -- read metadata; the Body is empty
response GetResponse wsx:Metadata wxf/GetResponse -- metadata of a device or service
request Put * wxf/Put -- not used by WSD
response PutResponse * wxf/PutResponse
request Create * wxf/Create -- not used by WSD
response CreateResponse * wxf/CreateResponse
request Delete - wxf/Delete -- not used by WSD
response DeleteResponse * wxf/DeleteResponse
"""

TRANSFER = Table(
    prefix="wxf",
    source="WS-Transfer",
    service="WS-Transfer",
    roles=("client", "device"),
    elements="ResourceCreated : wsa:Address wsa:ReferenceProperties? wsa:ReferenceParameters? +any",
    messages=_TRANSFER,
    faults="InvalidRepresentation Sender Put Create -- bad representation [5.1]",
)
"""WS-Transfer."""

_METADATA = """
GetMetadata : Dialect? Identifier? +any +attr [5.2]
Dialect = anyURI
Identifier = anyURI -- only with Dialect
Metadata : MetadataSection* +any +attr [4]
MetadataSection | MetadataReference Location wsdp:ThisModel wsdp:ThisDevice wsdp:Relationship dpws11:ThisModel
    dpws11:ThisDevice dpws11:Relationship wsdl:definitions xs:schema wsp:Policy Metadata
    {Dialect Identifier?} +any +attr -- exactly one child, that of the Dialect [4]
MetadataReference : wsa:Address wsa:ReferenceProperties? wsa:ReferenceParameters? +any +attr
Location = anyURI
wsdl:definitions any +attr
xs:schema any +attr
wsp:Policy any +attr
"""

METADATA = Table(
    prefix="wsx",
    source="WS-MetadataExchange 1.1",
    service="WS-MetadataExchange",
    roles=("client", "service"),
    attributes="Dialect anyURI\nIdentifier anyURI",
    elements=_METADATA,
    messages="""
request GetMetadata GetMetadata wsx/GetMetadata/Request -- read metadata; device-profile clients use Get
response GetMetadataResponse Metadata wsx/GetMetadata/Response
""",
)
"""WS-MetadataExchange."""

_PROFILE = """
ThisModel : Manufacturer+ ManufacturerUrl? ModelName+ ModelNumber? ModelUrl? PresentationUrl? pnpx:DeviceCategory?
    +any +attr [R2038]
Manufacturer = string {xml:lang?} +attr
ManufacturerUrl = anyURI +attr
ModelName = string {xml:lang?} +attr
ModelNumber = string +attr
ModelUrl = anyURI +attr
PresentationUrl = anyURI +attr
ThisDevice : FriendlyName+ FirmwareVersion? SerialNumber? df:ContainerId? +any +attr [R2039]
FriendlyName = string {xml:lang?} +attr
FirmwareVersion = string +attr
SerialNumber = string +attr
Relationship : Host? Hosted* {Type} +any +attr [R2040]
Host : wsa:EndpointReference+ Types? ServiceId +any +attr [appendix II]
Hosted : wsa:EndpointReference+ Types? ServiceId pnpx:CompatibleId? pnpx:HardwareId? +any +attr [appendix II]
Types = qnames +attr
ServiceId = anyURI +attr
Profile any +attr -- policy assertion
"""

_FAULTS = """
FilterActionNotSupported Sender Subscribe -- no notification matches the Action filter [R3020]
"""

_ATTRIBUTES = """
Type anyURI
xml:lang string
"""

PROFILE = Table(
    prefix="wsdp",
    source="DPWS 2006/02",
    attributes=_ATTRIBUTES,
    elements=_PROFILE
    + """
pnpx:DeviceCategory = tokens -- blank-separated categories; a subcategory follows a dot
pnpx:CompatibleId = tokens
pnpx:HardwareId = tokens
df:ContainerId = guid
""",
    faults=_FAULTS,
)
"""The device profile of WSD."""

PROFILE_11 = Table(
    prefix="dpws11",
    source="DPWS 1.1",
    attributes=_ATTRIBUTES,
    elements=_PROFILE
    + """
Host : wsa:EndpointReference Types? ServiceId? +any +attr
Hosted : wsa:EndpointReference+ Types ServiceId pnpx:CompatibleId? pnpx:HardwareId? +any +attr
""",
    faults=_FAULTS,
    renamed=(("wsa", "wsa10"),),
)
"""The device profile of WS-DD 1.1."""

PROFILE_DRAFT = Table(prefix="wsdp05", source="DPWS 2005/05", attributes=_ATTRIBUTES, elements=_PROFILE)
"""The draft of the device profile."""
