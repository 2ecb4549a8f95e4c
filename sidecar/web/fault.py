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
from sidecar.errors import DatabaseUnavailable, HubError, NotFound, as_said, said, together
from sidecar.store.faults import explain
from sidecar.workshop import BadDefinition, Conflict, StillWaiting

_log = logging.getLogger("mih.web")

_MOST_PROBLEMS = 5
_AWAY_S = 5
_SEE_DOCS = said("GET /api/docs says what this call takes.")
_WORDS = {
    "missing": said("it is missing"),
    "extra_forbidden": said("nothing of that name is known here"),
    "json_invalid": said("this is no JSON"),
    "model_attributes_type": said("expected a JSON object"),
    "dict_type": said("expected a JSON object"),
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
        self.message, self.remedy = message, remedy  # as they were said: pages translate them
        self.problem = Problem(code=code, message=message, remedy=remedy)

    def response(self) -> Response:
        """Return the answer."""
        body = Refusal(error=self.problem).model_dump_json(exclude_none=True)
        return Response(body, self.status, self.headers, media_type="application/json")


def broken() -> Fault:
    """Return what is said of an error of the program, whose traceback stands in the log."""
    return Fault(
        500,
        "broken",
        said("This is an error of the program."),
        said("Its log has the details: please report it."),
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
            remedy = said("Ask for the list of what there is, or mend the name.")
            return Fault(404, "not_found", error.text, remedy)
        case DatabaseUnavailable():
            return _away(error.text)
        case BadDefinition() | Conflict():
            return _of_workshop(error)
        case LeftAlone():
            remedy = said("Look at the delivery: its state says why.")
            return Fault(409, "left_alone", error.text, remedy)
    _log.error("web.refused path=%s: %s", request.url.path.encode("unicode_escape").decode(), error)
    assert isinstance(error, HubError)
    return Fault(409, "refused", error.text, said("Mend what the message names and try again."))


def _of_workshop(error: BadDefinition | Conflict) -> Fault:
    match error:
        case BadDefinition():
            fault = Fault(422, "bad_definition", error.text, said("Mend what is listed under problems."))
            fault.problem.problems = [Place(place=one.place, text=one.text) for one in error.problems]
        case StillWaiting():
            remedy = said("Ask again with waiting=park, cancel or bury.")
            fault = Fault(409, "still_waiting", error.text, remedy)
            fault.problem.waiting = error.count
        case _:
            remedy = said("Look at it again, and mend what the message names.")
            fault = Fault(409, "conflict", error.text, remedy)
    return fault


def _database(request: Request, error: Exception) -> Fault:
    assert isinstance(error, SQLAlchemyError)
    return _away(explain(error, request.app.state.desk.store.shown))


def _away(message: str) -> Fault:
    remedy = said("Try again in a moment; if it stays, `mih check` on the sidecar's machine says more.")
    return Fault(503, "database_away", message, remedy, {"Retry-After": str(_AWAY_S)})


def _bad_input(_request: Request, error: Exception) -> Fault:
    assert isinstance(error, RequestValidationError)
    problems = [_sentence(one) for one in error.errors()]
    message = together(problems[:_MOST_PROBLEMS])
    if (more := len(problems) - _MOST_PROBLEMS) > 0:
        message = said("%(first)s; and %(n)s more", first=message, n=more)
    return Fault(422, "bad_input", message, _SEE_DOCS)


def _sentence(problem: Mapping[str, Any]) -> str:
    """Say where and what, without repeating the value."""
    where, kind = _place(problem["loc"]), problem["type"]
    words = _WORDS.get(kind) or _in_general(kind, str(problem["msg"]).removeprefix("Value error, "))
    return said("%(where)s: %(words)s", where=where, words=words)


def _in_general(kind: str, text: str) -> str:
    """Return the words of the checking library: exact for programs, roughly the same in other languages."""
    if "pattern" in kind or kind.startswith(("string", "value_error")):
        return as_said("this text is not of the kind that is wanted here", text)
    if kind.startswith(("int", "float", "greater", "less")):
        return as_said("a number within its limits is wanted here", text)
    return as_said("one of the known values is wanted here", text)


def _place(loc: Iterable[str | int]) -> str:
    kind, *path = loc
    shown = ".".join(json.dumps(str(part))[1:-1][:60] for part in path)
    return f"{kind} {shown}".strip()


def _no_route(request: Request, error: Exception) -> Fault:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            message, remedy = said("There is nothing at this path."), said("GET /api/docs lists all.")
            fault = Fault(404, "no_such_path", message, remedy)
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            message = said("%(method)s is not for this path.", method=request.method[:20])
            fault = Fault(
                405, "wrong_method", message, said("Use %(methods)s.", methods=allowed), error.headers
            )
        case 400:
            fault = Fault(422, "bad_input", said("body: this is no JSON"), _SEE_DOCS)
        case _:
            fault = Fault(error.status_code, "refused", str(error.detail), _SEE_DOCS, error.headers)
    return fault
