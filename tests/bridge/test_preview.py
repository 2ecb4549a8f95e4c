"""A rule tried on one row: the verdict that the tail would reach, and the request that really goes out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.bridge.match import Misfit, compile_one
from sidecar.bridge.preview import Preview, Verdict, find_event, preview
from sidecar.bridge.shown import Remark, Shown, shown
from sidecar.clock import FakeClock
from sidecar.gateway.line import Line
from sidecar.model import DeadReason, Delivery, Outcome, delivery_id
from sidecar.settings.draft import draft_rule
from tests.bridge.conftest import MakeCampus
from tests.build import Campus, loaded
from tests.receiver import Receiver
from tests.rows import insert_rows, log_row

VIEWED = r"\core\event\course_viewed"


def tried(campus: Campus, log_id: int | None = None, **values: Any) -> Preview:
    """Preview a rule that stands nowhere yet on a row."""
    settings = campus.known.settings
    rule = draft_rule({"name": "r", "event": VIEWED, "service": "crm", **values}, settings.services)
    with campus.moodle.read() as conn:
        event = find_event(conn, campus.log, rule, log_id)
        return preview(conn, settings, compile_one(rule, settings), event, clock=campus.clock)


def test_the_newest_row_of_the_event_is_taken_unless_one_is_named(make_campus: MakeCampus) -> None:
    campus = make_campus()
    old, new = put(campus, log_row(), log_row())

    newest, named = tried(campus), tried(campus, old)

    assert newest.verdict is Verdict.MATCHES
    assert newest.delivery_id == delivery_id("campus", "r", new)
    assert named.event
    assert named.event.id == old


def test_a_matching_row_shows_the_request_with_its_size(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, log_row(courseid=7))

    seen = tried(
        campus, endpoint="/c/{{ courseid }}", payload='{"a": "é"}', headers={"X-Course": "{{ courseid }}"}
    )

    request = seen.request
    assert request
    assert (request.method, request.address) == ("POST", "http://127.0.0.1:9/c/7")
    assert request.headers["X-Course"] == "7"
    assert (request.body, request.content_type) == ('{"a": "é"}', "application/json")
    assert (request.size, request.limit) == (11, 1_048_576)


def test_a_column_that_does_not_fit_is_named_with_both_values(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, log_row(courseid=7))

    seen = tried(campus, where={"courseid": [2, 3], "userid": 4})

    assert seen.verdict is Verdict.WHERE
    assert seen.misfits == (Misfit("courseid", (2, 3), 7),)
    assert seen.request is None


def test_a_false_condition_is_told_from_one_that_fails(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, log_row(objectid=None))

    unwanted, broken = tried(campus, when="userid == 99"), tried(campus, when="1 / objectid > 2")

    assert unwanted.verdict is Verdict.WHEN
    assert broken.verdict is Verdict.FAILS
    assert broken.reason is DeadReason.RENDER
    assert broken.error
    assert broken.error.startswith("when, line 1")


def test_a_row_of_another_event_and_no_row_at_all_are_said_so(make_campus: MakeCampus) -> None:
    campus = make_campus()
    (number,) = put(campus, log_row(eventname=r"\x\event\y"))

    assert tried(campus, number).verdict is Verdict.OTHER_EVENT
    assert tried(campus, 10**15).verdict is Verdict.NO_ROW
    assert tried(campus, event=r"\x\event\never").verdict is Verdict.NO_ROW


def test_what_keeps_a_matching_row_from_being_sent_is_remarked(make_campus: MakeCampus) -> None:
    campus = make_campus(services={"crm": {"base_url": "http://127.0.0.1:9", "enabled": False}})
    old = int(campus.clock.now().timestamp()) - 90_000
    put(campus, log_row(timecreated=old, anonymous=1))

    off = tried(campus, state="off")
    shadow = tried(campus, state="shadow", payload={"long": "x" * 30_000})

    assert off.verdict is shadow.verdict is Verdict.MATCHES
    assert off.remarks == (Remark.RULE_OFF, Remark.SERVICE_OFF, Remark.MASKED, Remark.TOO_OLD)
    assert set(shadow.remarks) == {
        Remark.SHADOW,
        Remark.SERVICE_OFF,
        Remark.MASKED,
        Remark.TOO_OLD,
        Remark.LARGE,
    }


def test_the_person_behind_an_anonymous_row_is_not_shown(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, log_row(anonymous=1, userid=4, ip="10.9.8.7"))

    masked, revealed = tried(campus), tried(campus, anonymous="reveal")

    assert masked.event
    assert (masked.event.userid, masked.event.ip) == (None, None)
    assert revealed.event
    assert revealed.event.userid == 4


@pytest.mark.parametrize(
    "other",
    ["{broken", 'a:1:{i:0;O:3:"Foo":0:{}}', "N;", '{"a": "\\ud83d"}', '{"x":' * 500 + "1" + "}" * 500],
)
def test_a_row_that_nobody_can_decode_is_previewed_all_the_same(make_campus: MakeCampus, other: str) -> None:
    campus = make_campus()
    put(campus, log_row(other=other))

    seen = tried(campus, payload='{"id": {{ id }}}')

    assert seen.verdict is Verdict.MATCHES


SERVICES: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"type": "bearer", "token": "hunter2-hunter2"}},
    "basic": {"auth": {"type": "basic", "username": "ann", "password": "hunter2-hunter2"}},
    "key": {"auth": {"type": "apikey", "key": "hunter2-hunter2", "header": "X-Key"}},
    "query": {"auth": {"type": "apikey", "key": "hunter2-hunter2", "query": "key"}},
    "headers": {"headers": {"X-Secret": "hunter2-hunter2"}},
    "signed": {"signing": {"secret": "whsec_" + "aHVudGVyMi1odW50ZXIyLWh1bnRlcjIt"}},
    "packed": {"gzip": True},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", SERVICES)
def test_what_is_shown_is_what_is_sent_but_for_secrets(
    kind: str, receiver: Receiver, tmp_path: Path, clock: FakeClock, backend: str
) -> None:
    config = {"base_url": f"{receiver.url}/api", **SERVICES[kind]}
    known = loaded(tmp_path, "sqlite:///unused.sqlite", rules=[], services={"crm": config})
    service = known.settings.services["crm"]
    delivery = _delivery(clock, body='{"text": "' + "é" * 1_000 + '"}')

    told = shown(delivery, service, clock)
    line = Line(service, clock)
    attempt = line.send(delivery)
    line.close()

    assert attempt.outcome is Outcome.DELIVERED
    (got,) = receiver.requests
    assert "hunter2" not in repr(told)
    assert told.address.replace("=********", "=hunter2-hunter2") == f"{receiver.url}{got.target}"
    assert {name.lower() for name in told.headers} == {name.lower() for name, _ in got.headers} - {
        "connection"
    }
    assert _differing(told, got.headers) <= {"authorization", "x-key", "x-secret", "webhook-signature"}


def _differing(told: Shown, got: Any) -> set[str]:
    real = {name.lower(): value for name, value in got}
    return {name.lower() for name, value in told.headers.items() if real[name.lower()] != value}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_message_for_a_broker_shows_where_it_goes(tmp_path: Path, clock: FakeClock, backend: str) -> None:
    url = "amqp://ann:hunter2-hunter2@127.0.0.1/v?exchange=moodle"
    known = loaded(
        tmp_path, "sqlite:///unused.sqlite", rules=[], services={"crm": {"type": "amqp", "base_url": url}}
    )

    told = shown(_delivery(clock, endpoint="a.b"), known.settings.services["crm"], clock)

    assert "hunter2" not in repr(told)
    assert told.method == "publish"
    assert told.headers["exchange"] == "moodle"
    assert told.headers["routing_key"] == "a.b"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_header_that_cannot_be_sent_is_remarked(tmp_path: Path, clock: FakeClock, backend: str) -> None:
    known = loaded(tmp_path, "sqlite:///unused.sqlite", rules=[])

    told = shown(_delivery(clock, headers={"X-Name": "Zoë"}), known.settings.services["crm"], clock)

    assert told.remarks == (Remark.UNSENDABLE,)


def put(campus: Campus, *rows: dict[str, Any]) -> list[int]:
    return insert_rows(campus.moodle.url.render_as_string(hide_password=False), rows)


def _delivery(clock: FakeClock, **changes: Any) -> Delivery:
    made: dict[str, Any] = {
        "delivery_id": delivery_id("campus", "r", 1),
        "rule": "r",
        "rule_version": "1",
        "service": "crm",
        "event": VIEWED,
        "log_id": 1,
        "method": "POST",
        "endpoint": "/events?x=1",
        "body": "{}",
        "content_type": "application/json",
        "created_at": clock.now(),
        "headers": {"X-Rule": "r"},
    }
    return Delivery(**made | changes)
