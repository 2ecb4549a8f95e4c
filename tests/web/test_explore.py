"""Events, trials, stories and dead letters over HTTP: what each role sees, on a real Moodle's database."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from sidecar.clock import FakeClock
from sidecar.store import audit
from sidecar.store.tables import queue
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.receiver import Receiver
from tests.rows import insert_rows, log_row
from tests.web.conftest import MakeSite, Site

EVENT = r"\x\event\y"
RULE = {"name": "r", "event": EVENT, "service": "crm", "payload": '{"id": {{ id }}}'}


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database."""
    return moodle_db


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(
        rules=[RULE, {"name": "new-user", "event": r"\core\event\user_created", "service": "crm"}]
    )


@pytest.fixture
def number(site: Site, database: Database) -> int:
    """A row of the log, of a person."""
    row = log_row(eventname=EVENT, userid=4711, ip="10.9.8.7", other='{"username": "ada"}')
    return insert_rows(database.url, [row])[0]


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_rows_are_listed_without_persons_unless_one_manages(site: Site, number: int) -> None:
    seen, managed = (
        ok(client.get("/api/v1/events?limit=1"))["items"][0] for client in (site.view, site.manage)
    )

    assert seen["event"]["id"] == managed["event"]["id"] == number
    assert (seen["event"]["userid"], seen["event"]["ip"], seen["event"]["other"]) == (None, None, None)
    assert (managed["event"]["userid"], managed["event"]["other"]) == (4711, {"username": "ada"})
    assert seen["rules"] == [{"rule": "r", "state": "on", "held": None, "made": None}]


def test_what_a_person_did_is_found_by_those_who_manage(site: Site, number: int) -> None:
    refused = site.view.get("/api/v1/events?user=4711")

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert [one["event"]["id"] for one in ok(site.manage.get("/api/v1/events?user=4711"))["items"]] == [
        number
    ]


def test_one_row_is_shown_or_said_to_be_gone(site: Site, number: int) -> None:
    assert ok(site.view.get(f"/api/v1/events/{number}"))["event"]["eventname"] == EVENT
    assert site.view.get("/api/v1/events/999999999").status_code == 404


def test_kinds_of_events_are_searched_and_their_fields_listed(site: Site, number: int) -> None:
    names = ok(site.view.get("/api/v1/event-names", params={"q": r"x\event"}))["items"]
    seen = ok(site.view.get("/api/v1/event-fields", params={"event": EVENT}))
    managed = ok(site.manage.get("/api/v1/event-fields", params={"event": EVENT}))

    assert (names[0]["name"], names[0]["rows"]) == (EVENT, 1)
    assert {one["name"]: one["samples"] for one in seen["fields"]}["other.username"] == []
    assert {one["name"]: one["samples"] for one in managed["fields"]}["other.username"] == ["ada"]


def test_a_draft_is_tried_on_a_row(site: Site, number: int, receiver: Receiver) -> None:
    draft = {**RULE, "name": "draft", "endpoint": "/u/{{ userid }}"}

    found = ok(site.manage.post("/api/v1/preview", json={"draft": draft, "log_id": number}))

    assert found["verdict"] == "matches"
    assert found["request"]["address"] == f"{receiver.url}/u/4711"
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "bad_input"),
        ({"rule": "r", "draft": RULE}, 422, "bad_input"),
        ({"rule": "nope"}, 404, "not_found"),
        ({"draft": {**RULE, "service": "nope"}}, 422, "bad_rule"),
        ({"draft": {**RULE, "payload": "{{ nope }}"}}, 422, "bad_rule"),
    ],
)
def test_a_rule_that_cannot_be_tried_says_why(
    site: Site, body: dict[str, Any], status: int, code: str
) -> None:
    for path in ("/api/v1/preview", "/api/v1/history"):
        answer = site.manage.post(path, json=body)

        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_the_last_days_are_counted(site: Site, number: int) -> None:
    seen = ok(site.view.get("/api/v1/rules/r/history?days=2"))
    drafted = ok(site.manage.post("/api/v1/history", json={"draft": {**RULE, "when": "false"}}))

    assert (seen["totals"], seen["stopped"]) == ({"matched": 1}, None)
    assert drafted["totals"] == {"when": 1}


@pytest.mark.parametrize("role", ["", "view", "call"])
@pytest.mark.parametrize("path", ["preview", "history", "dead-letters/1/edit"])
def test_only_those_who_manage_try_drafts_and_edit(site: Site, role: str, path: str) -> None:
    answer = site.as_role(role).post(f"/api/v1/{path}", json={"payload": "{}"})

    assert answer.status_code == (403 if role else 401)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("error=HTTP+422", 1),
        ("error=other", 0),
        ("status=422", 1),
        ("status=500", 0),
        ("event=user_created", 2),
        ("log_id=2", 1),
    ],
)
def test_deliveries_are_searched(site: Site, seeds: Seeds, search: str, found: int) -> None:
    seeds.delivery(1)
    seeds.rejected(2)

    assert len(ok(site.view.get(f"/api/v1/deliveries?{search}"))["items"]) == found


def test_a_delivery_tells_its_story(site: Site, seeds: Seeds) -> None:
    made = seeds.rejected(1)

    told = ok(site.view.get(f"/api/v1/deliveries/{made.delivery_id}/story"))

    assert [moment["kind"] for moment in told["moments"]] == ["logged", "queued", "attempted", "died"]
    assert told["rule_now"] == "changed"
    assert told["moments"][-1]["parameters"]["advice"] == "payload"


def test_letters_are_grouped_edited_and_replayed_at_a_pace(
    site: Site, seeds: Seeds, clock: FakeClock
) -> None:
    made = [seeds.rejected(number) for number in (1, 2, 3)]
    key = made[0].delivery_id

    (group,) = ok(site.view.get("/api/v1/dead-letters/groups"))["items"]
    edited = ok(site.manage.post(f"/api/v1/dead-letters/{key}/edit", json={"payload": '{"id": 9}'}))
    refused = site.manage.post(f"/api/v1/dead-letters/{key}/edit", json={"payload": "{"})
    story = [ok(client.get(f"/api/v1/deliveries/{key}/story")) for client in (site.view, site.manage)]
    replayed = ok(
        site.manage.post("/api/v1/dead-letters/replay", json={"all": True, "count": 3, "per_second": 1})
    )

    assert (group["count"], group["advice"]) == (3, "payload")
    assert edited["request"]["payload"] == '{"id": 9}'
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_payload")
    assert [one["edited"] for one in story] == [True, True]
    assert [one["original"] for one in story] == [None, '{"id": 1}']
    assert (replayed["replayed"], replayed["next_begins_at"]) == (3, None)
    with site.store.read() as conn:
        due = sorted(conn.execute(select(queue.c.due_at)).scalars())
        (noted,) = audit.find(conn, action="dead_letter.replay")
    assert [(moment - clock.now()).total_seconds() for moment in due] == [0, 1, 2]
    assert (noted.detail, noted.done_at) == ("and 2 more, 1 a second", clock.now())


def test_a_letter_is_compared_with_what_its_rule_sends_today(site: Site, seeds: Seeds) -> None:
    key = seeds.rejected(15).delivery_id

    found = ok(site.manage.get(f"/api/v1/dead-letters/{key}/comparison"))

    assert found["differs"]
    assert {"sign": "gone", "text": "POST /users"} in found["lines"]
    assert site.view.get(f"/api/v1/dead-letters/{key}/comparison").status_code == 403
