"""The form of a service: judged while it is typed, tried, kept; and the question before one is deleted."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from sidecar import workshop
from sidecar.errors import HubError
from sidecar.settings import Kind, Problem, Service
from sidecar.settings.secretive import secrets_of
from sidecar.settings.service import known_types
from sidecar.settings.source import child
from sidecar.store import made
from sidecar.store.waiting import count_waiting
from sidecar.web.ask import ServiceName
from sidecar.web.pages import service_words
from sidecar.web.pages.ending import chosen, is_on, where_asked
from sidecar.web.pages.page import Manage, Page
from sidecar.web.pages.service_form import (
    AUTHS,
    OPTIONAL,
    PLACES,
    SECRETS,
    ServiceForm,
    by_field,
    empty,
    form_of,
    is_asked,
    section_of,
    typed,
)
from sidecar.workshop import BadDefinition, Conflict, Shown, StillWaiting, Waiting
from sidecar.workshop.bench import bench_of
from sidecar.workshop.draft import draft_service, masked
from sidecar.workshop.wsdl import operations

router = APIRouter()

# No service begins with a dash: these addresses are nobody's.
NEW = "/services/-/new"
_UNNAMED = "new-service"
_DEFAULTS = Service(base_url="https://service.invalid").model_dump(mode="json")
_FORMATS = ("json", "form", "xml", "text", "cloudevents", "xapi")
_WEB = ("http", "https")

Changes = list[tuple[str, str, str]]


@router.get(NEW)
def new(page: Manage) -> Response:
    """Show the empty form."""
    return _edited(page, empty(), None)


@router.post(NEW)
async def make(page: Manage) -> Response:
    """Keep a new service, or do with what is typed what a button says."""
    return await _done(page, typed(page.form), None)


@router.get("/services/{name}/edit")
def edit(page: Manage, name: ServiceName) -> Response:
    """Show a service made here in the form."""
    kept = _made_here(page, name)
    return _edited(page, form_of(kept.section, name, kept.revision), kept)


@router.post("/services/{name}/edit")
async def change(page: Manage, name: ServiceName) -> Response:
    """Keep a changed service."""
    return await _done(page, _named(typed(page.form), name), name)


@router.post("/services/-/check")
def check(page: Manage, field: str = "") -> Response:
    """Say of one field what is wrong with it, and show the URL that a broker's fields make."""
    form, kept = _typed_and_kept(page)
    problems = _problems(page, form, kept)
    return page.show("service_check.html", field=_field(field), problems=problems, form=form)


@router.post("/services/-/try")
async def try_typed(page: Manage) -> Response:
    """Ask the service as it is typed."""
    form, kept = await run_in_threadpool(_typed_and_kept, page)
    return await _tried(page, form, kept)


@router.post("/services/-/operations")
async def read_operations(page: Manage) -> Response:
    """Read the operations from the WSDL of the service as it is typed."""
    form, kept = await run_in_threadpool(_typed_and_kept, page)
    return await _read(page, form, kept)


@router.get("/services/{name}/delete")
def ask(page: Manage, name: ServiceName) -> Response:
    """Ask what becomes of what waits."""
    return _asked(page, _made_here(page, name))


@router.post("/services/{name}/delete")
def delete(page: Manage, name: ServiceName) -> Response:
    """Delete a service made here, and with what waits do what was said."""
    kept = _made_here(page, name)
    waiting = chosen(page)
    try:
        revision = _whole(page.text("revision"))
        gone = workshop.remove(
            page.desk.hub, Kind.SERVICE, name, by=page.author, revision=revision, waiting=waiting
        )
    except StillWaiting:
        return _asked(page, kept, page._("Say what becomes of the deliveries that wait."), status=422)
    except Conflict as conflict:
        return _asked(page, kept, page.told(conflict.text), status=409)
    said = {
        Waiting.PARK: page._("They wait until there is a service of that name again."),
        Waiting.CANCEL: page._("What waited for it is cancelled."),
        Waiting.BURY: page._("What waited for it is among the dead letters."),
    }
    text = page._("The service %(name)s is deleted.", name=name)
    return page.back("/services", f"{text} {said[waiting]}" if gone.waiting and waiting else text)


