"""Who changed what."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from sidecar.store import audit, shapes
from sidecar.web.access import Manager
from sidecar.web.ask import Paged, Since
from sidecar.web.desk import Desk, desk_of
from sidecar.web.fault import refusals
from sidecar.web.making_models import Done
from sidecar.web.models import Page

router = APIRouter()

# No character that a database refuses in a comparison.
_PLAIN = r"^[^\x00-\x1f\x7f]*$"
Who = Annotated[str | None, Query(max_length=100, pattern=_PLAIN, description="Only what this one did")]
Action = Annotated[
    str | None, Query(max_length=100, pattern=_PLAIN, description="Only these, such as service.change")
]
Thing = Annotated[
    str | None,
    Query(alias="object", max_length=200, pattern=_PLAIN, description="Only of this, such as service crm"),
]


@router.get(
    "/audit",
    tags=["Audit"],
    summary="List changes",
    response_model=Page[Done],
    responses=refusals(403, 422, 503),
)
def list_changes(
    _visitor: Manager,
    desk: Annotated[Desk, Depends(desk_of)],
    at: Paged,
    *,
    who: Who = None,
    action: Action = None,
    thing: Thing = None,
    since: Since = None,
) -> Any:
    """Return what people changed, the newest first: by API, dashboard and commands."""
    with desk.store.read() as conn:
        found = audit.find(
            conn, who=who, action=action, thing=thing, since=since, before=at.before, limit=at.limit
        )
    return {
        "items": [shapes.change(row) for row in found],
        "next": at.next_after([row.id for row in found]),
    }
