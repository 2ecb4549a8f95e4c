"""May a missing id be given up? What Moodle's database can prove about transactions that are still open.

An id is drawn when its row is inserted and seen when its transaction commits. A gap is final when every
transaction that could have drawn its ids has ended, and the gap is still there afterwards. So the order is:
`horizon`, then `LogStore.rows_in` once more, then give up what is final and still missing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError

# Start times come in whole seconds from MySQL, its list of transactions may be two seconds old (see below),
# and the store's clock and the database's drift apart between the moment a gap is seen and the look.
MARGIN = timedelta(seconds=5)


class Method(StrEnum):
    """How a gap is known to be final."""

    ACTIVITY = "pg_stat_activity"
    INNODB = "innodb_trx"
    SINGLE_WRITER = "single writer"
    PATIENCE = "patience"  # it is not: only time helps


@dataclass(frozen=True, slots=True)
class Proof:
    """What one look at the database proves. `reason` says it in words, with the remedy where there is one.

    `asked_at` is the caller's clock just before the look, `now` the database's own at the look.
    """

    method: Method
    asked_at: datetime
    now: datetime
    oldest: datetime | None  # start of the oldest transaction or statement that may still hold an id
    reason: str

    def final(self, seen_at: datetime) -> bool:
        """Return whether a gap that the caller saw at `seen_at`, by its own clock, can never fill.

        The two clocks need not agree: only their difference at the look counts.
        """
        if self.method is Method.PATIENCE:
            return False
        if self.method is Method.SINGLE_WRITER:
            return True
        seen_by_database = seen_at + (self.now - self.asked_at)
        return seen_by_database + MARGIN < (self.oldest or self.now)


def horizon(conn: Connection, now: datetime) -> Proof:
    """Return what can be proven now; `now` is the caller's clock. Reads no table of Moodle's.

    `conn` must be in autocommit: a transaction of its own could see an old state.
    """
    match conn.dialect.name:
        case "postgresql":
            return _postgresql(conn, now)
        case "mysql" | "mariadb":
            return _mysql(conn, now)
        case _:
            return _sqlite(conn, now)


_SQLITE_NOW = text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")


def _sqlite(conn: Connection, asked_at: datetime) -> Proof:
    # An id is drawn under the one write lock and nobody else draws before that transaction has ended.
    now = datetime.fromisoformat(conn.execute(_SQLITE_NOW).scalar_one()).replace(tzinfo=UTC)
    reason = "SQLite has one writer at a time: an id that is passed over can never appear."
    return Proof(Method.SINGLE_WRITER, asked_at, now, None, reason)


# A session draws the id before it has a transaction id, so it is xact_start that counts and not the xid
# horizon. Rows of roles that one may not see have this very text as their query and nulls elsewhere; those
# without a role are the server's own workers. A prepared transaction shows when it was prepared, not when it
# began.
_POSTGRESQL = text(
    """
    SELECT clock_timestamp() AS now,
           pg_is_in_recovery() AS recovery,
           current_user AS me,
           (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared,
           min(xact_start) AS oldest,
           count(*) FILTER (WHERE query = '<insufficient privilege>' AND usesysid IS NOT NULL) AS hidden,
           count(*) FILTER (WHERE state = 'disabled') AS untracked
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND pid <> pg_backend_pid()
       AND backend_type IS DISTINCT FROM 'autovacuum worker'
       AND backend_type IS DISTINCT FROM 'walsender'
    """
)


def _postgresql(conn: Connection, asked_at: datetime) -> Proof:
    seen = conn.execute(_POSTGRESQL).one()
    now = seen.now.astimezone(UTC)
    if doubt := _postgresql_doubt(seen):
        return Proof(Method.PATIENCE, asked_at, now, None, doubt)
    oldest = seen.oldest.astimezone(UTC) if seen.oldest else None
    return Proof(Method.ACTIVITY, asked_at, now, oldest, _open_since(oldest))


def _postgresql_doubt(seen: Row[Any]) -> str | None:
    if seen.recovery:
        return "This PostgreSQL is a standby: transactions that are open on its primary cannot be seen here."
    if seen.hidden:
        return (
            f"The sessions of other roles are hidden from {seen.me}. "
            f'Mend: GRANT pg_read_all_stats TO "{seen.me}";'
        )
    if seen.untracked:
        return (
            "A session has track_activities off: its transaction cannot be seen. Mend: track_activities = on."
        )
    if seen.prepared:
        return (
            f"{seen.prepared} prepared transaction(s) are open in this database. "
            "Mend: look into pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED what was forgotten."
        )
    return None


_MYSQL_VARIABLES = text(
    "SHOW GLOBAL VARIABLES"
    " WHERE Variable_name IN ('wsrep_on', 'read_only', 'super_read_only', 'innodb_read_only')"
)

# A statement draws its id before its transaction is listed, so running statements count as well, and they are
# read first: one that ends in between has its transaction in the second answer.
_MYSQL_STATEMENTS = text(
    """
    SELECT UTC_TIMESTAMP(6) AS now,
           MAX(CASE WHEN command NOT IN ('Sleep', 'Daemon', 'Binlog Dump', 'Binlog Dump GTID')
                    THEN time END) AS age_s,
           COALESCE(SUM(user = 'system user' AND command IN ('Slave_SQL', 'Connect', 'Query')), 0) AS appliers
      FROM information_schema.processlist
     WHERE id <> CONNECTION_ID()
    """
)

# trx_started is in the time zone of the server's machine, whatever the session's. A change to or from summer
# time within the last day makes ages of transactions wrong by an hour.
# InnoDB answers from a copy of its list, and renews the copy only if nobody has read it for 0.1 s: a busy
# monitor can freeze it. So we have a transaction of our own open, and the copy is fresh if it lists that one.
_MYSQL_TRANSACTIONS = text(
    """
    SELECT UTC_TIMESTAMP(6) AS now,
           MAX(CASE WHEN mine THEN NULL ELSE age END) AS age_s,
           MIN(CASE WHEN mine THEN age END) AS own_age_s,
           TIMESTAMPDIFF(SECOND, CONVERT_TZ(UTC_TIMESTAMP() - INTERVAL 1 DAY, '+00:00', 'SYSTEM'),
                                 CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) AS day_s
      FROM (SELECT trx_mysql_thread_id = CONNECTION_ID() AS mine,
                   TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) AS age
              FROM information_schema.innodb_trx) AS listed
    """
)
_FRESH_S = 1
_DAY_S = 86_400
_MYSQL_DENIED = (1044, 1045, 1142, 1227)


def _mysql(conn: Connection, asked_at: datetime) -> Proof:
    variables = {name.lower(): value for name, value in conn.execute(_MYSQL_VARIABLES)}
    statements = conn.execute(_MYSQL_STATEMENTS).one()
    now = statements.now.replace(tzinfo=UTC)
    if doubt := _mysql_doubt(variables, statements.appliers):
        return Proof(Method.PATIENCE, asked_at, now, None, doubt)
    try:
        transactions = _mysql_transactions(conn)
    except DBAPIError as error:
        if error.orig is None or error.orig.args[0] not in _MYSQL_DENIED:
            raise
        return Proof(Method.PATIENCE, asked_at, now, None, _grant_process(conn))
    if doubt := _mysql_list_doubt(transactions):
        return Proof(Method.PATIENCE, asked_at, now, None, doubt)
    looks = (statements, transactions)
    begun = [look.now - timedelta(seconds=int(look.age_s)) for look in looks if look.age_s is not None]
    oldest = min(now, *(start.replace(tzinfo=UTC) for start in begun)) if begun else None
    return Proof(Method.INNODB, asked_at, now, oldest, _open_since(oldest))


def _mysql_transactions(conn: Connection) -> Row[Any]:
    # A snapshot is a transaction without a lock, and is listed at once.
    conn.execute(text("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
    try:
        listed = conn.execute(_MYSQL_TRANSACTIONS).one()
        if _fresh(listed):
            return listed
        conn.execute(text("DO SLEEP(0.15)"))
        return conn.execute(_MYSQL_TRANSACTIONS).one()
    finally:
        conn.execute(text("COMMIT"))


def _mysql_list_doubt(transactions: Row[Any]) -> str | None:
    if transactions.day_s != _DAY_S:
        return "The server's machine changed to or from summer time within a day: ages cannot be told."
    if not _fresh(transactions):
        return (
            "The server's list of transactions is old: somebody reads information_schema.innodb_trx more "
            "often than every 0.1 s. Mend: let the monitoring ask less often."
        )
    return None


def _fresh(transactions: Row[Any]) -> bool:
    return transactions.own_age_s is not None and transactions.own_age_s <= _FRESH_S


def _mysql_doubt(variables: dict[str, str], appliers: int) -> str | None:
    if _on(variables.get("wsrep_on")):
        return "This is a Galera cluster: transactions that are open on its other nodes cannot be seen here."
    if (
        any(_on(variables.get(name)) for name in ("read_only", "super_read_only", "innodb_read_only"))
        or appliers
    ):
        return "This server is a replica: transactions that are open on its primary cannot be seen here."
    return None


def _on(value: str | None) -> bool:
    return (value or "OFF").upper() not in ("OFF", "0")


def _grant_process(conn: Connection) -> str:
    user, _, host = conn.execute(text("SELECT CURRENT_USER()")).scalar_one().rpartition("@")
    return (
        "The transactions of other users are hidden: the PROCESS privilege is missing. "
        f"Mend: GRANT PROCESS ON *.* TO '{user}'@'{host}';"
    )


def _open_since(oldest: datetime | None) -> str:
    if oldest is None:
        return "No other transaction is open."
    return f"The oldest open transaction or statement began at {oldest:%Y-%m-%d %H:%M:%S} UTC."
