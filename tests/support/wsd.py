"""The texts of WSD messages, as a device and a scan server write them. No dissector code is used here, so that
what the tests expect does not come from what they test."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from random import Random
from xml.sax.saxutils import escape

SOAP = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSE = "http://schemas.xmlsoap.org/ws/2004/08/eventing"
WSD = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
WSDP = "http://schemas.xmlsoap.org/ws/2006/02/devprof"
WSX = "http://schemas.xmlsoap.org/ws/2004/09/mex"
WXF = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSCN = "http://schemas.microsoft.com/windows/2006/08/wdp/scan"
DSD = "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/device"
DSP = "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/processing"
DSC = "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/configuration"
PSP = "http://schemas.microsoft.com/windows/2008/02/imaging/postscan/psp"
FILTER = "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/"
XOP = "http://www.w3.org/2004/08/xop/include"
ANONYMOUS = f"{WSA}/role/anonymous"
PUSH = f"{WSE}/DeliveryModes/Push"
ACTION_DIALECT = f"{WSDP}/Action"
DISCOVERY_TO = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"

EMAIL = f"{FILTER}email"
FILESHARE = f"{FILTER}fileshare"
SHAREPOINT = f"{FILTER}sharepoint"


class Ids:
    """Message ids, tokens and boundaries from a seed, so that a recording can be made again."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def message(self) -> str:
        return f"urn:uuid:{self.uuid()}"