def _made_here(page: Page, name: str) -> Shown:
    kept = workshop.show(page.desk.hub, Kind.SERVICE, name)
    if kept.revision is None:
        source = page.desk.source
        spot = source.spots.get(child("services", name)) if source else None
        where = f"{source.path.name}:{spot.line}" if source and spot else "-"
        raise Conflict(
            page._(
                "The service %(name)s stands in the file (%(where)s): edit it there.", name=name, where=where
            )
        )
    return kept


def _typed_and_kept(page: Page) -> tuple[ServiceForm, Shown | None]:
    """Return what is typed; where it changes a service, that as it is kept."""
    form = typed(page.form)
    if not form["revision"]:
        return form, None
    kept = workshop.show(page.desk.hub, Kind.SERVICE, form["name"])
    return form, kept if kept.revision is not None else None


def _named(form: ServiceForm, name: str) -> ServiceForm:
    return replace(form, texts={**form.texts, "name": name})


async def _done(page: Page, form: ServiceForm, name: str | None) -> Response:
    kept = await run_in_threadpool(_made_here, page, name) if name else None
    match page.text("do"):
        case "try":
            return await _tried(page, form, kept)
        case "operations":
            return await _read(page, form, kept)
    return await run_in_threadpool(_saved, page, form, kept)


def _saved(page: Page, form: ServiceForm, kept: Shown | None) -> Response:
    problems = _problems(page, form, kept)
    if problems:
        return _edited(page, form, kept, problems=problems, status=422)
    section = section_of(form, kept.section if kept else {}).section
    revision = _whole(form["revision"]) or 0 if kept else None
    try:
        saved = workshop.save_service(page.desk.hub, form["name"], section, by=page.author, revision=revision)
    except BadDefinition as bad:
        return _edited(page, form, kept, problems=by_field(bad.problems, form, page.told), status=422)
    except Conflict as conflict:
        return _in_the_way(page, form, kept, section, conflict)
    said = (
        page._("The service %(name)s is created. It is in force.", name=saved.name)
        if saved.created
        else page._("The service %(name)s is changed. It is in force.", name=saved.name)
    )
    ended = kept is not None and is_on(kept.section) and not is_on(section)
    where = where_asked(page, Kind.SERVICE, saved.name) if ended else f"/services/{saved.name}"
    return page.back(where, said)


def _in_the_way(
    page: Page, form: ServiceForm, kept: Shown | None, section: Mapping[str, Any], conflict: Conflict
) -> Response:
    """Show both versions where somebody was faster; whoever saves again does so knowingly."""
    if kept is None:
        return _edited(page, form, kept, problems={"": page.told(conflict.text)}, status=409)
    mine = masked(dict(section))
    theirs, ours = (dict(_leaves(one)) for one in (kept.section, mine))
    places = sorted({*theirs, *ours})
    changes = [(place, theirs.get(place, "–"), ours.get(place, "–")) for place in places]
    again = replace(form, texts={**form.texts, "revision": str(kept.revision)})
    return _edited(
        page, again, kept, changes=[one for one in changes if one[1] != one[2]], raced=True, status=409
    )


def _problems(page: Page, form: ServiceForm, kept: Shown | None) -> dict[str, str]:
    """Return all that is wrong, by field: the checks of the file, the commonest in the reader's language."""
    read = section_of(form, kept.section if kept else {})
    hub = page.desk.hub
    bench = bench_of(hub)
    name = form["name"] or _UNNAMED
    before = bench.definition(Kind.SERVICE, name) if kept else None
    found: list[Problem] = list(read.problems)
    try:
        draft = draft_service(bench.source, name, read.section, before)
        lack = made.keys_of(hub.settings).lack
        if lack and draft.fresh:
            found += [Problem(one.removeprefix(f"services.{name}."), lack) for one in draft.fresh]
    except BadDefinition as bad:
        found += bad.problems
    words = by_field(found, form, page.told)
    words |= {one: text for one, text in _plain_words(page, form, kept).items() if text}
    order = list(service_words.FIELDS)
    return dict(sorted(words.items(), key=lambda one: order.index(one[0]) if one[0] in order else -1))


