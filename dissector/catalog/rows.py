"""The notation of the tables: text rows → declarations. Adding an element or an operation is adding a row.

Rows begin at the left margin; an indented line goes on with the row above it; ``#`` begins a comment line.

Elements, one row each (``Name@variant`` where one name has several contents)::

    JobStatus : JobId JobState JobStateReasons? +any        children in this order
    ImageInformation ~ MediaFrontImageInfo                  children, order not known
    InputSize | DocumentSizeAutoDetect InputMediaSize       exactly one of these children
    JobId = int1 <unit> -- gloss [source]                   simple, of a type of tables/types.py
    JobState = enum:JobState                                simple, enumerated
    ScanData xop xop:Include                                binary: an xop:Include or base64
    CancelJobResponse -                                     empty
    ReferenceParameters any                                 anything
    DocumentFinalParamters -> DocumentFinalParameters       another spelling of an element
    $size = Width Height                                    a list of children by name, used as $size

A child or attribute may have ``?`` (0..1), ``*`` (0..n) or ``+`` (1..n). ``{MustHonor? Name}`` are attributes, ``+any``
allows foreign elements, ``+attr`` foreign attributes. A name without prefix is in the table's own namespace.

Attributes: ``MustHonor bool qualified =false`` (name, type, default; without "qualified" it has no namespace).

Enumerations: ``JobState terminal=Completed,Aborted`` (also ``closed`` and ``shape=``), its values indented below it,
``~`` before another spelling.

Messages: ``operation CreateScanJob`` (both its messages), ``event JobStatusEvent``, or one message in full:
``kind Name body action…`` with body ``-`` for an empty Body and ``*`` for any.

Faults: ``ClientErrorNoImagesAvailable Sender RetrieveImage! CreateScanJob -- meaning``: subcode, code, operations
(``!`` where it is a normal end), ``~`` before another name of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dissector.catalog.model import UNBOUNDED, AttributeDecl, Child, EnumDecl, FaultDecl, MessageDecl
from dissector.catalog.prefixes import PREFIXES, curie

__all__ = ["Rows", "Table", "read"]

_CONTENT = {":": "sequence", "~": "sequence", "|": "choice", "=": "simple", "-": "empty", "any": "any", "xop": "xop"}
_OCCURS = {"?": (0, 1), "*": (0, UNBOUNDED), "+": (1, UNBOUNDED)}


class Table(NamedTuple):
    """One table as text. (A dataclass would cost a millisecond of every start; the same for Rows.)

    Attributes:
        prefix: of the namespace that names without prefix are in.
        source: what the rows come from; a row's own source is added to it.
        pages: the source has a page for each element, called like it.
        action_bases: prefixes of the namespaces whose URI plus ``/`` plus operation is an action; ``event_bases`` the
            same for events. The usual one first.
        service, roles: where the table describes a service.
        renamed: other prefixes for the ones written in the rows, to make the table of another version.
        extends: rows of the same notation to begin with; rows of ``elements`` replace those of the same key.
    """

    prefix: str
    source: str = ""
    pages: bool = False
    elements: str = ""
    attributes: str = ""
    enums: str = ""
    messages: str = ""
    faults: str = ""
    service: str = ""
    roles: tuple[str, str] = ("", "")
    action_bases: tuple[str, ...] = ()
    event_bases: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    extends: tuple[str, ...] = ()


class Rows:
    """What a table says: arguments of ElementDecl by key (``parents`` is added when all tables are known), and the
    declarations of the rest."""

    __slots__ = ("aliases", "elements", "enums", "faults", "messages")

    def __init__(self) -> None:
        self.elements: dict[str, dict[str, Any]] = {}
        self.enums: dict[str, EnumDecl] = {}
        self.messages: list[MessageDecl] = []
        self.faults: list[FaultDecl] = []
        self.aliases: dict[tuple[str, str], tuple[str, str]] = {}


def _rows(text: str) -> Iterator[str]:
    row = ""
    for line in text.splitlines():
        if line[:1].isspace():
            row += " " + line.strip()
        elif line and line[0] != "#":
            if row:
                yield row
            row = line
    if row:
        yield row


def _split(row: str, table: Table) -> tuple[list[str], str, str]:
    """A row's words, gloss and source."""
    own = ""
    if row[-1] == "]":
        row, _, own = row[:-1].rpartition(" [")
    words, _, gloss = row.partition(" -- ")
    return words.split(), gloss.strip(), f"{table.source} {own}".strip()


