"""A table for terminals: columns as wide as they must be, the widest of the flexible ones cut until it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from dissector.output.text import PLAIN, Palette, clip, columns, width

__all__ = ["Column", "table"]

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, whether numbers stand in it (aligned right), and the least width it may be cut to (0: it
    is never cut)."""

    title: str
    right: bool = False
    least: int = 0


def table(
    heads: Sequence[Column],
    rows: Sequence[Sequence[str]],
    limit: int,
    paint: Palette = PLAIN,
    role: Callable[[int, int], str] | None = None,
) -> Iterator[str]:
    """The lines of a table, heading first, made one by one: there may be a hundred thousand.

    Args:
        heads: the columns; one whose cells are all empty is left out.
        rows: the cells, already printable.
        limit: columns of the terminal.
        paint: colours.
        role: (row, column) → role of the cell for the palette, "" for none.
    """
    used = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    titles = [heads[place].title for place in used]
    widths = columns(chain([titles], ([row[place] for place in used] for row in rows)))
    # What is wider than all there is room for is cut below that in any case: one step at a time is for the rest.
    widths = [min(w, max(limit, heads[p].least)) if heads[p].least else w for w, p in zip(widths, used, strict=True)]
    while sum(widths) + len(GAP) * (len(widths) - 1) > limit:
        slack = [(widths[i] - heads[place].least, i) for i, place in enumerate(used) if heads[place].least]
        widest = max(((widths[i], i) for room, i in slack if room > 0), default=None)
        if widest is None:
            break
        widths[widest[1]] -= 1
    yield paint("title", _line(titles, widths, [heads[place].right for place in used]))
    for number, row in enumerate(rows):
        cells = []
        for i, place in enumerate(used):
            text = clip(row[place], widths[i])
            pad = " " * (widths[i] - width(text))
            shown = paint(role(number, place), text) if role is not None else text
            cells.append(pad + shown if heads[place].right else shown + pad)
        yield GAP.join(cells).rstrip()


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        " " * (size - width(cell)) + cell if flush else cell + " " * (size - width(cell))
        for cell, size, flush in zip(cells, widths, right, strict=True)
    ]
    return GAP.join(padded).rstrip()
