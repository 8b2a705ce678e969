"""Whether the certificates of a connection are trusted (``dsmshark tls --trust``), as lines and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dissector.output.text import Palette, printable

if TYPE_CHECKING:
    from dissector.transport.tls.model import Judged, Trust

__all__ = ["trust_json", "trust_lines"]


def trust_lines(made: Judged, paint: Palette) -> Iterator[str]:
    """What is said of both sides, one line each, and what was not checked."""
    from dissector.transport.tls.trust import NOT_CHECKED

    for side, trust in (("server", made.server), ("client", made.client)):
        if trust is None:
            if side == "server":
                yield "no certificate of the server was seen"
            continue
        if trust.trusted:
            yield paint("good", f"{side}: trusted") + f", by {printable(trust.anchor)} ({printable(made.store)})"
        else:
            yield paint("error", f"{side}: not trusted") + f": {printable('; '.join(trust.problems))}"
        if trust.strict:
            yield f"{side}: strict verifiers refuse it all the same: {printable(trust.strict)}"
        if trust.remark:
            yield printable(trust.remark)
    if made.server or made.client:
        yield f"not checked: {', '.join(NOT_CHECKED)}"


def trust_json(made: Judged | None) -> dict[str, Any] | None:
    """The same as plain data."""
    from dissector.transport.tls.trust import NOT_CHECKED

    if made is None:
        return None
    return {
        "store": made.store,
        "server": _one(made.server),
        "client": _one(made.client),
        "not_checked": list(NOT_CHECKED),
    }


def _one(trust: Trust | None) -> dict[str, Any] | None:
    if trust is None:
        return None
    return {
        "trusted": trust.trusted,
        "anchor": trust.anchor or None,
        "problems": list(trust.problems),
        "strict": trust.strict or None,
        "remark": trust.remark or None,
    }
