"""The sidecar's own tables: reachable, up to date, writable, and what they remember."""

from sqlalchemy import Connection, inspect, text

from sidecar.doctor.case import Case, Memory
from sidecar.doctor.findings import Findings, note, ok, problem, warning
from sidecar.doctor.grants import account, readable
from sidecar.doctor.moodle import clock
from sidecar.doctor.privileges import writing
from sidecar.errors import MigrationsPending
from sidecar.store import circuits, cursors, deliveries, migrate, services
from sidecar.store.engine import Database
from sidecar.store.tables import metadata

_VERSION_TABLE = "mih_version"


def remember(conn: Connection, case: Case) -> Memory:
    """Return what the tables hold about this site."""
    site = case.settings.site
    return Memory(
        cursor=cursors.load(conn, site),
        other_sites=tuple(name for name in cursors.sites(conn) if name != site),
        circuits=circuits.load_all(conn),
        paused=services.paused(conn),
        pending={owed.service: owed.pending for owed in deliveries.totals(conn)},
        readable=True,
    )


def has_tables(conn: Connection) -> bool:
    """Tell whether all of our tables are there."""
    return set(metadata.tables) <= set(inspect(conn).get_table_names())


def place(conn: Connection, case: Case) -> Findings:
    """Yield where the store is, and how its clock stands."""
    where = "in Moodle's database" if case.one_database else "in a database of its own"
    yield ok("store", f"the sidecar's tables stand {where}: {case.store.shown}")
    if not case.one_database:
        before = case.clock.now()
        there = case.store.now()
        yield from clock("the clock of the store", there, before, case.clock.now())
    yield from _packets(conn, case)


def version(conn: Connection) -> str | None:
    """Return what keeps us from reading which migrations are applied, as `refusal` does; None if nothing."""
    return readable(conn, _VERSION_TABLE, ["version_num"])


def version_denied(conn: Connection) -> Findings:
    """Yield the GRANT for the table of migrations. MySQL says "denied" where there is no table, too."""
    me = account(conn)
    yield problem(
        _VERSION_TABLE,
        "may not be read by this account, or is not there yet: then run `mih migrate` with another account",
        me.grant("SELECT", _VERSION_TABLE) if me else None,
    )


def _packets(conn: Connection, case: Case) -> Findings:
    """MySQL refuses statements over max_allowed_packet, and a payload is part of one."""
    if conn.dialect.name != "mysql":
        return
    packet = int(conn.execute(text("SELECT @@max_allowed_packet")).scalar_one())
    for name, service in case.settings.services.items():
        if service.max_payload > packet // 2:
            yield warning(
                f"services.{name}.max_payload",
                f"{service.max_payload} bytes may not fit into the server's max_allowed_packet, {packet}",
                "raise max_allowed_packet to twice max_payload, or lower max_payload",
            )


def schema(conn: Connection, case: Case) -> Findings:
    """Yield whether the tables are what this program expects."""
    try:
        todo = migrate.pending(case.store)
    except MigrationsPending as newer:
        yield problem("migrations", str(newer))
        return
    if not todo:
        yield ok("migrations", "all are applied")
        return
    strangers = _strangers(conn)
    if strangers:
        yield problem(
            "migrations",
            f"{', '.join(strangers)}: these tables are there, but were not made by `mih migrate`",
            "rename or drop them, or give store.url another database",
        )
        return
    listed = ", ".join(todo)
    if case.settings.store.migrate == "check":
        yield problem("migrations", f"pending: {listed}; `mih run` will refuse to start", "mih migrate")
    else:
        yield note("migrations", f"pending: {listed}; `mih run` applies them", "mih migrate does it now")
        yield from _creating(conn)


def _strangers(conn: Connection) -> list[str]:
    names = set(inspect(conn).get_table_names())
    return [] if _VERSION_TABLE in names else sorted(names & set(metadata.tables))


def _creating(conn: Connection) -> Findings:
    """Yield the GRANT that PostgreSQL needs for new tables; MySQL does not tell without making one."""
    me = account(conn)
    if me is None or me.dialect != "postgresql":
        return
    if not conn.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar():
        yield problem(
            f"account {me.who}",
            "may not make the tables",
            f'GRANT CREATE ON SCHEMA "{me.home}" TO {me.who}; or let another account run `mih migrate`',
        )


class _Undo(Exception):
    """Everything was only tried."""


def rights(store: Database) -> Findings:
    """Yield which rights on our tables are missing: tried in a transaction that is rolled back."""
    found = []
    try:
        with store.write() as conn:
            found = list(writing(conn))
            raise _Undo
    except _Undo:
        yield from found
