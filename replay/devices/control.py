"""The control port: an emulated device is told what to do while it runs, by JSON over HTTP on loopback.

GET    /                 what can be asked
GET    /status           jobs, subscriptions, conditions, behaviour
GET    /behaviour        the rules, and how often each fired
PUT    /behaviour        {"rules": [...], "seed": 7}: other rules
POST   /behaviour        one rule more
DELETE /behaviour        no rules
POST   /press            {"destination": "Scan"}: press the scan button (scanner)
POST   /load             {"pages": 3} or {"files": ["a.png"]}: other paper (scanner)
POST   /condition        {"name": "CoverOpen", "component": "ADF", "severity": "Critical"} (scanner)
DELETE /condition        {"id": 1}
POST   /cancel           {"job": 3}: at the device, or {"job": "token"} at the server
POST   /filters          {"filters": ["email"]}: what the server says it has, told by RepositoryElementsChangeEvent
POST   /stop             end the emulator in order
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from dissector.base.errors import DsmsharkError, UsageError
from dissector.catalog import ENUMS
from replay.behaviour.file import rule_from_json
from replay.devices.emulator import Emulator
from replay.devices.eventing import duration
from replay.devices.scanner.pages import MAX_PAGES
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.instructions import KINDS
from replay.devices.scanserver.server import ScanServer
from replay.net.server import Answer, HttpRequest, HttpServer, ServerLimits
from replay.soap.compose import Packed, Style, http_response

__all__ = ["ControlPort"]

Command = Callable[[Mapping[str, Any]], Any]

PLAIN = Style(chunk=None)

TAKES: dict[str, tuple[str, ...]] = {
    "/status": (), "/stop": (), "/press": ("destination",), "/load": ("pages", "files"),
    "/condition": ("name", "component", "severity", "id"), "/cancel": ("job",), "/filters": ("filters",),
}  # fmt: skip
"""What may stand in the JSON of a path; rules look after themselves."""


class ControlPort:
    """Listens beside an emulator.

    Args:
        emulator: what is controlled.
        host, port: where to listen; port 0 takes any free one.
    """

    def __init__(self, emulator: Emulator, host: str = "127.0.0.1", port: int = 0) -> None:
        self._emulator = emulator
        self._where = (host, port)
        self.stopped = asyncio.Event()
        """Set when somebody asked for the end."""
        self._server = HttpServer(
            self._handle, clock=emulator.clock, log=emulator.log, limits=ServerLimits(request=1 << 20, connections=20)
        )
        self._commands: dict[tuple[str, str], Command] = {
            ("GET", "/"): lambda data: {"commands": [f"{method} {path}" for method, path in self._commands]},
            ("GET", "/status"): self._status,
            ("GET", "/behaviour"): lambda data: self._rules(),
            ("PUT", "/behaviour"): self._replace,
            ("POST", "/behaviour"): self._add,
            ("DELETE", "/behaviour"): self._clear,
            ("POST", "/stop"): self._stop,
        }
        if isinstance(emulator, Scanner):
            self._commands |= _scanner_commands(emulator)
        if isinstance(emulator, ScanServer):
            self._commands[("POST", "/cancel")] = lambda data: _cancel_at_server(emulator, data)
            self._commands[("POST", "/filters")] = lambda data: _filters_of(emulator, data)
        self.url = ""

    async def __aenter__(self) -> ControlPort:
        at = await self._server.listen(*self._where)
        self.url = f"http://{at}"
        self._emulator.log.say("listening", f"control port on {self.url}", address=str(at))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.stop()

    async def _handle(self, request: HttpRequest) -> Answer:
        method, path = request.http.method, request.path.rstrip("/") or "/"
        if not request.http.complete:
            return Answer(close="close")
        if request.http.header("Origin") is not None:
            # A web page in the user's browser can reach loopback too; programs send no Origin.
            return _json(403, {"error": "web pages may not control the emulator"})
        command = self._commands.get((method, path))
        if command is None:
            known = [m for m, p in self._commands if p == path]
            if known:
                return _json(405, {"error": f"{path} takes {', '.join(known)}"})
            there = sorted({place for _, place in self._commands if place != "/"})
            return _json(404, {"error": f"no {path} here; there are {', '.join(there)}"})
        try:
            raw = request.http.body.data() if request.http.body.size else b""
            data = json.loads(raw) if raw.strip() else {}
            if not isinstance(data, Mapping):
                raise UsageError("a JSON object is expected")
            unknown = sorted(set(data) - set(TAKES.get(path, data)))
            if unknown:
                raise UsageError(f"{', '.join(unknown)[:80]}: {path} takes {', '.join(TAKES[path]) or 'nothing'}")
            return _json(200, command(data))
        except KeyError as error:
            return _json(400, {"error": f"{error.args[0]} is missing"})
        except RecursionError:
            return _json(400, {"error": "the JSON is nested too deeply"})
        except (ValueError, TypeError, OverflowError, OSError) as error:
            return _json(400, {"error": f"{error}" or type(error).__name__})
        except DsmsharkError as error:
            return _json(400, {"error": str(error)})

    # -- for every device ----------------------------------------------------------------------------------------

    def _status(self, data: Mapping[str, Any]) -> dict[str, Any]:
        emulator = self._emulator
        now = emulator.clock.monotonic()
        status: dict[str, Any] = {
            "device": emulator.kind,
            "url": emulator.url(),
            "subscriptions": [
                {
                    "identifier": one.identifier,
                    "notify_to": one.notify_to.address,
                    "actions": list(one.actions),
                    "expires": duration(one.expires - now),
                    "destinations": [
                        {"client_context": context, "client_display_name": name, "destination_token": token}
                        for context, (name, token) in one.destinations.items()
                    ],
                }
                for source in emulator.sources
                for one in source.table.all()
            ],
            "behaviour": emulator.behaviour.report(),
        }
        if isinstance(emulator, Scanner):
            status["scanner"] = emulator.engine.status()
            status["jobs"] = [job.status() for job in [*emulator.engine.jobs.ended(), *emulator.engine.jobs.active()]]
            status["feeder"] = len(emulator.engine.feeder.pages)
        if isinstance(emulator, ScanServer):
            status["repository_state"] = emulator.engine.repository_state
            status["jobs"] = [job.status() for job in emulator.jobs]
        return status

    def _replace(self, data: Mapping[str, Any]) -> dict[str, Any]:
        given, seed = data.get("rules", []), data.get("seed")
        if not isinstance(given, list) or set(data) - {"rules", "seed"}:
            raise UsageError('expected {"rules": [...], "seed": N}')
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise UsageError(f"{seed!r} is no seed: a whole number is")
        rules = [rule_from_json(one) for one in given]
        self._emulator.behaviour.set_rules(rules, seed=seed)
        self._emulator.log.say("behaviour", f"{len(rules)} rules now")
        return self._rules()

    def _add(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self._emulator.behaviour.add(rule_from_json(data))
        self._emulator.log.say("behaviour", "one rule more")
        return self._rules()

    def _clear(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self._emulator.behaviour.clear()
        self._emulator.log.say("behaviour", "no rules now")
        return self._rules()

    def _rules(self) -> dict[str, Any]:
        behaviour = self._emulator.behaviour
        return {"rules": behaviour.report(), "seed": behaviour.seed}

    def _stop(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self.stopped.set()
        return {"stopping": True}


def _scanner_commands(scanner: Scanner) -> dict[tuple[str, str], Command]:
    def press(data: Mapping[str, Any]) -> Any:
        identifier = scanner.press(str(data.get("destination", "")))
        if identifier is None:
            raise UsageError("nobody registered such a destination")
        return {"scan_identifier": identifier}

    def load(data: Mapping[str, Any]) -> Any:
        files, pages = data.get("files"), data.get("pages")
        files = [files] if isinstance(files, str) and files else files
        if isinstance(files, list) and files:
            scanner.load([str(one) for one in files])
        elif isinstance(pages, int) and not isinstance(pages, bool) and 0 <= pages <= MAX_PAGES:
            scanner.load(pages)
        else:
            raise UsageError(f'expected {{"pages": 0 to {MAX_PAGES}}} or {{"files": [...]}}')
        return {"feeder": len(scanner.engine.feeder.pages)}

    def condition(data: Mapping[str, Any]) -> Any:
        name = _one_of(data, "name", "CoverOpen", "wscn:ConditionName")
        component = _one_of(data, "component", "MediaPath", "wscn:Component")
        severity = _one_of(data, "severity", "Warning", "wscn:Severity")
        return {"id": scanner.engine.set_condition(name, component, severity).number}

    def clear(data: Mapping[str, Any]) -> Any:
        number = _number(data, "id")
        if scanner.engine.clear_condition(number) is None:
            raise UsageError(f"there is no condition {number}")
        return {"cleared": number}

    def cancel(data: Mapping[str, Any]) -> Any:
        job = scanner.engine.jobs.find(_number(data, "job"))
        if job is None or job.over:
            raise UsageError(f"there is no active job {data['job']}")
        scanner.engine.cancel(job, at_device=True)
        return {"canceled": job.job_id}

    return {
        ("POST", "/press"): press,
        ("POST", "/load"): load,
        ("POST", "/condition"): condition,
        ("DELETE", "/condition"): clear,
        ("POST", "/cancel"): cancel,
    }


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data[key]
    if isinstance(value, bool) or not str(value).isdecimal() or len(str(value)) > 18:
        raise UsageError(f"{key} {str(value)[:40]!r} is no number")
    return int(value)


def _one_of(data: Mapping[str, Any], key: str, default: str, enum: str) -> str:
    value = str(data.get(key, default))
    known = ENUMS.get(enum)
    if known is not None and value not in known.values and ":" not in value:
        raise UsageError(f"{key} {value!r} is none of {', '.join(known.values)}")
    return value


def _cancel_at_server(server: ScanServer, data: Mapping[str, Any]) -> Any:
    job = server.engine.jobs.active(str(data["job"]))
    if job is None:
        raise UsageError(f"there is no active job {data['job']}")
    server.engine.cancel(job)
    return {"canceled": job.token}


def _filters_of(server: ScanServer, data: Mapping[str, Any]) -> Any:
    given = data["filters"]
    wanted = given.split(",") if isinstance(given, str) else given
    if not isinstance(wanted, list) or not set(map(str, wanted)) <= set(KINDS) | {""}:
        raise UsageError(f"filters is a list of {', '.join(KINDS)}")
    names = tuple(one for one in KINDS if one in wanted)
    server.configuration.set_filters(names)
    return {"filters": list(names)}


def _json(status: int, data: Any) -> Answer:
    body = json.dumps(data, ensure_ascii=True, default=str).encode() + b"\n"
    dress = http_response(status, Packed("application/json", body, b""), PLAIN)
    return Answer(dress.pieces)
