"""The rows: complete in themselves, and representative facts of each specification."""

from __future__ import annotations

import pytest

from dissector.catalog import (
    BY_ACTION,
    ELEMENTS,
    ENUMS,
    FAULT,
    FAULTS,
    PREFIXES,
    SERVICES,
    TYPES,
    body_decl,
    by_key,
    end_state,
    fault,
    filter_name,
    is_known_state,
    message,
    qname,
)
from dissector.catalog.model import UNBOUNDED, ElementDecl
from dissector.catalog.rows import Table, read
from dissector.soap.model import QName
from dissector.soap.namespaces import canonical


def outline(decl: ElementDecl) -> str:
    """Children as the rows write them."""
    marks = {(1, 1): "", (0, 1): "?", (0, UNBOUNDED): "*", (1, UNBOUNDED): "+"}
    return " ".join(child.name + marks[child.min, child.max] for child in decl.children)


def test_every_name_that_a_row_uses_is_a_row() -> None:
    for key, decl in ELEMENTS.items():
        assert key == decl.key
        assert all(child.key in ELEMENTS for child in decl.children), key
        assert decl.type is None or decl.type in TYPES, key
        assert decl.enum is None or decl.enum in ENUMS, key
        assert all(attribute.type in TYPES for attribute in decl.attributes), key
        assert (decl.content == "simple") <= (decl.type is not None), key
        assert decl.source, key


def test_every_message_has_its_body_element() -> None:
    for service in SERVICES.values():
        for row in service.messages:
            assert row.service == service.name
            assert row.actions, row.name
            decl = body_decl(row)
            assert (decl is not None) == bool(row.body), row.name
            if decl is not None:
                assert "soap:Body" in decl.parents, row.name


def test_namespaces_are_canonical() -> None:
    assert [uri for uri in PREFIXES.values() if canonical(uri) != (uri, None)] == []


def test_parents_are_the_other_side_of_children() -> None:
    assert ELEMENTS["dsp:JobStatus"].parents == ("dsp:PostScanJobStatusEvent", "dsp:ElementData@job")
    assert "wse:Subscribe" in ELEMENTS["wscn:ScanDestinations"].parents
    assert "soap:Header" in ELEMENTS["wsd:AppSequence"].parents


END_STATE = (
    "JobToken PSP_Identifier PSP_DisplayName JobOriginatingUserName JobCompletedState JobCompletedStateReasons "
    "FilterCompletedStatuses ImagesReceived JobCompletedTime?"
)


@pytest.mark.parametrize(
    ("key", "content", "children"),
    [
        ("dsp:CreatePostScanJobRequest", "sequence", "UserIdentifier PSP_Identifier PostScanInstructions"),
        ("dsp:SendImageRequest", "sequence", "JobToken DocumentDescription ImageData"),
        ("dsp:SendImageResponse", "empty", ""),
        ("dsp:ImageData", "xop", "Include"),
        (
            "dsp:JobStatus",
            "sequence",
            "JobToken JobState JobStateReasons? FilterStatuses ImagesReceived JobCreatedTime? JobCompletedTime?",
        ),
        (
            "dsc:PostScanJobEndState",
            "sequence",
            END_STATE,
        ),
        ("dsc:Filter", "sequence", "Dialect FilterConfig"),
        ("dsd:JobEndStateEvent", "sequence", "JobEndState"),
        ("wscn:InputSize", "choice", "DocumentSizeAutoDetect InputMediaSize"),
        ("wscn:MediaFront", "sequence", "ScanRegion? ColorProcessing? Resolution?"),
        ("wscn:ElementData@job", "choice", "JobStatus? ScanTicket? Documents?"),
        ("wscn:ADF", "sequence", "ADFSupportsDuplex ADFFront ADFBack?"),
        ("psp:FiltersToProcess", "sequence", "Filter+"),
        ("fsf:FileShares", "sequence", "ShareUNC+"),
        ("wsd:ResolveMatch", "sequence", "EndpointReference Types? Scopes? XAddrs MetadataVersion"),
        ("wsd11:ResolveMatch", "sequence", "EndpointReference Types? Scopes? XAddrs? MetadataVersion"),
        ("wse:Subscribe", "sequence", "EndTo? Delivery Expires? Filter? ScanDestinations?"),
        ("wsdp:Relationship", "sequence", "Host? Hosted*"),
        ("dpws11:Hosted", "sequence", "EndpointReference+ Types ServiceId CompatibleId? HardwareId?"),
    ],
)  # fmt: skip
def test_content_models(key: str, content: str, children: str) -> None:
    decl = ELEMENTS[key]

    assert (content, children) == (decl.content, outline(decl))


