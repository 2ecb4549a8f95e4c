"""The services in force: `mih_services`, written from the configuration, operated by hand."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from sidecar.settings import Service
from sidecar.store import circuits
from sidecar.store.dialect import upsert
from sidecar.store.tables import services

_FROM_FILE = "file"


def sync(conn: Connection, wanted: Mapping[str, Service], *, now: datetime) -> None:
    """Make the table say what the file says. Pauses and circuits stay; what left the file is removed."""
    rows = [_values(name, service, now) for name, service in wanted.items()]
    changed = ["type", "base_url", "auth", "settings", "source", "enabled", "updated_at"]
    upsert(conn, services, rows, {name: name for name in changed})
    circuits.create(conn, wanted, now=now)
    conn.execute(
        services.delete().where(services.c.source == _FROM_FILE, services.c.name.not_in(list(wanted)))
    )


def all_rows(conn: Connection) -> Sequence[Row[Any]]:
    """Return all services by name."""
    return conn.execute(select(services).order_by(services.c.name)).all()


def paused(conn: Connection) -> frozenset[str]:
    """Return the names of the services that are not to be called now."""
    return frozenset(conn.execute(select(services.c.name).where(services.c.paused)).scalars())


def pause(conn: Connection, name: str, *, pause: bool, now: datetime) -> bool:
    """Pause or resume a service; return whether there is one of that name."""
    changed = conn.execute(
        update(services).where(services.c.name == name).values(paused=pause, updated_at=now)
    )
    return changed.rowcount == 1


def _values(name: str, service: Service, now: datetime) -> dict[str, Any]:
    shown = service.model_dump(mode="json", exclude={"base_url", "type", "auth", "enabled"})
    return {
        "name": name,
        "type": service.type,
        "base_url": service.base_url,
        "auth": service.auth.type,
        "settings": json.dumps(shown, sort_keys=True),
        "source": _FROM_FILE,
        "enabled": service.enabled,
        "paused": False,
        "updated_at": now,
    }