def _plain_words(page: Page, form: ServiceForm, kept: Shown | None) -> dict[str, str]:
    bench = bench_of(page.desk.hub)
    name = form["name"]
    taken = kept is None and name and name in bench.names(Kind.SERVICE)
    found = {
        "name": page._("Write a name, such as crm.")
        if not name
        else page._("There is a service of this name already: choose another.")
        if taken
        else ""
    }
    if form["type"] == "amqp":
        found["host"] = "" if form["host"] else page._("Write the broker's host, such as mq.example.org.")
    elif form["type"] in ("rest", "soap") and not _is_url(form["base_url"]):
        found["base_url"] = page._("Write a whole URL, such as https://crm.example.org/api.")
    there = secrets_of(kept.section) if kept else {}
    for one in ("auth_token", "auth_key", "auth_client_secret", "auth_password"):
        if is_asked(form, one) and not form.typed.get(one) and PLACES[one] not in there:
            found[one] = page._("Write it: without it the service would refuse everything.")
    number = form["timeout"].removesuffix("s")
    if number.lstrip("-").replace(".", "", 1).isdecimal() and float(number) <= 0:
        found["timeout"] = page._("Write more than 0 seconds, such as 5.")
    return found


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme.lower() in _WEB and bool(parts.hostname)
    except ValueError:
        return False


async def _tried(page: Page, form: ServiceForm, kept: Shown | None) -> Response:
    problems, found = await run_in_threadpool(_problems, page, form, kept), None
    if not problems:
        values = section_of(form, kept.section if kept else {}).section
        found = await _apart(page, lambda: workshop.try_values(page.desk.hub, form["name"], values))
    if page.is_part:
        return page.show("service_trial.html", trial=found, problems=problems, words=service_words)
    return _edited(page, form, kept, problems=problems, trial=found, status=422 if problems else 200)


async def _read(page: Page, form: ServiceForm, kept: Shown | None) -> Response:
    """Read the WSDL; a URL alone is enough for that."""
    named = form if form["name"] else _named(form, _UNNAMED)
    values = section_of(named, kept.section if kept else {}).section
    error, found = "", None
    try:
        found = await _apart(page, lambda: operations(page.desk.hub, named["name"], values))
    except BadDefinition as bad:
        error = "\n".join(by_field(bad.problems, form, page.told).values())
    except HubError as problem:
        error = page.told(problem.text)
    if page.is_part:
        return page.show("service_operations.html", operations=found, error=error)
    return _edited(page, form, kept, operations=found, error=error)


async def _apart(page: Page, work: Callable[[], Any]) -> Any:
    """Do what waits for others where nobody else has to wait for it."""
    return await asyncio.get_running_loop().run_in_executor(page.desk.calls, work)


def _edited(
    page: Page,
    form: ServiceForm,
    kept: Shown | None,
    *,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
    **more: Any,
) -> Response:
    there = secrets_of(kept.section) if kept else {}
    values: dict[str, Any] = {
        "form": form,
        "kept": kept,
        "problems": problems or {},
        "held": frozenset(one for one in SECRETS if PLACES[one] in there),
        "held_headers": frozenset(one.name for one in form.headers if child("headers", one.name) in there),
        "optional": OPTIONAL,
        "auths": [(one, page._(service_words.AUTHS[one])) for one in AUTHS],
        "types": [(one, page._(service_words.TYPES.get(one, one))) for one in known_types()],
        "formats": [("", page._("as usual: json")), *((one, one) for one in _FORMATS)],
        "usual": _DEFAULTS,
        "lack": made.keys_of(page.desk.settings).lack,
        "words": service_words,
        "changes": [],
        "raced": False,
        "trial": None,
        "operations": None,
        "error": "",
    }
    return page.show("service_edit.html", status=status, **(values | more))


def _asked(page: Page, kept: Shown, problem: str = "", *, status: int = 200) -> Response:
    with page.desk.store.read() as conn:
        owed = 0 if kept.shadowed else count_waiting(conn, Kind.SERVICE, kept.name)
    users = [rule for rule in page.desk.settings.rules if rule.service == kept.name]
    return page.show("service_delete.html", status=status, kept=kept, owed=owed, rules=users, problem=problem)


def _leaves(found: Any, place: str = "") -> list[tuple[str, str]]:
    if isinstance(found, dict):
        return [leaf for key, one in found.items() for leaf in _leaves(one, child(place, str(key)))]
    return [(place, str(found))]


def _field(name: str) -> str:
    return name if name in service_words.FIELDS else ""


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
