"""Where a URL leads: what a client connects to, and what it says of it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from dissector.base.errors import UsageError

__all__ = ["Target", "is_loopback", "target_of"]

PORTS = {"http": 80, "https": 443}

_KEPT = "/?%:@!$&'()*+,;=~[]|{}^`\\\"<>"
"""Characters of paths and queries that are sent as they are given, blanks and others than ASCII are not."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads.

    Attributes:
        scheme: ``http`` or ``https``.
        host: name or address, without brackets; a link-local address with its zone.
        port: filled in.
        path: with query, at least ``/``.
        authority: as the Host header has it.
    """

    scheme: str
    host: str
    port: int
    path: str
    authority: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def is_loopback(host: str) -> bool:
    """Whether an address or a name is that of this machine alone."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "ip6-localhost")


def target_of(url: str) -> Target:
    """The parts of a URL.

    Raises:
        UsageError: it is no http or https URL.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        # The zone of a link-local address belongs to this machine: it is for connecting, not for the peer (RFC 6874).
        host, port = (parts.hostname or "").replace("%25", "%"), parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError as error:  # UnicodeError is one
        raise UsageError(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in PORTS or not host or port == 0 or not text.isprintable() or " " in parts.netloc:
        raise UsageError(f"{url!r} is no URL of http or https, such as http://127.0.0.1:5357/wsd")
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_KEPT)
    bare = host.partition("%")[0]
    authority = (f"[{bare}]" if ":" in bare else bare) + (f":{port}" if port is not None else "")
    return Target(parts.scheme, host, port or PORTS[parts.scheme], path, authority)
