"""What this Moodle says of itself: version, log store, retention, cron; or why it is unknown."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import Connection, Select, column, func, inspect, select, table, text
from sqlalchemy.exc import DBAPIError

from sidecar.errors import said

_S = TypeVar("_S")
_T = TypeVar("_T")

STANDARD_STORE = "logstore_standard"  # the log store that is read
SKEW_S = 5  # clocks that are further apart are worth a word
AHEAD_S = 60  # and rows of the log that are from this far in the future


@dataclass(frozen=True, slots=True)
class Fact(Generic[_T]):
    """A value, or the reason in words why there is none."""

    value: _T | None = None
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Of one Moodle and its database."""

    version: Fact[str]  # such as 2024100706
    release: Fact[str]  # such as "4.5.6 (Build: 20250811)"
    log_stores: Fact[tuple[str, ...]]  # in Moodle's order; logstore_standard is the one that is read
    jsonformat: Fact[bool]  # whether new rows have `other` as JSON
    loglifetime_days: Fact[int]  # 0: rows are kept for ever
    auto_increment_increment: Fact[int]  # 1 but on MySQL clusters: holes between ids are usual there
    now: Fact[datetime]  # the database's clock, in UTC


def facts(conn: Connection, prefix: str) -> SiteFacts:
    """Return what can be known with the privileges of this connection (in autocommit)."""
    ask = _Asking(conn, prefix)
    return SiteFacts(
        version=ask.config("version"),
        release=ask.config("release"),
        log_stores=_map(ask.plugin("tool_log", "enabled_stores"), _names),
        jsonformat=_map(ask.plugin("logstore_standard", "jsonformat"), lambda value: value == "1"),
        loglifetime_days=_map(ask.plugin("logstore_standard", "loglifetime"), int),
        auto_increment_increment=ask.increment(),
        now=ask.now(),
    )


def last_cron(conn: Connection, prefix: str) -> Fact[datetime]:
    """Return when Moodle's cron last ended a scheduled task: some are due every minute. A table of few rows.

    Not tool_task/lastcronstart, which says the same: it stands among passwords.
    """
    ask = _Asking(conn, prefix)
    source = table(prefix + "task_scheduled", column("lastruntime"))
    ran = ask.latest(select(func.max(source.c.lastruntime)), source.name, "task that ever ran")
    return _map(ran, lambda value: datetime.fromtimestamp(value, UTC))


def skew_s(there: datetime, before: datetime, after: datetime) -> float:
    """Return by how many seconds a clock that was read between two moments of ours is ahead of ours."""
    if there > after:
        return (there - after) / timedelta(seconds=1)
    return min((there - before) / timedelta(seconds=1), 0.0)


def find_prefixes(conn: Connection, log_table: str = "logstore_standard_log") -> list[str]:
    """Return the prefixes under which this database has a log table: for when the configured one has none."""
    names = inspect(conn).get_table_names()
    return sorted(name.removesuffix(log_table) for name in names if name.endswith(log_table))


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _map(fact: Fact[_S], convert: Callable[[_S], _T]) -> Fact[_T]:
    if fact.value is None:
        return Fact(unknown=fact.unknown)
    try:
        return Fact(convert(fact.value))
    except ValueError:
        return Fact(unknown=said("%(value)s is not what was expected", value=repr(fact.value)))


_NOW = {
    "postgresql": text("SELECT clock_timestamp()"),
    "mysql": text("SELECT UTC_TIMESTAMP(6)"),
    "mariadb": text("SELECT UTC_TIMESTAMP(6)"),
    "sqlite": text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"),
}
_INCREMENT = text("SHOW GLOBAL VARIABLES WHERE Variable_name = 'auto_increment_increment'")

# What the servers say for "you may not" and "there is none": PostgreSQL's SQLSTATE, MySQL's number.
_DENIED = ("42501", 1044, 1142, 1143)
_ABSENT = ("42P01", 1146)


class _Asking:
    """Single values through one connection: a refusal is a Fact, a lost connection an exception."""

    def __init__(self, conn: Connection, prefix: str) -> None:
        self._conn = conn
        self._prefix = prefix

    def config(self, name: str) -> Fact[str]:
        source = table(self._prefix + "config", column("name"), column("value"))
        return self._value(select(source.c.value).where(source.c.name == name), source.name, name)

    def plugin(self, plugin: str, name: str) -> Fact[str]:
        source = table(self._prefix + "config_plugins", column("plugin"), column("name"), column("value"))
        query = select(source.c.value).where(source.c.plugin == plugin, source.c.name == name)
        return self._value(query, source.name, f"{plugin}/{name}")

    def increment(self) -> Fact[int]:
        if self._conn.dialect.name not in ("mysql", "mariadb"):
            return Fact(1)
        return Fact(int(self._conn.execute(_INCREMENT).one()[1]))

    def now(self) -> Fact[datetime]:
        now = self._conn.execute(_NOW[self._conn.dialect.name]).scalar_one()
        now = datetime.fromisoformat(now) if isinstance(now, str) else now
        return Fact(now.astimezone(UTC) if now.tzinfo else now.replace(tzinfo=UTC))

    def latest(self, query: Select[tuple[int]], source: str, name: str) -> Fact[int]:
        found = self._value(query, source, name)
        return found if found.value != 0 else _none(source, name)

    def _value(self, query: Select[tuple[_T]], source: str, name: str) -> Fact[_T]:
        try:
            value = self._conn.execute(query).scalar()
        except DBAPIError as error:
            return Fact(unknown=_refusal(error, source))
        return _none(source, name) if value is None else Fact(value)


def _none(source: str, name: str) -> Fact[_T]:
    return Fact(unknown=said("%(table)s has no %(name)s", table=source, name=name))


def _mended(what: str, how: str) -> str:
    return said("%(what)s. Mend: %(how)s", what=what, how=how)


def _refusal(error: DBAPIError, source: str) -> str:
    """Return in words why `source` cannot be read; raise the error again if it is not about that."""
    # pymysql's newer errors have a SQLSTATE too, a coarser one than their number.
    codes = (getattr(error.orig, "sqlstate", None), *(error.orig.args[:1] if error.orig else ()))
    if any(code in _DENIED for code in codes):
        what = said("%(table)s may not be read", table=source)
        return _mended(what, said("GRANT SELECT ON %(table)s to the account in moodle.url", table=source))
    if any(code in _ABSENT or "no such table" in str(code) for code in codes):
        what = said("there is no table %(table)s", table=source)
        return _mended(what, said("moodle.prefix or the database in moodle.url"))
    raise error
