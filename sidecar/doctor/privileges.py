"""May we read what the templates need of Moodle, write our own tables, and no more than that?"""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Executable, delete, false, insert, select, text, update

from sidecar.doctor.case import Case
from sidecar.doctor.findings import Finding, Findings, note, ok, problem
from sidecar.doctor.grants import Account, account, may_write, readable, refusal
from sidecar.model import EVENT_COLUMNS
from sidecar.moodle.lookups import COLUMNS
from sidecar.moodle.site import find_prefixes
from sidecar.store.tables import audit, metadata

# Which table each name of a template is looked up in; the category is reached through the course.
_TABLES: Mapping[str, tuple[str, ...]] = {
    "user": ("user",),
    "relateduser": ("user",),
    "realuser": ("user",),
    "course": ("course",),
    "category": ("course", "course_categories"),
    "context": ("context",),
}
_COLUMNS = {
    "user": COLUMNS["user"],
    "course": COLUMNS["course"],
    "course_categories": COLUMNS["category"],
    "context": COLUMNS["context"],
}


def reading(conn: Connection, case: Case) -> Findings:
    """Yield what keeps us from reading the log and the tables that templates look into."""
    me = account(conn)
    found = list(_log(conn, case, me))
    yield from found
    for name, users in sorted(_needed(case).items()):
        yield from _lookup(conn, case, me, name, users)


def log_is_readable(conn: Connection, case: Case) -> bool:
    """Tell whether the log can be read at all."""
    return readable(conn, case.log.name, EVENT_COLUMNS) is None


def _log(conn: Connection, case: Case, me: Account | None) -> Findings:
    name, kind = case.log.name, readable(conn, case.log.name, EVENT_COLUMNS)
    if kind is None:
        yield ok(name, "can be read")
    elif kind == "columns":
        yield problem(
            name,
            "lacks columns that Moodle's log has since 2.7: is this the log?",
            "check moodle.log_table, or let Moodle finish its upgrade",
        )
    elif kind == "absent" or _elsewhere(conn, case):
        yield _absent(conn, case)
    elif me is not None:
        yield problem(name, "may not be read by this account", me.grant("SELECT", name))


def _elsewhere(conn: Connection, case: Case) -> list[str]:
    """Return the prefixes under which there are logs, if the configured one is not among them.

    MySQL answers "denied" for a table that is not there, too.
    """
    found = find_prefixes(conn, case.settings.moodle.log_table)
    return [] if case.settings.moodle.prefix in found else found


def _absent(conn: Connection, case: Case) -> Finding:
    found = _elsewhere(conn, case)
    remedy = "check the database in moodle.url, moodle.prefix and moodle.log_table"
    if found:
        listed = " or ".join(prefix or '""' for prefix in found)
        remedy = f"set moodle.prefix to {listed}: there is a log table under that prefix"
    elif account(conn) is not None:
        remedy += "; an account sees only the tables that it has a right on"
    return problem(case.log.name, "there is no such table in Moodle's database", remedy)


def _needed(case: Case) -> dict[str, list[str]]:
    """Return the tables that templates look into, each with the rules that do."""
    needed: dict[str, list[str]] = {}
    for compiled in case.book.rules:
        for name in {name for need in compiled.template.needs for name in _TABLES[need]}:
            needed.setdefault(name, []).append(compiled.rule.name)
    return needed


def _lookup(conn: Connection, case: Case, me: Account | None, name: str, users: list[str]) -> Findings:
    full, columns = case.settings.moodle.prefix + name, _COLUMNS[name]
    kind, whose = readable(conn, full, columns), f"rule {', '.join(users)}"
    if kind is None:
        yield ok(full, f"can be read, for {whose}")
    elif kind == "denied" and me is not None:
        yield problem(full, f"may not be read, and {whose} needs it", me.grant("SELECT", full, columns))
    else:
        yield problem(
            full,
            f"there is no such table, or it lacks columns, and {whose} needs it",
            "check moodle.prefix and the database in moodle.url",
        )


def more_than_needed(conn: Connection, case: Case) -> Findings:
    """Yield a note where the account may do more to Moodle than the sidecar ever does."""
    me, users = account(conn), f"{case.settings.moodle.prefix}user"
    if me is None:
        return
    extras = []
    if may_write(conn, case.log.name):
        extras.append("change Moodle's log")
    if readable(conn, users, ["password"]) is None:
        extras.append(f"read {users}.password")
    if extras:
        yield note(
            f"account {me.who}",
            f"may {' and '.join(extras)}; the sidecar does neither",
            f"sql/grants/{me.dialect}.sql makes accounts that may do what is needed and no more",
        )


def writing(conn: Connection) -> Findings:
    """Yield what keeps us from working with our own tables. The caller's transaction must be rolled back."""
    me, missing = account(conn), list(_unwritable(conn))
    for name, verbs in missing:
        grant = me.grant(", ".join(verbs), name) if me else None
        yield problem(name, f"this account may not {', '.join(verbs)} here", grant)
    for name in _closed_sequences(conn) if me and me.dialect == "postgresql" else ():
        assert me is not None
        remedy = f"GRANT USAGE ON SEQUENCE {me.quoted(name)} TO {me.who};"
        yield problem(name, "this account may not draw numbers for new rows", remedy)
    if not missing:
        yield ok("mih_ tables", "can be read and written")


def _unwritable(conn: Connection) -> Iterator[tuple[str, list[str]]]:
    """Yield tables with what is wanted there and denied; what is on record nobody has to change."""
    for one in metadata.sorted_tables:
        first = next(iter(one.c)).name
        tries: dict[str, Executable] = {
            "SELECT": select(one).where(false()),
            "INSERT": insert(one).from_select(list(one.c.keys()), select(one).where(false())),
            "UPDATE": update(one).values({first: one.c[first]}).where(false()),
            "DELETE": delete(one).where(false()),
        }
        if one is audit:
            del tries["UPDATE"]
        verbs = [verb for verb, statement in tries.items() if _denied(conn, statement)]
        if verbs:
            # Without SELECT the three others fail as well: each of them reads.
            yield one.name, verbs


def _denied(conn: Connection, statement: Executable) -> bool:
    def work() -> None:
        with conn.begin_nested():
            conn.execute(statement)

    return refusal(work) == "denied"


# CASE, for AND has no order: the function fails on what is no sequence.
_SEQUENCES = text(
    """
    SELECT relname FROM pg_class
     WHERE relname LIKE 'mih^_%' ESCAPE '^'
       AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
       AND CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege(oid, 'USAGE') ELSE FALSE END
     ORDER BY relname
    """
)


def _closed_sequences(conn: Connection) -> list[str]:
    return list(conn.execute(_SEQUENCES).scalars())
