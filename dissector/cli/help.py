"""What help says besides the options: examples, input, exit codes, JSON, limits."""

from __future__ import annotations

import dataclasses
import textwrap

from dissector.base.limits import Limits

__all__ = ["EXAMPLES", "EXIT_CODES", "INPUT", "SCHEMA_NAMES", "SUMMARY", "limits_help"]

SUMMARY = """\
dsmshark reads captures of Web Services on Devices scanning (WS-Scan, and Distributed Scan
Management: WS-DSP, WS-DSC, WS-DSD). It finds the messages on any port, follows each scan job to its
completion event, and says how it ended and, if it failed, where. It only reads: it never sends
anything.
"""

EXAMPLES = {
    "": """
        dsmshark jobs customer.pcapng                 which jobs are in it, how did each end
        dsmshark jobs --job 264a customer.pcapng      the story of one job, step by step
        dsmshark read -V --job 264a customer.pcapng   every message of that job, whole
        dsmshark events trace.pcap.gz                 every event notification, decoded
        dsmshark info huge.pcap                       what the capture is, what speaks WSD in it
        dsmshark tls trace.pcap                       certificates, alerts, why a handshake failed
        dsmshark export images -o out trace.pcap      the scanned pictures as files
        tcpdump -w - -U | dsmshark read -             live
    """,
    "read": """
        dsmshark read trace.pcap
        dsmshark read -V --origin --kind event trace.pcap
        dsmshark read -V --strict --host 192.0.2.10 trace.pcap
        dsmshark read --ndjson trace.pcap | jq 'select(.kind == "fault")'
        dsmshark read --host 192.0.2.10 --service WS-DSP --time absolute day1.pcap day2.pcap
        ssh printserver tcpdump -w - -U port 5362 | dsmshark read -
    """,
    "jobs": """
        dsmshark jobs trace.pcap
        dsmshark jobs --job 264a19bf trace.pcap
        dsmshark jobs --json trace.pcap | jq '.jobs[] | {id, outcome, images_received}'
    """,
    "events": """
        dsmshark events trace.pcap
        dsmshark events --job 264a19bf trace.pcap
        dsmshark events --json trace.pcap | jq '.events[].event'
    """,
    "info": """
        dsmshark info trace.pcap
        dsmshark info --json trace.pcap | jq '.endpoints[] | {address, roles}'
    """,
    "export": """
        dsmshark export images trace.pcap -o pictures
        dsmshark export images --job 264a19bf trace.pcap -o pictures
        dsmshark export messages --pretty trace.pcap -o xml
        dsmshark export bodies trace.pcap -o bodies
        dsmshark export pcap --decrypted --keylog keys.log trace.pcap -o plain.pcapng
    """,
    "tls": """
        dsmshark tls trace.pcap
        dsmshark tls --keylog keys.log --records --stream 4 trace.pcap
        dsmshark tls --failed --trust site-ca.pem trace.pcap
        dsmshark tls --json trace.pcap | jq '.connections[] | select(.finished | not)'
    """,
    "crosscheck": """
        dsmshark crosscheck trace.pcap
        dsmshark crosscheck --json trace.pcap
    """,
    "rules": """
        dsmshark rules
        dsmshark rules --json | jq '.rules[] | select(.severity == "error")'
    """,
    "completion": """
        dsmshark completion bash > ~/.local/share/bash-completion/completions/dsmshark
        dsmshark completion zsh > ~/.zfunc/_dsmshark
        dsmshark completion fish > ~/.config/fish/completions/dsmshark.fish
    """,
}

EXIT_CODES = """
    0    fine: everything was read and nothing of what was shown is wrong
    1    findings of severity error are among what was shown (crosscheck: differences)
    2    the command line is wrong
    3    the input cannot be read, or the output cannot be written
    130  broken off before anything was read; else what was read until Ctrl-C (SIGTERM, SIGHUP) is shown
"""

SCHEMA_NAMES = """
    jobs --json      dsmshark.jobs/1
    events --json    dsmshark.events/1
    read --json      dsmshark.messages/1
    read --ndjson    dsmshark.message/1, one object a line
    info --json      dsmshark.info/1
    tls --json       dsmshark.tls/1
    rules --json     dsmshark.rules/1

    The number grows only when something is taken away or changes its meaning. Keys are always there,
    null where there is no value. Times are ISO 8601 in UTC with the resolution of the capture. The JSON
    Schema files are in the package, in dissector/output/schemas.
"""

INPUT = """
    FILE is pcap or pcapng, plain or compressed with gzip, zstd, lz4 or xz; “-” is standard input.
    Several files are one capture, read in the order of time (the parts of a rotated capture); frames
    are counted over all of them.
"""

_LIMIT_WORDS = 84
"""Columns for what a limit bounds, beside its name and default."""


def limits_help() -> str:
    """Each limit with its default and what it bounds, read off the source of :class:`Limits`."""
    import ast
    import inspect

    body = ast.parse(textwrap.dedent(inspect.getsource(Limits))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for at, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(at, ast.AnnAssign)
            and isinstance(at.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            docs[at.target.id] = " ".join(str(following.value.value).split())
    lines = []
    for field in dataclasses.fields(Limits):
        first, *more = textwrap.wrap(docs.get(field.name, ""), _LIMIT_WORDS) or [""]
        lines.append(f"{field.name:<18} {field.default:>13,}  {first}")
        lines += [" " * 34 + line for line in more]
    return "\n".join(
        ["A limit that is hit becomes a finding; reading goes on. Bytes unless it says otherwise.", *lines]
    )
