"""The health of services as all replicas see it: `mih_circuits`, one row a service."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from sidecar.model import Circuit, CircuitState
from sidecar.store.dialect import insert_new
from sidecar.store.tables import circuits


def load_all(conn: Connection) -> dict[str, Circuit]:
    """Return the circuits by service name."""
    found = conn.execute(select(circuits).order_by(circuits.c.service))
    return {row.service: circuit_of(row) for row in found}


def load_with(conn: Connection, services: Iterable[str]) -> dict[str, Circuit]:
    """Return all circuits by name, and closed ones for those of `services` that have none yet."""
    return dict(sorted(({name: Circuit(name) for name in services} | load_all(conn)).items()))


def lock(conn: Connection, services: Iterable[str], *, now: datetime) -> dict[str, Circuit]:
    """Return the circuits of `services`, locked in the order of their names; missing ones are made."""
    names = sorted(set(services))
    found = _locked(conn, names)
    if missing := [name for name in names if name not in found]:
        create(conn, missing, now=now)
        # Read again: another replica may have made them at the same moment, and opened one since.
        found |= _locked(conn, missing)
    return found


def _locked(conn: Connection, names: list[str]) -> dict[str, Circuit]:
    query = select(circuits).where(circuits.c.service.in_(names)).order_by(circuits.c.service)
    return {row.service: circuit_of(row) for row in conn.execute(query.with_for_update())}


def create(conn: Connection, services: Iterable[str], *, now: datetime) -> None:
    """Make closed circuits for services that have none."""
    rows = [
        {"service": name, "state": CircuitState.CLOSED, "failures": 0, "updated_at": now} for name in services
    ]
    insert_new(conn, circuits, rows)


def save(conn: Connection, circuit: Circuit, *, now: datetime) -> None:
    """Write a circuit that `lock` returned."""
    conn.execute(
        update(circuits)
        .where(circuits.c.service == circuit.service)
        .values(
            state=circuit.state,
            failures=circuit.failures,
            opened_at=circuit.opened_at,
            probe_at=circuit.probe_at,
            last_error=circuit.last_error,
            last_error_at=circuit.last_error_at,
            failed_probes=circuit.failed_probes,
            window_at=circuit.window_at,
            window_requests=circuit.window_requests,
            window_failures=circuit.window_failures,
            drain_before=circuit.drain_before,
            updated_at=now,
        )
    )


def take_probe(conn: Connection, service: str, *, now: datetime, wait_s: float) -> bool:
    """Claim the one probe of this cooldown: true for exactly one caller over all replicas.

    If its holder dies, another probe may go out after `wait_s` seconds.
    """
    taken = conn.execute(
        update(circuits)
        .where(
            circuits.c.service == service,
            circuits.c.state != CircuitState.CLOSED,
            circuits.c.probe_at <= now,
        )
        .values(state=CircuitState.HALF_OPEN, probe_at=now + timedelta(seconds=wait_s), updated_at=now)
    )
    return taken.rowcount == 1


def reset(conn: Connection, services: Iterable[str], *, now: datetime) -> int:
    """Close circuits by hand; return how many were not closed."""
    changed = conn.execute(
        update(circuits)
        .where(circuits.c.service.in_(sorted(services)), circuits.c.state != CircuitState.CLOSED)
        .values(
            state=CircuitState.CLOSED,
            failures=0,
            failed_probes=0,
            opened_at=None,
            probe_at=None,
            drain_before=now,
            updated_at=now,
        )
    )
    return changed.rowcount


def drain(conn: Connection, service: str, *, before: datetime) -> None:
    """Let what was due before leave as a backlog does: the service is sent to again."""
    conn.execute(update(circuits).where(circuits.c.service == service).values(drain_before=before))


def circuit_of(row: Row[Any]) -> Circuit:
    """Return the circuit that a row holds."""
    found = row._mapping
    values = {name: found[name] for name in Circuit.__dataclass_fields__}
    return Circuit(**{**values, "state": CircuitState(found["state"])})
