"""Sockets of WS-Discovery: on loopback, and in a network namespace where more than one interface or IPv6 is due."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from dissector.base.errors import TargetUnreachable, UsageError
from dissector.base.origin import Endpoint
from replay.base.clock import ManualClock, RealClock
from replay.net.interfaces import LocalAddress, choose, local_addresses
from replay.net.udp import DISCOVERY_PORT, GROUPS, DiscoverySockets, probe_multicast, probe_unicast
from tests.support.namespace import in_namespace

T = TypeVar("T")
GROUP = GROUPS["ipv4"]
PATIENCE = 60.0
"""Seconds that a test may wait for a datagram."""

Heard = tuple[bytes, Endpoint, str, bool]

WIRES = (
    "link set lo up",
    "link add one type veth peer name end1",
    "link add two type veth peer name end2",
    "link set one addrgenmode none",
    "link set two addrgenmode none",
    "link set end1 addrgenmode none up",
    "link set end2 addrgenmode none up",
    "addr add 192.0.2.10/24 dev one",
    "addr add 198.51.100.10/24 dev one",
    "addr add 192.0.2.130/24 dev two",
    "-6 addr add fe80::1/64 dev one nodad",
    "-6 addr add 2001:db8::1/64 dev one nodad",
    "-6 addr add fe80::2/64 dev two nodad",
    "link set one up",
    "link set two up",
)
"""Two interfaces with addresses of both families; what is sent to a group there is heard there."""


def run(story: Coroutine[Any, Any, T]) -> T:
    async def timed() -> T:
        return await asyncio.wait_for(story, PATIENCE)

    return asyncio.run(timed())


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port that is free: it is held, so that nobody else gets it, and shared with those who ask for a shared one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("0.0.0.0", 0))
        # Not before: of those who share, several may get one port.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield int(held.getsockname()[1])


class Device:
    """Sockets that answer each question with ``>`` and the question."""

    def __init__(self, interfaces: tuple[str, ...], port: int, **more: Any) -> None:
        self.port = port
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.traffic: list[tuple[Endpoint, Endpoint, bytes]] = []
        self.problems: list[str] = []
        self.answers = True
        self.sockets = DiscoverySockets(
            interfaces, self.port, on_datagram=self._take, on_problem=self.problems.append,
            on_traffic=lambda *one: self.traffic.append(one), **more,
        )  # fmt: skip

    def _take(self, data: bytes, source: Endpoint, local: str, multicast: bool) -> None:
        self.heard.put_nowait((data, source, local, multicast))
        if self.answers:
            self.sockets.send(b">" + data, source)


@contextlib.asynccontextmanager
async def device(*interfaces: str, port: int = 0, **more: Any) -> AsyncIterator[Device]:
    with contextlib.nullcontext(port) if port else held_port() as taken:
        made = Device(interfaces or ("127.0.0.1",), taken, **more)
        async with made.sockets:
            yield made


# -- a device on loopback --------------------------------------------------------------------------------------------


def test_multicast_question_is_answered_from_the_discovery_port() -> None:
    async def story() -> None:
        async with device() as there:
            answers = await probe_multicast(
                ["127.0.0.1"], b"who", RealClock(), repeats=1, port=there.port, enough=lambda *_: True
            )
            assert answers == [(b">who", Endpoint("127.0.0.1", there.port))]
            data, source, local, multicast = await there.heard.get()
            assert (data, source.address, local, multicast) == (b"who", "127.0.0.1", "127.0.0.1", True)
            assert there.traffic == [
                (source, Endpoint(GROUP, there.port), b"who"),
                (Endpoint("127.0.0.1", there.port), source, b">who"),
            ]
            assert there.problems == []

    run(story())


def test_unicast_question() -> None:
    async def story() -> None:
        async with device(extra_ports=[0]) as there:
            assert there.sockets.addresses == ["127.0.0.1"]
            assert there.sockets.endpoints[0].port == there.port
            for endpoint in there.sockets.endpoints:
                answers = await probe_unicast(endpoint, b"you", RealClock())
                assert answers == [(b">you", endpoint)]
                _, _, local, multicast = await there.heard.get()
                assert (local, multicast) == ("127.0.0.1", False)

    run(story())


def test_announcement_is_heard_by_others_and_not_by_itself() -> None:
    async def story() -> None:
        async with device() as there, device(port=there.port) as other:
            there.answers = other.answers = False
            there.sockets.send(b"hello", None)
            data, source, _, multicast = await other.heard.get()
            assert (data, source, multicast) == (b"hello", Endpoint("127.0.0.1", there.port), True)
            assert there.traffic == [(Endpoint("127.0.0.1", there.port), Endpoint(GROUP, there.port), b"hello")]
            # What comes later is heard, so what was sent before would have been.
            await probe_multicast(["127.0.0.1"], b"end", RealClock(), 0.01, 1, port=there.port)
            assert (await there.heard.get())[0] == b"end"

    run(story())


def test_answers_in_turn_to_many() -> None:
    async def story() -> None:
        async with device() as there:
            answers = await asyncio.gather(
                *(probe_unicast(Endpoint("127.0.0.1", there.port), b"%d" % number, RealClock()) for number in range(50))
            )
            assert [one[0][0] for one in answers] == [b">%d" % number for number in range(50)]

    run(story())


def test_what_is_sent_without_a_question_leaves_by_the_fitting_socket() -> None:
    async def story() -> None:
        async with device("127.0.0.1", "127.0.0.2") as there, device(port=there.port) as other:
            there.sockets.send(b"news", Endpoint("127.0.0.1", other.port))
            there.sockets.send(b"lost", Endpoint("2001:db8::1", 9))
            assert there.problems == ["nothing can be sent to [2001:db8::1]:9: no socket of its family is open"]
            assert there.traffic[0] == (
                Endpoint("127.0.0.1", there.port), Endpoint("127.0.0.1", other.port), b"news",
            )  # fmt: skip

    run(story())


def test_any_loopback_address_can_be_taken() -> None:
    async def story() -> None:
        async with device("127.0.0.7") as there:
            assert there.sockets.endpoints == [Endpoint("127.0.0.7", there.port)]
            answers = await probe_unicast(there.sockets.endpoints[0], b"x", RealClock())
            assert answers == [(b">x", there.sockets.endpoints[0])]

    run(story())


def test_without_interfaces_extra_ports_are_on_loopback_alone() -> None:
    async def story() -> None:
        made = Device((), DISCOVERY_PORT, families=("ipv4",), extra_ports=[0])
        async with made.sockets as there:
            assert [one.address for one in there.endpoints] == ["127.0.0.1"]
            there.send(b"hello", None)
            assert await probe_unicast(there.endpoints[0], b"x", RealClock()) == [(b">x", there.endpoints[0])]
            assert [one[2] for one in made.traffic] == [b"x", b">x"]

    run(story())


def test_closed_sockets_send_nothing_and_free_the_port() -> None:
    async def story() -> None:
        async with device(extra_ports=[0]) as made:
            extra = made.sockets.endpoints[1]
        made.sockets.send(b"late", None)
        made.sockets.send(b"late", Endpoint("127.0.0.1", 9))
        assert made.traffic == []
        async with device(extra_ports=[extra.port]) as again:
            assert extra in again.sockets.endpoints

    # Where nobody else is who might take it in between.
    in_wires(story)


# -- errors for people -----------------------------------------------------------------------------------------------


def test_extra_port_that_is_taken() -> None:
    async def story() -> None:
        async with device(extra_ports=[0]) as there:
            taken = there.sockets.endpoints[1].port
            with pytest.raises(UsageError, match=rf"cannot listen on UDP port {taken} of 127\.0\.0\.1: .*in use"):
                async with device(extra_ports=[taken]):
                    pass

    run(story())


def test_discovery_port_that_is_not_shared() -> None:
    async def story() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            with pytest.raises(UsageError, match="in use"):
                async with device(port=other.getsockname()[1]):
                    pass

    run(story())


@pytest.mark.parametrize(
    ("wanted", "families", "says"),
    [
        ("nosuch0", ("ipv4", "ipv6"), r"no network interface or address nosuch0 here; there are: .*lo \(127\.0\.0\.1"),
        ("203.0.113.77", ("ipv4", "ipv6"), r"no network interface or address 203\.0\.113\.77"),
        ("127.0.0.1", ("ipv6",), r"127\.0\.0\.1 has no IPv6 address that can be used"),
    ],
)
def test_no_such_interface(wanted: str, families: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        choose([wanted], families)


def test_name_that_nobody_knows() -> None:
    async def story() -> None:
        with pytest.raises(TargetUnreachable, match=r"no\.such\.invalid"):
            await probe_unicast(Endpoint("no.such.invalid", 3702), b"x", RealClock())

    run(story())


# -- a client --------------------------------------------------------------------------------------------------------


def test_closed_port_is_known_at_once() -> None:
    async def story() -> None:
        # A socket that speaks with another one only: its port is held, and takes nothing from us. The clock stands.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
            held.bind(("127.0.0.1", 0))
            held.connect(("127.0.0.2", 9))
            at = Endpoint("127.0.0.1", held.getsockname()[1])
            assert await probe_unicast(at, b"x", ManualClock(), timeout=30) == []

    run(story())


def test_question_is_repeated_and_given_up_by_the_clock() -> None:
    async def story() -> None:
        clock = ManualClock()
        async with device() as there:
            there.answers = False
            asked = asyncio.create_task(
                probe_unicast(Endpoint("127.0.0.1", there.port), b"x", clock, 2.0, 3, rng=random.Random(1))
            )
            sources = {(await there.heard.get())[1]}
            for _ in range(2):
                assert there.heard.empty()
                assert clock.next_due is not None
                await clock.advance(clock.next_due)
                sources.add((await there.heard.get())[1])
            assert len(sources) == 1
            assert not asked.done()
            await clock.advance(2.0)
            assert await asked == []

    run(story())


def test_enough_is_said_by_the_caller() -> None:
    class Tap:
        def __init__(self) -> None:
            self.taken: list[tuple[Endpoint, Endpoint, bytes]] = []

        def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
            self.taken.append((source, destination, data))

    async def story() -> None:
        tap, seen = Tap(), []

        def two(answer: bytes, source: Endpoint) -> bool:
            seen.append(answer)
            return len(seen) == 2

        async with device() as there:
            end = Endpoint("127.0.0.1", there.port)
            answers = await probe_unicast(end, b"x", RealClock(), PATIENCE, 2, tap=tap, enough=two)
            assert [one[0] for one in answers] == seen == [b">x", b">x"]
            mine = tap.taken[0][0]
            assert tap.taken == [(mine, end, b"x"), (end, mine, b">x")] * 2

    run(story())


# -- several interfaces, and IPv6 ------------------------------------------------------------------------------------


def in_wires(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return in_namespace(WIRES, lambda: run(story()))


def test_addresses_of_a_machine() -> None:
    def told() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in local_addresses():
            found.setdefault(one.interface, []).append(f"{one.address}/{one.prefix}")
        assert [one.address for one in choose(["::"])] == ["::1", "fe80::1", "2001:db8::1", "fe80::2"]
        assert [one.address for one in choose(["one", "192.0.2.10"], ("ipv4",))] == ["192.0.2.10", "198.51.100.10"]
        assert [one.interface for one in choose(["fe80::2%two", "fe80::2"])] == ["two"]
        with pytest.raises(UsageError):
            choose(["fe80::2%one"])
        return found

    assert in_namespace(WIRES, told) == {
        "lo": ["127.0.0.1/8", "::1/128"],
        "one": ["192.0.2.10/24", "198.51.100.10/24", "fe80::1/64", "2001:db8::1/64"],
        "two": ["192.0.2.130/24", "fe80::2/64"],
    }


def test_network_of_an_address() -> None:
    here = LocalAddress("one", 1, "2001:db8::1", 64)
    assert here.reaches("2001:db8::ffff")
    assert not here.reaches("2001:db8:0:1::1")
    assert not here.reaches("192.0.2.1")
    assert not here.reaches("printer.example")


def test_announcement_goes_out_once_on_each_interface_and_family() -> None:
    async def story() -> tuple[Any, Any, list[str]]:
        async with device("one", "two") as there:
            there.sockets.send(b"hello", None)
            return there.traffic, there.port, there.problems

    traffic, port, problems = in_wires(story)
    assert problems == []
    assert traffic == [
        (Endpoint(source, port), Endpoint(group, port), b"hello")
        for source, group in (
            ("192.0.2.10", GROUP), ("fe80::1", "ff02::c"), ("192.0.2.130", GROUP), ("fe80::2", "ff02::c"),
        )
    ]  # fmt: skip


def test_only_chosen_interfaces_are_heard() -> None:
    async def story() -> None:
        async with device("one") as there:
            for interface, family, local in (
                ("two", "ipv4", ""), ("two", "ipv6", ""), ("one", "ipv4", "192.0.2.10"), ("one", "ipv6", "fe80::1"),
            ):  # fmt: skip
                answers = await probe_multicast(
                    [interface], interface.encode(), RealClock(), PATIENCE if local else 0.05, 1, port=there.port,
                    families=(family,), enough=lambda *_: True,
                )  # fmt: skip
                assert [one[0] for one in answers] == ([b">one"] if local else [])
                if local:
                    assert (await there.heard.get())[2:] == (local, True)
                    source = answers[0][1]
                    assert (source.address.partition("%")[0], source.port) == (local, there.port)
            assert there.heard.empty()
            assert there.problems == []

    in_wires(story)


def test_answer_comes_from_the_network_of_the_sender() -> None:
    async def story() -> None:
        async with device("one") as there:
            for client, local in (("198.51.100.10", "198.51.100.10"), ("2001:db8::1", "2001:db8::1")):
                answers = await probe_multicast(
                    [client], b"x", RealClock(), PATIENCE, 1, port=there.port, enough=lambda *_: True
                )
                assert answers[0][1] == Endpoint(local, there.port)
                assert (await there.heard.get())[2] == local

    in_wires(story)


def test_link_local_unicast() -> None:
    async def story() -> None:
        async with device("two") as there:
            answers = await probe_unicast(Endpoint("fe80::2%two", there.port), b"x", RealClock())
            assert [one[0] for one in answers] == [b">x"]
            assert [one[0].address for one in there.traffic] == ["fe80::2", "fe80::2"]

    in_wires(story)


def test_interface_without_ipv6_does_without() -> None:
    async def story() -> None:
        async with device("one") as there:
            assert there.sockets.addresses == ["192.0.2.1"]
            there.sockets.send(b"hello", None)
            assert there.problems == []
        with pytest.raises(UsageError, match="one has no IPv6 address"):
            async with device("one", families=("ipv6",)):
                pass

    lay = (
        "link add one type veth peer name end1",
        "link set one addrgenmode none",
        "link set end1 addrgenmode none up",
        "addr add 192.0.2.1/24 dev one",
        "link set one up",
    )
    in_namespace(lay, lambda: run(story()))


def test_what_cannot_be_sent_is_told_once() -> None:
    async def story() -> list[str]:
        async with device("one") as there:
            for _ in range(3):
                there.sockets.send(b"x", Endpoint("203.0.113.1", 3702))
            return there.problems

    (problem,) = in_wires(story)
    assert problem.startswith("cannot send from 192.0.2.10:")
    assert problem.endswith("to 203.0.113.1:3702: Network is unreachable")


def test_loopback_carries_no_ipv6_multicast_but_the_rest() -> None:
    async def story() -> None:
        async with device("lo") as there:
            there.sockets.send(b"hello", None)
            assert [one[1].address for one in there.traffic] == [GROUP]
            assert there.problems == [
                f"cannot send from [::1]:{there.port} to [ff02::c]:{there.port}: Network is unreachable"
            ]
            assert await probe_unicast(Endpoint("::1", there.port), b"x", RealClock())

    in_wires(story)
