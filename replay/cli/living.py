"""What commands that stay running have in common: an end by signal, output as long as somebody reads, options."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from dissector.base.errors import ExitCode, UsageError
from dissector.output.text import printable
from replay.behaviour.file import load_behaviour, parse_rule
from replay.behaviour.rules import Behaviour
from replay.cli.emulated import LIMITS
from replay.cli.ending import heard, not_ignored
from replay.cli.outputs import Output, key_log_of
from replay.cli.trust import checked_trust, trust_of
from replay.devices.emulator import Around, Encryption
from replay.net.certificates import load_identity
from replay.net.tls import client_context

__all__ = [
    "behaviour_of",
    "client_encryption",
    "keylog_of",
    "limits_of",
    "named",
    "pairs",
    "tell",
    "unfinished",
    "until_signal",
]


SAID = 10.0
"""Seconds after which the same trouble of asyncio is told again."""

FILES = 16_384
"""Descriptors that are asked for."""


def tell(output: Output, headline: str, facts: Mapping[str, str]) -> None:
    """What clients need to know. Names in it may come out of a capture."""
    width = max(map(len, facts), default=0)
    lines = [headline] if headline else []
    lines += [f"  {name:{width}}  {value}" for name, value in facts.items()]
    for line in lines:
        output.say(printable(line))


def unfinished(stop: asyncio.Event, output: Output) -> ExitCode:
    """The exit code of what had an end to come to (a job, a story) and did not: nobody may take that for the expected
    one."""
    if output.failed:
        return ExitCode.UNREADABLE
    return ExitCode.INTERRUPTED if stop.is_set() else ExitCode.FINDINGS


@contextlib.asynccontextmanager
async def until_signal(stop: asyncio.Event) -> AsyncIterator[None]:
    """Ctrl-C, SIGTERM and the end of the terminal end the emulator in order: Bye and SubscriptionEnd are said. A second
    one ends it at once."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_Said())
    _many_files()
    # Ctrl-C also where a shell had it ignored: who leaves a script leaves no devices behind.
    with heard(stop.set, signal.SIGINT, signal.SIGTERM, *not_ignored(signal.SIGHUP), loop=loop):
        yield


class _Said:
    """What asyncio meets by itself, such as a machine that has no descriptor left for one more client, in one line; the
    same once in a while only."""

    def __init__(self) -> None:
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Say it, unless it was said just now."""
        error = context.get("exception")
        words = f"{context.get('message')}" + (f": {error}" if error is not None else "")
        if words == self._last[0] and loop.time() < self._last[1] + SAID:
            return
        self._last = (words, loop.time())
        print(f"dsmreplay: {printable(words)}", file=sys.stderr, flush=True)


def _many_files() -> None:
    """Each client takes a descriptor, and 1,024 is a usual limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > FILES:
        hard = FILES
    if soft != resource.RLIM_INFINITY and soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


# -- options -----------------------------------------------------------------------------------------------------


def behaviour_of(arguments: argparse.Namespace) -> Behaviour:
    """The rules of ``--behaviour`` and ``--do``."""
    seed = arguments.seed
    behaviour = load_behaviour(arguments.behaviour, seed) if arguments.behaviour else Behaviour(seed=seed)
    for text in arguments.do:
        behaviour.add(parse_rule(text))
    if seed is None and any(rule.probability < 1 for rule in behaviour.rules):
        # A run with chances must be had again.
        print(f"dsmreplay: chances by --seed {behaviour.seed}", file=sys.stderr)
    return behaviour


def client_encryption(arguments: argparse.Namespace, around: Around) -> None:
    """How peers are trusted when this device connects to them over https."""
    trust = getattr(arguments, "trust", None)
    if trust is None:
        trust = "none"
    keylog = keylog_of(arguments)
    shown = getattr(arguments, "client_certificate", None)
    identity = load_identity(Path(shown[0]), Path(shown[1])) if shown else None
    checked_trust(trust_of(trust))
    around.encryption = Encryption(
        None, lambda: client_context(trust_of(trust), identity, keylog),
        trust.removeprefix("sha256:") if trust.startswith("sha256:") else None, keylog,
    )  # fmt: skip


def limits_of(texts: list[str]) -> dict[str, int]:
    """The options --limit, by name."""
    found = {}
    for name, text in map(named("--limit", "NAME=NUMBER"), texts):
        if name not in LIMITS or not text.isdecimal() or not 0 < int(text) < 1 << 60:
            raise UsageError(f"--limit {name}={text}: a number is expected, for one of {', '.join(LIMITS)}")
        found[name] = int(text)
    return found


def keylog_of(arguments: argparse.Namespace) -> Path | None:
    """The key log goes beside the capture, and from there into it."""
    return key_log_of(arguments.pcap)


def named(option: str, form: str) -> Callable[[str], tuple[str, str]]:
    """Cuts texts such as ``NAME=VALUE``; ``form`` says in an error what is expected."""

    def split(text: str) -> tuple[str, str]:
        name, mark, value = text.partition("=")
        if not (name and mark and value):
            raise UsageError(f"{option} '{text}': {form} is expected")
        return name, value

    return split


def pairs(option: str, form: str, texts: Sequence[str]) -> dict[str, str]:
    """Options such as ``NAME=VALUE``, by name.

    Raises:
        UsageError: one has another form, or a name is there twice: only one of the values could hold.
    """
    found: dict[str, str] = {}
    for name, value in map(named(option, form), texts):
        if name in found:
            raise UsageError(f"{option} {name}: it is given twice, with {found[name]} and {value}")
        found[name] = value
    return found
