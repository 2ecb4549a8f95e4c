"""One page says how things stand, and its first sentence whether all is well."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import update

from sidecar.model import Level, Watched
from sidecar.store import counts, gaps, services, tables, watch
from tests.cli.conftest import Mih
from tests.cli.seeds import Seeds


def test_all_is_well(mih: Mih, seeds: Seeds) -> None:
    seeds.replica()
    seeds.cursor(500, head=500)
    seeds.delivered(1)
    seeds.delivery(2)

    said = mih("status")

    assert said.code == 0
    assert said.out.splitlines()[0] == (
        "All is well: the log is read to its end, 1 delivery on the way, none dead."
    )


def test_a_service_that_is_down_comes_first(mih: Mih, seeds: Seeds) -> None:
    seeds.replica()
    seeds.delivery(1)
    seeds.delivery(2)
    seeds.open_circuit("crm")
    seeds.clock.advance(18 * 60)
    seeds.beat(0)

    said = mih("status")

    assert said.out.splitlines()[:2] == [
        "crm is down since 08:00 UTC, 2 deliveries parked, oldest 18 min.",
        "1 other service is healthy.",
    ]
    assert "open for 18 min, next probe is due" in said.out
    assert "crm, 18 min ago: HTTP 503" in said.out


def test_json_has_everything_under_stable_keys(mih: Mih, seeds: Seeds) -> None:
    seeds.replica()
    seeds.cursor(480, head=500)
    seeds.unrendered(1)
    seeds.delivery(2, service="old")
    with seeds.store.write() as conn:
        counts.add(conn, Counter({("new-user", "when"): 3, ("new-user", "queued"): 9}), now=seeds.clock.now())
        gaps.remember(conn, "campus", [(5, 7), (9, 9)], seen_at=seeds.clock.now())

    found = mih("status", "--json").json

    assert (found["well"], found["ready"], found["at"]) == (False, True, "2026-03-02T08:00:00Z")
    assert found["summary"] == (
        "old is not configured, 1 delivery parked, oldest 0 s. 1 dead letter waits for you: `mih dlq list`."
        " 2 other services are healthy."
    )
    assert [(one["code"], one["level"]) for one in found["remarks"]] == [
        ("service.unknown", "attention"),
        ("dead.waiting", "attention"),
        ("service.healthy", "well"),
    ]
    assert found["remarks"][0]["params"] == {
        "service": "old",
        "parked": {"code": "parked", "params": {"n": 1, "age_s": 0.0}},
    }
    assert found["level"] == "attention"
    assert found["queue"] == {"waiting": 1, "parked": 1, "oldest": "2026-03-02T08:00:00Z"}
    assert found["polled_at"] == "2026-03-02T08:00:00Z"
    assert [(one["pid"], one["role"], one["ailment"]) for one in found["processes"]] == [(7, "all", None)]
    assert (found["cursor"]["position"], found["cursor"]["behind"]) == (480, 20)
    assert found["gaps"] == {"open": 2, "open_ids": 4, "given_up_ids": 0}
    assert [(one["service"], one["pending"], one["parked"], one["dead"]) for one in found["services"]] == [
        ("crm", 0, 0, 1),
        ("erp", 0, 0, 0),
        ("old", 1, 1, 0),
    ]
    assert found["held"] == [{"rule": "new-user", "reason": "when", "count": 3}]
    assert found["dead_letters"] == {
        "total": 1,
        "last_hour": 1,
        "last_day": 1,
        "by_reason": [{"service": "crm", "reason": "render", "count": 1}],
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_dead_letters_alone_are_no_breakdown(mih: Mih, seeds: Seeds) -> None:
    seeds.replica()
    seeds.rejected(1)

    said = mih("status")

    assert said.out.startswith("All runs, but 1 dead letter waits for you: `mih dlq list`.\n")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_standing_tail_a_silent_process_and_a_missing_role_are_told(mih: Mih, seeds: Seeds) -> None:
    seeds.replica(role="tail")
    seeds.replica(role="dispatch", pid=8)
    seeds.cursor(500, head=10, problem="the log was emptied.")
    seeds.clock.advance(45)
    seeds.beat(0)

    said = mih("status")

    assert said.out.splitlines()[:3] == [
        "Process 8 on box is ill: it was last seen 45 s ago.",
        "No process sends: start `mih run --role dispatch`.",
        "The tail stands still: the log was emptied.",
    ]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_keeps_a_process_from_its_work_is_told_at_once_and_when_it_has_become_ill(
    mih: Mih, seeds: Seeds
) -> None:
    reason = "dispatch.broker: rabbit:5672 did not answer within 10 s"
    seeds.replica()
    seeds.clock.advance(90)
    seeds.beat(20, problem=reason)
    early = mih("status", "--json").json
    table = [line.split() for line in mih("status").out.splitlines() if line.startswith("box:7 ")]
    seeds.beat(75, problem=reason)
    late = mih("status", "--json").json

    assert early["summary"].startswith(f"Process 7 on box cannot work: {reason}.")
    assert late["summary"].startswith(
        f"Process 7 on box is ill: its tail has made no round for 1 min: {reason}."
    )
    assert (early["level"], early["processes"][0]["problem"]) == ("ill", reason)
    assert [line[-1] for line in table] == ["ill"]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_killed_process_whose_work_was_taken_over_is_no_trouble(mih: Mih, seeds: Seeds) -> None:
    seeds.replica(pid=6)
    seeds.clock.advance(600)
    seeds.replica(pid=7)

    said = mih("status")

    assert said.out.startswith("All is well: ")
    assert [line.split()[-1] for line in said.out.splitlines() if line.startswith("box:")] == [
        "silent",
        "well",
    ]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_status_works_before_there_are_tables(new_mih: Mih) -> None:
    said, as_json = new_mih("status"), new_mih("status", "--json")

    assert said.code == 0
    assert said.out.startswith("The sidecar has no tables in sqlite://")
    assert said.out.endswith("yet: run `mih migrate`.\n")
    assert (as_json.json["ready"], as_json.json["well"]) == (False, False)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_other_commands_name_the_way_to_the_tables(new_mih: Mih) -> None:
    said = [new_mih(*args) for args in (("queue", "list"), ("dlq", "list"), ("circuits", "list"))]

    assert [one.code for one in said] == [5, 5, 5]
    assert all("run `mih migrate`" in one.err for one in said)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_store_that_is_away_is_a_sentence(mih: Mih) -> None:
    mih.write("mysql+pymysql://mih:hunter2-hunter2@127.0.0.1:1/mih")

    said = mih("status")

    assert said.code == 4
    assert "cannot be reached" in said.err
    assert "hunter2" not in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", [("status",), ("queue", "list"), ("services", "list"), ("dlq", "list")])
def test_every_plain_line_of_the_page_is_readable(mih: Mih, seeds: Seeds, command: tuple[str, ...]) -> None:
    seeds.replica()
    seeds.open_circuit("crm")
    seeds.rejected(1, service="erp")
    seeds.delivery(2)

    said = mih(*command)

    assert max(map(len, said.out.splitlines())) <= 110


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_is_watched_of_moodle_is_told_with_its_remedy(mih: Mih, seeds: Seeds) -> None:
    seeds.replica()
    now = seeds.clock.now()
    found = [
        Watched("cron", Level.ATTENTION, "cron_stale", now - timedelta(hours=3)),
        Watched("log_store", Level.UNKNOWN, "unknown", now, {"reason": "it is hidden", "remedy": "GRANT it"}),
        Watched("clock", Level.WELL, "well", now),
    ]
    with seeds.store.write() as conn:
        watch.save(conn, "campus", found, now=now)

    said, as_json = mih("status"), mih("status", "--json").json

    lines = said.out.splitlines()
    assert lines[0] == "Moodle's cron has not run since 05:00 UTC."
    assert "  look at Site administration > Server > Tasks, and at the job that calls cron.php" in lines
    assert lines[lines.index("Not known of Moodle (log store): it is hidden.") + 1] == "  GRANT it"
    assert (as_json["well"], as_json["level"]) == (False, "attention")
    assert as_json["moodle"][1] == {
        "subject": "cron",
        "level": "attention",
        "code": "cron_stale",
        "since": "2026-03-02T05:00:00Z",
        "text": "Moodle's cron has not run since 05:00 UTC",
        "remedy": "look at Site administration > Server > Tasks, and at the job that calls cron.php",
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_cannot_be_known_of_moodle_disturbs_nobody(mih: Mih, seeds: Seeds) -> None:
    seeds.replica()
    now = seeds.clock.now()
    with seeds.store.write() as conn:
        watch.save(
            conn, "campus", [Watched("cron", Level.UNKNOWN, "unknown", now, {"reason": "hidden"})], now=now
        )

    assert mih("status").out.startswith("All is well: ")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_service_that_asked_for_its_pause_is_told_from_one_that_people_paused(
    mih: Mih, seeds: Seeds
) -> None:
    seeds.services()
    seeds.replica()
    seeds.delivery(1)
    seeds.rejected(2, service="erp")
    with seeds.store.write() as conn:
        conn.execute(update(tables.log).values(status=410))
        for name in ("crm", "erp"):
            services.pause(conn, name, pause=True, now=seeds.clock.now())

    lines = mih("status").out.splitlines()

    assert "crm is paused, 1 delivery parked, oldest 0 s." in lines
    assert "erp is paused because it answered 410 Gone, nothing parked." in lines


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_log_that_is_not_read_to_its_end_for_long_is_told(mih: Mih, seeds: Seeds) -> None:
    seeds.cursor(480, head=2500, caught_up_at=seeds.clock.now())
    seeds.clock.advance(600)
    seeds.replica()

    assert mih("status").out.splitlines()[0] == (
        "The log is 2,020 rows behind, and was last read to its end at 08:00 UTC."
    )


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_deliveries_that_wait_for_nothing_in_sight_are_told(mih: Mih, seeds: Seeds) -> None:
    seeds.delivery(1)
    seeds.delivery(2)
    seeds.clock.advance(2 * 3600)
    seeds.replica()

    assert mih("status").out.splitlines()[0] == (
        "crm lags: 2 deliveries wait, the oldest for 2 h, and nothing is in the way."
    )


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_dead_letters_that_grow_are_counted(mih: Mih, seeds: Seeds) -> None:
    seeds.rejected(1)
    seeds.clock.advance(2 * 3600)
    for number in range(2, 12):
        seeds.rejected(number)
    seeds.replica()

    assert mih("status").out.splitlines()[0] == (
        "11 dead letters wait for you, 10 given up within the last hour: `mih dlq list`."
    )
