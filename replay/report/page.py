"""One self-contained HTML page: no script, nothing loaded, and no text of a peer that could be taken for markup.

Markup is only made by :func:`tag`; every other text is escaped on the way in. A policy in the head forbids what an
oversight could let through.
"""

from __future__ import annotations

import html

from dissector.output.text import printable

__all__ = ["Html", "page", "tag"]


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, *content: str | Html | None, **attributes: str | None) -> Html:
    """An element. Texts are escaped, None is left out; ``class_`` stands for ``class``.

    Lines of a text stay lines, everything else that is no plain character is shown as an escape.
    """
    given = "".join(
        f' {key.rstrip("_")}="{html.escape(printable(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(one if isinstance(one, Html) else _text(one) for one in content if one is not None)
    return Html(f"<{name}{given}>{inner}</{name}>")


def page(title: str, *content: Html) -> str:
    """A whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{tag('title', title)}<style>{STYLE}</style></head>\n<body>{tag('main', *content)}</body></html>\n"
    )


def _text(text: str) -> str:
    return html.escape("\n".join(map(printable, text.splitlines())))


STYLE = """
:root { --ink: #1d2330; --soft: #626b7c; --line: #d9dee7; --paper: #fff; --ground: #f4f6f9; --good: #1a7f4b;
  --bad: #c0292b; --warn: #a35c00; --quiet: #6b7485; --good-ground: #e6f4ec; --bad-ground: #fdecec;
  --warn-ground: #fdf2e0; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8f0; --soft: #9aa4b5; --line: #353d4b; --paper: #1b2029;
  --ground: #12161d; --good: #56c98b; --bad: #ff7b7b; --warn: #f0b35a; --quiet: #8b95a6; --good-ground: #16301f;
  --bad-ground: #3a1b1d; --warn-ground: #382a12; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--soft); margin: 0 0 .3rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
.verdict { font-size: 1.4rem; font-weight: 650; padding: .9rem 1.1rem; border-radius: .5rem; margin: 0;
  border-left: .4rem solid; overflow-wrap: anywhere; }
.verdict small { display: block; font-size: .95rem; font-weight: 400; color: var(--ink); margin-top: .25rem; }
.good { color: var(--good); border-color: var(--good); } .verdict.good { background: var(--good-ground); }
.bad { color: var(--bad); border-color: var(--bad); } .verdict.bad { background: var(--bad-ground); }
.warn { color: var(--warn); border-color: var(--warn); } .verdict.warn { background: var(--warn-ground); }
.quiet { color: var(--quiet); border-color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.row { display: grid; grid-template-columns: 3rem 5.5rem 5.5rem minmax(14rem, 1fr) 7.5rem 5rem; align-items: stretch;
  border-top: 1px solid var(--line); }
.card > .row:first-child { border-top: 0; }
.row > * { padding: .3rem .6rem; align-self: center; }
.head { color: var(--soft); font-size: .85rem; }
.number, .time { text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; }
.lanes { position: relative; align-self: stretch; padding: 0; min-height: 2.5rem; }
.head .lanes { min-height: 1.9rem; }
.life { position: absolute; top: 0; bottom: 0; border-left: 1px dashed var(--line); }
.party { position: absolute; top: .3rem; transform: translateX(-50%); white-space: nowrap; max-width: 50%;
  overflow: hidden; text-overflow: ellipsis; font-weight: 600; color: var(--ink); }
.arrow { position: absolute; bottom: .55rem; border-bottom: 2px solid; }
.arrow.dashed { border-bottom-style: dashed; }
.arrow::after { content: ""; position: absolute; bottom: -6px; border: 5px solid transparent; }
.arrow.right::after { right: 0; border-left-color: currentColor; border-right: 0; border-left-width: 8px; }
.arrow.left::after { left: 0; border-right-color: currentColor; border-left: 0; border-right-width: 8px; }
.label { position: absolute; bottom: .85rem; left: 0; right: 0; text-align: center; font-size: .85rem;
  color: var(--ink); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; padding: 0 .7rem; }
.badge { display: inline-block; font-size: .8rem; font-weight: 600; border: 1px solid; border-radius: 1rem;
  padding: .05rem .6rem; white-space: nowrap; }
.why { padding: .25rem 1rem .5rem 3.6rem; background: var(--bad-ground); }
.why.warn { background: var(--warn-ground); color: var(--ink); }
.why p { margin: .2rem 0; } .why .from { color: var(--soft); font-size: .88rem; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; background: var(--paper); color: var(--ink);
  table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
td.value { font-family: ui-monospace, monospace; font-size: .85rem; white-space: pre-wrap; }
td.path { font-size: .88rem; }
.none { color: var(--quiet); font-style: italic; font-family: system-ui, sans-serif; }
details { margin: .6rem 0; } summary { cursor: pointer; padding: .3rem 0; }
.suite { margin: 0; } .suite th:nth-child(1) { width: 24%; } .suite th:nth-child(2) { width: 8.5rem; }
.suite th:nth-child(3) { width: 14%; } .suite th:nth-child(4) { width: 6rem; } .suite .none { font-size: .85rem; }
.runs { letter-spacing: .1rem; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: .85rem; margin: 2rem 0 0; }
@media (max-width: 46rem) { .row { grid-template-columns: 2.4rem minmax(7rem, 1fr) 8rem; }
  .row .time { display: none; } .row > * { padding: .3rem .4rem; } .row > .lanes { padding: 0; }
  th, td { padding: .25rem .35rem; font-size: .82rem; }
  .why { padding-left: 1rem; } main { padding: .8rem; } }
@media print { body { background: #fff; } main { max-width: none; padding: 0; } .row, .why { break-inside: avoid; } }
"""
