"""Is there anything left that will move by itself?"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from sidecar.model import Circuit, CircuitState, DeliveryState
from sidecar.settings import Service
from sidecar.store import circuits, queue, services


def unfinished(conn: Connection, wanted: Mapping[str, Service], *, since: datetime) -> int:
    """Return how many deliveries are in somebody's hands, due, or waiting for a retry.

    Not counted is what only time or a person can move: deliveries of services that are paused, switched off
    or gone, and of those whose circuit is open and whose probe has failed since `since`.
    """
    health = circuits.load_all(conn)
    paused = services.paused(conn)
    left = 0
    for service, state, number in queue.unsettled(conn):
        active = service in wanted and wanted[service].enabled and service not in paused
        hopeful = active and not _given_up(health.get(service), since)
        if state is DeliveryState.SENDING or hopeful:
            left += number
    return left


def _given_up(circuit: Circuit | None, since: datetime) -> bool:
    if circuit is None or circuit.state is CircuitState.CLOSED or circuit.last_error_at is None:
        return False
    return circuit.failed_probes > 0 and circuit.last_error_at >= since
