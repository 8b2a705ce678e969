"""PostScanInstructions: what a server does with the images of a job, read from a request or from a scan process.

The same children stand in ``dsp:PostScanInstructions`` (CreatePostScanJobRequest) and ``psp:PostScanInstructions``
(scan process). Reading never raises on what a peer sent: it gives what could be understood, and the problems with their
place.

Three things are left to others on purpose. A dialect that nobody knows is no problem of the instructions: the filter
has the kind ``""``, it ends with an error, and a job that has no other filters ends with
NoValidPostScanInstructionsFound (MS-BDSRR 2.2.5.11). A target that makes no sense (a ShareUNC that is no UNC path, an
e-mail address with a line end) is an error of its filter, InvalidArgs. A list that is left out means that nothing is
asked for (dsp.yaml P30 to P32).

Sources: MS-BDSRR 6.2.2 and 6.2.4 to 6.2.7; psp, email, fileshare and sharepoint pages of the driver documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dissector.catalog import FILTER_NAMES, Field
from dissector.soap.namespaces import SPX

__all__ = ["KINDS", "FilterInstructions", "Instructions", "Problem", "compare", "read_instructions"]

KINDS = {kind: dialect for dialect, kind in FILTER_NAMES.items()}
"""``email``, ``fileshare``, ``sharepoint`` → Dialect."""

MAX_FILTERS = 64
"""Filters of one job."""

MAX_TARGETS = 256
"""Shares, addresses or sites of one filter."""

MAX_TEXT = 255
MAX_URL = 2048
"""Characters of a target (String255ExtType, String2048ExtType)."""

_CONFIG = {"email": "EmailConfig", "fileshare": "FileShareConfig", "sharepoint": "SharePointConfig"}
_WHITE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and where: element path such as ``PostScanInstructions/FiltersToProcess/Filter[2]/Dialect``."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class FilterInstructions:
    """One filter.

    Attributes:
        dialect: URI.
        kind: ``fileshare``, ``email``, ``sharepoint``; "" for a dialect that is not known.
        shares: ShareUNC values.
        addresses: EmailAddress values.
        to_scan_user: SendToScanUser.
        can_add_addresses: CanAddAddresses.
        sites: SaveToSharePointSiteURL values.
        my_site: SaveToMySite.
    """

    dialect: str
    kind: str = ""
    shares: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    to_scan_user: bool = False
    can_add_addresses: bool = False
    sites: tuple[str, ...] = ()
    my_site: bool = False


@dataclass(frozen=True, slots=True)
class Instructions:
    """What to do with the images of one job.

    Attributes:
        continue_on_error: go on with the next filter after one that failed; false where it is left out (2.2.3.36).
        document_root_name: stem of the file names.
        filters: in order.
        allow_name_change: spx:AllowDeviceFileNameChange, of a scan process.
        allow_path_change: spx:AllowDeviceFilePathChange, of a scan process.
    """

    continue_on_error: bool = False
    document_root_name: str = ""
    filters: tuple[FilterInstructions, ...] = ()
    allow_name_change: bool = False
    allow_path_change: bool = False

    @property
    def held(self) -> int:
        """Bytes of memory that their texts take."""
        texts = [self.document_root_name]
        for one in self.filters:
            texts += [one.dialect, *one.shares, *one.addresses, *one.sites]
        return sum(map(sys.getsizeof, texts))


@dataclass(slots=True)
class _Reader:
    problems: list[Problem] = field(default_factory=list)

    def say(self, path: str, text: str) -> None:
        self.problems.append(Problem(path, text))

    def flag(self, parent: Field, name: str, namespace: str = "") -> bool:
        one = child(parent, name, namespace)
        if one is None:
            return False
        if not isinstance(one.value, bool):
            self.say(place(one), f"{name} is {_shown(one.text)}, neither true nor false")
            return False
        return one.value

    def texts(self, parent: Field, holder: str, name: str, longest: int) -> tuple[str, ...]:
        """The values of a list; a list that is there must not be empty (schema, 2.2.4.75, 2.2.4.78, 2.2.4.82)."""
        found = child(parent, holder)
        if found is None:
            return ()
        members = [one for one in found.find_all(name) if one.decl is not None]
        if not members:
            self.say(place(found), f"{holder} has no {name}")
        if len(members) > MAX_TARGETS:
            self.say(place(found), f"{holder} has {len(members)} {name}; this server takes {MAX_TARGETS}")
        values = []
        for one in members[:MAX_TARGETS]:
            text = one.text.strip(_WHITE)
            if not text:
                self.say(place(one), f"{name} is empty")
            elif len(text) > longest:
                self.say(place(one), f"{name} has {len(text)} characters, {longest} are allowed")
            else:
                values.append(text)
        return tuple(values)

    def filter(self, one: Field) -> FilterInstructions:
        dialect_field = child(one, "Dialect")
        dialect = dialect_field.text.strip(_WHITE) if dialect_field is not None else ""
        if dialect_field is None:
            self.say(place(one), "Filter has no Dialect")
        elif not dialect:
            self.say(place(dialect_field), "Dialect is empty")
        elif len(dialect) > MAX_URL:
            self.say(place(dialect_field), f"Dialect has {len(dialect)} characters, {MAX_URL} are allowed")
        kind = FILTER_NAMES.get(dialect, "")
        holder = child(one, "Instructions")
        if holder is None:
            self.say(place(one), "Filter has no Instructions")
        if holder is None or not kind:
            return FilterInstructions(dialect, kind)
        # A scan process may have extensions of a vendor beside it; the dialect's own element must be there.
        configs = [c for c in holder.children if c.namespace == dialect and c.name == _CONFIG[kind]]
        others = [c for c in holder.children if c.namespace in FILTER_NAMES and c.namespace != dialect]
        for other in others:
            self.say(place(other), f"{other.name} does not belong to the Dialect {dialect}")
        if len(configs) != 1:
            if not others:
                self.say(place(holder), f"Instructions has {len(configs) or 'no'} {_CONFIG[kind]}; one is due")
            return FilterInstructions(dialect, kind)
        config = configs[0]
        if kind == "fileshare":
            return FilterInstructions(dialect, kind, shares=self.texts(config, "FileShares", "ShareUNC", MAX_TEXT))
        if kind == "email":
            addresses = self.texts(config, "SendToAddresses", "EmailAddress", MAX_TEXT)
            return FilterInstructions(
                dialect, kind, addresses=addresses, to_scan_user=self.flag(config, "SendToScanUser"),
                can_add_addresses=self.may_add(config),
            )  # fmt: skip
        sites = self.texts(config, "SaveToSharePointSites", "SaveToSharePointSiteURL", MAX_URL)
        return FilterInstructions(dialect, kind, sites=sites, my_site=self.flag(config, "SaveToMySite"))

    def may_add(self, config: Field) -> bool:
        holder = child(config, "SendToAddresses")
        value, text = holder.attributes.get("CanAddAddresses", (False, "")) if holder is not None else (False, "")
        if not isinstance(value, bool):
            assert holder is not None
            self.say(f"{place(holder)}/@CanAddAddresses", f"CanAddAddresses is {_shown(text)}, neither true nor false")
            return False
        return value


def read_instructions(given: Field) -> tuple[Instructions, list[Problem]]:
    """Read decoded instructions.

    Args:
        given: ``dsp:PostScanInstructions`` or ``psp:PostScanInstructions``.

    Returns:
        What they say, as far as it can be understood, and what is wrong with them, in document order by element.
    """
    reader = _Reader()
    name_field = child(given, "DocumentRootName")
    name = name_field.text.strip(_WHITE) if name_field is not None else ""
    if name_field is None:
        reader.say(place(given), f"{given.name} has no DocumentRootName")
    elif not name:
        reader.say(place(name_field), "DocumentRootName is empty")
    elif len(name) > MAX_TEXT:
        reader.say(place(name_field), f"DocumentRootName has {len(name)} characters, {MAX_TEXT} are allowed")
    holder = child(given, "FiltersToProcess")
    members = [one for one in holder.find_all("Filter") if one.decl is not None] if holder is not None else []
    if holder is None:
        reader.say(place(given), f"{given.name} has no FiltersToProcess")
    elif not members:
        reader.say(place(holder), "FiltersToProcess has no Filter")
    elif len(members) > MAX_FILTERS:
        reader.say(place(holder), f"FiltersToProcess has {len(members)} Filter; this server takes {MAX_FILTERS}")
    filters = tuple(reader.filter(one) for one in members[:MAX_FILTERS])
    instructions = Instructions(
        continue_on_error=reader.flag(given, "ContinueOnError"),
        document_root_name=name,
        filters=filters,
        allow_name_change=reader.flag(given, "AllowDeviceFileNameChange", SPX),
        allow_path_change=reader.flag(given, "AllowDeviceFilePathChange", SPX),
    )
    return instructions, reader.problems


def compare(given: Instructions, kept: Instructions, *, extensions: bool = True) -> list[Problem]:
    """What a device asked for against what the directory says (dsp.yaml P28, P29; dsc.yaml C84, C85).

    The directory's copy decides what may differ: DocumentRootName where it has AllowDeviceFileNameChange, ShareUNC
    where it has AllowDeviceFilePathChange, additional e-mail addresses where it has CanAddAddresses; the device's own
    copy of these permissions is not looked at. Filters must come in the same order; the order of targets means nothing,
    and the case of paths, URLs and addresses neither.

    Args:
        given: of the request.
        kept: of the scan process.
        extensions: the server knows the two permissions of spx (Windows before Server 2016 does not, notes 2 to 7).

    Returns:
        The differences, in the request's order.
    """
    found: list[Problem] = []
    root = "PostScanInstructions"
    if given.continue_on_error != kept.continue_on_error:
        text = f"it is {_word(given.continue_on_error)}, the scan process has {_word(kept.continue_on_error)}"
        found.append(Problem(f"{root}/ContinueOnError", text))
    if given.document_root_name != kept.document_root_name and not (extensions and kept.allow_name_change):
        text = f"{_shown(given.document_root_name)}, the scan process has {_shown(kept.document_root_name)}"
        found.append(Problem(f"{root}/DocumentRootName", f"it is {text} and does not let the device change it"))
    root += "/FiltersToProcess"
    mine, theirs = [one.dialect for one in given.filters], [one.dialect for one in kept.filters]
    if mine != theirs:
        text = f"the filters are {_names(given.filters)}, the scan process has {_names(kept.filters)}"
        return [*found, Problem(root, text)]
    for number, (one, other) in enumerate(zip(given.filters, kept.filters, strict=True), 1):
        path = f"{root}/Filter[{number}]/Instructions" if number > 1 else f"{root}/Filter/Instructions"
        found.extend(_filter_differences(one, other, path, extensions and kept.allow_path_change))
    return found


def _filter_differences(
    given: FilterInstructions, kept: FilterInstructions, path: str, free_path: bool
) -> Iterator[Problem]:
    if not free_path:
        yield from _lists(given.shares, kept.shares, f"{path}/FileShareConfig/FileShares", "ShareUNC")
    base = f"{path}/EmailConfig"
    if given.to_scan_user != kept.to_scan_user:
        text = f"it is {_word(given.to_scan_user)}, the scan process has {_word(kept.to_scan_user)}"
        yield Problem(f"{base}/SendToScanUser", text)
    add = kept.can_add_addresses
    yield from _lists(given.addresses, kept.addresses, f"{base}/SendToAddresses", "EmailAddress", more=add)
    base = f"{path}/SharePointConfig"
    if given.my_site != kept.my_site:
        yield Problem(
            f"{base}/SaveToMySite", f"it is {_word(given.my_site)}, the scan process has {_word(kept.my_site)}"
        )
    yield from _lists(given.sites, kept.sites, f"{base}/SaveToSharePointSites", "SaveToSharePointSiteURL")


def _lists(given: Sequence[str], kept: Sequence[str], path: str, name: str, *, more: bool = False) -> Iterator[Problem]:
    mine, theirs = {_folded(one) for one in given}, {_folded(one) for one in kept}
    added = [one for one in given if _folded(one) not in theirs]
    missing = [one for one in kept if _folded(one) not in mine]
    if added and not more:
        yield Problem(path, f"{name} {_shown(added[0])} is not in the scan process")
    if missing:
        yield Problem(path, f"{name} {_shown(missing[0])} of the scan process is missing")


def child(parent: Field, name: str, namespace: str = "") -> Field | None:
    """The first child of a name that the catalogue knows there; with ``namespace`` the first of that namespace."""
    if not namespace:
        found = parent.find(name)
        return found if found is not None and found.decl is not None else None
    return next((one for one in parent.children if (one.name, one.namespace) == (name, namespace)), None)


def place(one: Field) -> str:
    """The element path of a field; its own name where it is the root."""
    return one.path or one.name


def _folded(text: str) -> str:
    return text.replace("/", "\\").rstrip("\\").casefold()


def _word(value: bool) -> str:
    return "true" if value else "false"


def _names(filters: Sequence[FilterInstructions]) -> str:
    return ", ".join(one.kind or one.dialect or "(no dialect)" for one in filters) or "none"


def _shown(text: str) -> str:
    text = text.strip(_WHITE)
    return repr(text if len(text) <= 80 else text[:77] + "...")