def envelope(
    action: str,
    body: str,
    *,
    message_id: str | None = None,
    to: str | None = ANONYMOUS,
    relates_to: str | None = None,
    reply_to: bool = False,
    headers: str = "",
    namespaces: str = "",
    declaration: str = '<?xml version="1.0" encoding="utf-8"?>',
) -> bytes:
    head = [f"<wsa:To>{escape(to)}</wsa:To>"] if to else []
    head.append(f"<wsa:Action>{escape(action)}</wsa:Action>")
    if message_id:
        head.append(f"<wsa:MessageID>{message_id}</wsa:MessageID>")
    if relates_to:
        head.append(f"<wsa:RelatesTo>{relates_to}</wsa:RelatesTo>")
    if reply_to:
        head.append(f"<wsa:ReplyTo><wsa:Address>{ANONYMOUS}</wsa:Address></wsa:ReplyTo>")
    return (
        f'{declaration}<soap:Envelope xmlns:soap="{SOAP}" xmlns:wsa="{WSA}"{namespaces}>'
        f"<soap:Header>{''.join(head)}{headers}</soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def ns(**prefixes: str) -> str:
    return "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in prefixes.items())


def fault(relates_to: str, message_id: str, code: str, subcode: str, uri: str, reason: str, detail: str = "") -> bytes:
    inner = f"<soap:Detail>{detail}</soap:Detail>" if detail else ""
    return envelope(
        f"{WSA}/fault",
        f"<soap:Fault><soap:Code><soap:Value>soap:{code}</soap:Value><soap:Subcode><soap:Value>f:{subcode}</soap:Value>"
        f'</soap:Subcode></soap:Code><soap:Reason><soap:Text xml:lang="en">{escape(reason)}</soap:Text></soap:Reason>'
        f"{inner}</soap:Fault>",
        message_id=message_id,
        relates_to=relates_to,
        namespaces=ns(f=uri),
    )


def request(
    path: str,
    host: str,
    body: bytes,
    content_type: str = "application/soap+xml",
    *,
    chunk: int | None = None,
    extra: str = "",
    close: bool = False,
) -> bytes:
    length = "Transfer-Encoding: chunked" if chunk else f"Content-Length: {len(body)}"
    connection = "close" if close else "Keep-Alive"
    head = (
        f"POST {path} HTTP/1.1\r\nCache-Control: no-cache\r\nConnection: {connection}\r\nPragma: no-cache\r\n"
        f"Content-Type: {content_type}\r\nUser-Agent: WSDAPI\r\n{extra}{length}\r\nHost: {host}\r\n\r\n"
    )
    return head.encode() + (chunked(body, chunk) if chunk else body)


def response(
    body: bytes,
    status: str = "200 OK",
    content_type: str = "application/soap+xml",
    *,
    chunk: int | None = None,
    close: bool = False,
    server: str = "Microsoft-HTTPAPI/2.0",
) -> bytes:
    length = "Transfer-Encoding: chunked" if chunk else f"Content-Length: {len(body)}"
    kind = f"Content-Type: {content_type}\r\n" if body else ""
    connection = "Connection: close\r\n" if close else ""
    head = f"HTTP/1.1 {status}\r\n{kind}Server: {server}\r\n{connection}{length}\r\n\r\n"
    return head.encode() + (chunked(body, chunk) if chunk else body)


def accepted() -> bytes:
    return response(b"", "202 Accepted")


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def package(root: bytes, image: bytes, content_id: str, boundary: str, media_type: str) -> tuple[str, bytes]:
    """Content type and body of an MTOM package."""
    kind = (
        f'multipart/related; type="application/xop+xml"; boundary="{boundary}"; start="<root@wsd>"; '
        'start-info="application/soap+xml"'
    )
    body = (
        f'--{boundary}\r\nContent-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        f"Content-Transfer-Encoding: binary\r\nContent-ID: <root@wsd>\r\n\r\n"
    ).encode()
    body += root
    body += (
        f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{content_id}>\r\n\r\n"
    ).encode()
    body += image + f"\r\n--{boundary}--\r\n".encode()
    return kind, body


@dataclass
class FilterSpec:
    dialect: str
    state: str = "CompletedSuccessfully"
    reasons: list[str] = field(default_factory=list)


def instructions(filters: list[FilterSpec]) -> str:
    rows = []
    for f in filters:
        if f.dialect == EMAIL:
            inner = (
                f'<eml:EmailConfig xmlns:eml="{EMAIL}"><eml:SendToScanUser>true</eml:SendToScanUser>'
                '<eml:SendToAddresses eml:CanAddAddresses="false"><eml:EmailAddress>archive@example.com'
                "</eml:EmailAddress></eml:SendToAddresses></eml:EmailConfig>"
            )
        elif f.dialect == FILESHARE:
            inner = (
                f'<fsh:FileShareConfig xmlns:fsh="{FILESHARE}"><fsh:FileShares><fsh:ShareUNC>'
                r"\\files.example.com\scans</fsh:ShareUNC></fsh:FileShares></fsh:FileShareConfig>"
            )
        else:
            inner = (
                f'<shp:SharePointConfig xmlns:shp="{SHAREPOINT}"><shp:SaveToSharePointSites><shp:SaveToSharePointSiteURL>'
                "http://portal.example.com/sites/scans/Documents</shp:SaveToSharePointSiteURL>"
                "</shp:SaveToSharePointSites></shp:SharePointConfig>"
            )
        rows.append(
            f"<psp:Filter><psp:Dialect>{f.dialect}</psp:Dialect><psp:Instructions>{inner}</psp:Instructions></psp:Filter>"
        )
    return (
        "<dsp:PostScanInstructions><psp:ContinueOnError>true</psp:ContinueOnError><psp:DocumentRootName>Invoice"
        f"</psp:DocumentRootName><psp:FiltersToProcess>{''.join(rows)}</psp:FiltersToProcess></dsp:PostScanInstructions>"
    )


def create_post_scan_job(
    message_id: str,
    to: str,
    filters: list[FilterSpec],
    *,
    sid: str = "S-1-5-21-1004336348-1177238915-682003330-512",
    psp_id: str = "1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61",
) -> bytes:
    return envelope(
        f"{DSP}/CreatePostScanJob",
        f"<dsp:CreatePostScanJobRequest><dsp:UserIdentifier>{sid}</dsp:UserIdentifier><dsp:PSP_Identifier>{psp_id}"
        f"</dsp:PSP_Identifier>{instructions(filters)}</dsp:CreatePostScanJobRequest>",
        message_id=message_id,
        to=to,
        reply_to=True,
        namespaces=ns(dsp=DSP, psp=PSP),
    )


def create_post_scan_job_response(message_id: str, relates_to: str, token: str) -> bytes:
    return envelope(
        f"{DSP}/CreatePostScanJobResponse",
        f"<dsp:CreatePostScanJobResponse><dsp:JobToken>{token}</dsp:JobToken></dsp:CreatePostScanJobResponse>",
        message_id=message_id,
        relates_to=relates_to,
        namespaces=ns(dsp=DSP),
    )


def send_image(message_id: str, to: str, token: str, document_id: int, format: str, content_id: str) -> bytes:
    return envelope(
        f"{DSP}/SendImage",
        f"<dsp:SendImageRequest><dsp:JobToken>{token}</dsp:JobToken><dsp:DocumentDescription><dsp:DocumentId>"
        f"{document_id}</dsp:DocumentId><dsp:Format>{format}</dsp:Format></dsp:DocumentDescription><dsp:ImageData>"
        f'<xop:Include xmlns:xop="{XOP}" href="cid:{content_id}"/></dsp:ImageData></dsp:SendImageRequest>',
        message_id=message_id,
        to=to,
        namespaces=ns(dsp=DSP),
    )


def token_request(name: str, message_id: str, to: str, token: str) -> bytes:
    """EndPostScanJob or CancelPostScanJob."""
    return envelope(
        f"{DSP}/{name}",
        f"<dsp:{name}Request><dsp:JobToken>{token}</dsp:JobToken></dsp:{name}Request>",
        message_id=message_id,
        to=to,
        reply_to=True,
        namespaces=ns(dsp=DSP),
    )


def empty_response(name: str, message_id: str, relates_to: str, uri: str = DSP) -> bytes:
    return envelope(
        f"{uri}/{name}Response",
        f"<r:{name}Response/>",
        message_id=message_id,
        relates_to=relates_to,
        namespaces=ns(r=uri),
    )


def filter_statuses(element: str, filters: list[FilterSpec], prefix: str = "dsp") -> str:
    p = prefix
    rows = []
    for f in filters:
        reasons = "".join(f"<{p}:FilterStateReason>{r}</{p}:FilterStateReason>" for r in f.reasons)
        reasons = f"<{p}:FilterStateReasons>{reasons}</{p}:FilterStateReasons>" if reasons else ""
        rows.append(
            f"<{p}:FilterStatus><{p}:Dialect>{f.dialect}</{p}:Dialect><{p}:FilterState>{f.state}</{p}:FilterState>"
            f"{reasons}</{p}:FilterStatus>"
        )
    return f"<{p}:{element}>{''.join(rows)}</{p}:{element}>"


def status_event(
    message_id: str,
    to: str,
    token: str,
    state: str,
    filters: list[FilterSpec],
    images: int,
    *,
    reason: str | None = None,
    identifier: str = "",
    uri: str = DSP,
) -> bytes:
    reasons = (
        f"<dsp:JobStateReasons><dsp:JobStateReason>{reason}</dsp:JobStateReason></dsp:JobStateReasons>"
        if reason
        else ""
    )
    return envelope(
        f"{uri}/PostScanJobStatusEvent",
        f"<dsp:PostScanJobStatusEvent><dsp:JobStatus><dsp:JobToken>{token}</dsp:JobToken><dsp:JobState>{state}"
        f"</dsp:JobState>{reasons}{filter_statuses('FilterStatuses', filters)}<dsp:ImagesReceived>{images}"
        "</dsp:ImagesReceived><dsp:JobCreatedTime>2026-03-02T09:15:04.120</dsp:JobCreatedTime></dsp:JobStatus>"
        "</dsp:PostScanJobStatusEvent>",
        message_id=message_id,
        to=to,
        headers=identifier,
        namespaces=ns(dsp=uri, wse=WSE),
    )


def end_event(
    message_id: str,
    to: str,
    token: str,
    state: str,
    reasons: list[str],
    filters: list[FilterSpec],
    images: int,
    *,
    identifier: str = "",
    uri: str = DSP,
    extra: str = "",
    psp_id: str = "1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61",
    user: str = "anna@example.com",
) -> bytes:
    listed = "".join(f"<dsp:JobStateReason>{r}</dsp:JobStateReason>" for r in reasons)
    return envelope(
        f"{uri}/PostScanJobEndStateEvent",
        f"<dsp:PostScanJobEndStateEvent><dsp:PostScanJobEndState><dsp:JobToken>{token}</dsp:JobToken>"
        f"<dsp:PSP_Identifier>{psp_id}</dsp:PSP_Identifier><dsp:PSP_DisplayName>Invoices to archive"
        f"</dsp:PSP_DisplayName><dsp:JobOriginatingUserName>{user}</dsp:JobOriginatingUserName><dsp:JobCompletedState>"
        f"{state}</dsp:JobCompletedState><dsp:JobCompletedStateReasons>{listed}</dsp:JobCompletedStateReasons>"
        f"{filter_statuses('FilterCompletedStatuses', filters)}<dsp:ImagesReceived>{images}</dsp:ImagesReceived>"
        f"<dsp:JobCompletedTime>2026-03-02T09:15:09.870</dsp:JobCompletedTime>{extra}</dsp:PostScanJobEndState>"
        "</dsp:PostScanJobEndStateEvent>",
        message_id=message_id,
        to=to,
        headers=identifier,
        namespaces=ns(dsp=uri, wse=WSE),
    )


def subscribe(
    message_id: str, to: str, sink: str, actions: list[str], identifier: str, *, expires: str = "PT1H", extra: str = ""
) -> bytes:
    parameters = f"<wsa:ReferenceParameters><wse:Identifier>{identifier}</wse:Identifier></wsa:ReferenceParameters>"
    return envelope(
        f"{WSE}/Subscribe",
        f"<wse:Subscribe><wse:EndTo><wsa:Address>{sink}</wsa:Address>{parameters}</wse:EndTo>"
        f'<wse:Delivery Mode="{PUSH}"><wse:NotifyTo><wsa:Address>{sink}</wsa:Address>{parameters}</wse:NotifyTo>'
        f'</wse:Delivery><wse:Expires>{expires}</wse:Expires><wse:Filter Dialect="{ACTION_DIALECT}">'
        f"{' '.join(actions)}</wse:Filter>{extra}</wse:Subscribe>",
        message_id=message_id,
        to=to,
        reply_to=True,
        namespaces=ns(wse=WSE),
    )


def subscribe_response(
    message_id: str, relates_to: str, manager: str, identifier: str, *, expires: str = "PT1H", extra: str = ""
) -> bytes:
    return envelope(
        f"{WSE}/SubscribeResponse",
        f"<wse:SubscribeResponse><wse:SubscriptionManager><wsa:Address>{manager}</wsa:Address><wsa:ReferenceParameters>"
        f"<wse:Identifier>{identifier}</wse:Identifier></wsa:ReferenceParameters></wse:SubscriptionManager><wse:Expires>"
        f"{expires}</wse:Expires>{extra}</wse:SubscribeResponse>",
        message_id=message_id,
        relates_to=relates_to,
        namespaces=ns(wse=WSE),
    )


def identifier_header(identifier: str) -> str:
    return f"<wse:Identifier>{identifier}</wse:Identifier>"


def get(message_id: str, to: str) -> bytes:
    return envelope(f"{WXF}/Get", "", message_id=message_id, to=to, reply_to=True)


def get_response(
    message_id: str,
    relates_to: str,
    device: str,
    address: str,
    hosted: list[tuple[str, str, str]],
    *,
    maker: str,
    model: str,
    name: str,
    namespaces: str = "",
) -> bytes:
    """``hosted``: (address, types, service id)."""
    rows = "".join(
        f"<wsdp:Hosted><wsa:EndpointReference><wsa:Address>{a}</wsa:Address></wsa:EndpointReference><wsdp:Types>{t}"
        f"</wsdp:Types><wsdp:ServiceId>{i}</wsdp:ServiceId></wsdp:Hosted>"
        for a, t, i in hosted
    )
    return envelope(
        f"{WXF}/GetResponse",
        f'<wsx:Metadata><wsx:MetadataSection Dialect="{WSDP}/ThisModel"><wsdp:ThisModel><wsdp:Manufacturer>{maker}'
        f"</wsdp:Manufacturer><wsdp:ModelName>{model}</wsdp:ModelName></wsdp:ThisModel></wsx:MetadataSection>"
        f'<wsx:MetadataSection Dialect="{WSDP}/ThisDevice"><wsdp:ThisDevice><wsdp:FriendlyName>{name}'
        "</wsdp:FriendlyName><wsdp:FirmwareVersion>2.1</wsdp:FirmwareVersion><wsdp:SerialNumber>X1Y2Z3"
        f'</wsdp:SerialNumber></wsdp:ThisDevice></wsx:MetadataSection><wsx:MetadataSection Dialect="{WSDP}/Relationship">'
        f'<wsdp:Relationship Type="{WSDP}/host"><wsdp:Host><wsa:EndpointReference><wsa:Address>{device}</wsa:Address>'
        f"</wsa:EndpointReference><wsdp:Types>wsdp:Device</wsdp:Types><wsdp:ServiceId>{address}</wsdp:ServiceId>"
        f"</wsdp:Host>{rows}</wsdp:Relationship></wsx:MetadataSection></wsx:Metadata>",
        message_id=message_id,
        relates_to=relates_to,
        namespaces=ns(wsx=WSX, wsdp=WSDP) + namespaces,
    )


def probe(message_id: str, types: str, namespaces: str = "") -> bytes:
    return envelope(
        f"{WSD}/Probe",
        f"<wsd:Probe><wsd:Types>{types}</wsd:Types></wsd:Probe>",
        message_id=message_id,
        to=DISCOVERY_TO,
        namespaces=ns(wsd=WSD, wsdp=WSDP) + namespaces,
    )


def probe_matches(
    message_id: str, relates_to: str, device: str, types: str, xaddrs: str, number: int, namespaces: str = ""
) -> bytes:
    return envelope(
        f"{WSD}/ProbeMatches",
        f"<wsd:ProbeMatches><wsd:ProbeMatch><wsa:EndpointReference><wsa:Address>{device}</wsa:Address>"
        f"</wsa:EndpointReference><wsd:Types>{types}</wsd:Types><wsd:XAddrs>{xaddrs}</wsd:XAddrs><wsd:MetadataVersion>1"
        "</wsd:MetadataVersion></wsd:ProbeMatch></wsd:ProbeMatches>",
        message_id=message_id,
        relates_to=relates_to,
        headers=f'<wsd:AppSequence InstanceId="1772442000" MessageNumber="{number}"/>',
        namespaces=ns(wsd=WSD, wsdp=WSDP) + namespaces,
    )


def scan_ticket(
    element: str = "wscn:ScanTicket", *, format: str = "jfif", source: str = "ADFDuplex", images: int = 0
) -> str:
    side = (
        "<wscn:ScanRegion><wscn:ScanRegionXOffset>0</wscn:ScanRegionXOffset><wscn:ScanRegionYOffset>0"
        "</wscn:ScanRegionYOffset><wscn:ScanRegionWidth>8268</wscn:ScanRegionWidth><wscn:ScanRegionHeight>11693"
        "</wscn:ScanRegionHeight></wscn:ScanRegion><wscn:ColorProcessing>Grayscale8</wscn:ColorProcessing>"
        "<wscn:Resolution><wscn:Width>300</wscn:Width><wscn:Height>300</wscn:Height></wscn:Resolution>"
    )
    back = f"<wscn:MediaBack>{side}</wscn:MediaBack>" if source == "ADFDuplex" else ""
    return (
        f"<{element}><wscn:JobDescription><wscn:JobName>Scan at the desk</wscn:JobName><wscn:JobOriginatingUserName>anna"
        f"</wscn:JobOriginatingUserName></wscn:JobDescription><wscn:DocumentParameters><wscn:Format>{format}</wscn:Format>"
        f'<wscn:ImagesToTransfer>{images}</wscn:ImagesToTransfer><wscn:InputSource wscn:MustHonor="true">{source}'
        f"</wscn:InputSource><wscn:MediaSides><wscn:MediaFront>{side}</wscn:MediaFront>{back}</wscn:MediaSides>"
        f"</wscn:DocumentParameters></{element}>"
    )


def scan_request(name: str, inner: str, message_id: str, to: str, uri: str = WSCN) -> bytes:
    return envelope(
        f"{WSCN}/{name}",
        f"<s:{name}Request>{inner}</s:{name}Request>",
        message_id=message_id,
        to=to,
        reply_to=True,
        namespaces=ns(wscn=WSCN, s=uri),
    )


def scan_response(name: str, inner: str, message_id: str, relates_to: str, uri: str = WSCN) -> bytes:
    return envelope(
        f"{WSCN}/{name}Response",
        f"<s:{name}Response>{inner}</s:{name}Response>",
        message_id=message_id,
        relates_to=relates_to,
        namespaces=ns(wscn=WSCN, s=uri),
    )


def scan_event(name: str, inner: str, message_id: str, to: str, *, identifier: str = "", uri: str = WSCN) -> bytes:
    return envelope(
        f"{WSCN}/{name}",
        f"<e:{name}>{inner}</e:{name}>",
        message_id=message_id,
        to=to,
        headers=identifier,
        namespaces=ns(wscn=WSCN, e=uri, wse=WSE),
    )


def image_information(width: int = 2480, height: int = 3508) -> str:
    side = (
        f"<wscn:PixelsPerLine>{width}</wscn:PixelsPerLine><wscn:NumberOfLines>{height}</wscn:NumberOfLines>"
        "<wscn:BytesPerLine>0</wscn:BytesPerLine>"
    )
    return f"<wscn:ImageInformation><wscn:MediaFrontImageInfo>{side}</wscn:MediaFrontImageInfo></wscn:ImageInformation>"


def scan_job_status(job_id: int, state: str, reason: str, scans: int, element: str = "wscn:JobStatus") -> str:
    return (
        f"<{element}><wscn:JobId>{job_id}</wscn:JobId><wscn:JobState>{state}</wscn:JobState><wscn:JobStateReasons>"
        f"<wscn:JobStateReason>{reason}</wscn:JobStateReason></wscn:JobStateReasons><wscn:ScansCompleted>{scans}"
        f"</wscn:ScansCompleted></{element}>"
    )


def scan_job_end(job_id: int, state: str, reason: str, scans: int, element: str = "wscn:JobEndState") -> str:
    return (
        f"<{element}><wscn:JobId>{job_id}</wscn:JobId><wscn:JobCompletedState>{state}</wscn:JobCompletedState>"
        f"<wscn:JobCompletedStateReasons><wscn:JobStateReason>{reason}</wscn:JobStateReason>"
        "</wscn:JobCompletedStateReasons><wscn:JobName>Scan at the desk</wscn:JobName><wscn:JobOriginatingUserName>anna"
        f"</wscn:JobOriginatingUserName><wscn:ScansCompleted>{scans}</wscn:ScansCompleted></{element}>"
    )