@pytest.mark.parametrize(
    ("key", "type_name", "enum", "unit"),
    [
        ("dsp:JobToken", "guid", None, None),
        ("dsc:JobToken", "string255", None, None),
        ("dsp:UserIdentifier", "sid", None, None),
        ("dsp:JobCompletedState", "enum", "dsp:JobCompletedState", None),
        ("dsc:JobCompletedState", "enum", "dsc:JobState", None),
        ("wscn:Sharpness", "adj100", None, None),
        ("wscn:Width@size", "int1", None, "1/1000 inch"),
        ("wscn:Width@resolution", "int1", None, "pixels per inch"),
        ("wscn:Name@job", "qname", "wscn:JobSection", None),
        ("dsc:Dialect@filter", "qname", None, None),
        ("dsc:Dialect@status", "anyURI", "dsc:Dialect", None),
        ("wsd:Types", "qnames", None, None),
        ("wse:Expires", "expires", None, None),
        ("spf:SaveToSharePointSiteURL", "string2048", None, None),
    ],
)
def test_simple_content(key: str, type_name: str, enum: str | None, unit: str | None) -> None:
    decl = ELEMENTS[key]

    assert (type_name, enum, unit) == (decl.type, decl.enum, decl.unit)


def test_width_means_a_size_or_a_resolution_by_its_parent() -> None:
    keys = {child.key for parent in ("wscn:InputMediaSize", "wscn:Resolution") for child in ELEMENTS[parent].children}

    assert keys == {"wscn:Width@size", "wscn:Height@size", "wscn:Width@resolution", "wscn:Height@resolution"}


def test_attributes() -> None:
    format_ = {a.name: (a.namespace, a.type, a.required, a.default) for a in ELEMENTS["wscn:Format"].attributes}
    assert format_["MustHonor"] == (PREFIXES["wscn"], "bool", False, "false")
    assert ELEMENTS["dsd:DeviceCondition"].attributes[0].namespace == ""
    assert ELEMENTS["wscn:DeviceCondition"].attributes[0].namespace == PREFIXES["wscn"]
    assert [a.name for a in ELEMENTS["dsp:ElementData@job"].attributes if a.required] == ["Name", "Valid"]


def test_enumerations() -> None:
    assert ENUMS["dsp:JobState"].terminal == {"Aborted", "Canceled", "Completed"}
    assert "Pending-Held" in ENUMS["dsc:JobState"].values
    assert "Held" in ENUMS["wscn:JobState"].values
    assert "SendImangeFailed" in ENUMS["dsp:JobStateReason"].accept
    assert len(ENUMS["dsp:Format"].values) == len(ENUMS["wscn:Format"].values) == 16
    assert ENUMS["dsp:Format"].shape == "format"
    assert not ENUMS["wscn:JobCompletedState"].extensible
    assert "Terminating" not in ENUMS["wscn:JobCompletedState"].terminal
    assert set(ENUMS["wscn:Rotation"].values) == {"0", "90", "180", "270"}
    assert len(ENUMS["wsd:MatchBy"].values) == 6


