"""What the tail queues of rules whose deliveries share requests: it lingers, and fits into a request."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, select

from sidecar.store.tables import dlq, queue
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.rows import insert_rows, log_row

VIEWED = {"name": "views", "event": r"\core\event\course_viewed"}


def read_new(campus: Campus, count: int = 1) -> None:
    """Let rows appear after the cursor and read them."""
    tail = campus.tail()
    tail.run_once()
    insert_rows(campus.moodle.url.render_as_string(hide_password=False), [log_row() for _ in range(count)])
    while tail.run_once().more:
        pass


def kept(campus: Campus, table: Table) -> list[Any]:
    with campus.store.read() as conn:
        return list(conn.execute(select(table)))


def test_delivery_of_a_batch_is_due_when_it_has_lingered(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "batch": {"linger": "90s"}}, {**VIEWED, "name": "at-once"})

    read_new(campus)

    due = {row.rule: row.due_at - campus.clock.now() for row in kept(campus, queue)}
    assert due == {"views": timedelta(seconds=90), "at-once": timedelta(0)}


@pytest.mark.parametrize(
    ("limit", "service", "error"),
    [
        (1_024, {}, "the payload has 1026 bytes; batch.max_bytes of the rule views is 1024"),
        (2_048, {"max_payload": 1_024}, "the payload has 1026 bytes; services.crm.max_payload is 1024"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_payload_that_fits_into_no_request_is_a_dead_letter(
    make_campus: MakeCampus, limit: int, service: dict[str, Any], error: str
) -> None:
    crm = {"base_url": "http://127.0.0.1:9", **service}
    rule = {**VIEWED, "payload": f'"{"x" * 1_022}"', "batch": {"max_bytes": limit}}
    campus = make_campus(rule, services={"crm": crm})

    read_new(campus)

    assert [(letter.reason, letter.error) for letter in kept(campus, dlq)] == [("too_large", error)]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_payload_that_just_fits_is_queued(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "payload": f'"{"x" * 1_020}"', "batch": {"max_bytes": 1_024}})

    read_new(campus)

    assert [len(row.payload) for row in kept(campus, queue)] == [1_022]
    assert kept(campus, dlq) == []
