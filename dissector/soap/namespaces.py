"""Namespaces: the canonical URIs, and the known misspellings of them.

Documentation and devices write some namespaces wrongly: the publisher of the driver documentation turned every
``http:`` into ``https:`` (and some devices copied that), its examples use pre-release URIs (scan 2006/01, addressing
2003/03, XOP 2003/12), one sample a former URI of WS-DSP, one a damaged envelope URI. They are understood, and the
caller is told what was mended.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = [
    "DF",
    "DPWS11",
    "DSC",
    "DSD",
    "DSP",
    "EMLF",
    "FSF",
    "LMS",
    "PNPX",
    "PSP",
    "SOAP11",
    "SOAP12",
    "SPF",
    "SPX",
    "WSA04",
    "WSA10",
    "WSCN",
    "WSD05",
    "WSD11",
    "WSDL",
    "WSDP06",
    "WSE",
    "WSP",
    "WSX",
    "WXF",
    "XML",
    "XMLSCHEMA",
    "XOP",
    "XSI",
    "canonical",
]

SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA04 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSA10 = "http://www.w3.org/2005/08/addressing"
WSE = "http://schemas.xmlsoap.org/ws/2004/08/eventing"
WSD05 = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
WSD11 = "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01"
WSDP06 = "http://schemas.xmlsoap.org/ws/2006/02/devprof"
WSDP05 = "http://schemas.xmlsoap.org/ws/2005/05/devprof"
DPWS11 = "http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01"
WXF = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSX = "http://schemas.xmlsoap.org/ws/2004/09/mex"
WSP = "http://schemas.xmlsoap.org/ws/2004/09/policy"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSCN = "http://schemas.microsoft.com/windows/2006/08/wdp/scan"
WPRT = "http://schemas.microsoft.com/windows/2006/08/wdp/print"
DSD = "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/device"
DSP = "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/processing"
DSC = "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/configuration"
PSP = "http://schemas.microsoft.com/windows/2008/02/imaging/postscan/psp"
FTR = "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter"
EMLF = "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/email"
FSF = "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/fileshare"
SPF = "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/sharepoint"
SPX = "http://schemas.microsoft.com/windows/2010/09/imaging/postscan/scanprocess/extensions"
PNPX = "http://schemas.microsoft.com/windows/pnpx/2005/10"
DF = "http://schemas.microsoft.com/windows/2008/09/devicefoundation"
PUB = "http://schemas.microsoft.com/windows/pub/2005/07"
LMS = "http://schemas.microsoft.com/windows/lms/2007/08"
XOP = "http://www.w3.org/2004/08/xop/include"
XMIME = "http://www.w3.org/2005/05/xmlmime"
DS = "http://www.w3.org/2000/09/xmldsig#"
XML = "http://www.w3.org/XML/1998/namespace"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XMLSCHEMA = "http://www.w3.org/2001/XMLSchema"

_KNOWN = frozenset(
    {
        *(SOAP12, SOAP11, WSA04, WSA10, WSE, WSD05, WSD11, WSDP06, WSDP05, DPWS11, WXF, WSX, WSP, WSDL),
        *(WSCN, WPRT, DSD, DSP, DSC, PSP, FTR, EMLF, FSF, SPF, SPX, PNPX, DF, PUB, LMS),
        *(XOP, XMIME, DS, XML, XSI, XMLSCHEMA),
    }
)

_ALIASES = {
    "http://schemas.microsoft.com/windows/2006/01/wdp/scan": (WSCN, "the pre-release URI of WS-Scan"),
    "http://schemas.microsoft.com/windows/2008/02/wdp/repository/processing": (DSP, "a former URI of WS-DSP"),
    "http://schemas.xmlsoap.org/ws/2003/03/addressing": (WSA04, "the URI of an obsolete WS-Addressing"),
    "http://schemas.xmlsoap.org/ws/2004/03/addressing": (WSA04, "the URI of an obsolete WS-Addressing"),
    "http://www.w3.org/2003/12/xop/include": (XOP, "the URI of a draft of XOP"),
    "http://www.w3.org/2003/05/soapelope": (SOAP12, "a damaged URI of SOAP 1.2"),
    "http://www.w3.org/2002/12/soap-envelope": (SOAP12, "the URI of a draft of SOAP 1.2"),
    "http://schemas.xmlsoap.org/wsdl": (WSDL, "the URI of WSDL without its final slash"),
    "http://schemas.xmlsoap.org/soap/envelope": (SOAP11, "the URI of SOAP 1.1 without its final slash"),
}


_LONG = 512
"""Longer URIs are none of ours, and are not remembered."""


def canonical(uri: str) -> tuple[str, str | None]:
    """The canonical URI of a namespace, and what was mended.

    Args:
        uri: as sent.

    Returns:
        The canonical URI and None; or for a known misspelling the canonical URI and what the URI as sent is, such as
        ``the pre-release URI of WS-Scan``. A URI that is not known is given back as it is, without white space
        around it.
    """
    return _canonical(uri) if len(uri) <= _LONG else (uri.strip(), None)


@lru_cache(maxsize=1024)
def _canonical(uri: str) -> tuple[str, str | None]:
    if uri in _KNOWN:
        return uri, None
    plain, why = uri.strip(), []
    if plain[:6].lower() == "https:":
        http = "http:" + plain[6:]
        if http in _KNOWN or http in _ALIASES or http.rstrip("/") in _KNOWN or http.rstrip("/") in _ALIASES:
            plain = http
            why.append("https: for http:")
    if plain not in _KNOWN and plain not in _ALIASES:
        bare = plain.rstrip("/")
        if bare != plain and (bare in _KNOWN or bare in _ALIASES):
            plain = bare
            why.append("a slash too many")
    if plain in _ALIASES:
        plain, reason = _ALIASES[plain]
        why.append(reason)
    return plain, ", ".join(why) or None
