"""Two decoded elements held against each other, by what they say.

Prefixes, the order of attributes and white space mean nothing; the order of elements counts where the specification
fixes it (``ElementDecl.ordered``). Every difference has a path of its own, and each cause is one difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dissector.catalog import AttributeDecl, ElementDecl, Field
from dissector.catalog.convert import WHITE
from dissector.soap.namespaces import WSA04, WSA10
from replay.player.difference import Difference, shown, title
from replay.player.kinds import Kind, Value, kind, same
from replay.player.pairing import pair
from replay.player.rules import Default, Rules, attribute_default, base_of, default_how, translatable
from replay.player.translation import Expected, Translation

__all__ = ["MAX_COMPARED", "Elements", "leaves"]

MAX_COMPARED = 50_000
"""Pairs of elements that are held against each other for one message; beyond it, lists are paired by their order."""

_EQUAL = kind("equal")
Name = tuple[str, str]


class Elements:
    """Compares the elements of one message.

    Args:
        rules: of the scenario.
        translation: what is known of this run.
        body: name of the body element, which rules may begin with; "Header" for header blocks.
        images: elements that hold images are compared here; False where their number differs, which is told as such.
    """

    def __init__(self, rules: Rules, translation: Translation, body: str, *, images: bool = True) -> None:
        self._rules = rules
        self._translation = translation
        self._body = body
        self._images = images
        self._known: dict[tuple[int, int], list[Difference]] = {}

    def compare(self, recorded: Field, received: Field, path: str = "") -> list[Difference]:
        """What differs between two elements of one name; the path is that of the recorded one."""
        # A pair is held against each other to find who belongs to whom, and again by those that it stands in.
        key = (id(recorded), id(received))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._compare(recorded, received, path)
        return found

    def children(self, recorded: Sequence[Field], received: Sequence[Field], path: str) -> list[Difference]:
        """What differs between the children of two elements, by name; their order is another matter."""
        groups: dict[Name, tuple[list[Field], list[Field]]] = {}
        for side, fields in enumerate((recorded, received)):
            for child in fields:
                groups.setdefault(_name(child), ([], []))[side].append(child)
        found: list[Difference] = []
        for (_, name), (one, other) in groups.items():
            found += self._group(one, other, f"{path}{name}")
        return found

    # -- one element ---------------------------------------------------------------------------------------------

    def _compare(self, recorded: Field, received: Field, path: str) -> list[Difference]:
        rule = self._rules.find(self._body, path) if path else None
        if rule is not None and rule.how == "ignore":
            return []
        found = self._attributes(recorded, received, path)
        if recorded.nil or received.nil:
            if recorded.nil != received.nil:
                found.append(_nil(recorded, received, path))
            return found
        if recorded.decl is not None and recorded.decl.content == "xop":
            # An image: the attachments are judged, be they parts of a package or base64 in the text.
            return found
        if not recorded.children and not received.children:
            default = default_how(recorded, path)
            values = _value(recorded), _value(received)
            return found + self._value(path, *values, rule, default, translatable(recorded))
        if rule is not None and rule.how == "any":
            return found
        return found + self._contents(recorded, received, path, rule)

    def _contents(self, recorded: Field, received: Field, path: str, rule: Kind | None) -> list[Difference]:
        found = []
        if recorded.text.strip(WHITE) or received.text.strip(WHITE):
            found += self._value(path, _value(recorded), _value(received), rule, default_how(recorded, path), True)
        found += self.children(recorded.children, received.children, f"{path}/" if path else "")
        decl = recorded.decl
        if decl is not None and decl.ordered and decl.content == "sequence":
            was, came = _orders(recorded, received)
            if was != came:
                text = f"{title(path) if path else recorded.name} has its elements in another order"
                found.append(Difference("order", path, ", ".join(was), ", ".join(came), text))
        return found

    def _attributes(self, recorded: Field, received: Field, path: str) -> list[Difference]:
        decl, found = recorded.decl, []
        names = dict.fromkeys([*recorded.attributes, *received.attributes])
        for name in names:
            at = f"{path}/@{name}".lstrip("/")
            one, other = _attribute(recorded, name), _attribute(received, name)
            default = attribute_default(decl, name, one or other or Value(""))
            rule = self._rules.find(self._body, at)
            if (rule.how if rule is not None else default.how) == "ignore":
                continue
            if one is None or other is None:
                given = other if one is None else one
                assert given is not None
                if not _is_default(decl, name, given):
                    found.append(_alone("unexpected" if one is None else "missing", at, given.text))
            else:
                found += self._value(at, one, other, rule, default, decl is None)
        return found

    # -- several of one name -------------------------------------------------------------------------------------

    def _group(self, recorded: list[Field], received: list[Field], path: str) -> list[Difference]:
        def at(place: int) -> str:
            return path if place == 0 else f"{path}[{place + 1}]"

        places = {id(one): place for place, one in enumerate(recorded)}

        def cost(one: Field, other: Field) -> int:
            if len(self._known) > MAX_COMPARED:
                return 0
            return len(self.compare(one, other, at(places[id(one)])))

        pairs, missing, new = pair(recorded, received, cost, lambda one: (leaves(one) + 1) / 2)
        found: list[Difference] = []
        for one, other in pairs:
            found += self.compare(recorded[one], received[other], at(one))
        for what, fields, left in (("missing", recorded, missing), ("unexpected", received, new)):
            for place in left:
                field = fields[place]
                image = field.decl is not None and field.decl.content == "xop"
                if not self._ignored(at(place)) and (self._images or not image):
                    found.append(_alone(what, at(place), field.text))
        return found

    def _ignored(self, path: str) -> bool:
        rule = self._rules.find(self._body, path)
        return rule is not None and rule.how == "ignore"

    # -- values --------------------------------------------------------------------------------------------------

    def _value(
        self, path: str, recorded: Value, received: Value, rule: Kind | None, default: Default, may_move: bool
    ) -> list[Difference]:
        expected = self._translation.expect(recorded.text) if may_move else Expected(recorded.text)
        wanted = rule or self._wanted(default, expected)
        if _fits(wanted, expected, recorded, received, by_rule=rule is not None):
            return []
        now = shown(received.text) or "empty"
        was = shown(recorded.text) or "empty"
        told = f"{title(path) if path else self._body} is {now}, "
        if wanted.phrase:
            told += f"{wanted.phrase} was expected"
        elif expected.moved:
            told += f"{shown(expected.text)} was expected"
        else:
            told += f"was {was}"
        moved = expected.text if expected.moved and not wanted.phrase else None
        return [Difference("body", path, recorded.text, received.text, told, expected=moved)]

    def _wanted(self, default: Default, expected: Expected) -> Kind:
        """What holds where the scenario has no rule: what is known of this run is asked for, be it any value else."""
        if default.how == "any" and expected.bound and expected.known:
            return _EQUAL
        return kind(default.how)


def leaves(field: Field) -> int:
    """How much an element says: its values, and those of its attributes."""
    count, stack = 0, [field]
    while stack:
        one = stack.pop()
        count += len(one.attributes) + (not one.children)
        stack += one.children
    return count


def _fits(wanted: Kind, expected: Expected, recorded: Value, received: Value, *, by_rule: bool) -> bool:
    if not expected.known:
        # Handed out right here. A rule still says of what kind it has to be.
        assert expected.pattern is not None
        if wanted.how == "equal" and not by_rule:
            return expected.pattern.fullmatch(received.text) is not None
        return wanted.fits(recorded, received)
    if not expected.moved:
        # What is as recorded is never a difference by default, be it no date where one belongs.
        return wanted.fits(recorded, received) or (not by_rule and received.text == recorded.text)
    now = Value(expected.text, None if recorded.value is None else expected.text, recorded.base)
    return received.text == expected.text or same(now, received) or (
        wanted.how != "equal" and wanted.fits(now, received)
    )  # fmt: skip


def _name(field: Field) -> Name:
    """What an element is called: misspelt ones by their right name, WS-Addressing of both versions alike (which of
    them it is, is told once, of the message)."""
    namespace = WSA04 if field.namespace == WSA10 else field.namespace
    return namespace, field.decl.name if field.decl is not None else field.name


def _orders(recorded: Field, received: Field) -> tuple[list[str], list[str]]:
    """The names that both have and the catalogue knows, in the order of their first ones."""
    orders = [
        dict.fromkeys(_name(child) for child in field.children if child.decl is not None)
        for field in (recorded, received)
    ]
    both = orders[0].keys() & orders[1].keys()
    was, came = ([name for _, name in (one for one in order if one in both)] for order in orders)
    return was, came


def _value(field: Field) -> Value:
    return Value(field.text.strip(WHITE), field.value, base_of(field.decl))


def _attribute(field: Field, name: str) -> Value | None:
    given: tuple[Any, str] | None = field.attributes.get(name)
    return None if given is None else Value(given[1].strip(WHITE), given[0])


def _is_default(decl: ElementDecl | None, name: str, given: Value) -> bool:
    """Whether an attribute says what it would say if it were not there."""
    declared: Mapping[str, AttributeDecl] = {one.name: one for one in decl.attributes} if decl is not None else {}
    default = declared[name].default if name in declared else None
    return default is not None and default in (given.text, str(given.value).lower())


def _alone(what: str, path: str, text: str) -> Difference:
    value = text.strip(WHITE) or None
    told = f"{title(path)} is {'missing' if what == 'missing' else 'new'}" + (f" ({shown(value)})" if value else "")
    was, came = (value, None) if what == "missing" else (None, value)
    return Difference(what, path, was, came, told)


def _nil(recorded: Field, received: Field, path: str) -> Difference:
    was, came = (None if one.nil else one.text.strip(WHITE) for one in (recorded, received))
    name = title(path) if path else recorded.name
    text = f"{name} is {'nil' if came is None else shown(came) or 'empty'}, "
    text += f"was {'nil' if was is None else shown(was) or 'empty'}"
    return Difference("body", path, "xsi:nil" if was is None else was, "xsi:nil" if came is None else came, text)
