"""The ledger and replays over HTTP, on a real Moodle's database."""

from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select

from sidecar.clock import FakeClock
from sidecar.store.tables import audit, queue
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.web.conftest import MakeSite, Site

EVENT = r"\x\event\y"


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database."""
    return moodle_db


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(rules=[{"name": "r", "event": EVENT, "service": "crm"}])


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_the_ledger_names_what_is_missing(site: Site, database: Database, clock: FakeClock) -> None:
    site.hub.tail.run_once()
    _, lost = insert_rows(database.url, [log_row(eventname=EVENT), log_row(eventname=EVENT)])
    site.hub.tail.run_once()
    with site.store.write() as conn:
        conn.execute(delete(queue).where(queue.c.log_id == lost))

    shown = ok(site.view.get("/api/v1/ledger?rule=r"))

    assert (shown["unaccounted"], [one["log_id"] for one in shown["missing"]]) == (1, [lost])
    assert [(cell["rows"], cell["counts"]) for cell in shown["hours"]] == [
        (2, {"pending": 1, "unaccounted": 1})
    ]
    assert code(site.view.get("/api/v1/ledger?rule=q")) == (404, "not_found")


def test_a_replay_is_counted_begun_and_steered(site: Site, database: Database) -> None:
    [number] = insert_rows(database.url, [log_row(eventname=EVENT)])
    asked = {"rule": "r", "ids": str(number)}

    dry = ok(site.manage.post("/api/v1/replays", json={**asked, "dry_run": True}))
    begun = ok(site.manage.post("/api/v1/replays", json={**asked, "rate": 5}))
    steered = [
        ok(site.manage.post(f"/api/v1/replays/{begun['id']}/{deed}"))["state"]
        for deed in ("pause", "resume", "cancel")
    ]

    assert (dry["id"], dry["expected"]) == (0, 1)
    assert (begun["state"], begun["rate"], begun["created_by"]) == ("running", 5.0, "manageer")
    assert steered == ["paused", "running", "cancelled"]
    assert code(site.manage.post(f"/api/v1/replays/{begun['id']}/resume")) == (409, "refused")
    assert ok(site.view.get("/api/v1/replays"))["items"][0]["state"] == "cancelled"
    assert ok(site.view.get(f"/api/v1/replays/{begun['id']}"))["id"] == begun["id"]
    with site.store.read() as conn:
        deeds = list(conn.execute(select(audit.c.action).order_by(audit.c.id)).scalars())
    assert deeds == ["replay.create", "replay.pause", "replay.resume", "replay.cancel"]


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"rule": "r"}, (422, "bad_input")),
        ({"rule": "r", "ids": "1", "from_id": 1}, (422, "bad_input")),
        ({"rule": "r", "ids": "5-1"}, (422, "bad_input")),
        ({"rule": "q", "ids": "1"}, (404, "not_found")),
    ],
)
def test_what_makes_no_sense_is_refused(site: Site, asked: dict[str, Any], wrong: tuple[int, str]) -> None:
    assert code(site.manage.post("/api/v1/replays", json=asked)) == wrong
