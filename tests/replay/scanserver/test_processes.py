"""Scan processes and their instructions: read, judged, compared, written again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dissector.base.errors import UnreadableInput, UsageError
from dissector.catalog import build, check, decode
from dissector.soap.namespaces import DSP, EMLF, FSF, PSP, SPX
from replay.devices.scanserver.instructions import KINDS, FilterInstructions, Instructions, compare, read_instructions
from replay.devices.scanserver.processes import ScanProcess, build_process, load_processes, read_process, same_guid
from tests.support import wsd
from tests.support.postscan import email, fileshare, sharepoint

ID = "1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61"
ALL = [
    fileshare(r"\\files.example.com\scans", r"\\files.example.com\archive\2026"),
    email("archive@example.com", "boss@example.com", user=True, more=True),
    sharepoint("http://portal.example.com/sites/scans/Documents", mine=True),
]


def read(text: str) -> tuple[Instructions, list[tuple[str, str]]]:
    names = f'xmlns:dsp="{DSP}" xmlns:psp="{PSP}" xmlns:emlf="{EMLF}" xmlns:fsf="{FSF}" xmlns:spx="{SPX}"'
    body = f"<dsp:CreatePostScanJobRequest {names}><dsp:PostScanInstructions>{text}</dsp:PostScanInstructions>"
    field = decode(etree.fromstring(body + "</dsp:CreatePostScanJobRequest>")).find("PostScanInstructions")
    assert field is not None
    instructions, problems = read_instructions(field)
    return instructions, [(one.path.removeprefix("PostScanInstructions"), one.text) for one in problems]


def one_filter(inner: str, dialect: str = FSF) -> str:
    return (
        "<psp:DocumentRootName>a</psp:DocumentRootName><psp:FiltersToProcess><psp:Filter><psp:Dialect>"
        f"{dialect}</psp:Dialect><psp:Instructions>{inner}</psp:Instructions></psp:Filter></psp:FiltersToProcess>"
    )


def test_instructions_of_a_request():
    rows = [wsd.FilterSpec(wsd.EMAIL), wsd.FilterSpec(wsd.FILESHARE), wsd.FilterSpec(wsd.SHAREPOINT)]
    text = wsd.instructions(rows).replace("<dsp:", f'<dsp:x xmlns:dsp="{DSP}" xmlns:psp="{PSP}"><dsp:', 1)
    field = decode(etree.fromstring(text + "</dsp:x>")).find("PostScanInstructions")
    assert field is not None
    instructions, problems = read_instructions(field)
    assert problems == []
    assert instructions == Instructions(
        True,
        "Invoice",
        (
            email("archive@example.com", user=True),
            fileshare(r"\\files.example.com\scans"),
            sharepoint("http://portal.example.com/sites/scans/Documents"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        ("", "", "no DocumentRootName"),
        ("<psp:DocumentRootName> </psp:DocumentRootName>", "/DocumentRootName", "empty"),
        (f"<psp:DocumentRootName>{'a' * 256}</psp:DocumentRootName>", "/DocumentRootName", "256 characters"),
        ("<psp:DocumentRootName>a</psp:DocumentRootName>", "", "no FiltersToProcess"),
        ("<psp:FiltersToProcess/>", "/FiltersToProcess", "no Filter"),
        ("<psp:FiltersToProcess><psp:Filter/></psp:FiltersToProcess>", "/FiltersToProcess/Filter", "no Dialect"),
        ("<psp:ContinueOnError>perhaps</psp:ContinueOnError>", "/ContinueOnError", "'perhaps'"),
        (
            "<spx:AllowDeviceFileNameChange>7</spx:AllowDeviceFileNameChange>",
            "/AllowDeviceFileNameChange",
            "neither true nor false",
        ),
        (one_filter(""), "/FiltersToProcess/Filter/Instructions", "no FileShareConfig"),
        (
            one_filter("<emlf:EmailConfig/>"),
            "/FiltersToProcess/Filter/Instructions/EmailConfig",
            "does not belong to the Dialect",
        ),
        (one_filter("", dialect=" "), "/FiltersToProcess/Filter/Dialect", "empty"),
        (
            one_filter("<fsf:FileShareConfig><fsf:FileShares/></fsf:FileShareConfig>"),
            "/FiltersToProcess/Filter/Instructions/FileShareConfig/FileShares",
            "no ShareUNC",
        ),
        (
            one_filter(
                "<fsf:FileShareConfig><fsf:FileShares><fsf:ShareUNC>x</fsf:ShareUNC><fsf:ShareUNC> </fsf:ShareUNC>"
                "</fsf:FileShares></fsf:FileShareConfig>"
            ),
            "/FiltersToProcess/Filter/Instructions/FileShareConfig/FileShares/ShareUNC[2]",
            "empty",
        ),
        (
            one_filter(
                '<emlf:EmailConfig><emlf:SendToAddresses emlf:CanAddAddresses="2"><emlf:EmailAddress>a@b'
                "</emlf:EmailAddress></emlf:SendToAddresses></emlf:EmailConfig>",
                EMLF,
            ),
            "/FiltersToProcess/Filter/Instructions/EmailConfig/SendToAddresses/@CanAddAddresses",
            "'2'",
        ),
    ],
)
def test_problem(text: str, path: str, told: str):
    _, problems = read(text)
    assert [(where, what) for where, what in problems if where == path and told in what], problems


def test_unknown_dialect_is_a_filter_of_no_kind():
    instructions, problems = read(one_filter("<x/>", "urn:acme:fax"))
    assert problems == []
    assert instructions.filters == (FilterInstructions("urn:acme:fax"),)


def test_too_many_are_bounded():
    shares = "<fsf:ShareUNC>x</fsf:ShareUNC>" * 257
    inner = f"<fsf:FileShareConfig><fsf:FileShares>{shares}</fsf:FileShares></fsf:FileShareConfig>"
    instructions, problems = read(one_filter(inner))
    assert len(instructions.filters[0].shares) == 256
    assert len(problems) == 1
    filters = "<psp:Filter><psp:Dialect>urn:x</psp:Dialect><psp:Instructions/></psp:Filter>" * 65
    many = f"<psp:DocumentRootName>a</psp:DocumentRootName><psp:FiltersToProcess>{filters}</psp:FiltersToProcess>"
    instructions, problems = read(many)
    assert len(instructions.filters) == 64
    assert len(problems) == 1


@given(st.recursive(st.text("ab", max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=12), st.data())
def test_reading_never_raises(tree, data):
    names = [
        "psp:DocumentRootName", "psp:FiltersToProcess", "psp:Filter", "psp:Dialect", "psp:Instructions",
        "fsf:FileShareConfig", "fsf:FileShares", "fsf:ShareUNC", "emlf:EmailConfig", "emlf:SendToAddresses",
    ]  # fmt: skip

    def text(node) -> str:
        if isinstance(node, str):
            return data.draw(st.sampled_from([node, FSF, EMLF, ""]))
        return "".join(f"<{name}>{text(one)}</{name}>" for one in node for name in [data.draw(st.sampled_from(names))])

    instructions, problems = read(text(tree))
    assert problems or instructions.filters


# -- comparing -----------------------------------------------------------------------------------------------------


def told(given: Instructions, kept: Instructions, **more: bool) -> list[str]:
    return [one.path.removeprefix("PostScanInstructions/") for one in compare(given, kept, **more)]


def test_the_same_is_the_same():
    kept = Instructions(True, "Invoice", tuple(ALL))
    assert told(kept, kept) == []
    shares = (r"\\FILES.example.com\archive\2026", "//files.example.com/scans/")
    assert told(Instructions(True, "Invoice", (fileshare(*shares), *ALL[1:])), kept) == []


def test_name_and_path_may_change_only_where_the_directory_says_so():
    kept = Instructions(False, "Invoice", (fileshare(r"\\a\b"),))
    given = Instructions(False, "Letter", (fileshare(r"\\a\c"),), allow_name_change=True, allow_path_change=True)
    shares = "FiltersToProcess/Filter/Instructions/FileShareConfig/FileShares"
    assert told(given, kept) == ["DocumentRootName", shares, shares]
    free = Instructions(False, "Invoice", kept.filters, True, True)
    assert told(given, free) == []
    assert len(told(given, free, extensions=False)) == 3


def test_addresses_may_be_added_only_where_the_directory_says_so():
    kept = Instructions(False, "a", (email("one@example.com"),))
    more = Instructions(False, "a", (email("one@example.com", "two@example.com", more=True),))
    path = "FiltersToProcess/Filter/Instructions/EmailConfig/SendToAddresses"
    assert told(more, kept) == [path]
    free = Instructions(False, "a", (email("one@example.com", more=True),))
    assert told(more, free) == []
    assert told(Instructions(False, "a", (email("two@example.com"),)), free) == [path]


def test_other_differences():
    kept = Instructions(False, "a", (email("one@example.com"), sharepoint("http://a/b")))
    given = Instructions(True, "a", (email("one@example.com", user=True), sharepoint("http://a/c", mine=True)))
    base = "FiltersToProcess/Filter"
    assert told(given, kept) == [
        "ContinueOnError",
        f"{base}/Instructions/EmailConfig/SendToScanUser",
        f"{base}[2]/Instructions/SharePointConfig/SaveToMySite",
        f"{base}[2]/Instructions/SharePointConfig/SaveToSharePointSites",
        f"{base}[2]/Instructions/SharePointConfig/SaveToSharePointSites",
    ]
    assert told(Instructions(False, "a", kept.filters[::-1]), kept) == ["FiltersToProcess"]


# -- the folder ----------------------------------------------------------------------------------------------------


def test_build_then_read_gives_the_same():
    document = build_process(filters=ALL, continue_on_error=True, allow_name_change=True, allow_path_change=False)
    assert check(decode(document)) == []
    process = read_process(etree.tostring(document), "x", f"{{{ID.lower()}}}", "Invoices")
    assert process.instructions == Instructions(True, "Invoice", tuple(ALL), True, False)
    assert (process.identifier, process.display_name, process.repository) == (ID, "Invoices", "scans.example.com")
    assert process.ticket.to_json() == {"job_description": {"job_name": "Scan", "job_originating_user_name": ""}}
    assert read_process(process.xml(), "y", ID).instructions == process.instructions


def test_request_holds_the_process_with_vendors_elements():
    document = build_process(filters=ALL)
    instructions = document.find(f"{{{PSP}}}PostScanInstructions")
    assert instructions is not None
    etree.SubElement(instructions, "{urn:acme}Stamp").text = "blue"
    process = read_process(etree.tostring(document), "x", ID)
    request = decode(process.request("S-1-5-21-1-2-3-1104", document_root_name="Other"))
    assert check(request) == []
    assert request.get("PSP_Identifier") == ID
    assert request.get("PostScanInstructions/Stamp") == "blue"
    field = request.find("PostScanInstructions")
    assert field is not None
    assert field.namespace == DSP
    sent, problems = read_instructions(field)
    assert problems == []
    assert [one.path for one in compare(sent, process.instructions)] == ["PostScanInstructions/DocumentRootName"]


def test_example():
    process = ScanProcess.example(document_root_name="Trial")
    assert process.identifier == ID
    assert process.instructions.document_root_name == "Trial"
    assert process.instructions.filters[0].kind == "fileshare"
    assert ScanProcess.example(filters=ALL).instructions.filters == tuple(ALL)


def test_folder_without_and_with_index(tmp_path: Path):
    (tmp_path / f"{ID.lower()}.xml").write_bytes(ScanProcess.example().xml())
    (tmp_path / "contracts.xml").write_bytes(ScanProcess.example(document_root_name="Contract").xml())
    (tmp_path / "readme.txt").write_text("not read")
    with pytest.raises(UsageError, match=r"contracts\.xml: its name is no GUID.*processes\.yaml"):
        load_processes(tmp_path)
    other = "6a1f3f4e-3c0b-4f0e-9a53-1d2c7c5b9e10"
    (tmp_path / "processes.yaml").write_text(f"contracts:\n  identifier: '{{{other}}}'\n  display_name: Contracts\n")
    found = load_processes(tmp_path)
    assert {key: one.display_name for key, one in found.items()} == {ID: ID.lower(), other.upper(): "Contracts"}
    (tmp_path / "processes.yaml").write_text(f"contracts:\n  identifier: {ID}\n")
    with pytest.raises(UsageError, match="has the PSP_Identifier"):
        load_processes(tmp_path)


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("- a\n", "no mapping"),
        ("a: b\n", r"yaml:1: there is no file a\.xml"),
        ("contracts: b\n", "yaml:1: contracts is no mapping"),
        ("contracts:\n  name: x\n", "yaml:2: name is not known"),
        ("contracts:\n  identifier: 17\n", "yaml:2: identifier is 17"),
        ("contracts:\n  identifier: x\n", "yaml:2: 'x' is no GUID"),
    ],
)
def test_wrong_index(tmp_path: Path, index: str, told: str):
    (tmp_path / "contracts.xml").write_bytes(ScanProcess.example().xml())
    (tmp_path / "processes.yaml").write_text(index)
    with pytest.raises(UsageError, match=told):
        load_processes(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: b"", "no XML: the document is empty"),
        (lambda text: text[:-30], "no XML"),
        (lambda text: text.replace(b"PostScanProcess", b"PostScan"), "the root element is"),
        (
            lambda text: text.replace(b"scans.example.com", b" "),
            "PostScanProcess/ScanRepository: ScanRepository is empty",
        ),
        (
            lambda text: text.replace(b"psp:ScanTicket", b"psp:Ticket"),
            "PostScanProcess: PostScanProcess has no ScanTicket",
        ),
        (
            lambda text: text.replace(b"psp:DocumentRootName", b"psp:Name"),
            "PostScanProcess/PostScanInstructions: PostScanInstructions has no DocumentRootName",
        ),
        (lambda text: text.replace(b">" + FSF.encode(), b">urn:x"), "Dialect 'urn:x' is not known"),
    ],
)
def test_wrong_document(tmp_path: Path, change, told: str):
    path = tmp_path / f"{ID}.xml"
    path.write_bytes(change(ScanProcess.example().xml()))
    with pytest.raises(UsageError, match=ID) as error:
        load_processes(tmp_path)
    assert told in str(error.value)
    assert str(error.value).count(told) == 1


def test_unreadable_folder(tmp_path: Path):
    with pytest.raises(UnreadableInput, match="expected a folder of scan processes"):
        load_processes(tmp_path / "none")


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [(ID, ID.lower(), True), (f"{{{ID}}}", f" {ID} ", True), (ID, ID.replace("1D", "2D"), False), ("", "", True)],
)
def test_same_guid(a: str, b: str, same: bool):
    assert same_guid(a, b) is same


def test_kinds_are_those_of_the_catalogue():
    assert set(KINDS) == {"email", "fileshare", "sharepoint"}
    assert build("psp:PostScanProcess", {}).tag == f"{{{PSP}}}PostScanProcess"
