"""What a template can name: one log row, what was looked up for it, and the delivery it becomes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sidecar.bridge.render.sandbox import Missing
from sidecar.model import EVENT_COLUMNS, Event
from sidecar.moodle.lookups import Record


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
    columns: Sequence[str] = EVENT_COLUMNS,
) -> dict[str, Any]:
    """Return the names of a template with their values. Mask what must not leave before it gets here.

    `columns`: those of the event that the template names; to bring all of them takes four times as long.
    """
    values = {name: getattr(event, name) for name in columns}
    if event.other_problem and "other" in values:
        # Null would be a lie, for something stood there: a template that uses it fails and says why.
        values["other"] = Missing(event.other_problem, name="other")
    return {
        **values,
        "event": values,
        "rule": rule,
        "service": service,
        "delivery": {"id": delivery_id},
        "site": site,
        "site_url": site_url,
        "now": now,
        **lookups,
    }
