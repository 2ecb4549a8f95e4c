"""What a template can name: one log row, what was looked up for it, and the delivery it becomes."""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

from sidecar.bridge.render.sandbox import Missing
from sidecar.model import EVENT_COLUMNS, Event
from sidecar.moodle.lookups import Record

_values = attrgetter(*EVENT_COLUMNS)


def scope(
    event: Event,
    lookups: Mapping[str, Record],
    *,
    rule: str,
    service: str,
    delivery_id: str,
    site: str,
    now: datetime,
    site_url: str = "",
) -> dict[str, Any]:
    """Return the names of a template with their values. Mask what must not leave before it gets here."""
    columns = dict(zip(EVENT_COLUMNS, _values(event)))  # noqa: B905 - made of the same names
    if event.other_problem:
        # Null would be a lie, for something stood there: a template that uses it fails and says why.
        columns["other"] = Missing(event.other_problem, name="other")
    return {
        **columns,
        "event": columns,
        "rule": rule,
        "service": service,
        "delivery": {"id": delivery_id},
        "site": site,
        "site_url": site_url,
        "now": now,
        **lookups,
    }
