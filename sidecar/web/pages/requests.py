"""Request log: every try, newest first, and one of them with what was sent and answered."""

from fastapi import APIRouter
from starlette.responses import Response

from sidecar.errors import NotFound
from sidecar.model import Outcome
from sidecar.store import deliveries, log
from sidecar.store.tries import Found, Wanted, search
from sidecar.web.ask import Number
from sidecar.web.pages import fate_words
from sidecar.web.pages.asking import Asked
from sidecar.web.pages.languages import N_
from sidecar.web.pages.layout import text_of
from sidecar.web.pages.page import Tab, View

router = APIRouter()

TAB = Tab(N_("Request log"), "/log", "log")

PAGE = 50
_MORE = ("status", "delivery", "since", "until")


@router.get("/log")
def show_list(page: View) -> Response:
    """Show the newest that match, or those before a number."""
    asked = Asked(page)
    wanted, before = _wanted(asked), asked.number("before")
    with page.desk.store.read() as conn:
        found = Found((), None) if asked.problems else search(conn, wanted, before=before, limit=PAGE)
    return page.show(
        "requests_rows.html" if page.is_part else "requests.html",
        status=422 if asked.problems else 200,
        asked=asked,
        rows=found.rows,
        narrowed=wanted != Wanted(),
        more_filters=any(asked[name] for name in _MORE),
        first=before is None,
        older=page.link(before=found.next) if found.next else None,
        newest=page.link(before=None) if before else None,
        services=asked.names("service", page.desk.settings.services),
        rules=asked.names("rule", [one.name for one in page.desk.settings.rules]),
        outcomes=[
            ("", page._("all")),
            *((one, page._(word)) for one, (_, word) in fate_words.OUTCOMES.items()),
        ],
        words=fate_words,
    )


@router.get("/log/{number}")
def show_one(page: View, number: Number) -> Response:
    """Show one try, and to `manage` what was kept of its request and its answer."""
    with page.desk.store.read() as conn:
        row = log.get(conn, number)
        if row is None:
            raise NotFound(
                page._("There is no try %(number)s in the request log, or it was pruned.", number=number)
            )
        delivery = deliveries.numbers(conn, [row.delivery_id]).get(row.delivery_id)
    may = page.may("manage")
    return page.show(
        "request.html",
        row=row,
        delivery=delivery,
        look=fate_words.OUTCOMES[Outcome(row.outcome)],
        request=text_of(row.request) if may else None,
        answer=text_of(row.response) if may else None,
    )


def _wanted(asked: Asked) -> Wanted:
    return Wanted(
        service=asked.text("service"),
        rule=asked.text("rule"),
        delivery_id=asked.text("delivery"),
        outcome=asked.word("outcome", Outcome),
        status=asked.number("status", 999),
        error=asked.text("error"),
        since=asked.since(),
        until=asked.moment("until"),
    )
