"""The services in force: `mih_services`, written from the configuration, operated by hand."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from sidecar.settings import Kind, Service
from sidecar.store import circuits
from sidecar.store.dialect import insert_new, upsert
from sidecar.store.tables import definitions, services

_FROM_FILE = "file"


def sync(conn: Connection, wanted: Mapping[str, Service], *, now: datetime) -> None:
    """Make the table say what is in force. Pauses and circuits stay; what is gone is removed.

    Of those made here only what has no definition any more is gone: this process may not have seen the newest
    yet, and with their rows their pauses would go.
    """
    rows = [_values(name, service, now) for name, service in wanted.items()]
    changed = ["type", "base_url", "auth", "settings", "source", "enabled", "updated_at"]
    upsert(conn, services, rows, {name: name for name in changed})
    circuits.create(conn, wanted, now=now)
    defined = select(definitions.c.name).where(definitions.c.kind == Kind.SERVICE)
    left = (services.c.source == _FROM_FILE) | services.c.name.not_in(defined)
    conn.execute(services.delete().where(left, services.c.name.not_in(list(wanted))))


def enter(conn: Connection, wanted: Mapping[str, Service], *, now: datetime) -> None:
    """Write down services that no sidecar has written down; those that are there stay as they are."""
    insert_new(conn, services, [_values(name, service, now) for name, service in wanted.items()])


def all_rows(conn: Connection) -> Sequence[Row[Any]]:
    """Return all services by name."""
    return conn.execute(select(services).order_by(services.c.name)).all()


def of_file(conn: Connection) -> frozenset[str]:
    """Return the names of the services of the file that was written down last, whichever process did it."""
    return frozenset(conn.execute(select(services.c.name).where(services.c.source == _FROM_FILE)).scalars())


def paused(conn: Connection) -> frozenset[str]:
    """Return the names of the services that are not to be called now."""
    return frozenset(conn.execute(select(services.c.name).where(services.c.paused)).scalars())


def pause(conn: Connection, name: str, *, pause: bool, now: datetime) -> bool:
    """Pause or resume a service; return whether there is one of that name."""
    changed = conn.execute(
        update(services).where(services.c.name == name).values(paused=pause, updated_at=now)
    )
    if not pause:
        circuits.drain(conn, name, before=now)
    return changed.rowcount == 1


def _values(name: str, service: Service, now: datetime) -> dict[str, Any]:
    shown = service.model_dump(mode="json", exclude={"base_url", "type", "auth", "enabled"})
    return {
        "name": name,
        "type": service.type,
        "base_url": service.base_url,
        "auth": service.auth.type,
        "settings": json.dumps(shown, sort_keys=True),
        "source": service.source,
        "enabled": service.enabled,
        "paused": False,
        "updated_at": now,
    }
