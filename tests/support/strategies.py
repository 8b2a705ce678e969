"""Hypothesis strategies made from the catalogue: plausible content of any element, and small XML of known names."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from dissector.catalog import ELEMENTS, ENUMS, PREFIXES, TYPES, ElementDecl, snake_case

DEEP = 7
"""Below this depth only what is required is made."""

_LETTERS = "abcXYZ019 .-_/äß€中"
TEXT = st.text(_LETTERS, max_size=12).map(str.strip)
WORD = st.text("abcXYZ019-_", min_size=1, max_size=8)
URI = st.one_of(
    WORD.map(lambda word: f"http://192.0.2.1:5357/{word}"),
    st.uuids().map(lambda value: f"urn:uuid:{value}"),
)
DATE_TIME = st.builds(
    lambda moment, fraction, zone: f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{fraction}{zone}",
    st.datetimes(),
    st.sampled_from(["", ".5", ".519", ".8345"]),
    st.sampled_from(["", "Z", "+02:00", "-11:30"]),
)
DURATION = st.sampled_from(["PT1H", "P0Y0M0DT30H0M0S", "P1D", "PT3600S", "PT0.5S", "P1Y2M3DT4H5M6.7S"])
QNAME = st.builds(
    lambda prefix, local: f"{{{PREFIXES[prefix]}}}{local}",
    st.sampled_from(["wsdp", "wscn", "dsp"]),
    st.sampled_from(["Device", "ScanDeviceType", "JobStatus"]),
)

_BASES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "bool": st.booleans(),
    "dateTime": DATE_TIME,
    "duration": DURATION,
    "expires": st.one_of(DURATION, DATE_TIME),
    "anyURI": URI,
    "qname": QNAME,
    "guid": st.uuids().map(str),
    "sid": st.integers(0, 2**31).map(lambda rid: f"S-1-5-21-917267712-1342860078-1792151419-{rid}"),
    "base64": st.binary(max_size=9).map(lambda data: b64encode(data).decode()),
    "list-uri": st.lists(URI, max_size=3),
    "list-qname": st.lists(QNAME, max_size=3),
}


def values(type_name: str, enum: str | None = None, namespace: str = "") -> st.SearchStrategy[Any]:
    """Values of a simple type, as plain data."""
    kind = TYPES[type_name]
    if enum is not None:
        known = sorted(ENUMS[enum].values)
        if kind.base == "qname":
            return st.sampled_from([f"{{{namespace}}}{value}" for value in known])
        return st.sampled_from(known)
    if kind.base == "int":
        return st.integers(kind.min, kind.max)
    return _BASES[kind.base]


@st.composite
def content(draw: st.DrawFn, decl: ElementDecl, depth: int = 0) -> Any:
    """Plain data of an element, as ``field_json`` gives it: valid by the catalogue."""
    attributes = {}
    for one in decl.attributes:
        if one.required or (depth < DEEP and draw(st.booleans())):
            attributes[f"@{snake_case(one.name)}"] = draw(values(one.type))
    if decl.content == "simple":
        assert decl.type is not None
        value = draw(values(decl.type, decl.enum, decl.namespace))
        return {"#text": value, **attributes} if decl.attributes else value
    data: dict[str, Any] = dict(attributes)
    if decl.content == "xop":
        data["include"] = {"@href": "cid:" + draw(WORD)}
        return data
    chosen = list(decl.children)
    if decl.content == "choice" and chosen:
        # The first alternative ends what could go on without end (Metadata in MetadataSection).
        chosen = [draw(st.sampled_from(chosen)) if depth < DEEP else chosen[1]]
    for child in chosen:
        key = snake_case(child.name)
        if key in data or (not child.min and (depth >= DEEP or not draw(st.booleans()))):
            continue
        target = ELEMENTS[child.key]
        if any(snake_case(other.name) == key for other in decl.children[: decl.children.index(child)]):
            continue
        if child.max == 1:
            inner = draw(content(target, depth + 1))
            if target.content == "simple" and target.attributes:
                data[key] = inner.pop("#text")
                data.update({f"{key}{name}": value for name, value in inner.items()})
            else:
                data[key] = inner
        else:
            data[key] = draw(st.lists(content(target, depth + 1), min_size=1, max_size=2))
    return data


_TAGS = sorted({(decl.namespace, decl.name) for decl in ELEMENTS.values()})
_TEXTS = st.one_of(
    st.just(""),
    TEXT,
    st.sampled_from(
        ["1", "-1", "true", "2009-04-28T18:37:19.519", "PT1H", "acme:Jam", "wscn:JobStatus", "nope:x", "99999999999"]
    ),
    st.sampled_from(["Completed", "jfif", "\n  Started\n ", "SendImangeFailed", "None", "😀"]),
)


_NAMES = [
    "Id",
    "Name",
    "Valid",
    "href",
    "Dialect",
    "Thing",
    "{http://www.w3.org/2001/XMLSchema-instance}nil",
    *(f"{{{PREFIXES['wscn']}}}{name}" for name in ("Id", "Name", "Valid", "MustHonor")),
]


@st.composite
def trees(draw: st.DrawFn, depth: int = 4) -> tuple[str, str, dict[str, str], list[Any]]:
    """Small trees of known and unknown names in wrong places: (tag, text, attributes, children)."""
    namespace, local = _TAGS[draw(st.integers(0, len(_TAGS) - 1))]
    namespace = draw(st.sampled_from([namespace, "", "http://vendor.example/x", PREFIXES["wscn"]]))
    tag = f"{{{namespace}}}{local}" if namespace else local
    attributes = draw(st.dictionaries(st.sampled_from(_NAMES), _TEXTS, max_size=2))
    children = draw(st.lists(trees(depth - 1), max_size=3)) if depth else []
    return tag, draw(_TEXTS), attributes, children
