"""Any message of the catalogue: written otherwise it means the same; with one value changed it has one difference."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from dissector.catalog import SERVICES, Field, MessageDecl, body_decl, build
from dissector.messages import Message
from dissector.soap.build import build_envelope
from dissector.soap.model import QName
from replay.player.judge import Judge
from replay.player.rules import default_how
from tests.support.judging import message, told
from tests.support.strategies import content

ROWS = [
    (row, body_decl(row)) for service in SERVICES.values() for row in service.messages if row.actions and row.body
]  # fmt: skip
SLOW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """One message of the catalogue, with plausible content and header blocks."""
    row, decl = draw(st.sampled_from(ROWS))
    assert decl is not None
    return made(row, build(decl, draw(content(decl))))


def made(row: MessageDecl, body: etree._Element) -> Message:
    return message(
        build_envelope(
            body, action=row.actions[0], to="http://192.0.2.1:5357/x", message_id="urn:uuid:1", relates_to="urn:uuid:2",
            parameters=[(QName("urn:sub", "Identifier", "s"), "urn:uuid:3")],
        )
    )  # fmt: skip


def fields(of: Message) -> dict[int, Field]:
    """Position of an element in the document → field, of body and headers."""
    found: dict[int, Field] = {}
    stack = [*of.headers, *([of.body] if of.body is not None else [])]
    while stack:
        one = stack.pop()
        found[one.index] = one
        stack += one.children
    return found


class Writer:
    """Writes a message otherwise: other prefixes, order of attributes, white space, order of header blocks."""

    def __init__(self, of: Message, letter: str, white: str, turned: bool) -> None:
        self.fields, self.white, self.turned = fields(of), white, turned
        assert of.envelope is not None
        self.root = of.envelope.root
        uris = {uri for element in self.root.iter("*") for uri in element.nsmap.values()}
        self.prefixes = {uri: f"{letter}{number}" for number, uri in enumerate(sorted(uris))}

    def write(self) -> bytes:
        order = {element: number for number, element in enumerate(self.root.iter("*"))}
        root = etree.Element(self.root.tag, nsmap={prefix: uri for uri, prefix in self.prefixes.items()})
        for child in self.root:
            self._copy(child, root, order, header=child.tag.endswith("Header"))
        return etree.tostring(root)

    def _copy(self, old: Any, parent: Any, order: dict[Any, int], header: bool = False) -> None:
        field = self.fields.get(order[old])
        new = etree.SubElement(parent, old.tag)
        items = [(name, text if field is None else self._attribute(field, name, text)) for name, text in old.items()]
        for name, text in items[::-1] if self.turned else items:
            new.set(name, text)
        text = old.text or ""
        if field is not None and field.value is not None and not field.nil:
            text = self._text(field.value, text)
        new.text = self.white + text + self.white if not len(old) or not text.strip() else text
        for child in list(old)[::-1] if header and self.turned else old:
            self._copy(child, new, order)

    def _attribute(self, field: Field, name: str, text: str) -> str:
        given = field.attributes.get(name.rpartition("}")[2])
        return text if given is None or given[1] != text else self._text(given[0], text)

    def _text(self, value: Any, text: str) -> str:
        if isinstance(value, QName) and value.namespace in self.prefixes:
            return f"{self.prefixes[value.namespace]}:{value.local}"
        if isinstance(value, list) and value and all(isinstance(one, QName) for one in value):
            return " ".join(self._text(one, "") for one in value)
        return text


@given(messages(), st.sampled_from(["n", "xs", "soap"]), st.sampled_from(["", "\n   ", "\t"]), st.booleans())
@SLOW
def test_written_otherwise_it_means_the_same(of: Message, letter: str, white: str, turned: bool) -> None:
    again = message(Writer(of, letter, white, turned).write())
    assert told(Judge().compare(of, again)) == []
    assert told(Judge().compare(again, of)) == []


@given(messages(), st.data())
@SLOW
def test_one_value_changed_is_one_difference(of: Message, data: st.DataObject) -> None:
    leaves = [
        one for one in fields(of).values()
        if not one.children and one.text.strip() and not one.nil and judged(one) != "ignore"
        and (one.decl is None or one.decl.content != "xop") and one.name != "Action"
    ]  # fmt: skip
    chosen = data.draw(st.sampled_from(leaves))
    assert of.envelope is not None
    root = etree.fromstring(of.envelope.xml)
    element = list(root.iter("*"))[chosen.index]
    element.text = "" if judged(chosen) == "any" else "other than before"
    other = message(etree.tostring(root))
    found = Judge().compare(of, other)
    assert [(each.what, each.path.rpartition("/")[2].partition("[")[0]) for each in found] == [("body", chosen.name)]


@given(messages(), st.data(), st.sampled_from(["taken", "vendor's", "doubled"]))
@SLOW
def test_one_element_more_or_less_is_one_difference(of: Message, data: st.DataObject, how: str) -> None:
    assert of.body is not None
    below = [one for one in fields(of).values() if one.path and one.name != "Include"]
    if not below:
        return
    chosen = data.draw(st.sampled_from(below))
    assert of.envelope is not None
    root = etree.fromstring(of.envelope.xml)
    element = list(root.iter("*"))[chosen.index]
    parent = element.getparent()
    assert parent is not None
    if how == "taken":
        parent.remove(element)
    elif how == "doubled":
        parent.insert(parent.index(element), etree.fromstring(etree.tostring(element)))
    else:
        etree.SubElement(element if len(element) else parent, "{urn:vendor}Stapled").text = "yes"
    if chosen.decl is not None and chosen.decl.content == "xop":
        return
    changed = message(etree.tostring(root))
    found = Judge().compare(of, changed)
    assert [one.what for one in found] == ["missing" if how == "taken" else "unexpected"]
    back = Judge().compare(changed, of)
    assert [one.what for one in back] == ["unexpected" if how == "taken" else "missing"]


def judged(one: Field) -> str:
    return default_how(one, one.path or f"Header/{one.name}").how
