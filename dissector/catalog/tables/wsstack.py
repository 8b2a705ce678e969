"""SOAP 1.2, WS-Addressing in both versions, XOP, and header blocks of Windows: what the services stand on."""

from __future__ import annotations

from dissector.catalog.rows import Table

__all__ = ["ADDRESSING", "ADDRESSING_10", "SOAP"]

_SOAP = """
Envelope : Header? Body +attr
Header any wsa:Action? wsa:To? wsa:MessageID? wsa:RelatesTo* wsa:ReplyTo? wsa:FaultTo? wsa:From?
    wsa10:Action? wsa10:To? wsa10:MessageID? wsa10:RelatesTo* wsa10:ReplyTo? wsa10:FaultTo? wsa10:From?
    wsd:AppSequence? wsd11:AppSequence? wsd:Security? wsd11:Security? wse:Identifier? lms:LargeMetadataSupport?
    Upgrade? NotUnderstood* +attr
Body any Fault? +attr

# fault, SOAP 1.2 part 1, 5.4; with the children of a SOAP 1.1 fault, which some devices put into a 1.2 envelope
Fault : Code Reason Node? Role? Detail? faultcode? faultstring? faultactor? detail?
faultcode = qname
faultstring = string {xml:lang?}
faultactor = anyURI
detail any +attr
Code : Value Subcode?
Subcode : Value Subcode?
Value = qname
Reason : Text+
Text = string {xml:lang}
Node = anyURI
Role = anyURI
Detail any +attr

# header blocks of faults, 5.4.7 and 5.4.8
Upgrade : SupportedEnvelope+
SupportedEnvelope - {qname}
NotUnderstood - {qname}

# XOP 2.1
xop:Include - {href} +any +attr -- reference to a MIME part: cid: and its percent-encoded Content-ID

# MS-DPWSSN: lifts the limit of 32767 octets of an answer to Get
lms:LargeMetadataSupport any +attr
"""

_SOAP_ATTRIBUTES = """
xml:lang string
qname qname
href anyURI
"""

SOAP = Table(
    prefix="soap",
    source="SOAP 1.2 part 1",
    elements=_SOAP,
    attributes=_SOAP_ATTRIBUTES,
)
"""Envelope, fault, xop:Include."""

_HEADERS = """
Action = anyURI
To = anyURI
MessageID = anyURI
MessageId -> MessageID
RelatesTo = anyURI {RelationshipType?}
ReplyTo : $epr
FaultTo : $epr
From : $epr
RetryAfter = unsigned <milliseconds> -- in the Detail of EndpointUnavailable
EndpointReference : $epr
Address = anyURI
ReferenceParameters any wse:Identifier? -- every child comes back as a header block
"""

_HEADERS_2004 = """
$epr = Address ReferenceProperties? ReferenceParameters? PortType? ServiceName? wsp:Policy* +any +attr
ReferenceProperties any wse:Identifier? -- every child comes back as a header block; part of the identity
PortType = qname
ServiceName = qname {PortName?}
"""

_HEADERS_2005 = """
$epr = Address ReferenceParameters? Metadata? +any +attr
Metadata any +attr
ProblemHeaderQName = qname
ProblemHeader any
ProblemIRI = anyURI
ProblemAction : Action? SoapAction?
SoapAction = anyURI
"""

ADDRESSING = Table(
    prefix="wsa",
    source="WS-Addressing 2004/08",
    # The relationship of 2004/08 is a QName, that of 2005/08 a URI.
    attributes="RelationshipType qname\nPortName string",
    elements=_HEADERS_2004 + _HEADERS,
    faults="""
InvalidMessageInformationHeader Sender -- addressing header malformed, or RelatesTo names a message never sent
MessageInformationHeaderRequired Sender -- To, MessageID or Action missing
DestinationUnreachable Sender -- no route to the To address; NotifyTo or EndTo not understood
ActionNotSupported Sender -- action unknown here
EndpointUnavailable Receiver -- cannot process now
soap:VersionMismatch VersionMismatch -- wrong envelope namespace
soap:MustUnderstand MustUnderstand -- mandatory header not understood
""",
)
"""WS-Addressing 2004/08, of the stack that Windows, printers and scanners use."""

ADDRESSING_10 = Table(
    prefix="wsa10",
    source="WS-Addressing 1.0",
    attributes="RelationshipType anyURI",
    elements=_HEADERS_2005 + _HEADERS,
    faults="""
InvalidAddressingHeader Sender -- addressing header invalid; the nested subcode tells how
MessageAddressingHeaderRequired Sender -- required header missing
DestinationUnreachable Sender -- no route
ActionNotSupported Sender -- action unknown
EndpointUnavailable Receiver -- cannot process now
InvalidAddress Sender -- an address is not valid
InvalidEPR Sender -- an endpoint reference is not valid
InvalidCardinality Sender -- a header occurs too often
MissingAddressInEPR Sender -- an endpoint reference has no address
DuplicateMessageID Sender -- MessageID was used before
ActionMismatch Sender -- Action and SOAPAction differ
OnlyAnonymousAddressSupported Sender -- ReplyTo or FaultTo is not anonymous
OnlyNonAnonymousAddressSupported Sender -- ReplyTo or FaultTo is anonymous
""",
)
"""WS-Addressing 2005/08, of WS-DD 1.1."""
