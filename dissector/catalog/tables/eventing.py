"""WS-Eventing 2004/08: subscriptions. A notification is a message of the service that sends it.

The scan service adds its destinations to Subscribe and SubscribeResponse (push scan).
"""

from __future__ import annotations

from dissector.catalog.rows import Table

__all__ = ["EVENTING"]

ELEMENTS = """
$epr = wsa:Address wsa:ReferenceProperties? wsa:ReferenceParameters? wsa:PortType? wsa:ServiceName? wsp:Policy*
    wsa10:Metadata? +any +attr
Subscribe : EndTo? Delivery Expires? Filter? wscn:ScanDestinations? +any +attr [3.1]
SubscribeResponse : SubscriptionManager Expires? wscn:DestinationResponses? +any +attr [3.1]
Renew : Expires? +any +attr [3.2]
RenewResponse : Expires? +any +attr [3.2]
GetStatus - +any +attr [3.3]
GetStatusResponse : Expires? +any +attr [3.3]
Unsubscribe - +any +attr [3.4]
SubscriptionEnd : SubscriptionManager Status? Code? Reason* +any +attr
    -- Status by the schema; one example of the prose has Code instead [3.5]
EndTo : $epr
NotifyTo : $epr
SubscriptionManager : $epr
Delivery : NotifyTo? {Mode?} +any +attr -- without Mode: Push, with exactly one NotifyTo
Expires = expires -- absent: endless
Filter = uris {Dialect?} +any +attr -- Action dialect: blank-separated action URIs or prefixes; no Dialect: XPath
Identifier = anyURI -- of a subscription; usual reference parameter, comes back as a header block
Status = anyURI:EndStatus
Code = qname
Reason = string {xml:lang?}

# Detail of faults
SupportedDeliveryMode = anyURI
SupportedDialect = anyURI

# misprint of the prose
wsa:Identifier -> Identifier
"""

ENUMS = """
EndStatus closed [3.5]
    http://schemas.xmlsoap.org/ws/2004/08/eventing/DeliveryFailure     notifications could not be delivered
    http://schemas.xmlsoap.org/ws/2004/08/eventing/SourceShuttingDown  orderly shutdown
    http://schemas.xmlsoap.org/ws/2004/08/eventing/SourceCancelling    any other reason
    http://schemas.xmlsoap.org/ws/2004/08/eventing/SourceCanceling     any other reason, as the prose spells it
"""

MESSAGES = """
request Subscribe Subscribe wse/Subscribe -- ask for notifications
response SubscribeResponse SubscribeResponse wse/SubscribeResponse
request Renew Renew wse/Renew -- ask for a longer life of a subscription
response RenewResponse RenewResponse wse/RenewResponse
request GetStatus GetStatus wse/GetStatus -- ask when a subscription ends
response GetStatusResponse GetStatusResponse wse/GetStatusResponse
request Unsubscribe Unsubscribe wse/Unsubscribe -- end a subscription
response UnsubscribeResponse - wse/UnsubscribeResponse
request SubscriptionEnd SubscriptionEnd wse/SubscriptionEnd one-way -- the source ends a subscription
"""

FAULTS = """
DeliveryModeRequestedUnavailable Sender Subscribe -- delivery mode unsupported [5.1]
InvalidExpirationTime Sender Subscribe Renew -- expiry in the past or zero [5.2]
UnsupportedExpirationType Sender Subscribe Renew -- dateTime not supported [5.3]
FilteringNotSupported Sender Subscribe -- filters unsupported [5.4]
FilteringRequestedUnavailable Sender Subscribe -- dialect unsupported [5.5]
EventSourceUnableToProcess Receiver Subscribe -- local trouble with a Subscribe [5.6]
UnableToRenew Receiver Renew -- renewal refused [5.7]
InvalidMessage Sender -- message does not fit its outline [5.8]
"""

EVENTING = Table(
    prefix="wse",
    source="WS-Eventing 2004/08",
    service="WS-Eventing",
    roles=("event sink", "event source"),
    attributes="Mode anyURI\nDialect anyURI\nxml:lang string",
    elements=ELEMENTS,
    enums=ENUMS,
    messages=MESSAGES,
    faults=FAULTS,
)
"""The rows of WS-Eventing."""
