"""Looking up people, courses and places for a batch of events, on every real database."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, event, text

from sidecar.model import Event
from sidecar.moodle.decode import decode, mask
from sidecar.moodle.lookups import COLUMNS, Record, fetch
from tests.databases import Database
from tests.rows import log_row


@pytest.fixture
def conn(moodle_db: Database) -> Iterator[Connection]:
    engine = create_engine(moodle_db.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def statements(conn: Connection) -> list[str]:
    """Every statement that goes to the database."""
    heard: list[str] = []
    event.listen(conn, "before_cursor_execute", lambda *call: heard.append(call[2]))
    return heard


def happened(**changes: Any) -> Event:
    return decode(log_row(id=1) | changes)


def test_records_come_in_the_order_of_the_events(conn: Connection) -> None:
    events = [happened(userid=2, relateduserid=1), happened(userid=1, relateduserid=None)]

    first, second = fetch(conn, events, ["user", "relateduser"], "mdl_")

    assert (first["user"].username, first["relateduser"].username) == ("admin", "guest")
    assert (second["user"].username, second["relateduser"].exists) == ("guest", False)


def test_a_record_has_exactly_the_listed_columns(conn: Connection) -> None:
    [found] = fetch(conn, [happened(userid=2, realuserid=2, contextid=1)], list(COLUMNS), "mdl_")

    assert {need: tuple(record) for need, record in found.items()} == dict(COLUMNS)


def test_passwords_are_neither_listed_nor_selected(conn: Connection, statements: list[str]) -> None:
    fetch(conn, [happened()], list(COLUMNS), "mdl_")

    assert not {"password", "secret"} & {name for columns in COLUMNS.values() for name in columns}
    assert not any("password" in statement or "secret" in statement for statement in statements)


def test_three_kinds_of_people_share_one_query(conn: Connection, statements: list[str]) -> None:
    events = [happened(userid=2, relateduserid=1, realuserid=2)] * 50

    fetch(conn, events, ["user", "relateduser", "realuser"], "mdl_")

    assert len(statements) == 1
    assert "mdl_user" in statements[0]


def test_each_needed_table_costs_one_query_and_others_none(conn: Connection, statements: list[str]) -> None:
    events = [happened(contextid=1), happened(contextid=2), happened(courseid=1)]

    fetch(conn, events, ["category", "context"], "mdl_")

    assert [re.findall(r"FROM (\w+)", statement) for statement in statements] == [
        ["mdl_course"],
        ["mdl_course_categories"],
        ["mdl_context"],
    ]


def test_nothing_needed_asks_nothing(conn: Connection, statements: list[str]) -> None:
    assert fetch(conn, [happened(), happened()], [], "mdl_") == [{}, {}]
    assert fetch(conn, [], ["user"], "mdl_") == []
    assert statements == []


def test_the_category_is_reached_through_the_course(conn: Connection) -> None:
    conn.execute(text("UPDATE mdl_course SET category = 2 WHERE id = 2"))
    name = 'Ciencias \\ "ñ" {{x}} 😀'
    conn.execute(text("UPDATE mdl_course_categories SET name = :name WHERE id = 2"), {"name": name})

    [found] = fetch(conn, [happened(courseid=2)], ["category", "course"], "mdl_")

    assert found["course"].category == 2
    assert (found["category"].id, found["category"].name) == (2, 'Ciencias \\ "ñ" {{x}} 😀')


def test_the_course_of_the_front_page_has_no_category(conn: Connection) -> None:
    [found] = fetch(conn, [happened(courseid=1)], ["course", "category"], "mdl_")

    assert found["course"].exists
    assert not found["category"].exists


@pytest.mark.parametrize("userid", [0, None, -1, 999_999])
def test_a_missing_person_is_a_record_of_nulls_and_breaks_nothing(
    conn: Connection, userid: int | None
) -> None:
    missing, there = fetch(conn, [happened(userid=userid), happened(userid=2)], ["user"], "mdl_")

    assert not missing["user"].exists
    assert dict(missing["user"]) == dict.fromkeys(COLUMNS["user"])
    assert there["user"].exists


def test_the_person_of_a_masked_event_is_not_found(conn: Connection) -> None:
    [found] = fetch(conn, [mask(happened(userid=2, anonymous=1))], ["user"], "mdl_")

    assert not found["user"].exists


def test_thousands_of_people_are_fetched_in_chunks(conn: Connection, statements: list[str]) -> None:
    found = fetch(conn, [happened(userid=number) for number in range(1, 2502)], ["user"], "mdl_")

    assert len(statements) == 3
    assert found[1]["user"].username == "admin"
    assert not found[2500]["user"].exists


def test_every_real_row_finds_its_people_and_places(conn: Connection) -> None:
    rows = conn.execute(text("SELECT * FROM mdl_logstore_standard_log ORDER BY id")).all()

    found = fetch(conn, [decode(row) for row in rows], list(COLUMNS), "mdl_")

    assert len(found) == len(rows)
    assert all(one["user"].id == row.userid for one, row in zip(found, rows, strict=True) if row.userid > 0)
    assert json.loads(json.dumps(found)) == [{need: dict(one[need]) for need in one} for one in found]


def test_a_record_reads_as_attributes_items_and_json() -> None:
    record = Record({"id": 4, "name": "x"})

    assert (record.id, record["name"], record.exists) == (4, "x", True)
    assert json.dumps(record) == '{"id": 4, "name": "x"}'
    with pytest.raises(AttributeError, match="no field 'nmae'; there are id, name"):
        record.nmae  # noqa: B018


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(id=5),
        lambda record: record.__setitem__("id", 5),
        lambda record: setattr(record, "exists", False),
        lambda record: record.pop("id"),
        lambda record: record.clear(),
    ],
)
def test_a_record_cannot_be_changed(change: Any) -> None:
    record = Record({"id": 4})

    with pytest.raises(TypeError, match="a record cannot be changed"):
        change(record)

    assert (dict(record), record.exists) == ({"id": 4}, True)
