"""Many dead letters at once: chosen and counted, then a job whose address says all that there is to know."""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from sidecar.bridge.bulk import Deed, Job
from sidecar.errors import said
from sidecar.model import DeadReason
from sidecar.store import pile
from sidecar.store.pile import Choice, Count
from sidecar.web.fault import Fault
from sidecar.web.pages import fate_words
from sidecar.web.pages.asking import Asked
from sidecar.web.pages.jobs import State, jobs_of
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Manage, Page

router = APIRouter(prefix="/dead-letters")

PACES = {
    "": N_("all at once"),
    "1": N_("1 a second"),
    "5": N_("5 a second"),
    "20": N_("20 a second"),
    "100": N_("100 a second"),
}
_MOST_STATUS = 999


def choice_of(asked: Asked) -> Choice:
    """Return which letters a form or an address means."""
    return Choice(
        service=asked.text("service"),
        rule=asked.text("rule"),
        reason=asked.word("reason", DeadReason),
        status=asked.number("status", _MOST_STATUS),
        event=asked.text("event"),
        log_id=asked.number("log_id"),
        error=asked.text("error"),
        since=asked.since(),
        until=asked.moment("until"),
    )


def address(path: str, choice: Choice | None = None, **more: object) -> str:
    """Return a page's address for a choice: whole moments, so that it means the same tomorrow."""
    choice = choice or Choice()
    named = {name: getattr(choice, name) for name in Choice.__dataclass_fields__}
    texts = {name: _text(value) for name, value in {**named, **more}.items() if value not in (None, "")}
    return f"{path}?{urlencode(texts)}" if texts else path


def job_address(job: Job) -> str:
    """Return the page of a job."""
    pace = f"{job.per_second:g}" if job.per_second else ""
    least = "yes" if job.is_least else ""
    more = {"deed": job.deed, "upto": job.upto, "total": job.total, "least": least, "pace": pace}
    return address("/dead-letters/job", job.choice, **more)


@router.get("/bulk")
def show_choice(page: Manage) -> Response:
    """Count what is chosen and ask what is to be done with it."""
    asked = Asked(page)
    choice = choice_of(asked)
    _require_sense(asked)
    return _ask(page, choice)


@router.post("/bulk")
def begin(page: Manage) -> Response:
    """Begin a job, if there are still as many letters as were confirmed."""
    asked = Asked(page)
    job = _job(asked)
    with page.desk.store.read() as conn:
        there = pile.count(conn, job.choice, upto=job.upto)
    if there != Count(job.total, job.is_least):
        said = page._("Their number has changed meanwhile: nothing was done. Look at it again.")
        return page.back(address("/dead-letters/bulk", replace(job.choice, until=None)), said, kind="warning")
    if there == Count(0):
        return page.back("/dead-letters", page._("There is nothing to do."), kind="warning")
    jobs_of(page.request).start(job, page.author)
    return page.back(job_address(job))


@router.get("/job")
def show_job(page: Manage) -> Response:
    """Show how far a job has got: here, or else by what is left of it."""
    job = _job(Asked(page))
    standing = jobs_of(page.request).find(job)
    left = None
    if standing is None or standing.state is not State.RUNNING:
        with page.desk.store.read() as conn:
            left = pile.count(conn, job.choice, upto=job.upto)
    return page.show(
        "letters_job_part.html" if page.is_part else "letters_job.html",
        job=job,
        standing=standing,
        state=standing.state if standing else None,
        progress=standing.progress if standing else None,
        left=left,
        fields=_fields(job),
        here=job_address(job),
        rest=address("/dead-letters", replace(job.choice, until=None)),
        words=fate_words,
    )


@router.post("/job")
def go_on(page: Manage) -> Response:
    """Go on with a job that nobody works on."""
    job = _job(Asked(page))
    jobs_of(page.request).start(job, page.author)
    return page.back(job_address(job))


@router.post("/job/stop")
def stop(page: Manage) -> Response:
    """Stop a job after the piece in hand."""
    job = _job(Asked(page))
    jobs_of(page.request).stop(job)
    return page.back(job_address(job), page._("It is stopped. What was not reached is untouched."))


def _ask(page: Page, choice: Choice) -> Response:
    # Whoever dies from now on is none of it. A microsecond more: what died at this very moment is.
    now = page.now + timedelta(microseconds=1)
    choice = replace(choice, until=min(choice.until or now, now))
    with page.desk.store.read() as conn:
        upto = pile.last(conn)
        total = pile.count(conn, choice, upto=upto)
    fields = _fields(Job(Deed.AS_SENT, choice, upto, total.n, is_least=total.is_least))
    return page.show(
        "letters_bulk.html",
        choice=choice,
        named=_named(page, choice),
        total=total,
        fields={name: value for name, value in fields.items() if name != "deed"},
        paces=[(value, page._(words)) for value, words in PACES.items()],
        back=address("/dead-letters", replace(choice, until=None)),
    )


def _job(asked: Asked) -> Job:
    """Return the job of a form or an address. Raises Fault for one that makes no sense."""
    choice = choice_of(asked)
    deed, upto, total = asked.word("deed", Deed), asked.number("upto"), asked.number("total")
    if deed is None or upto is None or total is None or asked["pace"] not in PACES:
        raise _nonsense(said("deed, upto or total is missing, or the pace is none of the list."))
    _require_sense(asked)
    pace = float(asked["pace"]) if asked["pace"] and deed is not Deed.DELETE else None
    return Job(deed, choice, upto, total, pace, is_least=bool(asked["least"]))


def _require_sense(asked: Asked) -> None:
    if asked.problems:
        raise _nonsense("; ".join(f"{name}: {text}" for name, text in asked.problems.items()))


def _nonsense(message: str) -> Fault:
    return Fault(422, "bad_input", message, said("Begin anew from the list of dead letters."))


def _fields(job: Job) -> dict[str, str]:
    """Return the hidden fields of a form about a job."""
    named = {name: getattr(job.choice, name) for name in Choice.__dataclass_fields__}
    found = {name: _text(value) for name, value in named.items() if value is not None}
    pace = {"pace": f"{job.per_second:g}"} if job.per_second else {}
    least = {"least": "yes"} if job.is_least else {}
    return {**found, "deed": str(job.deed), "upto": str(job.upto), "total": str(job.total), **least, **pace}


def _named(page: Page, choice: Choice) -> list[tuple[str, object]]:
    """Return in words what is chosen, without the end of time that this page added."""
    reason = page._(fate_words.REASONS[choice.reason][0]) if choice.reason else None
    pairs = [
        (page._("Service"), choice.service),
        (page._("Rule"), choice.rule),
        (page._("Reason"), reason),
        (page._("Last status"), choice.status),
        (page._("Event"), choice.event),
        (page._("Log row"), choice.log_id),
        (page._("Text in the error"), choice.error),
        (page._("Given up since"), f"{choice.since:%Y-%m-%d %H:%M:%S} UTC" if choice.since else None),
    ]
    return [(name, value) for name, value in pairs if value is not None]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
