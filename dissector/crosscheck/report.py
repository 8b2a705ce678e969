"""The command: both sides read, compared, and told."""

from __future__ import annotations

import json
from typing import TextIO

from dissector.base.errors import ExitCode, UsageError
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture import open_source
from dissector.crosscheck import ours as our_side
from dissector.crosscheck import tshark
from dissector.crosscheck.compare import Line, compare
from dissector.keyfiles import KeyFiles

__all__ = ["check", "run"]


def check(paths: list[str]) -> None:
    """Look whether both sides can read.

    Raises:
        UsageError: standard input was given, or tshark is not installed.
        UnreadableInput: a file is no capture.
    """
    if "-" in paths:
        raise UsageError("crosscheck reads its input twice: it needs a file, not standard input")
    for path in paths:
        # Elsewhere one of several that cannot be read is left out with a finding. Here both sides would leave it out,
        # and all would be the same.
        open_source([path]).close()
    tshark.find_tshark()


def run(
    paths: list[str],
    *,
    as_json: bool = False,
    out: TextIO,
    limits: Limits = DEFAULT_LIMITS,
    keyfiles: KeyFiles | None = None,
) -> ExitCode:
    """Compare, and print one line for each stream direction and HTTP message. Both sides get the same keys for TLS.

    Returns:
        ``ExitCode.OK``, or ``ExitCode.FINDINGS`` where a difference has no explanation.

    Raises:
        UsageError, UnreadableInput: as :func:`check`, or tshark cannot read a file.
    """
    check(paths)
    mine = our_side.read(paths, limits, keyfiles)
    keys = tshark.Keys(keyfiles.key_logs(), keyfiles.pem()) if keyfiles is not None else None
    its, version = tshark.read(paths, mine, keys)
    lines = compare(mine, its)
    unexplained = sum(line.unexplained for line in lines)
    if as_json:
        json.dump(
            {
                "schema": "dsmshark.crosscheck/1",
                "tshark": version,
                "lines": [line.to_json() for line in lines],
                "unexplained": unexplained,
            },
            out,
            indent=1,
        )
        out.write("\n")
    else:
        _tell(lines, version, out)
    return ExitCode.FINDINGS if unexplained else ExitCode.OK


def _tell(lines: list[Line], version: str, out: TextIO) -> None:
    for line in lines:
        where = f"stream {line.stream}" + (f" frame {line.frame}" if line.frame else "")
        text = f"{line.verdict:11} {where:18} {_plain(line.what)}"
        if line.verdict == "same":
            text += f"  {line.ours}"
        else:
            text += f"  ours: {line.ours or '–'}, tshark: {line.theirs or '–'}"
            text += f"\n            {line.why or 'NOT EXPLAINED: please report it with the capture'}"
        print(text, file=out)
    counts = {"stream": [0, 0, 0], "message": [0, 0, 0]}
    for line in lines:
        counts[line.kind][0 if line.verdict == "same" else 2 if line.unexplained else 1] += 1
    for kind, words in (("stream", "stream directions"), ("message", "HTTP messages")):
        same, explained, open_ = counts[kind]
        print(f"{words}: {same} same, {explained} differ and are explained, {open_} not explained", file=out)
    print(f"(tshark {version}, two passes, out-of-order reassembly on)", file=out)


def _plain(text: str) -> str:
    """Text from the network, safe for a terminal."""
    return "".join(c if c.isprintable() else "·" for c in text)[:100]
