"""Dead letters in people's hands: advice, groups, another payload, today's rendering, replay at a pace."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sidecar.bridge.compare import Sign, compare
from sidecar.bridge.letters import Advice, BadPayload, advice, edit, groups
from sidecar.bridge.paced import Pace, replay_paced
from sidecar.bridge.replay import Again, Fate, discard, replay
from sidecar.clock import FakeClock
from sidecar.errors import NotFound
from sidecar.model import Attempt, DeadReason, Decision, Delivery, Outcome, Step, delivery_id
from sidecar.settings import Service
from sidecar.store import audit, deliveries, pile, queue
from sidecar.store.audit import Author
from sidecar.store.engine import Database as Store
from sidecar.store.find import find_letter
from sidecar.store.tables import queue as table
from tests.bridge.conftest import MakeCampus
from tests.bridge.test_preview import put
from tests.databases import Database
from tests.deliveries import NOW, delivery
from tests.rows import log_row
from tests.store.keeping import settle, take

SERVICES = {"crm": Service(base_url="https://crm.example.org", max_payload=200)}
SOMEBODY = Author("ann", "dashboard")


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    opened = Store(database.url)
    yield opened
    opened.close()


def dead(
    store: Store, *made: Delivery, status: int | None = 400, reason: DeadReason = DeadReason.REJECTED
) -> None:
    """Have deliveries given up as the dispatcher does it."""
    with store.write() as conn:
        queue.enqueue(conn, made, now=NOW)
    tried = Attempt(Outcome.REJECTED, NOW, 1.0, status=status, error="no")
    settle(store, take(store), tried, Decision(Step.BURY, reason=reason))


@pytest.mark.parametrize(
    ("reason", "status", "wanted"),
    [
        (DeadReason.EXHAUSTED, None, Advice.REACH),
        (DeadReason.EXHAUSTED, 503, Advice.SERVICE),
        (DeadReason.EXHAUSTED, 429, Advice.SLOWER),
        (DeadReason.REJECTED, 401, Advice.CREDENTIALS),
        (DeadReason.REJECTED, 302, Advice.ADDRESS),
        (DeadReason.REJECTED, 404, Advice.ADDRESS),
        (DeadReason.REJECTED, 409, Advice.CONFLICT),
        (DeadReason.REJECTED, 410, Advice.GONE),
        (DeadReason.REJECTED, 413, Advice.SIZE),
        (DeadReason.REJECTED, 422, Advice.PAYLOAD),
        (DeadReason.REJECTED, None, Advice.PAYLOAD),
        (DeadReason.RENDER, None, Advice.TEMPLATE),
        (DeadReason.TOO_LARGE, None, Advice.SIZE),
        (DeadReason.INVALID, 401, Advice.REQUEST),
        (DeadReason.REMOVED, None, Advice.REMOVED),
        (DeadReason.EXPIRED, 503, Advice.LATE),
    ],
)
def test_each_kind_of_death_has_its_advice(reason: DeadReason, status: int | None, wanted: Advice) -> None:
    assert advice(reason, status) is wanted


def test_every_advice_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "resilience.md").read_text(encoding="utf-8")
    rows = text.partition("## What mends a dead letter")[2].partition("## ")[0]

    assert [one for one in Advice if f"| `{one}` |" not in rows] == []


def test_letters_that_died_alike_are_one_group(store: Store) -> None:
    dead(store, delivery(1), delivery(2), status=422)
    dead(store, delivery(3), status=None, reason=DeadReason.EXHAUSTED)

    with store.read() as conn:
        found = groups(conn)

    assert [(one.reason, one.service, one.status, one.count, one.advice) for one in found] == [
        (DeadReason.REJECTED, "crm", 422, 2, Advice.PAYLOAD),
        (DeadReason.EXHAUSTED, "crm", None, 1, Advice.REACH),
    ]
    assert found[0].oldest == NOW


def test_an_edited_payload_is_what_a_replay_sends_and_the_first_one_is_kept(store: Store) -> None:
    dead(store, delivery(1))

    edit(store, "crm-1", '{"n": 2}', services=SERVICES, by=SOMEBODY, now=NOW)
    edit(store, "crm-1", '{"n": 3}', services=SERVICES, by=SOMEBODY, now=NOW)
    with store.read() as conn:
        replay(store, [find_letter(conn, "crm-1")], now=NOW)

    (claimed,) = take(store)
    assert (claimed.delivery.delivery_id, claimed.delivery.body) == ("crm-1", '{"n": 3}')
    with store.read() as conn:
        row = deliveries.get(conn, "crm-1")
        written = audit.find(conn)
    assert row
    assert row.original == '{"n": 1}'
    assert [(one.who, one.via, one.action, one.object) for one in written] == [
        ("ann", "dashboard", "letter.edit", "crm-1")
    ] * 2
    assert '"n"' not in str([one.detail for one in written])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ('{"n": }', "line 1, column 7"),
        ('{"n": NaN}', "not JSON"),
        ('{"n": "\0"}', "NUL"),
        ('{"n": "\ud83d"}', "half a character"),
        ('"' + "é" * 100 + '"', "has 202 bytes"),
        ("", "not JSON"),
        ("[" * 150, "not JSON"),
    ],
)
def test_a_payload_that_cannot_be_sent_changes_nothing(store: Store, payload: str, why: str) -> None:
    dead(store, delivery(1))

    with pytest.raises(BadPayload, match=why):
        edit(store, "crm-1", payload, services=SERVICES, by=SOMEBODY, now=NOW)

    with store.read() as conn:
        assert find_letter(conn, "crm-1").payload == '{"n": 1}'
        assert audit.find(conn) == []


def test_xml_stays_xml_and_text_may_be_anything(store: Store) -> None:
    dead(store, delivery(1, content_type="application/xml"), delivery(2, content_type="text/plain"))

    with pytest.raises(BadPayload, match="not XML"):
        edit(store, "crm-1", "<a>", services=SERVICES, by=None, now=NOW)

    assert edit(store, "crm-1", "<a/>", services=SERVICES, by=None, now=NOW).payload == "<a/>"
    assert edit(store, "crm-2", "<a>", services=SERVICES, by=None, now=NOW).payload == "<a>"


def test_what_is_no_dead_letter_or_was_never_rendered_is_not_edited(store: Store) -> None:
    dead(store, delivery(1), reason=DeadReason.INVALID)
    with store.write() as conn:
        queue.enqueue(conn, [delivery(2)], now=NOW)

    with pytest.raises(BadPayload, match="never rendered"):
        edit(store, "crm-1", "{}", services=SERVICES, by=None, now=NOW)
    with pytest.raises(NotFound, match="it is no dead letter"):
        edit(store, "crm-2", "{}", services=SERVICES, by=None, now=NOW)


def test_a_letter_whose_delivery_lives_is_not_edited(store: Store) -> None:
    dead(store, delivery(1))
    with store.write() as conn:
        queue.revive(conn, ["crm-1"], now=NOW)

    with pytest.raises(BadPayload, match="no longer dead"):
        edit(store, "crm-1", "{}", services=SERVICES, by=None, now=NOW)


def test_many_are_due_one_portion_after_the_other(store: Store) -> None:
    dead(store, *(delivery(n) for n in range(1, 6)))
    pace = Pace(2, NOW)
    with store.read() as conn:
        letters = pile.search(conn, pile.Choice()).rows

    done = replay_paced(store, letters[:4], pace)
    done += replay_paced(store, letters[4:], pace.after(4))

    assert {one.fate for one in done} == {Fate.REPLAYED}
    with store.read() as conn:
        due = sorted(conn.execute(select(table.c.due_at)).scalars())
    assert [(moment - NOW).total_seconds() for moment in due] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(("per_second", "last_s"), [(0.5, 8), (1, 4), (2.5, 1.6), (1000, 0)])
def test_a_pace_is_kept_whatever_it_is(per_second: float, last_s: float) -> None:
    pace = Pace(per_second, NOW)
    letters: list[Any] = [None] * 5

    *_, (due_at, _) = pace.portions(letters)

    assert due_at - NOW == timedelta(seconds=last_s)
    assert sum(len(some) for _, some in pace.portions(letters)) == 5


def test_what_was_sent_is_compared_with_what_todays_rule_sends(
    make_campus: MakeCampus, clock: FakeClock
) -> None:
    rule = {
        "name": "r",
        "event": r"\x\event\y",
        "endpoint": "/new",
        "payload": '{"id": {{ id }}, "a": [1, 2]}',
    }
    campus = make_campus(rule)
    (number,) = put(campus, log_row(eventname=r"\x\event\y"))
    again = Again(campus.known.settings, campus.known.book, campus.moodle, campus.log)
    old = delivery(
        number,
        rule="r",
        event=r"\x\event\y",
        delivery_id=delivery_id("campus", "r", number),
        endpoint="/old",
        body=json.dumps({"id": number, "a": [1, 3]}),
    )
    dead(campus.store, old)

    with campus.store.read() as conn:
        found = compare(find_letter(conn, old.delivery_id), again, now=clock.now())

    changed = [(line.sign, line.text.strip()) for line in found.lines if line.sign is not Sign.SAME]
    assert changed == [
        (Sign.GONE, "POST /old"),
        (Sign.NEW, "POST /new"),
        (Sign.GONE, "3"),
        (Sign.NEW, "2"),
    ]
    assert found.differs


def test_a_letter_whose_rule_is_gone_says_why_there_is_nothing_to_compare(
    make_campus: MakeCampus, clock: FakeClock
) -> None:
    campus = make_campus()
    again = Again(campus.known.settings, campus.known.book, campus.moodle, campus.log)
    dead(campus.store, delivery(1, rule="gone"))

    with campus.store.read() as conn:
        found = compare(find_letter(conn, "crm-1"), again, now=clock.now())

    assert found.refused
    assert found.refused.fate is Fate.RULE_GONE
    assert not found.differs


def test_what_somebody_else_deleted_meanwhile_is_not_sent(store: Store) -> None:
    dead(store, delivery(1), delivery(2))
    with store.read() as conn:
        letters = pile.search(conn, pile.Choice(), limit=10).rows
    assert discard(store, [one for one in letters if one.delivery_id == "crm-1"], now=NOW) == 1

    fates = {one.delivery_id: (one.fate, one.detail) for one in replay(store, letters, now=NOW)}

    assert fates == {
        "crm-1": (Fate.LEFT_ALONE, "somebody else replayed or deleted it meanwhile"),
        "crm-2": (Fate.REPLAYED, None),
    }
    with store.read() as conn:
        assert conn.execute(select(table.c.state).order_by(table.c.id)).scalars().all() == [
            "cancelled",
            "pending",
        ]


def test_what_somebody_else_replayed_meanwhile_is_not_cancelled(store: Store) -> None:
    dead(store, delivery(1), delivery(2))
    with store.read() as conn:
        letters = pile.search(conn, pile.Choice(), limit=10).rows
    replay(store, [one for one in letters if one.delivery_id == "crm-1"], now=NOW)

    assert discard(store, letters, now=NOW) == 1

    with store.read() as conn:
        assert conn.execute(select(table.c.state).order_by(table.c.id)).scalars().all() == [
            "pending",
            "cancelled",
        ]
