"""Raw IP packets sent on one interface, by Scapy's sockets for them.

Rules: the sockets are bound to the interface, so whatever the routes of the machine say, nothing goes out elsewhere.
The kernel finds the neighbour and makes the link layer; the packets are sent as they are given. The right to it is
root's (CAP_NET_RAW). Linux only.

Sources: raw(7), ipv6(7), socket(7) (SO_BINDTODEVICE), netdevice(7) (SIOCGIFMTU).
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from dissector.base.errors import TargetUnreachable, UsageError

__all__ = ["RawSender", "mtu_of"]

_SIOCGIFMTU = 0x8921


def mtu_of(interface: str) -> int:
    """Bytes of the longest IP packet on an interface.

    Raises:
        UsageError: there is no such interface, or the machine is no Linux.
    """
    _linux()
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked, _SIOCGIFMTU, struct.pack("16si12x", interface.encode()[:15], 0))
        except OSError as error:
            raise UsageError(f"{interface}: {error.strerror or error}") from error
    return int(struct.unpack("16si12x", answer)[1])


class RawSender:
    """Sends packets on an interface; use as ``with``.

    Args:
        interface: its name.

    Raises:
        UsageError: on entering: it is not permitted, or there is no such interface.
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._sockets: dict[int, Any] = {}

    def __enter__(self) -> Self:
        _linux()
        from scapy.layers.inet6 import L3RawSocket6
        from scapy.supersocket import L3RawSocket

        try:
            for version, kind in ((4, L3RawSocket), (6, L3RawSocket6)):
                made = self._sockets[version] = kind(iface=self._interface)
                made.outs.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode() + b"\0")
                # Nothing is received here: the other half of it would only fill up.
                made.ins.close()
        except PermissionError as error:
            self._close()
            raise UsageError(
                "sending packets needs the right to open raw sockets: run it as root (sudo), or see with --dry-run "
                "what would be sent"
            ) from error
        except OSError as error:
            self._close()
            raise UsageError(f"cannot send on {self._interface}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def send(self, packets: Iterable[Any]) -> None:
        """Send Scapy packets that begin with their IP header, in order.

        Raises:
            TargetUnreachable: the kernel did not take one.
        """
        for packet in packets:
            try:
                # Scapy's own send() would only log what goes wrong.
                self._sockets[packet.version].outs.sendto(bytes(packet), (packet.dst, 0))
            except OSError as error:
                raise TargetUnreachable(
                    f"{packet.dst} cannot be reached over {self._interface}: {error.strerror or error}"
                ) from error

    def _close(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()


def _linux() -> None:
    if sys.platform != "linux":
        raise UsageError("packets can be sent on Linux only")
