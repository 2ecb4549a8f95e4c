"""Services and rules made in the dashboard or by the API: `mih_definitions`."""

from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.exc import IntegrityError

from sidecar.settings import Definition, Kind
from sidecar.store.tables import definitions


def all_of(conn: Connection) -> tuple[Definition, ...]:
    """Return all definitions, by kind and name."""
    query = select(definitions).order_by(definitions.c.kind, definitions.c.name)
    return tuple(_definition(row) for row in conn.execute(query))


def lock(conn: Connection, kind: Kind, name: str) -> Definition | None:
    """Return a definition, locked until the transaction ends."""
    query = select(definitions).where(definitions.c.kind == kind, definitions.c.name == name)
    row = conn.execute(query.with_for_update()).one_or_none()
    return None if row is None else _definition(row)


def add(conn: Connection, made: Definition) -> bool:
    """Keep a new definition; return False if somebody has made one of that name meanwhile."""
    try:
        with conn.begin_nested():
            conn.execute(definitions.insert(), _values(made))
    except IntegrityError:
        return False
    return True


def change(conn: Connection, made: Definition) -> None:
    """Write a definition that `lock` returned, as its next revision."""
    values = _values(made)
    conn.execute(
        update(definitions)
        .where(definitions.c.kind == made.kind, definitions.c.name == made.name)
        .values({key: values[key] for key in ("definition", "revision", "updated_by", "updated_at")})
    )


def remove(conn: Connection, kind: Kind, name: str) -> bool:
    """Delete a definition; return whether it was there."""
    gone = conn.execute(definitions.delete().where(definitions.c.kind == kind, definitions.c.name == name))
    return gone.rowcount == 1


def _definition(row: Row[Any]) -> Definition:
    return Definition(Kind(row.kind), row.name, row.definition, row.revision, row.updated_by, row.updated_at)


def _values(made: Definition) -> dict[str, Any]:
    return {
        "kind": made.kind,
        "name": made.name,
        "definition": made.text,
        "revision": made.revision,
        "updated_by": made.updated_by,
        "updated_at": made.updated_at,
    }