@pytest.mark.parametrize(
    ("name", "service", "kind", "operation", "action"),
    [
        ("SendImageRequest", "WS-DSP", "request", "SendImage", "dsp/SendImage"),
        ("SendImageResponse", "WS-DSP", "response", "SendImage", "dsp/SendImageResponse"),
        ("PostScanJobEndStateEvent", "WS-DSP", "event", "PostScanJobEndStateEvent", "dsp/PostScanJobEndStateEvent"),
        ("PostScanJobEndStateEvent", "WS-DSC", "event", "PostScanJobEndStateEvent", "dsc/PostScanJobEndStateEvent"),
        ("JobEndStateEvent", "WS-DSD", "event", "JobEndStateEvent", "wscn/JobEndStateEvent"),
        ("GetRepositoryElementsRequest", "WS-DSC", "request", "GetRepositoryElements", "dsc/GetRepositoryElements"),
        ("RetrieveImageResponse", "WS-Scan", "response", "RetrieveImage", "wscn/RetrieveImageResponse"),
        ("Hello", "WS-Discovery", "discovery", "Hello", "wsd/Hello"),
        ("Get", "WS-Transfer", "request", "Get", "wxf/Get"),
        ("Put", "WS-Transfer", "request", "Put", "wxf/Put"),
        ("GetMetadataResponse", "WS-MetadataExchange", "response", "GetMetadata", "wsx/GetMetadata/Response"),
        ("UnsubscribeResponse", "WS-Eventing", "response", "Unsubscribe", "wse/UnsubscribeResponse"),
        ("SubscriptionEnd", "WS-Eventing", "request", "SubscriptionEnd", "wse/SubscriptionEnd"),
    ],
)
def test_messages(name: str, service: str, kind: str, operation: str, action: str) -> None:
    row = message(name, service)

    assert row is not None
    prefix, _, rest = action.partition("/")
    assert (kind, operation, f"{PREFIXES[prefix]}/{rest}") == (row.kind, row.operation, row.actions[0])
    assert row.one_way == (kind == "event" or name in ("Hello", "SubscriptionEnd"))


def test_the_number_of_messages_of_each_service() -> None:
    counts = {name: len(service.messages) for name, service in SERVICES.items()}

    assert counts == {
        "WS-DSP": 12,
        "WS-DSC": 14,
        "WS-DSD": 16,
        "WS-Scan": 23,
        "WS-Discovery": 12,
        "WS-Transfer": 8,
        "WS-MetadataExchange": 2,
        "WS-Eventing": 9,
    }


def test_versions_of_discovery() -> None:
    first, second = message("Probe"), message("Probe", namespace=PREFIXES["wsd11"])

    assert first is not None
    assert second is not None
    assert (PREFIXES["wsd"], PREFIXES["wsd11"]) == (first.namespace, second.namespace)
    assert message("Nonsense") is None


def test_events_of_ws_dsp_are_accepted_under_every_candidate_action() -> None:
    services = {row.service for row in BY_ACTION[f"{PREFIXES['dsc']}/PostScanJobStatusEvent"]}

    assert services == {"WS-DSP", "WS-DSC"}


def test_faults() -> None:
    pulled = fault("ClientErrorNoImagesAvailable", "WS-Scan")
    assert pulled is not None
    assert pulled.normal_for == ("RetrieveImage",)
    assert pulled.code == "Sender"
    assert set(pulled.operations) == {"CreateScanJob", "RetrieveImage"}

    misspelt = fault("ClientErrorInvalidDetinationToken")
    assert misspelt is not None
    assert misspelt.subcode == "ClientErrorInvalidDestinationToken"

    assert fault("ClientErrorDocumentFormatNotSupported") is fault("ClientErrorFormatNotSupported")
    assert len(FAULTS["InvalidArgs"]) == 4
    own = fault("InvalidArgs", "WS-DSC")
    assert own is not None
    assert own.namespace == PREFIXES["dsc"]
    assert fault("AcmeErrorLidOpen") is None
    assert fault(None) is None
    assert f"{PREFIXES['wsdp']}/Fault" in FAULT.actions


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("Completed", "Completed"),
        ("Aborted", "Aborted"),
        ("Canceled", "Canceled"),
        (" Cancelled\n", "Canceled"),
        ("completed", "Completed"),
        ("Terminating", "state"),
        ("Processing", "state"),
        ("Pending-Held", "state"),
        ("Held", "state"),
        ("acme:Parked", "vendor"),
        ("Done", "vendor"),
        ("", ""),
        (None, ""),
    ],
)
def test_end_state(value: str | None, meaning: str) -> None:
    assert end_state(value) == meaning


