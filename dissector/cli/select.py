"""Which messages ``read`` shows."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable, Iterable

from dissector.analysis.model import Job
from dissector.base.errors import UsageError
from dissector.catalog.registry import SERVICES
from dissector.messages import Message

__all__ = ["address_of", "chosen_by", "numbers_of", "service_named"]

Test = Callable[[Message], bool]


def chosen_by(args: argparse.Namespace) -> Test:
    """The test that the options describe, ``--job`` apart.

    Raises:
        UsageError: a service or address that is none.
    """
    tests: list[Test] = []
    if args.service is not None:
        service = service_named(args.service)
        tests.append(lambda message: message.service == service)
    if args.host is not None:
        host = address_of(args.host)
        tests.append(lambda message: host in (message.source.address, message.destination.address))
    if args.stream is not None:
        number: int = args.stream
        tests.append(lambda message: message.stream.protocol == "tcp" and message.stream.number == number)
    if args.kind is not None:
        kind: str = args.kind
        tests.append(lambda message: message.kind == kind)
    return lambda message: all(test(message) for test in tests)


def service_named(text: str) -> str:
    """The catalogue's name of a service, also by its prefix.

    Raises:
        UsageError: there is no such service.
    """
    for service in SERVICES.values():
        if text.lower() in (service.name.lower(), service.prefix.lower()):
            return service.name
    names = ", ".join(f"{service.name} ({service.prefix})" for service in SERVICES.values())
    raise UsageError(f"there is no service {text!r}; there are {names}")


def address_of(text: str) -> str:
    """An IP address in its usual form.

    Raises:
        UsageError: it is none.
    """
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError as error:
        raise UsageError(f"--host needs an IP address, not {text!r}") from error


def numbers_of(jobs: Iterable[Job]) -> frozenset[int]:
    """Numbers of the messages of the jobs; their answers without SOAP are told by ``Message.request``."""
    return frozenset(step.message for job in jobs for step in job.timeline)
