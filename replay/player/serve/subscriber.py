"""Where notices may go: to the subscriber's own host, and nowhere else unless the user allows it.

A Subscribe names any address it likes. A device that believed it could be told to send to third parties.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from replay.net.client import Target, target_of
from replay.net.interfaces import local_addresses

__all__ = ["Allowed"]


def _address(text: str) -> str:
    """An IP address in its one form, without zone; an IPv4 address in IPv6 dress as what it is; "" for a name."""
    try:
        found = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


class Allowed:
    """Which addresses are sent to.

    Args:
        hosts: names, addresses and networks that the user allows besides.
        resolve: name → addresses.

    Raises:
        UsageError: a network is none.
    """

    def __init__(self, hosts: Sequence[str] = (), resolve: Callable[[str], Sequence[str]] | None = None) -> None:
        self._names = {one.lower() for one in hosts if "/" not in one}
        self._resolve = resolve or _resolved
        try:
            self._networks = [ip_network(one, strict=False) for one in hosts if "/" in one]
        except ValueError as error:
            raise UsageError(f"--allow: {error}") from None

    async def target(self, url: str, subscriber: Endpoint) -> Target | str:
        """Where a URL that a subscriber named leads, or why nothing is sent there."""
        try:
            target = target_of(url)
        except UsageError as error:
            return str(error)
        own = _address(subscriber.address)
        host = _address(target.host)
        if host:
            if host == own or self._listed(target.host, host) or (_is_loopback(own) and host in _ours()):
                return target
        else:
            found = [_address(one) for one in await asyncio.to_thread(self._resolve, target.host)]
            if own in found or (_is_loopback(own) and any(one in _ours() or _is_loopback(one) for one in found)):
                # What the name leads to next time is not asked for again.
                return replace(target, host=subscriber.address)
            if self._listed(target.host, "") or any(self._listed("", one) for one in found):
                return target
        return f"{target.host} is not the subscriber's own host ({own}); --allow {target.host} lets events go there"

    def _listed(self, name: str, address: str) -> bool:
        if name.lower() in self._names or (address and address in self._names):
            return True
        return bool(address) and any(ip_address(address) in network for network in self._networks)


def _is_loopback(address: str) -> bool:
    return bool(address) and ip_address(address).is_loopback


def _ours() -> set[str]:
    return {one.address for one in local_addresses()}


def _resolved(name: str) -> list[str]:
    try:
        return [str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []
