"""What is watched of Moodle: each warning comes and goes, keeps since when, and is told once."""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, event, text

from sidecar import upkeep
from sidecar.model import Level, Watched
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings
from sidecar.store import counts, cursors, tables, watch
from sidecar.store.engine import Database as Store
from sidecar.store.sentences import remark_of, remedy, say
from tests.databases import Database
from tests.rows import insert_rows, log_row

LOG = "mdl_logstore_standard_log"
# What MariaDB, PostgreSQL and SQLite say of a look into a primary key.
_BY_KEY = ("PRIMARY", "optimized away", "const", "Index", "SEARCH")
PLUGINS = {
    ("tool_log", "enabled_stores"): "logstore_standard",
    ("logstore_standard", "jsonformat"): "1",
    ("logstore_standard", "loglifetime"): "30",
}


class Watcher:
    """A Moodle that the test changes, and the sidecar that looks at it once a minute."""

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        self.clock = ServerClock(self.store)
        self.settings = Settings.model_validate({"site": "campus", "moodle": {"url": url}})
        self._url = url
        self.run(
            "CREATE TABLE mdl_config (name VARCHAR(255), value TEXT)",
            "CREATE TABLE mdl_config_plugins (plugin VARCHAR(100), name VARCHAR(100), value TEXT)",
            "CREATE TABLE mdl_task_scheduled (id BIGINT, lastruntime BIGINT)",
            f"DELETE FROM {LOG}",
            *(
                f"INSERT INTO mdl_config_plugins VALUES ('{p}', '{n}', '{v}')"
                for (p, n), v in PLUGINS.items()
            ),
        )
        self.cron()

    def run(self, *statements: str) -> None:
        with create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as conn:
            for statement in statements:
                conn.execute(text(statement))

    def cron(self) -> None:
        """Have Moodle's cron run, among tasks that never ran."""
        self.run("DELETE FROM mdl_task_scheduled", "INSERT INTO mdl_task_scheduled VALUES (1, 0), (2, NULL)")
        self.run(f"INSERT INTO mdl_task_scheduled VALUES (3, {self.unix_s})")

    def written(self, ago_s: float = 0) -> int:
        """Have Moodle write a row; return its id."""
        return insert_rows(self._url, [log_row(timecreated=int(self.unix_s - ago_s))])[0]

    def cursor(self, position: int) -> None:
        with self.store.write() as conn:
            cursors.create(conn, "campus", position, now=self.clock.now())

    @property
    def unix_s(self) -> int:
        return int(self.clock.now().timestamp())

    def later(self, seconds: float = 60) -> None:
        self.clock.advance(seconds)

    def look(self) -> dict[str, Watched]:
        """Look, and return what all replicas can read of it then."""
        self.news = upkeep.watch_moodle(self.store, self.store, LogStore(), self.settings, self.clock)
        with self.store.read() as conn:
            return watch.load(conn, "campus")

    def codes(self) -> dict[str, str]:
        """Look, and return what is not well."""
        return {name: one.code for name, one in self.look().items() if one.level is not Level.WELL}


class ServerClock:
    """The database's own time, which a test moves forward: its clock is compared with ours."""

    def __init__(self, store: Store) -> None:
        self._store, self._ahead = store, timedelta()

    def now(self) -> datetime:
        return self._store.now() + self._ahead

    def monotonic(self) -> float:
        return self.now().timestamp()

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


@pytest.fixture
def moodle(moodle_db: Database) -> Iterator[Watcher]:
    watcher = Watcher(moodle_db.url)
    yield watcher
    watcher.store.close()


def clock_apart(codes: dict[str, str]) -> dict[str, str]:
    """Leave away what a test's moved clock brings."""
    return {name: code for name, code in codes.items() if name != "clock"}


def words(one: Watched) -> tuple[str, str | None]:
    return say(remark_of(one), one.since_at), remedy(remark_of(one))


def test_a_moodle_in_order_is_well_in_all_respects(moodle: Watcher) -> None:
    moodle.cursor(moodle.written())

    found = moodle.look()

    assert {name: one.level for name, one in found.items()} == dict.fromkeys(
        ["cleanup", "clock", "cron", "json_format", "log_store", "silence"], Level.WELL
    )
    assert moodle.news == []


def test_a_cron_that_stands_is_told_since_its_last_run_and_forgotten_when_it_runs(moodle: Watcher) -> None:
    ran_at = datetime.fromtimestamp(moodle.unix_s, UTC)
    moodle.cron()
    moodle.later(20 * 60)

    found = moodle.look()["cron"]
    moodle.cron()
    moodle.later()

    assert (found.level, found.code) == (Level.ATTENTION, "cron_stale")
    assert abs(found.since_at - ran_at) < timedelta(seconds=30)
    assert words(found)[0] == f"Moodle's cron has not run since {found.since_at:%H:%M} UTC"
    assert "cron" not in moodle.codes()


def test_a_log_store_that_is_switched_off_is_ill(moodle: Watcher) -> None:
    moodle.run("UPDATE mdl_config_plugins SET value = 'logstore_xapi' WHERE name = 'enabled_stores'")

    found = moodle.look()["log_store"]

    assert (found.level, found.code) == (Level.ILL, "log_store_off")


def test_a_changed_log_format_is_told_for_a_day(moodle: Watcher) -> None:
    moodle.look()
    moodle.run("UPDATE mdl_config_plugins SET value = '0' WHERE name = 'jsonformat'")
    moodle.later()

    first = moodle.look()["json_format"]
    moodle.later(3600)
    second = moodle.look()["json_format"]
    moodle.later(86_400)

    assert first.code == second.code == "json_changed"
    assert first.since_at == second.since_at
    assert say(remark_of(first), first.since_at).startswith("Moodle writes its log as PHP serialize() since ")
    assert "json_format" not in moodle.codes()


def test_cleanup_that_overtook_the_cursor_is_ill(moodle: Watcher) -> None:
    ids = [moodle.written() for _ in range(4)]
    moodle.cursor(ids[0])
    moodle.run(f"DELETE FROM {LOG} WHERE id <= {ids[2]}")

    found = moodle.look()["cleanup"]

    assert (found.level, found.code) == (Level.ILL, "cleanup_overtook")
    assert found.detail == {"first": ids[3], "position": ids[0]}


def test_what_cleanup_took_is_told_for_a_day_also_when_reading_has_gone_on(moodle: Watcher) -> None:
    ids = [moodle.written() for _ in range(4)]
    moodle.cursor(ids[0])
    moodle.run(f"DELETE FROM {LOG} WHERE id <= {ids[2]}")
    moodle.look()

    moodle.run(f"UPDATE mih_cursors SET position = {ids[3]}")
    moodle.later(3600)
    still = moodle.codes()
    moodle.later(86_400)

    assert still["cleanup"] == "cleanup_overtook"
    assert "cleanup" not in moodle.codes()


def test_cleanup_that_comes_near_the_cursor_is_told_in_time(moodle: Watcher) -> None:
    read, unread = moodle.written(ago_s=21 * 86_400), moodle.written(ago_s=20 * 86_400)
    moodle.cursor(read)

    found = moodle.look()["cleanup"]

    assert unread > read
    assert found.code == "cleanup_near"
    assert words(found)[0] == "The next row to read is 20 d old, and Moodle deletes rows after 30 days"


def test_clocks_that_disagree_are_told(moodle: Watcher) -> None:
    moodle.later(-120)

    found = moodle.look()["clock"]

    assert found.code == "clock_differs"
    assert words(found)[0] == "The clock of Moodle's database and that of the sidecar's are 2 min apart"


def test_rows_from_the_future_show_the_web_servers_clock(moodle: Watcher) -> None:
    moodle.written(ago_s=-600)

    assert moodle.codes()["clock"] == "rows_from_ahead"


def busy_weeks(moodle: Watcher, weeks: int, rows: int = 9) -> None:
    """Count rows in the last full hour of each of the last weeks, and in one before them all."""
    if moodle.clock.now().minute == 59:
        moodle.later(120)  # the hour is not to end while we look
    hour = moodle.clock.now() - timedelta(hours=1)
    with moodle.store.write() as conn:
        for number in range(1, weeks + 1):
            counts.add(conn, Counter({("seen", "queued"): rows}), now=hour - timedelta(weeks=number))
        counts.add(conn, Counter({("seen", "queued"): 1}), now=hour - timedelta(weeks=weeks, hours=1))


