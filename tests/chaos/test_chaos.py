"""The campaign's short form: much at once on each server, and a campaign that would notice a loss."""

import pytest

from tests.chaos import processes, stores
from tests.chaos.campaign import attempt
from tests.chaos.outcome import Outcome
from tests.chaos.scenarios import Scenario
from tests.chaos.soak import Minute, grown
from tests.chaos.world import World
from tests.databases import Databases

servers = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)


@servers
def test_kills_a_restarted_database_cut_connections_and_an_absent_receiver_lose_nothing(
    databases: Databases, backend: str
) -> None:
    outcome = attempt(
        Scenario("all at once", stores.everything, crash=True), databases, backend, seed="short"
    )

    assert outcome.well, outcome.line
    print(outcome.line)  # noqa: T201 - the evidence, shown by -rP


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_rows_of_many_writers_that_commit_in_any_order_arrive_once(
    databases: Databases, backend: str
) -> None:
    outcome = attempt(Scenario("none", processes.nothing), databases, backend, seed="short", rows=1_500)

    assert outcome.well, outcome.line
    assert outcome.delivered == outcome.events > 1_200
    assert outcome.twice == 0


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_campaign_notices_a_row_that_does_not_arrive(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(world: World) -> None:
        world.sidecar().run("--until-idle")
        world.owed.add(1)

    monkeypatch.setattr(World, "settle", lambda _: None)

    outcome = attempt(Scenario("a loss", lose), databases, "sqlite", seed="short")

    assert not outcome.well
    assert outcome.verdict == "LOST 1; the fault did not happen"


def minutes(**late: float) -> list[Minute]:
    """Return an hour of which the last quarter is as told."""
    usual: dict[str, float] = {"p95_ms": 100, "memory_mib": 120, "rows": 9_000, "connections": 9}

    def minute(number: int) -> Minute:
        now = usual | (late if number > 45 else {})
        rows = (int(now["rows"]),) * 5
        return Minute(
            number, 1200, 1200, 50, now["p95_ms"], 300, now["memory_mib"], int(now["connections"]), rows
        )

    return [minute(number) for number in range(1, 61)]


@pytest.mark.parametrize(
    ("late", "said"),
    [
        ({}, []),
        ({"memory_mib": 140}, ["memory grows"]),
        ({"p95_ms": 300}, ["latency grows"]),
        ({"connections": 16}, []),  # a pool that was needed more
        ({"connections": 40}, ["connections grow"]),
        ({"rows": 12_000}, ["mih_queue grows", "mih_log grows", "mih_gaps grows"]),
    ],
)
def test_a_soak_says_what_has_grown(late: dict[str, float], said: list[str]) -> None:
    assert list(grown(minutes(**late))) == said


def test_a_line_of_the_table_holds_every_figure() -> None:
    outcome = Outcome(
        "killed", "mariadb", struck=5, events=1200, delivered=1199, lost=1, twice=3, seconds=9.5
    )

    assert outcome.line.split() == ["killed", "mariadb", "5", "1,200", "1,199", "1", "3", "9.5", "ok"]
