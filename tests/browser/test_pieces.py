"""The pieces that pages are made of, all on one page: they are sound, and do what their README says."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.responses import Response

from sidecar.clock import FakeClock
from sidecar.web.app import routes
from sidecar.web.pages import paper, register
from sidecar.web.pages.page import Manage, Tab, View
from tests.browser.conftest import Visit, page_is_sound

PIECES = """
{% extends "base.html" %}
{% import "macros.html" as ui with context %}
{% block title %}Pieces{% endblock %}
{% block main %}
{% call ui.head("Pieces", "All there are.") %}
  {{ ui.deed("/pieces/break", "Break it", confirm="Really break it?", icon="retry") }}
{% endcall %}
{% call ui.figures() %}
  {{ ui.figure("Delivered", 12345|number, "in 24 hours", "ok", "/pieces") }}
  {{ ui.figure("Success", 0.9952|percent, "p95 " ~ 84.4|ms, "warn") }}
  {{ ui.figure("Dead", 3|number, "oldest " ~ 4000|duration, "bad") }}
{% endcall %}
{% for state in ["ok", "wait", "warn", "bad", "off", "busy", "pause"] %}
{{ ui.badge(state, state) }}
{% endfor %}
{% call ui.filters("/pieces") %}
  {{ ui.choice("service", "Service", [("", "all"), ("crm", "crm")], "crm") }}
  {{ ui.field("text", "Text in the error", hostile) }}
{% endcall %}
{% call ui.table("Services", ["Name", "State", "Since"]) %}
<tr>
{{ ui.cell("Name", hostile) }}
{% call ui.cell("State") %}{{ ui.badge("ok", "healthy") }}{% endcall %}
{{ ui.cell("Since", at|ago) }}
</tr>
{% endcall %}
{{ ui.pages(older=page.link(before=7), newest=page.link(before=none)) }}
{{ ui.chart("Deliveries per minute", ["delivered", "failed"], rows) }}
{{ ui.chart("Dead letters per hour", ["dead"], rows_of_one, kind="bars") }}
{{ ui.code("payload", '{"name": "' ~ hostile ~ '"}', "What was sent") }}
{% call ui.timeline() %}
  {% call ui.moment(at, "bad", "answered 503") %}<p>again in a minute</p>{% endcall %}
  {{ ui.moment(at, "ok", "delivered") }}
{% endcall %}
{{ ui.facts([("Size", 34567|size), ("Nothing", none)]) }}
{{ ui.empty("Nothing is here.", "Make one.", ("/pieces", "Make")) }}
{{ ui.field("bad", "A field", "x", hint="Say something.", problem="This is wrong.") }}
{% call ui.live("/pieces/part", "1s") %}never yet{% endcall %}
{% endblock %}
"""
HOSTILE = "<img src=x onerror=alert(1)>\"'{{7*7}}"

router = APIRouter()
broken: list[str] = []


@router.get("/pieces")
def pieces(page: View) -> Response:
    template: Any = paper.environment(page.language.code).from_string(PIECES)
    hours = [page.now - timedelta(hours=hour) for hour in range(24, 0, -1)]
    rows = [(at, [100 + 7 * number, None if number == 5 else number]) for number, at in enumerate(hours)]
    return page.show(
        template,
        hostile=HOSTILE,
        at=page.now - timedelta(minutes=3),
        rows=rows,
        rows_of_one=[(at, [values[0]]) for at, values in rows],
    )


@router.get("/pieces/part")
def part(page: View) -> Response:
    template: Any = paper.environment(page.language.code).from_string("part {{ page.is_part }}")
    return page.show(template)


@router.post("/pieces/break")
def break_it(page: Manage) -> Response:
    broken.append(page.who)
    return page.back("/pieces", "It is <b>broken</b>.", kind="warning")


@pytest.fixture(autouse=True)
def _with_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    one = SimpleNamespace(router=router, TAB=Tab("Pieces", "/pieces", "overview"))
    monkeypatch.setattr(register, "PAGES", (*register.PAGES, one))
    broken.clear()
    routes.cache_clear()
    yield
    routes.cache_clear()


@pytest.fixture
def opened(visit: Visit, clock: FakeClock, _with_pieces: None) -> Callable[[], Any]:
    def made(**options: Any) -> Any:
        visitor = visit("manage", **options)
        visitor.page.goto(visitor.url + "/pieces")
        visitor.page.wait_for_selector(".u-wrap >> nth=1")
        return visitor

    return made


def test_all_pieces_together_are_sound(opened: Callable[[], Any]) -> None:
    page_is_sound(opened())


def test_hostile_text_stays_text_everywhere(opened: Callable[[], Any]) -> None:
    page = opened().page

    assert page.locator("img[src=x]").count() == 0
    assert page.inner_text("#payload") == '{"name": "' + HOSTILE + '"}'
    assert page.input_value("#f-text") == HOSTILE


def test_a_deed_is_asked_for_and_done_once_when_agreed(opened: Callable[[], Any]) -> None:
    page = opened().page

    page.click("text=Break it")
    question = page.inner_text("dialog p")
    page.click("dialog >> text=Cancel")
    after_cancel = list(broken)
    page.click("text=Break it")
    page.click("dialog >> text=OK")
    page.wait_for_selector(".alert-warning")

    assert question == "Really break it?"
    assert (after_cancel, broken) == ([], ["manage-1"])
    assert page.inner_text(".alert-warning") == "It is <b>broken</b>."


def test_a_chart_is_drawn_and_its_table_can_be_opened(opened: Callable[[], Any]) -> None:
    page = opened().page

    drawn = page.locator("figure[data-chart] canvas").count()
    page.click("figure[data-chart] summary >> nth=0")

    assert drawn == 2
    assert page.locator("figure >> nth=0").locator("table.table tbody tr").count() == 24
    assert page.is_visible("figure >> nth=0 >> table.table tbody tr >> nth=0")


def test_a_live_part_brings_itself_up_to_date(opened: Callable[[], Any]) -> None:
    page = opened().page

    page.wait_for_function("() => document.getElementById('live').textContent.trim() === 'part True'")


def test_a_copy_button_copies_the_text_as_it_is(opened: Callable[..., Any]) -> None:
    visitor = opened(permissions=["clipboard-read", "clipboard-write"])

    visitor.page.click("text=Copy")
    visitor.page.wait_for_selector(".said.shown")

    assert visitor.page.evaluate("() => navigator.clipboard.readText()") == '{"name": "' + HOSTILE + '"}'
