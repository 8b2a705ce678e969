"""What a played party knows, and where it learns what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.errors import UsageError
from replay.base.ids import Ids
from replay.net.client import target_of
from replay.player.values import Values
from replay.scenario.extract import extract
from replay.scenario.model import Bound, Party, Scenario, Step, Wire
from replay.scenario.wires import bytes_of
from replay.soap.caller import read_message
from tests.support.http_feed import read
from tests.support.scenarios import MemoryFolder

OTHER = "00000000-c491-44d0-b4f9-42cb220adb0a"


@pytest.fixture
def management(samples: Path) -> tuple[Scenario, MemoryFolder]:
    """A device, a server, and a console that watches."""
    scenario, contents = extract(samples / "dsc-management.pcapng")
    return scenario, MemoryFolder(contents)


def values(scenario: Scenario, *played: str, given: dict[str, str] | None = None) -> Values:
    targets = {name: target_of("http://127.0.0.1:9/") for name in scenario.parties if name not in played}
    return Values(
        scenario, played=frozenset(played), targets=targets, own={}, first={}, given=given or {}, ids=Ids(1),
        steps=[step.number for step in scenario.steps],
    )  # fmt: skip


@pytest.mark.parametrize(("played", "step", "part"), [("device", 3, "answer"), ("control", 4, "message")])
def test_each_party_learns_a_token_where_it_is_told(
    management: tuple[Scenario, MemoryFolder], played: str, step: int, part: str
) -> None:
    """The server hands the token out to the device; the console, played alone, gets it by an event."""
    scenario, folder = management
    now = values(scenario, played)
    assert "job_token" not in now.now
    assert now.birth("job_token") == step
    recorded = now.recorded() | {"job_token": OTHER}
    wire = scenario.steps[step - 1].message if part == "message" else scenario.steps[step - 1].answer
    assert wire is not None
    (http,) = read(b"".join(bytes_of(wire, folder, recorded))).messages
    message = read_message(http)
    assert message is not None
    assert "job_token" not in now.born(step, part, message)
    assert now.now["job_token"] == OTHER


def test_who_makes_a_token_needs_not_be_told(management: tuple[Scenario, MemoryFolder]) -> None:
    scenario, _ = management
    now = values(scenario, "server")
    assert now.now["job_token"] != scenario.values["job_token"].recorded
    assert now.birth("job_token") == 0


def secret(name: str = "authorization") -> Scenario:
    parties = {one: Party(one, one) for one in ("a", "b")}
    value = Bound(name, "", "", secret="DSMREPLAY_TEST_SECRET")
    return Scenario("x", "x", parties, "a", {name: value}, [Step(1, "X", "", False, "a", "b", 0, 0, Wire("h"))])


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSMREPLAY_TEST_SECRET", raising=False)
    with pytest.raises(UsageError, match="authorization comes from the environment: set DSMREPLAY_TEST_SECRET"):
        values(secret(), "a")
    assert values(secret(), "a", given={"authorization": "given"}).now == {"authorization": "given"}
    monkeypatch.setenv("DSMREPLAY_TEST_SECRET", "Basic eA==")
    now = values(secret(), "a")
    assert now.now == {"authorization": "Basic eA=="}
    monkeypatch.delenv("DSMREPLAY_TEST_SECRET")
    scenario = secret()
    scenario.values["authorization"].step, scenario.values["authorization"].part = 1, "message"
    with pytest.raises(UsageError, match="set DSMREPLAY_TEST_SECRET"):
        values(scenario, "a")
    # Who only hears it needs not know it.
    assert values(scenario, "b").now == {"authorization": ""}
    # What was not written down stands for nothing that is compared.
    assert now.translation(1, "answer") == {}
