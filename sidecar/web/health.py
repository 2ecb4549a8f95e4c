"""What a health check asks: does this process do its work? Needs no token and tells no data."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from sidecar.web.desk import Desk, desk_of
from sidecar.web.models import Health
from sidecar.web.pulse import store_problem

router = APIRouter(tags=["Health"])

_ILL: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "It does not; `reason` says why"}
}

AtDesk = Annotated[Desk, Depends(desk_of)]


@router.get("/healthz", summary="Is it alive?", response_model=Health, responses=_ILL)
async def is_alive(desk: AtDesk, response: Response) -> Health:
    """Fail when the tail or the dispatch loop of this process has made no round for a minute."""
    return _answer(desk.pulse(), response)


@router.get("/readyz", summary="Is it at work?", response_model=Health, responses=_ILL)
def is_ready(desk: AtDesk, response: Response) -> Health:
    """Fail like /healthz, and at once while the sidecar's tables cannot be reached."""
    return _answer(desk.pulse() or store_problem(desk.store), response)


def _answer(reason: str | None, response: Response) -> Health:
    if reason:
        response.status_code = 503
    return Health(status="ill" if reason else "well", reason=reason)
