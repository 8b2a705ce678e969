"""``dsmreplay serve``: from the options to a running virtual device, and the account of what came at its end."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from contextlib import ExitStack
from typing import Any

from dissector.base.errors import ExitCode, UsageError
from replay.base.clock import RealClock
from replay.base.log import JsonSink, Log, TextSink
from replay.cli.addresses import endpoints_of
from replay.cli.living import behaviour_of, client_encryption, keylog_of, tell, unfinished, until_signal
from replay.cli.outputs import Output, capture_file, inputs_of, not_an_input
from replay.cli.playing import own_context, values_given
from replay.devices.emulator import Around, Encryption
from replay.player.judge import ValueRule
from replay.player.serve.device import Served, VirtualDevice, served_of
from replay.scenario.files import load_scenario

__all__ = ["run_serve"]

QUIET = frozenset({"listening", "failed", "warning"})
"""Kinds of log entries that --quiet prints."""


def run_serve(arguments: argparse.Namespace) -> int:
    """``dsmreplay serve``."""
    scenario, _ = load_scenario(arguments.scenario, ValueRule)
    parties = served_of(scenario, arguments.plays)
    listen, others = _listens(arguments.listen, parties)
    served = Served(
        parties=",".join(parties), speed=arguments.speed, given=values_given(arguments.set),
        allow=arguments.allow, normalise=arguments.normalise, listen=others,
    )  # fmt: skip
    discovery = arguments.discovery or bool(arguments.interface)
    interfaces = (arguments.interface or list(dict.fromkeys(host for host, _ in listen))) if discovery else []
    around = Around(
        listen=listen, name=arguments.name, interfaces=interfaces, discovery=discovery, must_be_found=discovery,
        behaviour=behaviour_of(arguments), clock=RealClock(), seed=arguments.seed,
    )  # fmt: skip
    not_an_input("--pcap", arguments.pcap, inputs_of(arguments))
    client_encryption(arguments, around)
    context = own_context(arguments, scenario, frozenset(parties), [host for host, _ in listen])
    before = around.encryption or Encryption()
    around.encryption = Encryption(context, before.client, before.pinned, keylog_of(arguments))
    with ExitStack() as files:
        if arguments.pcap:
            around.pcap = files.enter_context(capture_file(arguments.pcap))
        return asyncio.run(_run(arguments, served, around))


async def _run(arguments: argparse.Namespace, served: Served, around: Around) -> int:
    clock = around.clock or RealClock()
    stop = asyncio.Event()
    output = Output(stop.set)
    wanted = (lambda entry: entry.kind in QUIET) if arguments.quiet else None
    sink = JsonSink(sys.stdout) if arguments.json else TextSink(sys.stdout, bodies=arguments.verbose, wanted=wanted)
    log = around.log = Log(clock, output.heard(sink))
    device = VirtualDevice(arguments.scenario, served, around=around)
    async with until_signal(stop), device:
        # What is there now stays: the collector need not look at the catalogue and the scenario again and again, which
        # took a tenth of the time of a message.
        gc.collect()
        gc.freeze()
        addresses = {device.scenario.parties[party].role: device.url_of(party) for party in device.parties}
        if arguments.json:
            log.say("ready", f"{device.scenario.name} is served", url=device.url(), addresses=addresses)
        else:
            tell(output, f"“{device.scenario.name}” is served", addresses)
        waits: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait())]
        if arguments.once:
            waits.append(asyncio.create_task(device.over()))
        if arguments.duration is not None:
            waits.append(asyncio.create_task(clock.sleep(arguments.duration)))
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        # Who ends it at the same time as the story does breaks nothing off.
        code = unfinished(stop, output) if arguments.once and done == {waits[0]} else None
        for one in rest:
            one.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
    output.captured(arguments.pcap, device.tap)
    account = device.runs.count, device.left(), device.unsent()
    if arguments.json:
        log.say("served", "the end", **device.tally.to_json(*account))
    else:
        first, *more = device.tally.lines(*account)
        tell(output, first, dict(line.partition(": ")[::2] for line in more))
    if code is None:
        as_recorded = device.tally.clean and not device.left() and not device.unsent()
        code = ExitCode.OK if as_recorded or not arguments.once else ExitCode.FINDINGS
    return output.code(code)


def _listens(texts: list[str], parties: list[str]) -> tuple[list[tuple[str, int]], dict[str, tuple[str, int]]]:
    """``[PARTY=]HOST:PORT`` texts → addresses of the first party, and of further ones by name."""
    first: list[tuple[str, int]] = []
    others: dict[str, tuple[str, int]] = {}
    for text in texts:
        name, mark, address = text.partition("=")
        if mark and name not in parties:
            raise UsageError(f"--listen {text}: {name} is not served; {', '.join(parties)} is")
        at = endpoints_of([address if mark else text])[0]
        if mark and name != parties[0]:
            others[name] = at
        else:
            first.append(at)
    return first or [("127.0.0.1", 0)], others
