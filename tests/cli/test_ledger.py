"""`mih ledger` and `mih replay` as somebody types them, on a real Moodle's database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import delete

from sidecar.clock import FakeClock
from sidecar.hub import Hub, load
from sidecar.store.tables import queue
from tests.cli.conftest import Mih
from tests.databases import Database
from tests.rows import insert_rows, log_row

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database."""
    return moodle_db


@pytest.fixture
def hub(mih: Mih, clock: FakeClock) -> Iterator[Hub]:
    """The sidecar of that configuration, which has read all there was."""
    loaded = load(mih.config, {})
    made = Hub(loaded.settings, loaded.book, clock=clock, source=loaded.source)
    made.open()
    made.tail.run_once()
    yield made
    made.close()


def test_nothing_missing_is_said_and_ends_with_0(mih: Mih, hub: Hub, database: Database) -> None:
    insert_rows(database.url, [log_row(), log_row()])
    hub.tail.run_once()

    said = mih("ledger")

    assert said.code == 0
    hour = said.out.splitlines()[1].split(maxsplit=2)
    assert hour[2].split() == ["seen", "2", "0", "2", "0", "0", "-", "0"]
    assert said.out.splitlines()[-1] == "0 unaccounted"


def test_what_is_missing_is_named_and_ends_with_6_until_it_is_repaired(
    mih: Mih, hub: Hub, database: Database
) -> None:
    _, lost = insert_rows(database.url, [log_row(), log_row()])
    hub.tail.run_once()
    with hub.store.write() as conn:
        conn.execute(delete(queue).where(queue.c.log_id == lost))

    found = mih("ledger", "--json")
    refused = mih("ledger", "--repair", typed="n\n")
    mended = mih("ledger", "--repair", "--yes")

    assert (found.code, found.json["unaccounted"], found.json["missing"][0]["log_id"]) == (6, 1, lost)
    assert (refused.code, refused.err) == (1, "Queue 1 delivery (seen 1)? [y/N]: Nothing was changed.\n")
    assert (mended.code, mended.out.splitlines()[-1]) == (0, "Queued 1 delivery, 0 dead letters.")
    assert mih("ledger").code == 0


def test_before_the_first_start_there_is_nothing_to_account_for(mih: Mih) -> None:
    said = mih("ledger")

    assert said.code == 0
    assert said.out.startswith("Nothing has been read yet: the first start of `mih run` begins.")


def test_an_unknown_rule_is_told_from_one_without_rows(mih: Mih, hub: Hub) -> None:
    assert mih("ledger", "--rule", "new-user").code == 0
    assert mih("ledger", "--rule", "new-usr").err == (
        'There is no rule "new-usr", did you mean "new-user"?\n'
    )


def test_a_dry_run_says_what_would_come_of_it(mih: Mih, hub: Hub, database: Database) -> None:
    first, last = insert_rows(database.url, [log_row(), log_row()])

    said = mih("replay", "--rule", "seen", "--ids", f"{first}-{last}", "--dry-run", "--json")

    assert said.json == {
        "would_queue": 2,
        "known": 0,
        "would_fail": 0,
        "filtered": {},
        "rows": 2,
        "errors": [],
    }
    assert mih("replay", "list").out == "Nothing was ever replayed from the log.\n"


def test_a_replay_is_asked_about_steered_and_done_here(mih: Mih, hub: Hub, database: Database) -> None:
    first, last = insert_rows(database.url, [log_row(), log_row()])
    command = ("replay", "--rule", "seen", "--from", str(first), "--to", str(last), "--rate", "50/s", "--now")

    asked = mih(*command, typed="n\n")
    done = mih(*command, "--yes")

    assert asked.err.startswith(
        f"Replay 2 rows of the events of seen (ids {first}-{last}, at least 0 s), without what was delivered"
    )
    assert done.out == (
        "Replay 1 is done: 2 queued, 0 known already, 0 filtered, 0 dead letters, of 2 rows.\n"
    )
    assert mih("replay", "show", "1", "--json").json["state"] == "done"
    assert mih("replay", "pause", "1").err == "The replay 1 is done: it cannot become paused.\n"
    assert mih("replay", "cancel", "7", "--yes").err == (
        "There is no replay 7: `mih replay list` shows those that there are.\n"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--ids", "1"], "Name the --rule, and which rows"),
        (["--rule", "seen"], "Name which rows: either --ids, or --from"),
        (["--rule", "seen", "--ids", "1", "--to", "3"], "--to goes with --from, not with --ids."),
        (["--rule", "seen", "--ids", "1", "--rate", "fast"], '"fast" is no rate: write deliveries a second'),
        (["--rule", "seen", "--from", "soon"], '"soon" is no time'),
    ],
)
def test_what_makes_no_sense_says_how_to_mend_it(mih: Mih, hub: Hub, given: list[str], said: str) -> None:
    refused = mih("replay", *given)

    assert refused.code == 2
    assert said in refused.err
