"""``dsmreplay control``: talks to the control port of a running emulator."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from dissector.base.errors import ExitCode, UsageError
from dissector.http.writer import build_request
from dissector.output.jsontext import dumps
from dissector.output.text import printable
from replay.base.clock import RealClock
from replay.behaviour.file import parse_rule, rule_to_json
from replay.net.client import HttpClient, target_of

__all__ = ["run_control"]

ORDERS = {
    "status": ("GET", "/status"),
    "behaviour": ("GET", "/behaviour"),
    "do": ("POST", "/behaviour"),
    "reset": ("DELETE", "/behaviour"),
    "press": ("POST", "/press"),
    "load": ("POST", "/load"),
    "condition": ("POST", "/condition"),
    "clear": ("DELETE", "/condition"),
    "cancel": ("POST", "/cancel"),
    "filters": ("POST", "/filters"),
    "stop": ("POST", "/stop"),
}


def run_control(arguments: argparse.Namespace) -> int:
    """Send one order, print the answer."""
    method, path = ORDERS[arguments.order]
    if arguments.order == "do":
        if len(arguments.arguments) != 1:
            raise UsageError("do takes one rule, such as 'SendImage: delay=2'")
        data = rule_to_json(parse_rule(arguments.arguments[0]))
    else:
        data = {name: _value(text) for name, text in map(_pair, arguments.arguments)}
    status, answer = asyncio.run(_ask(arguments.url, method, path, data))
    if status >= 300:
        print(f"dsmreplay: {printable(str(answer.get('error', f'HTTP {status}')))}", file=sys.stderr)
        return ExitCode.USAGE
    print(dumps(answer, indent=2))
    return ExitCode.OK


async def _ask(url: str, method: str, path: str, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    target = target_of(url)
    client = HttpClient(clock=RealClock(), keep=False)
    body = json.dumps(data).encode() if data else b""
    headers = [("Host", target.authority), ("Content-Type", "application/json"), ("Connection", "close")]
    request = build_request(method, path, headers, body)
    http = await client.exchange(target, [request], method=method)
    try:
        answer = json.loads(http.body.data() or b"{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{target} is no control port: it does not answer in JSON") from error
    return http.status, answer if isinstance(answer, dict) else {"answer": answer}


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise UsageError(f"{text!r}: NAME=VALUE is expected")
    return name, value


def _value(text: str) -> Any:
    """Numbers and lists as JSON has them, all else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, bool, list)) else text