def test_known_states_and_filters() -> None:
    assert is_known_state("Creating")
    assert not is_known_state("acme:Parked")
    assert filter_name(f" {PREFIXES['emlf']} ") == "email"
    assert filter_name(qname("ftr:sharepoint")) == "sharepoint"
    assert filter_name("http://vendor.example/ocr") is None
    assert QName(PREFIXES["ftr"], "sharepoint", "ftr") == qname("ftr:sharepoint")


def test_json_names_lead_back_to_elements() -> None:
    assert {decl.key for decl in by_key()["xaddrs"]} == {"wsd:XAddrs", "wsd11:XAddrs"}


ROWS = Table(
    prefix="wscn",
    source="a page",
    pages=True,
    service="Test",
    action_bases=("wscn", "dsd"),
    event_bases=("wscn",),
    attributes="Id int1 qualified\nKind string =plain",
    enums="Colour terminal=Red closed shape=uri [colour.md]\n    Red  warm\n    ~Rouge  Red, in French\n",
    elements="""
# a comment
Tray : $parts Sheet@thick* {Id Kind?}
    +any -- holds sheets [tray.md]
$parts = Sheet? Lid
Sheet ~ Lid
Sheet@thick = int1 <1/1000_inch>
Lid = enum:Colour
Tary -> Tray
""",
    messages="operation Turn -- turns\nevent Turned\nrequest Ask * wsx/Ask",
    faults="LidOpen Receiver Turn! Ask ~LidOpened -- close it",
)


def test_the_notation() -> None:
    rows = read(ROWS)

    tray = rows.elements["wscn:Tray"]
    assert [(c.name, c.key, c.min, c.max) for c in tray["children"]] == [
        ("Sheet", "wscn:Sheet", 0, 1),
        ("Lid", "wscn:Lid", 1, 1),
        ("Sheet", "wscn:Sheet@thick", 0, UNBOUNDED),
    ]
    assert [(a.name, a.namespace, a.required, a.default) for a in tray["attributes"]] == [
        ("Id", PREFIXES["wscn"], True, None),
        ("Kind", "", False, "plain"),
    ]
    assert (tray["any_child"], tray["gloss"], tray["source"]) == (True, "holds sheets", "a page tray.md")
    assert rows.elements["wscn:Lid"]["enum"] == "wscn:Colour"
    assert rows.elements["wscn:Lid"]["source"] == "a page lid.md"
    assert rows.elements["wscn:Sheet"]["ordered"] is False
    assert rows.elements["wscn:Sheet@thick"]["unit"] == "1/1000 inch"
    assert rows.aliases == {(PREFIXES["wscn"], "Tary"): (PREFIXES["wscn"], "Tray")}
    colour = rows.enums["wscn:Colour"]
    assert (dict(colour.values), dict(colour.accept)) == ({"Red": "warm"}, {"Rouge": "Red, in French"})
    assert (colour.terminal, colour.extensible, colour.shape, colour.source) == (
        {"Red"},
        False,
        "uri",
        "a page colour.md",
    )
    assert [(m.name, m.kind, len(m.actions)) for m in rows.messages] == [
        ("TurnRequest", "request", 2),
        ("TurnResponse", "response", 4),
        ("Turned", "event", 1),
        ("Ask", "request", 1),
    ]
    assert rows.messages[3].any_body
    assert (rows.faults[0].normal_for, rows.faults[0].aliases) == (("Turn",), ("LidOpened",))


@pytest.mark.parametrize("row", ["Tray : nope:Sheet", "Tray ? Sheet", "Tray = int1 {Nope}", "Tray", "Tray : $nope"])
def test_a_bad_row_is_named(row: str) -> None:
    with pytest.raises(ValueError, match=r"row 'Tray"):
        read(Table(prefix="wscn", elements=row))