@pytest.mark.parametrize(
    ("weeks", "rows", "told"), [(4, 9, True), (2, 9, True), (1, 9, False), (4, 2, False), (0, 0, False)]
)
def test_a_log_is_missed_at_hours_when_it_was_never_silent(
    moodle: Watcher, weeks: int, rows: int, told: bool
) -> None:
    moodle.cursor(moodle.written(ago_s=3 * 3600))
    if weeks:
        busy_weeks(moodle, weeks, rows)

    assert ("silence" in moodle.codes()) is told


def test_an_hour_that_was_silent_once_is_not_wondered_at(moodle: Watcher) -> None:
    moodle.written(ago_s=3 * 3600)
    busy_weeks(moodle, 4)
    hour = (moodle.clock.now() - timedelta(hours=1, weeks=3)).replace(minute=0, second=0, microsecond=0)
    with moodle.store.write() as conn:
        conn.execute(tables.counts.delete().where(tables.counts.c.hour == hour))

    assert "silence" not in moodle.codes()


def test_a_restored_course_with_old_rows_is_no_silence(moodle: Watcher) -> None:
    moodle.written(ago_s=3 * 3600)
    busy_weeks(moodle, 4)
    before = moodle.codes()
    moodle.written(ago_s=400 * 86_400)
    moodle.later()

    assert before["silence"] == "log_silent"
    assert "silence" not in moodle.codes()


def test_without_the_right_to_read_it_cannot_be_known(moodle: Watcher) -> None:
    moodle.run("DROP TABLE mdl_config_plugins", "DROP TABLE mdl_config", "DROP TABLE mdl_task_scheduled")
    moodle.cursor(moodle.written())

    found = moodle.look()

    unknown = {name for name, one in found.items() if one.level is Level.UNKNOWN}
    assert unknown == {"cron", "json_format", "log_store", "cleanup"}
    assert words(found["cron"]) == (
        "Not known of Moodle (cron): there is no table mdl_task_scheduled",
        "moodle.prefix or the database in moodle.url",
    )


def test_a_cron_that_never_ran_is_not_known_to_be_stale(moodle: Watcher) -> None:
    moodle.run("DELETE FROM mdl_task_scheduled", "INSERT INTO mdl_task_scheduled VALUES (1, 0)")

    assert moodle.codes()["cron"] == "unknown"


def test_a_warning_is_logged_once(moodle: Watcher, caplog: pytest.LogCaptureFixture) -> None:
    moodle.run("UPDATE mdl_config_plugins SET value = '' WHERE name = 'enabled_stores'")

    with caplog.at_level(logging.WARNING, "mih.upkeep"):
        for _ in range(3):
            moodle.look()
            moodle.later()
            moodle.cron()

    assert sum("code=log_store_off" in line for line in caplog.messages) == 1


def test_replicas_share_one_look_a_minute(moodle: Watcher) -> None:
    asked: list[str] = []
    moodle.look()

    event.listen(moodle.store._reader, "before_cursor_execute", lambda *given: asked.append(given[2]))
    moodle.look()

    assert [query for query in asked if "mdl_" in query] == []


def test_no_look_is_a_load_on_moodle(moodle: Watcher) -> None:
    moodle.cursor(moodle.written())
    insert_rows(str(moodle.settings.moodle.url.get_secret_value()), [log_row() for _ in range(3000)])
    asked: list[tuple[str, Any]] = []
    event.listen(moodle.store._reader, "before_cursor_execute", lambda *given: asked.append(given[2:4]))

    moodle.look()

    queries = [(query, values) for query, values in asked if LOG in query]
    assert len(queries) == 5
    how = "EXPLAIN QUERY PLAN " if moodle.store.dialect == "sqlite" else "EXPLAIN "
    with moodle.store.read() as conn:
        for query, values in queries:
            plan = str(conn.exec_driver_sql(how + query, values).all())
            assert any(word in plan for word in _BY_KEY), query
