"""WS-Discovery: 2005/04, of WSD, and 2009/01 (1.1), which shares port 3702 with it."""

from __future__ import annotations

from dissector.catalog.rows import Table

__all__ = ["DISCOVERY", "DISCOVERY_11"]

_ELEMENTS = """
$target = wsa:EndpointReference Types? Scopes? XAddrs?
Hello : $target MetadataVersion +any +attr [4.1]
Bye : wsa:EndpointReference Types? Scopes? XAddrs? MetadataVersion? +any +attr [4.2]
Probe : Types? Scopes? +any +attr -- empty: all devices [5.2]
ProbeMatches : ProbeMatch* +any +attr [5.3]
ProbeMatch : $target MetadataVersion +any +attr [5.3]
Resolve : wsa:EndpointReference +any +attr [6.1]
ResolveMatches : ResolveMatch? +any +attr [6.2]
ResolveMatch : $target MetadataVersion +any +attr [6.2]
Types = qnames +attr -- of the device; QNames compare by namespace and local name
Scopes = uris {MatchBy?} +attr
XAddrs = uris +attr -- transport addresses; may be missing in Hello and ProbeMatch
MetadataVersion = unsigned +attr -- grows on any metadata change
SupportedMatchingRules = uris -- in the Detail of MatchingRuleNotSupported

# header blocks, appendix I and 8
AppSequence - {InstanceId SequenceId? MessageNumber} +attr -- order of the messages of one device
Security : Sig* +any +attr
Sig any {Scheme? KeyId? Refs? Sig?} +attr -- compact signature
"""

_ATTRIBUTES = """
MatchBy anyURI
InstanceId unsigned
SequenceId anyURI
MessageNumber unsigned
Scheme anyURI
KeyId string
Refs string
Sig base64
"""

_ENUMS = """
MatchBy closed [5.1]
    {base}/rfc2396  segment-wise prefix; the default of 2005/04
    {base}/rfc3986  segment-wise prefix; the default of 2009/01
    {base}/uuid     equal UUID
    {base}/ldap     same host and port, DN prefix
    {base}/strcmp0  identical strings
    {base}/none     matches a service without scopes; 2009/01 only
"""

_MESSAGES = """
discovery Hello Hello {p}/Hello one-way -- a device joins, or its metadata changed
discovery Bye Bye {p}/Bye one-way -- a device leaves
discovery Probe Probe {p}/Probe -- who is of these types, in these scopes?
discovery ProbeMatches ProbeMatches {p}/ProbeMatches -- answer to Probe
discovery Resolve Resolve {p}/Resolve -- where is this device?
discovery ResolveMatches ResolveMatches {p}/ResolveMatches -- answer to Resolve
"""

_FAULTS = """
MatchingRuleNotSupported Sender Probe -- unicast Probe with an unknown MatchBy [5.2]
"""

DISCOVERY = Table(
    prefix="wsd",
    source="WS-Discovery 2005/04",
    service="WS-Discovery",
    roles=("client", "device"),
    attributes=_ATTRIBUTES,
    enums=_ENUMS.replace("{base}", "http://schemas.xmlsoap.org/ws/2005/04/discovery"),
    # The outline of 2005/04 requires XAddrs in ResolveMatch, the 1.1 schema does not.
    elements=_ELEMENTS
    + "ResolveMatch : wsa:EndpointReference Types? Scopes? XAddrs MetadataVersion +any +attr [6.2]\n",
    messages=_MESSAGES.replace("{p}", "wsd"),
    faults=_FAULTS,
)
"""WS-Discovery 2005/04."""

DISCOVERY_11 = Table(
    prefix="wsd11",
    source="WS-Discovery 1.1",
    service="WS-Discovery",
    attributes=_ATTRIBUTES,
    enums=_ENUMS.replace("{base}", "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01"),
    elements=_ELEMENTS,
    messages=_MESSAGES.replace("{p}", "wsd11"),
    faults=_FAULTS,
    renamed=(("wsa", "wsa10"),),
)
"""WS-Discovery 1.1."""
