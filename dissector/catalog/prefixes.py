"""Usual prefixes and canonical namespaces: how the tables write qualified names.

A prefix is only a shorthand of the tables and of what we build; what a peer binds its prefixes to is its own affair.
The URIs are the canonical ones that ``dissector.soap.namespaces.canonical`` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dissector.soap.model import QName

__all__ = ["FAMILIES", "NAMESPACES", "PREFIXES", "WSD_NAMESPACES", "curie", "qname"]

PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "soap": "http://www.w3.org/2003/05/soap-envelope",
        "soap11": "http://schemas.xmlsoap.org/soap/envelope/",
        "wsa": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
        "wsa10": "http://www.w3.org/2005/08/addressing",
        "wsd": "http://schemas.xmlsoap.org/ws/2005/04/discovery",
        "wsd11": "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01",
        "wsdp": "http://schemas.xmlsoap.org/ws/2006/02/devprof",
        "wsdp05": "http://schemas.xmlsoap.org/ws/2005/05/devprof",
        "dpws11": "http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01",
        "wse": "http://schemas.xmlsoap.org/ws/2004/08/eventing",
        "wxf": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
        "wsx": "http://schemas.xmlsoap.org/ws/2004/09/mex",
        "wsp": "http://schemas.xmlsoap.org/ws/2004/09/policy",
        "wsdl": "http://schemas.xmlsoap.org/wsdl/",
        "wsoap12": "http://schemas.xmlsoap.org/wsdl/soap12/",
        "whttp": "http://schemas.xmlsoap.org/wsdl/http/",
        "wsu": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd",
        "xs": "http://www.w3.org/2001/XMLSchema",
        "xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "xml": "http://www.w3.org/XML/1998/namespace",
        "xop": "http://www.w3.org/2004/08/xop/include",
        "xmime": "http://www.w3.org/2005/05/xmlmime",
        "ds": "http://www.w3.org/2000/09/xmldsig#",
        "pnpx": "http://schemas.microsoft.com/windows/pnpx/2005/10",
        "df": "http://schemas.microsoft.com/windows/2008/09/devicefoundation",
        "pub": "http://schemas.microsoft.com/windows/pub/2005/07",
        "lms": "http://schemas.microsoft.com/windows/lms/2007/08",
        "wprt": "http://schemas.microsoft.com/windows/2006/08/wdp/print",
        "wscn": "http://schemas.microsoft.com/windows/2006/08/wdp/scan",
        "dsd": "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/device",
        "dsp": "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/processing",
        "dsc": "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/configuration",
        "psp": "http://schemas.microsoft.com/windows/2008/02/imaging/postscan/psp",
        "ftr": "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter",
        "emlf": "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/email",
        "fsf": "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/fileshare",
        "spf": "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/sharepoint",
        "spx": "http://schemas.microsoft.com/windows/2010/09/imaging/postscan/scanprocess/extensions",
    }
)
"""Usual prefix → canonical namespace."""

NAMESPACES: Mapping[str, str] = MappingProxyType({uri: prefix for prefix, uri in PREFIXES.items()})
"""Canonical namespace → usual prefix."""

WSD_NAMESPACES = frozenset(
    PREFIXES[p]
    for p in ("wsd", "wsd11", "wsdp", "wsdp05", "dpws11", "wse", "wxf", "wsx", "wscn", "dsd", "dsp", "dsc", "psp")
)
"""Namespaces whose body elements belong to WSD."""

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        PREFIXES[prefix]: name
        for name, prefixes in {
            "addressing": ("wsa", "wsa10"),
            "discovery": ("wsd", "wsd11"),
            "profile": ("wsdp", "wsdp05", "dpws11"),
            "scan": ("wscn", "dsd"),
        }.items()
        for prefix in prefixes
    }
)
"""Namespaces that stand for one another: versions of one specification, and WS-DSD beside WS-Scan, since no page tells
in which of the two the first level of its requests and responses is."""


def curie(text: str, default: str) -> tuple[str, str]:
    """``prefix:local`` or ``local`` of a table → (namespace, local name)."""
    prefix, colon, local = text.partition(":")
    return (PREFIXES[prefix], local) if colon else (PREFIXES[default], text)


def qname(text: str, default: str = "soap") -> QName:
    """``prefix:local`` of a table as a :class:`QName`, with the usual prefix."""
    namespace, local = curie(text, default)
    return QName(namespace, local, NAMESPACES[namespace])
