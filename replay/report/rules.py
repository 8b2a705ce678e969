"""``dsmreplay run --rules``: how values are judged, read off the code that judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replay.player.kinds import HOW
from replay.player.rules import ATTACHMENT_CHECKS, default_rows

__all__ = ["rules_text"]

_HEAD = """\
A message passes when it means the same: prefixes, order of attributes and white space mean nothing; the order of
elements counts where the specification fixes it. How a value is judged, a scenario's rules say, at a step or for all:

  rules:
    - JobCompletedTime: ignore              # an element of this name, wherever it is
    - JobStatus/ImagesReceived: number 1..9
    - ElementData[2]/@Valid: any            # an attribute of the second one
    - JobStatus/**: ignore                  # all below it; * stands for anything in a name
    - /PostScanJobEndState/JobToken: any    # from the body element down
    - Header/To: ignore                     # a header block; Detail/… for what is in a fault
    - attachments: pixels                   # images; attachments[2] for the second

The first rule that fits holds, those of a step before those of the scenario."""


def rules_text() -> str:
    """The whole manual."""
    return "\n".join([
        _HEAD, "", "how:", *_table(HOW.items()), "", "how, for attachments:", *_table(ATTACHMENT_CHECKS.items()), "",
        "without a rule:", *_table((name, f"{how:9} {why}") for name, how, why in default_rows()),
        "  attachments            type      no two scans have the same bytes",
    ])  # fmt: skip


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield f"  {name:22} {text}"
