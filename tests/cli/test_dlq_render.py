"""Dead letters rendered again, from a real Moodle's log with today's rules."""

from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.store import deliveries
from sidecar.store.engine import Database as Store
from tests.cli.conftest import Mih
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.rows import insert_rows, log_row

# In the logs of both real sites: the administrator creates user 3.
CREATED = 15

CONFIG = r"""
site: campus
moodle: {url: "%s"}
services:
  crm: {base_url: "https://crm.example.org/api"}
rules:
  - name: new-user
    event: \core\event\user_created
    service: crm
    endpoint: /users/{{ objectid }}
    payload: '{"id": {{ objectid }}, "by": {{ userid }}, "exists": {{ relateduser.exists }}}'
  - {name: never, event: '\core\event\user_created', service: crm, when: objectid == 0}
  - {name: broken, event: '\core\event\user_created', service: crm, payload: '{"x": {{ objectid // 0 }}}'}
  - {name: "off", event: '\core\event\user_created', service: crm, enabled: false}
"""


@pytest.fixture
def campus(moodle_db: Database) -> Database:
    """A real Moodle's database, which holds the sidecar's tables too."""
    return moodle_db


@pytest.fixture
def mih(bare: Mih, campus: Database) -> Mih:
    """The command line with rules on a real Moodle's database."""
    bare.write(campus.url, CONFIG)
    return bare


@pytest.fixture
def seeds(mih: Mih, campus: Database, clock: FakeClock) -> Iterator[Seeds]:
    """The store of that configuration."""
    store = Store(campus.url, pool_size=2)
    yield Seeds(store, clock)
    store.close()


def row_of(seeds: Seeds, delivery_id: str) -> Any:
    with seeds.store.read() as conn:
        return deliveries.get(conn, delivery_id)


def test_a_letter_without_payload_is_rendered_from_its_log_row(mih: Mih, seeds: Seeds) -> None:
    made = seeds.unrendered(CREATED, endpoint="/users/{{ objectid }}")

    said = mih("dlq", "replay", made.delivery_id, "--render")

    assert (said.code, said.out) == (0, "1 replayed: due now\n")
    row = row_of(seeds, made.delivery_id)
    assert (row.state, row.endpoint, row.payload) == (
        "pending",
        "/users/3",
        '{"id": 3, "by": 2, "exists": true}',
    )
    assert seeds.letters() == 0


def test_a_letter_that_was_sent_gets_todays_payload_and_keeps_its_id(mih: Mih, seeds: Seeds) -> None:
    made = seeds.rejected(CREATED)

    mih("dlq", "replay", "--all", "--render", "--yes")

    row = row_of(seeds, made.delivery_id)
    assert (row.id, row.state, row.payload) == (1, "pending", '{"id": 3, "by": 2, "exists": true}')


@pytest.mark.parametrize(
    ("rule", "log_id", "why", "detail"),
    [
        ("never", CREATED, "condition_false", 'the rule "never" does not want this event any more'),
        ("broken", CREATED, "still_fails", "payload, line 1, column 7, {{ objectid // 0 }}"),
        ("off", CREATED, "rule_gone", 'there is no rule "off" switched on'),
        ("gone", CREATED, "rule_gone", 'there is no rule "gone" switched on'),
        ("new-user", 999_999, "row_gone", "row 999999 is gone from Moodle's log"),
        ("new-user", 1, "row_gone", "row 1 is gone from Moodle's log"),
    ],
    ids=["condition", "template", "off", "gone", "row", "another-event"],
)
def test_what_cannot_be_rendered_stays_and_says_why(
    *, mih: Mih, seeds: Seeds, rule: str, log_id: int, why: str, detail: str
) -> None:
    made = seeds.unrendered(log_id, rule=rule)

    said = mih("dlq", "replay", "--rule", rule, "--render", "--yes", "--json")

    found = next(one for one in said.json["left"] if one["delivery_id"] == made.delivery_id)
    assert (found["why"], seeds.state(made)) == (why, "dead")
    assert detail in found["detail"]


def test_persons_of_an_anonymous_row_stay_unknown(mih: Mih, seeds: Seeds, campus: Database) -> None:
    row = log_row(eventname=r"\core\event\user_created", anonymous=1, userid=4, objectid=9)
    (log_id,) = insert_rows(campus.url, [row])
    made = seeds.unrendered(log_id)

    mih("dlq", "replay", made.delivery_id, "--render")

    assert row_of(seeds, made.delivery_id).payload == '{"id": 9, "by": null, "exists": false}'


def test_age_does_not_matter_when_somebody_asks(mih: Mih, seeds: Seeds, campus: Database) -> None:
    row = log_row(eventname=r"\core\event\user_created", timecreated=1, objectid=9)
    (log_id,) = insert_rows(campus.url, [row])
    made = seeds.unrendered(log_id)

    said = mih("dlq", "replay", made.delivery_id, "--render")

    assert said.code == 0
    assert seeds.state(made) == "pending"


def test_the_copy_in_the_letter_stands_in_for_a_row_that_is_gone(mih: Mih, seeds: Seeds) -> None:
    kept = {"id": 999_999, **log_row(eventname=r"\core\event\user_created", objectid=77, other=None)}
    made = seeds.unrendered(999_999, row=kept)

    said = mih("dlq", "replay", made.delivery_id, "--render")

    assert said.code == 0
    assert row_of(seeds, made.delivery_id).payload == '{"id": 77, "by": 4, "exists": false}'


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_letter_of_another_site_is_left_alone(mih: Mih, seeds: Seeds) -> None:
    made = seeds.unrendered(CREATED, delivery_id="00000000-0000-5000-8000-000000000000")

    said = mih("dlq", "replay", made.delivery_id, "--render")

    assert said.code == 1
    assert 'it belongs to another site than "campus", or the site was renamed' in said.out


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_broken_template_stops_rendering_but_no_other_command(
    mih: Mih, seeds: Seeds, campus: Database
) -> None:
    made = seeds.rejected(CREATED)
    mih.write(campus.url, CONFIG.replace("userid }}", "useridd }}"))

    rendered = mih("dlq", "replay", made.delivery_id, "--render")
    as_sent = mih("dlq", "replay", made.delivery_id)

    assert rendered.code == 3
    assert "useridd" in rendered.err
    assert as_sent.code == 0