class _Names:
    """Names of a table → namespaces and keys."""

    def __init__(self, table: Table) -> None:
        self._default = table.prefix
        self._renamed = dict(table.renamed)

    def full(self, text: str) -> tuple[str, str, str]:
        """``prefix:Name@variant`` → (namespace, name, key)."""
        prefix, colon, rest = text.partition(":")
        if not colon:
            prefix, rest = self._default, text
        prefix = self._renamed.get(prefix, prefix)
        return PREFIXES[prefix], rest.partition("@")[0], f"{prefix}:{rest}"


def read(table: Table) -> Rows:
    """The declarations of a table.

    Raises:
        ValueError: a row is not of the notation, or names what the table does not know; the row is named.
    """
    rows = Rows()
    names = _Names(table)
    attributes = dict(_attributes(table))
    texts = [row for text in (*table.extends, table.elements) for row in _rows(text)]
    macros = {words[0]: words[2:] for words in (row.split() for row in texts if row[0] == "$")}
    for row in texts:
        try:
            if row[0] != "$":
                _element(row, table, names, attributes, macros, rows)
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(f"row {row!r}: {error!r}") from error
    _enums(table, rows)
    _messages(table, rows)
    _faults(table, rows)
    return rows


def _attributes(table: Table) -> Iterator[tuple[str, tuple[str, str, str, str | None]]]:
    for row in _rows(table.attributes):
        name, kind, *rest = _split(row, table)[0]
        default = next((word[1:] for word in rest if word[0] == "="), None)
        if ":" in name:
            namespace, local = curie(name, table.prefix)
        else:
            namespace, local = PREFIXES[table.prefix] if "qualified" in rest else "", name
        yield name, (local, namespace, kind, default)


def _attribute(word: str, known: dict[str, tuple[str, str, str, str | None]]) -> AttributeDecl:
    name = word.rstrip("?")
    local, namespace, kind, default = known[name]
    return AttributeDecl(local, namespace, kind, name == word, default)


def _child(word: str, names: _Names) -> Child:
    low, high = _OCCURS.get(word[-1], (1, 1))
    namespace, name, key = names.full(word.rstrip("?*+"))
    return Child(namespace, name, low, high, key)


def _element(
    row: str,
    table: Table,
    names: _Names,
    attributes: dict[str, tuple[str, str, str, str | None]],
    macros: dict[str, list[str]],
    rows: Rows,
) -> None:
    words, gloss, source = _split(row, table)
    head, operator = words[0], words[1]
    namespace, name, key = names.full(head)
    if operator == "->":
        rows.aliases[namespace, name] = names.full(words[2])[:2]
        return
    children: list[str] = []
    declared: list[AttributeDecl] = []
    element: dict[str, Any] = {
        "key": key,
        "namespace": namespace,
        "name": name,
        "content": _CONTENT[operator],
        "ordered": operator != "~",
        "gloss": gloss,
        "source": f"{source} {name.lower()}.md" if table.pages and source == table.source else source,
    }
    inside = False
    for word in [part for item in words[2:] for part in (macros[item] if item[0] == "$" else (item,))]:
        if word[0] == "{":
            inside, word = True, word[1:]
        if inside:
            inside = word[-1] != "}"
            declared.append(_attribute(word.rstrip("}"), attributes))
        elif word == "+any":
            element["any_child"] = True
        elif word == "+attr":
            element["any_attribute"] = True
        elif word[0] == "<":
            element["unit"] = word[1:-1].replace("_", " ")
        elif operator == "=":
            kind, _, enum = word.partition(":")
            element["type"] = kind
            if enum:
                element["enum"] = names.full(enum)[2] if ":" not in enum else enum
        else:
            children.append(word)
    if operator == "any":
        element["any_child"] = True
    elif operator == "xop":
        element["type"] = "base64"
    element["children"] = tuple([_child(word, names) for word in children])
    element["attributes"] = tuple(declared)
    rows.elements[key] = element


