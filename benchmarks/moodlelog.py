"""A Moodle's log as large as one likes: 40 kinds of events, 2 % of them wanted, 0.05 % of the ids missing.

Made by the database itself out of rows of a real site, into the real table with all its indexes.
"""

import json
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, inspect, text

from tests import campus

TABLE = "mdl_logstore_standard_log"
WANTED = (r"\core\event\user_created", r"\core\event\user_enrolment_created")
KINDS = 40
# A generator of chance that both databases agree on (Lehmer's): which ids are missing.
_MISSING = "(n * 48271 % 2147483647) % 2000 = 0"
# Two of a hundred rows are of the wanted kinds 0 and 1, the others of the other 38.
_KIND = "CASE WHEN n * 37 % 100 < 2 THEN n * 37 % 100 ELSE 2 + n * 37 % 38 END"
_VARIED = {
    "objectid": "n % 90000 + 1",
    "contextid": "n * 7 % 40000 + 1",
    "contextinstanceid": "n * 7 % 40000 + 1",
    "userid": "n * 31 % 50000 + 3",
    "courseid": "n * 13 % 3000 + 2",
    "relateduserid": "n * 17 % 50000 + 3",
    "timecreated": "1760000000 + n / 20",
}
_AT_ONCE = 250_000


def fill(url: str, rows: int, *, first: int = 1) -> int:
    """Fill the emptied log with ids from `first` on; return how many rows there are now.

    MariaDB gets its other indexes afterwards, sorted: one by one they would take ten times as long.
    """
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as conn:
        if first == 1:
            conn.execute(text(f"TRUNCATE TABLE {TABLE}"))
        conn.execute(text("DROP TABLE IF EXISTS bench_kinds"))
        columns = _kinds(conn)
        indexes = _indexes(conn) if first == 1 else {}
        for name in indexes:
            conn.execute(text(f"ALTER TABLE {TABLE} DROP INDEX {name}"))
    for start in range(first, first + rows, _AT_ONCE):
        with engine.begin() as conn:
            last = min(start + _AT_ONCE, first + rows) - 1
            conn.execute(text(_insert(conn.dialect.name, columns, start, last)))
    with engine.begin() as conn:
        if indexes:
            added = ", ".join(f"ADD INDEX {name} ({', '.join(on)})" for name, on in indexes.items())
            conn.execute(text(f"ALTER TABLE {TABLE} {added}"))
        conn.execute(text("DROP TABLE bench_kinds"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        # As PostgreSQL has long done by itself with most of a log, and else does while we measure.
        settle = "ANALYZE TABLE" if conn.dialect.name == "mysql" else "VACUUM ANALYZE"
        conn.execute(text(f"{settle} {TABLE}"))
        count: int = conn.execute(text(f"SELECT COUNT(*) FROM {TABLE}")).scalar_one()
    engine.dispose()
    return count


def kinds() -> list[dict[str, Any]]:
    """Return one row of each kind of event, the wanted ones first: as on a real site, or of Moodle's list."""
    found: dict[str, dict[str, Any]] = {}
    for line in (campus.DATA / "mariadb" / "logstore_standard_log.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault(row["eventname"], row)
    blank = next(iter(found.values())) | {"other": None, "origin": "web"}
    for line in (campus.DATA / "events-4.5.jsonl").read_text().splitlines():
        event = json.loads(line)
        found.setdefault(event["eventname"], blank | {name: event[name] for name in event if name in blank})
    others = [name for name in found if name not in WANTED]
    return [found[name] for name in (*WANTED, *others)][:KINDS]


def _kinds(conn: Connection) -> list[str]:
    rows = kinds()
    columns = [name for name in rows[0] if name != "id"]
    like = f"SELECT id AS kind, {', '.join(columns)} FROM {TABLE} WHERE 1 = 0"
    conn.execute(text(f"CREATE TABLE bench_kinds AS {like}"))
    places = ", ".join(f":{name}" for name in columns)
    statement = text(f"INSERT INTO bench_kinds (kind, {', '.join(columns)}) VALUES (:kind, {places})")
    conn.execute(statement, [row | {"kind": kind} for kind, row in enumerate(rows)])
    return columns


def _indexes(conn: Connection) -> dict[str, list[str]]:
    if conn.dialect.name != "mysql":
        return {}
    return {
        str(one["name"]): [str(name) for name in one["column_names"]]
        for one in inspect(conn).get_indexes(TABLE)
    }


def _insert(dialect: str, columns: list[str], first: int, last: int) -> str:
    numbers = (
        f"(SELECT seq AS n FROM seq_{first}_to_{last})"
        if dialect == "mysql"
        else f"(SELECT n FROM generate_series({first}::bigint, {last}) AS n)"
    )
    values = ", ".join(_VARIED.get(name, f"k.{name}") for name in columns)
    return (
        f"INSERT INTO {TABLE} (id, {', '.join(columns)}) SELECT n, {values} FROM {numbers} numbers "
        f"JOIN bench_kinds k ON k.kind = {_KIND} WHERE NOT {_MISSING} ORDER BY n"
    )
