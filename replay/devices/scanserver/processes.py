"""Scan processes: the ``psp:PostScanProcess`` documents that a directory keeps, here a folder of XML files.

A document says which server to use, how to scan, and what to do with the images; its identifier and the name that
people see are kept beside it in the directory (attributes msImaging-PSPIdentifier and displayName), not in it. So here
too:

* ``NAME.xml`` holds one document, its root ``psp:PostScanProcess``.
* ``processes.yaml`` in the same folder may say, for NAME, ``identifier`` (a GUID) and ``display_name``. Without it
  NAME itself is the identifier and must be a GUID; the display name is NAME.

    1d7ea36b-1f05-4fe9-8e37-5e2f5a4e5a61:
      display_name: Invoices to archive
    contracts:
      identifier: 6a1f3f4e-3c0b-4f0e-9a53-1d2c7c5b9e10
      display_name: Contracts

Sources: MS-BDSRR 2.2.4.35, 6.2.2; the directory pages of the driver documentation (dsp.yaml directory).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree
from lxml.etree import _Element as Element

from dissector.base.errors import UnreadableInput, UsageError
from dissector.base.findings import Severity
from dissector.catalog import Field, build, check, decode, element_of
from dissector.soap.namespaces import DSP, PSP, SPX
from dissector.soap.xml import parse_xml
from replay.base.yamlfile import load_yaml, wrong
from replay.devices.scanserver.instructions import (
    KINDS,
    FilterInstructions,
    Instructions,
    child,
    place,
    read_instructions,
)

__all__ = ["INDEX", "ScanProcess", "build_process", "load_processes", "read_process", "same_guid"]

INDEX = "processes.yaml"
"""Name of the index beside the documents."""

MAX_DOCUMENT = 1 << 20
"""Bytes of one document; the directory keeps 524288 characters (msImaging-PSPString)."""

MAX_PROCESSES = 10_000
"""Documents of one folder."""

MOST_TOLD = 5
"""Problems of one document that its error lists."""

EXAMPLE_IDENTIFIER = "1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61"

_GUID = re.compile(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")


@dataclass(frozen=True, slots=True)
class ScanProcess:
    """One scan process.

    Attributes:
        identifier: PSP_Identifier: upper case, without braces, as the samples write it.
        display_name: PSP_DisplayName.
        repository: ScanRepository: host name of the server to use.
        instructions: what the server does with the images.
        document: the decoded ``psp:PostScanProcess``.
    """

    identifier: str
    display_name: str
    repository: str
    instructions: Instructions
    document: Field

    @property
    def ticket(self) -> Field:
        """``psp:ScanTicket``: how to scan; ``.to_json()`` is its plain form."""
        found = self.document.find("ScanTicket")
        assert found is not None  # read_process looked
        return found

    def xml(self) -> bytes:
        """The document, as :func:`load_processes` reads it."""
        return etree.tostring(element_of(self.document), xml_declaration=True, encoding="utf-8", pretty_print=True)

    def request(self, user_identifier: str, *, document_root_name: str | None = None) -> Element:
        """``dsp:CreatePostScanJobRequest`` for this process, vendors' elements included.

        Args:
            user_identifier: SID of the user.
            document_root_name: another DocumentRootName than that of the process.
        """
        body = build("dsp:CreatePostScanJobRequest", {
            "user_identifier": user_identifier, "psp_identifier": self.identifier,
        })  # fmt: skip
        given = self.document.find("PostScanInstructions")
        assert given is not None
        # The wrapper is dsp here, its children stay psp (dsp.yaml Q04).
        wrapper = etree.SubElement(body, f"{{{DSP}}}PostScanInstructions")
        source = element_of(given)
        wrapper.attrib.update(source.attrib)
        for one in list(source):
            if document_root_name is not None and one.tag == f"{{{PSP}}}DocumentRootName":
                one.text = document_root_name
            wrapper.append(one)
        etree.cleanup_namespaces(body)
        return body

    @classmethod
    def example(
        cls,
        *,
        identifier: str = EXAMPLE_IDENTIFIER,
        display_name: str = "Invoices to archive",
        filters: Sequence[FilterInstructions] | None = None,
        **more: Any,
    ) -> ScanProcess:
        """A process made up from nothing, for trials: without ``filters`` one file share.

        Args:
            identifier, display_name: as above.
            filters: what it does.
            more: for :func:`build_process`.
        """
        if filters is None:
            shares = (r"\\files.example.com\scans",)
            filters = [FilterInstructions(KINDS["fileshare"], "fileshare", shares=shares)]
        made = build_process(filters=filters, **more)
        return read_process(etree.tostring(made), "example", identifier, display_name)


def same_guid(a: str, b: str) -> bool:
    """Whether two identifiers are the same: case and braces do not matter (dsp.yaml P73)."""
    return _normal(a) == _normal(b)


def load_processes(folder: str | Path) -> dict[str, ScanProcess]:
    """Read all documents of a folder.

    Returns:
        PSP_Identifier (see :attr:`ScanProcess.identifier`) → scan process, in the order of the file names.

    Raises:
        UnreadableInput: the folder or a file cannot be read.
        UsageError: a document or the index is wrong; says file, element path or line, and what was expected.
    """
    folder = Path(folder)
    try:
        files = sorted(one for one in folder.iterdir() if one.suffix.lower() == ".xml" and one.is_file())
    except OSError as error:
        raise UnreadableInput(f"{folder}: {error.strerror or error}; expected a folder of scan processes") from error
    if len(files) > MAX_PROCESSES:
        raise UsageError(f"{folder}: {len(files)} scan processes; no more than {MAX_PROCESSES} are taken")
    index = _index(folder / INDEX, {one.stem for one in files})
    found: dict[str, ScanProcess] = {}
    origin: dict[str, Path] = {}
    for path in files:
        identifier, display_name = index.get(path.stem, ("", ""))
        if not identifier and _GUID.fullmatch(_normal(path.stem)) is None:
            raise UsageError(
                f"{path}: its name is no GUID; name the file by its PSP_Identifier, or give {path.stem} an identifier "
                f"in {folder / INDEX}"
            )
        process = read_process(_bytes_of(path), str(path), identifier or path.stem, display_name or path.stem)
        if process.identifier in found:
            raise UsageError(
                f"{path}: has the PSP_Identifier {process.identifier}, as {origin[process.identifier]} has"
            )
        found[process.identifier], origin[process.identifier] = process, path
    return found


def read_process(data: bytes, name: str, identifier: str, display_name: str = "") -> ScanProcess:
    """Read one document.

    Args:
        data: XML.
        name: what errors call it.
        identifier: PSP_Identifier, a GUID.
        display_name: PSP_DisplayName; "" for the identifier.

    Raises:
        UsageError: it is no scan process; says the element path.
    """
    normal = _normal(identifier)
    if _GUID.fullmatch(normal) is None:
        raise UsageError(f"{name}: the identifier {identifier!r} is no GUID")
    parsed = parse_xml(data)
    root = parsed.root
    if root is None or parsed.recovered:
        why = next((one.text for one in parsed.findings if one.severity is Severity.ERROR), "it is empty")
        raise UsageError(f"{name}: no XML: {why}")
    if root.tag != f"{{{PSP}}}PostScanProcess":
        raise UsageError(f"{name}: the root element is {root.tag}; expected {{{PSP}}}PostScanProcess")
    document = decode(root)
    told = [f"{one.path}: {one.text}" for one in check(document) if one.severity is Severity.ERROR]
    repository = child(document, "ScanRepository")
    if repository is not None and not repository.text.strip():
        told.append(f"{_whole(place(repository))}: ScanRepository is empty; expected the host name of a scan server")
    given = child(document, "PostScanInstructions")
    instructions = Instructions()
    if given is not None:
        instructions, problems = read_instructions(given)
        told += [f"{_whole(one.path)}: {one.text}" for one in problems]
    for number, one in enumerate(instructions.filters, 1):
        if not one.kind and one.dialect:
            known = ", ".join(KINDS.values())
            told.append(f"filter {number}: Dialect {one.dialect!r} is not known; expected one of {known}")
    flags = [_flag(document, name, told) for name in ("AllowDeviceFileNameChange", "AllowDeviceFilePathChange")]
    if told:
        # The content model and the reader see the same gap each in its own words.
        told = list(dict.fromkeys(told))
        more = f"\n  and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        raise UsageError(f"{name}: no scan process:\n  " + "\n  ".join(told[:MOST_TOLD]) + more)
    assert repository is not None
    instructions = Instructions(
        instructions.continue_on_error, instructions.document_root_name, instructions.filters,
        instructions.allow_name_change or flags[0], instructions.allow_path_change or flags[1],
    )  # fmt: skip
    return ScanProcess(normal, display_name or normal, repository.text.strip(), instructions, document)


def build_process(
    *,
    filters: Sequence[FilterInstructions],
    repository: str = "scans.example.com",
    document_root_name: str = "Invoice",
    continue_on_error: bool | None = None,
    job_name: str = "Scan",
    user: str = "",
    parameters: Mapping[str, Any] | None = None,
    allow_name_change: bool | None = None,
    allow_path_change: bool | None = None,
) -> Element:
    """A ``psp:PostScanProcess`` document from plain data.

    Args:
        filters: what is done with the images, in this order.
        repository: ScanRepository.
        document_root_name: stem of the file names.
        continue_on_error: None: the element is left out, which means false.
        job_name, user: JobName and JobOriginatingUserName of the ticket.
        parameters: plain form of ``wscn:DocumentParameters``; None: none, the device's defaults hold.
        allow_name_change, allow_path_change: the flags of spx, at the end of the document; None: left out.

    Raises:
        UsageError: parameters that do not fit the catalogue.
    """
    instructions: dict[str, Any] = {
        "document_root_name": document_root_name,
        "filters_to_process": {"filter": [
            {"dialect": one.dialect, "instructions": _config(one)} for one in filters
        ]},
    }  # fmt: skip
    if continue_on_error is not None:
        instructions["continue_on_error"] = continue_on_error
    ticket: dict[str, Any] = {"job_description": {"job_name": job_name, "job_originating_user_name": user}}
    if parameters is not None:
        ticket["document_parameters"] = parameters
    data: dict[str, Any] = {
        "scan_repository": repository, "scan_ticket": ticket, "post_scan_instructions": instructions,
    }  # fmt: skip
    if allow_name_change is not None:
        data["allow_device_file_name_change"] = allow_name_change
    if allow_path_change is not None:
        data["allow_device_file_path_change"] = allow_path_change
    return build("psp:PostScanProcess", data)


def _config(one: FilterInstructions) -> dict[str, Any]:
    if one.kind == "fileshare":
        return {"file_share_config": {"file_shares": {"share_unc": list(one.shares)}} if one.shares else {}}
    if one.kind == "email":
        config: dict[str, Any] = {"send_to_scan_user": one.to_scan_user}
        if one.addresses:
            addresses = {"@can_add_addresses": one.can_add_addresses, "email_address": list(one.addresses)}
            config["send_to_addresses"] = addresses
        return {"email_config": config}
    if one.kind == "sharepoint":
        config = {"save_to_my_site": one.my_site}
        if one.sites:
            config["save_to_share_point_sites"] = {"save_to_share_point_site_url": list(one.sites)}
        return {"share_point_config": config}
    return {}


def _index(path: Path, stems: set[str]) -> dict[str, tuple[str, str]]:
    """File stem → (identifier or "", display name or "")."""
    if not path.exists():
        return {}
    data = load_yaml(path)
    name = str(path)
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise wrong(name, data, None, "no mapping", "file names without .xml, each with identifier and display_name")
    found = {}
    for key, value in data.items():
        stem = str(key)
        if stem not in stems:
            raise wrong(name, data, key, f"there is no file {stem}.xml beside it")
        if not isinstance(value, Mapping):
            raise wrong(name, data, key, f"{stem} is no mapping", "identifier and display_name")
        for member, text in value.items():
            if member not in ("identifier", "display_name"):
                raise wrong(name, value, member, f"{member} is not known", "identifier, display_name")
            if not isinstance(text, str) or not text.strip() or len(text) > 255:
                raise wrong(name, value, member, f"{member} is {text!r}", "a text of 1 to 255 characters")
        identifier = str(value.get("identifier", "")).strip()
        if identifier and _GUID.fullmatch(_normal(identifier)) is None:
            raise wrong(name, value, "identifier", f"{identifier!r} is no GUID", f"such as {EXAMPLE_IDENTIFIER}")
        found[stem] = (identifier, str(value.get("display_name", "")).strip())
    return found


def _bytes_of(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror or error}") from error
    if len(data) > MAX_DOCUMENT:
        raise UsageError(f"{path}: more than {MAX_DOCUMENT} bytes, too long for a scan process")
    return data


def _flag(document: Field, name: str, told: list[str]) -> bool:
    """A flag of spx that stands at the end of the document; where it belongs no source says."""
    one = child(document, name, SPX)
    if one is not None and not isinstance(one.value, bool):
        told.append(f"{_whole(place(one))}: {name} is {one.text.strip()[:80]!r}, neither true nor false")
    return one is not None and one.value is True


def _whole(path: str) -> str:
    return f"PostScanProcess/{path}"


def _normal(identifier: str) -> str:
    return identifier.strip().strip("{}").upper()