def _enums(table: Table, rows: Rows) -> None:
    head: list[str] = []
    source = ""
    values: dict[str, str] = {}
    accept: dict[str, str] = {}

    def finish() -> None:
        if not head:
            return
        options = dict(word.split("=") for word in head[1:] if "=" in word)
        name = f"{table.prefix}:{head[0]}"
        rows.enums[name] = EnumDecl(
            name,
            dict(values),
            dict(accept),
            frozenset(options["terminal"].split(",")) if "terminal" in options else frozenset(),
            "closed" not in head,
            source,
            options.get("shape", "keyword"),
        )
        values.clear()
        accept.clear()

    for line in table.enums.splitlines():
        if line[:1].isspace():
            value, _, meaning = line.strip().partition(" ")
            if value:
                (accept if value[0] == "~" else values)[value.lstrip("~")] = meaning.strip()
        elif line:
            finish()
            head, _, source = _split(line, table)
    finish()


def _action(word: str, names: _Names) -> str:
    """``prefix/Name`` → URI; anything with a colon is a URI already."""
    prefix, slash, rest = word.partition("/")
    return word if ":" in word else names.full(f"{prefix}:")[0] + slash + rest


def _messages(table: Table, rows: Rows) -> None:
    namespace = PREFIXES[table.prefix]
    names = _Names(table)

    def bases(prefixes: Sequence[str], word: str) -> list[str]:
        return [f"{PREFIXES[prefix]}/{word}" for prefix in prefixes]

    for row in _rows(table.messages):
        (kind, name, *rest), gloss, _ = _split(row, table)
        if kind == "operation":
            plain = bases(table.action_bases, name)
            # The pages of WS-Scan give a response the action of its request.
            answered = (*bases(table.action_bases, f"{name}Response"), *plain)
            for ending, actions in (("Request", tuple(plain)), ("Response", answered)):
                body = name + ending
                rows.messages.append(
                    MessageDecl(body, table.service, ending.lower(), name, namespace, body, actions, gloss=gloss)
                )
        elif kind == "event":
            actions = tuple(bases(table.event_bases, name))
            rows.messages.append(
                MessageDecl(name, table.service, kind, name, namespace, name, actions, one_way=True, gloss=gloss)
            )
        else:
            body = rest[0]
            uri, local = (namespace, "") if body in "-*" else names.full(body)[:2]
            rows.messages.append(
                MessageDecl(
                    name,
                    table.service,
                    kind,
                    name.removesuffix("Response"),
                    uri,
                    local,
                    tuple([_action(word, names) for word in rest[1:] if word != "one-way"]),
                    one_way="one-way" in rest,
                    any_body=body == "*",
                    gloss=gloss,
                )
            )


def _faults(table: Table, rows: Rows) -> None:
    for row in _rows(table.faults):
        words, gloss, source = _split(row, table)
        namespace, name = curie(words[0], table.prefix)
        operations = [word for word in words[2:] if word[0] != "~"]
        rows.faults.append(
            FaultDecl(
                name,
                namespace,
                words[1],
                gloss,
                tuple(word.rstrip("!") for word in operations),
                tuple(word[:-1] for word in operations if word[-1] == "!"),
                tuple(word[1:] for word in words[2:] if word[0] == "~"),
                source,
            )
        )
