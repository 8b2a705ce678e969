"""The network interfaces of this machine and their addresses: where multicast goes out and is listened for.

Asked of the kernel by netlink (``RTM_GETADDR``, rtnetlink(7)), which knows all addresses of both families and the
network namespace of the calling thread. Where there is no netlink, only addresses can be named, not interfaces.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dissector.base.errors import UsageError

__all__ = ["FAMILIES", "LocalAddress", "choose", "local_addresses"]

FAMILIES = ("ipv4", "ipv6")

_RTM_GETADDR, _RTM_NEWADDR, _NLMSG_ERROR, _NLMSG_DONE = 22, 20, 2, 3
_NLM_F_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_UNUSABLE = 0x08 | 0x40
"""IFA_F_DADFAILED and IFA_F_TENTATIVE: an address that cannot be bound to (yet)."""

_ANY = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """One address of an interface.

    Attributes:
        interface: its name, "" where it is not known.
        index: its number, 0 where it is not known.
        address: without a zone.
        prefix: bits of the network.
    """

    interface: str
    index: int
    address: str
    prefix: int

    @property
    def family(self) -> str:
        """``ipv4`` or ``ipv6``."""
        return "ipv6" if ":" in self.address else "ipv4"

    @property
    def link_local(self) -> bool:
        """It is of use on its own link only, and written with a zone on this machine."""
        return self.family == "ipv6" and ipaddress.ip_address(self.address).is_link_local

    def reaches(self, address: str) -> bool:
        """Whether an address (zone ids are left out) is in its network."""
        try:
            other = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        network = ipaddress.ip_network(f"{self.address}/{self.prefix}", strict=False)
        return other.version == network.version and other in network


def local_addresses() -> list[LocalAddress]:
    """All addresses that can be bound to, by interface; none where the kernel cannot be asked (no Linux, or a sandbox
    that forbids it)."""
    if not hasattr(socket, "AF_NETLINK"):
        return []
    found: list[LocalAddress] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
            asked.bind((0, 0))
            asked.send(struct.pack("=IHHIIBBBBI", 24, _RTM_GETADDR, _NLM_F_REQUEST_DUMP, 1, 0, 0, 0, 0, 0, 0))
            while _read(asked.recv(1 << 17), found):
                pass
    except OSError:
        return []
    return sorted(found, key=lambda one: (one.index, one.family, not one.link_local))


def _read(data: bytes, found: list[LocalAddress]) -> bool:
    """One answer of the kernel; whether more follow."""
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (_NLMSG_DONE, _NLMSG_ERROR) or length < 16:
            return False
        if kind == _RTM_NEWADDR:
            one = _address(data[at + 16 : at + length])
            if one is not None:
                found.append(one)
        at += (length + 3) & ~3
    return True


def _address(data: bytes) -> LocalAddress | None:
    family, prefix, flags, _, index = struct.unpack_from("=BBBBI", data)
    if family not in (socket.AF_INET, socket.AF_INET6) or flags & _UNUSABLE:
        return None
    attributes, at = {}, 8
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        attributes[kind] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    # On a point-to-point link IFA_ADDRESS is that of the peer.
    raw = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    if raw is None:
        return None
    try:
        name = socket.if_indextoname(index)
    except OSError:
        # Taken away since.
        return None
    return LocalAddress(name, index, socket.inet_ntop(family, raw), prefix)


def choose(wanted: Sequence[str], families: Sequence[str] = FAMILIES) -> list[LocalAddress]:
    """The addresses that a person means.

    Args:
        wanted: names of interfaces, addresses of this machine (``fe80::1%eth0`` with or without its zone), host names
            that stand for such addresses; ``0.0.0.0`` and ``::`` stand for all of their family.
        families: ``ipv4``, ``ipv6``; addresses of another family are left out.

    Raises:
        UsageError: nothing here is called so, or it has no address of these families.
    """
    there = local_addresses()
    found: dict[LocalAddress, None] = {}
    for one in wanted:
        meant = _meant(one, there)
        usable = [address for address in meant if address.family in families]
        if not meant:
            raise UsageError(f"no network interface or address {one} here; there are: {_listed(there)}")
        if not usable:
            names = " or ".join({"ipv4": "IPv4", "ipv6": "IPv6"}.get(family, family) for family in families)
            raise UsageError(f"{one} has no {names} address that can be used; there are: {_listed(there)}")
        found.update(dict.fromkeys(usable))
    return list(found)


def _meant(name: str, there: Sequence[LocalAddress]) -> list[LocalAddress]:
    if name in _ANY:
        return [one for one in there if (one.family == "ipv6") == (name == "::")]
    by_name = [one for one in there if one.interface == name]
    if by_name:
        return by_name
    bare, _, zone = name.strip("[]").partition("%")
    try:
        wanted = {ipaddress.ip_address(bare)}
    except ValueError:
        try:
            known = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            return []
        wanted = {ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in known}
    if not there:
        return [LocalAddress("", 0, str(one), one.max_prefixlen) for one in wanted]
    found = [
        one
        for one in there
        if ipaddress.ip_address(one.address) in wanted and zone in ("", one.interface, str(one.index))
    ]
    if not found:
        # All of 127.0.0.0/8 is this machine, though only one address of it is told.
        near = [(one, other) for one in there for other in wanted if other.is_loopback and one.reaches(str(other))]
        found = [replace(one, address=str(other)) for one, other in near]
    return found


def _listed(there: Sequence[LocalAddress]) -> str:
    by_name: dict[str, list[str]] = {}
    for one in there:
        by_name.setdefault(one.interface, []).append(one.address)
    return ", ".join(f"{name} ({', '.join(many)})" for name, many in by_name.items()) or "none that can be told"
