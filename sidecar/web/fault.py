"""Everything that goes wrong in a request becomes one shape: a code, what happened, how to mend it."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sidecar.bridge.byhand import LeftAlone
from sidecar.errors import DatabaseUnavailable, HubError, NotFound
from sidecar.store.faults import explain
from sidecar.workshop import BadDefinition, Conflict, StillWaiting

_log = logging.getLogger("mih.web")

_MOST_PROBLEMS = 5
_AWAY_S = 5
_SEE_DOCS = "GET /api/docs says what this call takes."
_WORDS = {
    "missing": "it is missing",
    "extra_forbidden": "nothing of that name is known here",
    "json_invalid": "this is no JSON",
    "model_attributes_type": "expected a JSON object",
    "dict_type": "expected a JSON object",
}


class Place(BaseModel):
    """One thing to mend in a definition."""

    place: str = Field(description="Where, such as auth.token; empty: the whole", examples=["auth.token"])
    text: str = Field(description="What is wrong there, for people")


class Problem(BaseModel):
    """What happened and how to mend it."""

    code: str = Field(description="A word for programs, which stays the same", examples=["not_found"])
    message: str = Field(description="What happened, for people")
    remedy: str = Field(description="How to mend it")
    problems: list[Place] | None = Field(default=None, description="Of a definition: everything to mend")
    waiting: int | None = Field(default=None, description="How many deliveries are in the way")


class Refusal(BaseModel):
    """The answer whenever a request did not succeed."""

    error: Problem


class Fault(Exception):
    """A request is refused with this status; `headers` go with the answer."""

    def __init__(
        self, status: int, code: str, message: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        self.problem = Problem(code=code, message=message, remedy=remedy)

    def response(self) -> Response:
        """Return the answer."""
        body = Refusal(error=self.problem).model_dump_json(exclude_none=True)
        return Response(body, self.status, self.headers, media_type="application/json")


def broken() -> Fault:
    """Return what is said of an error of the program, whose traceback stands in the log."""
    return Fault(
        500, "broken", "This is an error of the program.", "Its log has the details: please report it."
    )


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the answers of a route that did not succeed."""
    return {status: {"model": Refusal, "description": _MEANINGS[status]} for status in (401, *statuses)}


Show = Callable[[Request, Fault], Response]


def answer_in_words(app: FastAPI, show: Show) -> None:
    """Let every error that a handler raises be answered by `show`."""
    makers = {
        Fault: _fault,
        HubError: _hub_error,
        SQLAlchemyError: _database,
        RequestValidationError: _bad_input,
        HTTPException: _no_route,
        Exception: _broken,
    }
    for kind, make in makers.items():
        app.add_exception_handler(kind, _answer(make, show))


def _answer(
    make: Callable[[Request, Exception], Fault], show: Show
) -> Callable[[Request, Exception], Response]:
    return lambda request, error: show(request, make(request, error))


_MEANINGS = {
    401: "No token, or one that is not known",
    403: "The token's role does not allow it",
    404: "There is nothing of that name or number",
    409: "It cannot be done in its present state",
    413: "The body is over 1 MiB",
    415: "The body is not application/json",
    422: "The input makes no sense",
    503: "A database or the service is away, or there is no room now",
}


def _fault(_request: Request, error: Exception) -> Fault:
    assert isinstance(error, Fault)
    return error


def _broken(_request: Request, _error: Exception) -> Fault:
    return broken()  # the guard writes the log: it gets the error after this answer


def _hub_error(request: Request, error: Exception) -> Fault:
    match error:
        case NotFound():
            remedy = "Ask for the list of what there is, or mend the name."
            return Fault(404, "not_found", str(error), remedy)
        case DatabaseUnavailable():
            return _away(str(error))
        case BadDefinition() | Conflict():
            return _of_workshop(error)
        case LeftAlone():
            return Fault(409, "left_alone", str(error), "Look at the delivery: its state says why.")
    _log.error("web.refused path=%s: %s", request.url.path.encode("unicode_escape").decode(), error)
    return Fault(409, "refused", str(error), "Mend what the message names and try again.")


def _of_workshop(error: BadDefinition | Conflict) -> Fault:
    match error:
        case BadDefinition():
            fault = Fault(422, "bad_definition", str(error), "Mend what is listed under problems.")
            fault.problem.problems = [Place(place=one.place, text=one.text) for one in error.problems]
        case StillWaiting():
            remedy = "Ask again with waiting=park, cancel or bury."
            fault = Fault(409, "still_waiting", str(error), remedy)
            fault.problem.waiting = error.count
        case _:
            fault = Fault(409, "conflict", str(error), "Look at it again, and mend what the message names.")
    return fault


def _database(request: Request, error: Exception) -> Fault:
    assert isinstance(error, SQLAlchemyError)
    return _away(explain(error, request.app.state.desk.store.shown))


def _away(message: str) -> Fault:
    remedy = "Try again in a moment; if it stays, `mih check` on the sidecar's machine says more."
    return Fault(503, "database_away", message, remedy, {"Retry-After": str(_AWAY_S)})


def _bad_input(_request: Request, error: Exception) -> Fault:
    assert isinstance(error, RequestValidationError)
    problems = [_sentence(one) for one in error.errors()]
    more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    message = "; ".join(problems[:_MOST_PROBLEMS]) + more
    return Fault(422, "bad_input", message, _SEE_DOCS)


def _sentence(problem: Mapping[str, Any]) -> str:
    """Say where and what, without repeating the value."""
    where = _place(problem["loc"])
    words = _WORDS.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {words}"


def _place(loc: Iterable[str | int]) -> str:
    kind, *path = loc
    shown = ".".join(json.dumps(str(part))[1:-1][:60] for part in path)
    return f"{kind} {shown}".strip()


def _no_route(request: Request, error: Exception) -> Fault:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            fault = Fault(404, "no_such_path", "There is nothing at this path.", "GET /api/docs lists all.")
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            message = f"{request.method[:20]} is not for this path."
            fault = Fault(405, "wrong_method", message, f"Use {allowed}.", error.headers)
        case 400:
            fault = Fault(422, "bad_input", "body: this is no JSON", _SEE_DOCS)
        case _:
            fault = Fault(error.status_code, "refused", str(error.detail), _SEE_DOCS, error.headers)
    return fault
