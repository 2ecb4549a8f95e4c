"""Services, rules and counts: the tables say what the file says, and keep what a person decided."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.model import Circuit, CircuitState
from sidecar.settings import Rule, Service
from sidecar.store import circuits, counts, rules, services
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW

LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def service(**options: object) -> Service:
    return Service.model_validate({"base_url": "https://crm.example.org/api", **options})


def sync(store: Store, **wanted: Service) -> None:
    with store.write() as conn:
        services.sync(conn, wanted, now=NOW)


def names(store: Store) -> list[str]:
    with store.read() as conn:
        return [row.name for row in services.all_rows(conn)]


def test_services_are_listed_without_their_secrets(store: Store) -> None:
    sync(
        store,
        crm=service(
            auth={"type": "bearer", "token": "s3cret-token"}, headers={"X-Key": "s3cret-header"}, timeout=7
        ),
    )

    with store.read() as conn:
        (row,) = services.all_rows(conn)
    assert (row.name, row.type, row.base_url, row.auth) == (
        "crm",
        "rest",
        "https://crm.example.org/api",
        "bearer",
    )
    assert (row.source, row.enabled, row.paused) == ("file", True, False)
    assert '"timeout": 7.0' in row.settings
    assert "s3cret" not in str(row)


def test_pause_and_circuit_outlive_a_change_of_the_file(store: Store) -> None:
    opened = Circuit("crm", CircuitState.OPEN, 3, NOW, NOW, "no", NOW)
    sync(store, crm=service())
    with store.write() as conn:
        assert services.pause(conn, "crm", pause=True, now=NOW)
        circuits.save(conn, opened, now=NOW)

    sync(store, crm=service(timeout=9, enabled=False))

    with store.read() as conn:
        assert services.paused(conn) == frozenset({"crm"})
        assert circuits.load_all(conn) == {"crm": opened}
        assert not services.all_rows(conn)[0].enabled


def test_resumed_service_is_not_paused(store: Store) -> None:
    sync(store, crm=service(), erp=service())

    with store.write() as conn:
        services.pause(conn, "crm", pause=True, now=NOW)
        services.pause(conn, "crm", pause=False, now=NOW)
        unknown = services.pause(conn, "lms", pause=True, now=NOW)

    assert not unknown
    with store.read() as conn:
        assert services.paused(conn) == frozenset()


def test_services_that_left_the_file_are_removed(store: Store) -> None:
    sync(store, crm=service(), erp=service())

    sync(store, erp=service(), lms=service())
    assert names(store) == ["erp", "lms"]

    sync(store)
    assert names(store) == []


def test_names_differ_by_case(store: Store) -> None:
    sync(store, crm=service(), CRM=service(timeout=9))

    assert sorted(names(store)) == ["CRM", "crm"]


def test_new_service_begins_with_a_closed_circuit(store: Store) -> None:
    sync(store, crm=service())

    with store.read() as conn:
        assert circuits.load_all(conn) == {"crm": Circuit("crm")}


def test_rules_follow_the_file(store: Store) -> None:
    first = Rule(name="users", event=("\\core\\event\\user_created", "\\core\\event\\user_*"), service="crm")
    second = Rule(name="quiz", event="\\mod_quiz\\event\\*", service="crm", endpoint="/q", method="PUT")
    with store.write() as conn:
        rules.sync(conn, [(first, "v1"), (second, "v1")], now=NOW)

    with store.write() as conn:
        changed = first.model_copy(update={"payload": '{"😀": "ü"}', "enabled": False})
        rules.sync(conn, [(changed, "v2")], now=LATER)

    with store.read() as conn:
        (row,) = rules.all_rows(conn)
    assert (row.name, row.event) == ("users", "\\core\\event\\user_created, \\core\\event\\user_*")
    assert (row.version, row.enabled, row.updated_at) == ("v2", False, LATER)
    assert "😀" in row.definition


def test_counts_of_an_hour_add_up(store: Store) -> None:
    hour = NOW + timedelta(minutes=59, seconds=59)
    for now, tally in [
        (NOW, Counter({("users", "queued"): 2, ("users", "too_old"): 1})),
        (hour, Counter({("users", "queued"): 3, ("quiz", "where"): 2**33})),
        (NOW + timedelta(hours=1), Counter({("users", "queued"): 10})),
        (NOW, Counter()),
    ]:
        with store.write() as conn:
            counts.add(conn, tally, now=now)

    with store.read() as conn:
        all_of_them = counts.totals(conn, since=NOW)
        last_hour = counts.totals(conn, since=NOW + timedelta(hours=1))
    assert all_of_them == [("quiz", "where", 2**33), ("users", "queued", 15), ("users", "too_old", 1)]
    assert last_hour == [("users", "queued", 10)]


def test_old_counts_are_pruned(store: Store) -> None:
    for hours in range(3):
        with store.write() as conn:
            counts.add(conn, Counter({("users", "queued"): 1}), now=NOW + timedelta(hours=hours))

    with store.write() as conn:
        removed = counts.prune(conn, before=NOW + timedelta(hours=2))

    assert removed == 2
