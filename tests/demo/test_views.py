"""What people see: lines and a screen of at most 80 columns, whatever is in the data."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sidecar.clock import FakeClock
from sidecar.demo.ending import Account, lines
from sidecar.demo.plain import Plain, columns, fit, try_line
from sidecar.demo.screen import Screen
from sidecar.demo.tally import Fate, Picture, ServiceView, Tally, Try, describe
from sidecar.model import (
    Attempt,
    CircuitState,
    Claimed,
    DeadReason,
    Decision,
    Delivery,
    Outcome,
    Settlement,
    Step,
)

_AT = datetime(2026, 3, 2, 8, 0, 5, tzinfo=UTC)
_TRY = Try(_AT, "user_created", "new-user", "crm", Fate.DELIVERED, 201, 12.4, 1, None)
_CRM = ServiceView("crm", CircuitState.CLOSED, None, 5, 1, 0, 0, 2, 12.4)
_PICTURE = Picture(_AT, 7.0, 90, 40, 3, 38, 2, 0, (_CRM,))


def _settlement(step: Step, *, probe: bool = False, attempt: bool = True) -> Settlement:
    delivery = Delivery(
        "id", "grade", "1", "flaky", r"\core\event\user_graded", 9, "POST", "/", None, None, created_at=_AT
    )
    tried = Attempt(Outcome.FAILED, _AT, 33.3, 503, "answered 503") if attempt else None
    reason = DeadReason.EXHAUSTED if step is Step.BURY else None
    return Settlement(Claimed(1, delivery, 2, "token", probe), tried, Decision(step, _AT, reason))


def test_line_of_an_attempt_has_all_there_is_to_know() -> None:
    assert try_line(_TRY) == (
        "08:00:05 user_created           new-user crm           delivered  201    12   1"
    )


def test_line_of_a_broken_connection_has_no_status() -> None:
    assert try_line(replace(_TRY, fate=Fate.RETRY, status=None, number=2)) == (
        "08:00:05 user_created           new-user crm           retry        -    12   2"
    )


@given(st.text(max_size=120), st.integers(min_value=1, max_value=100))
def test_fitted_text_is_one_line_within_its_width(text: str, width: int) -> None:
    fitted = fit(text, width)

    assert columns(fitted) <= width
    assert not any(sign in fitted for sign in "\x1b\n\r\t\0")


@given(st.text(max_size=60), st.floats(min_value=0, max_value=99_999), st.integers(1, 999))
def test_line_of_an_attempt_is_never_wider_than_80_columns(text: str, latency_ms: float, number: int) -> None:
    seen = Try(_AT, text, text, text, Fate.DELIVERED, 201, latency_ms, number, text)

    assert columns(try_line(seen)) <= 80


def test_plain_view_tells_each_change_of_a_circuit_once() -> None:
    said: list[str] = []
    view = Plain(said.append)
    opened = replace(_CRM, circuit=CircuitState.OPEN, parked=4, error="answered 503\x1b[2J")

    view.show(replace(_PICTURE, elapsed_s=1), [])
    view.show(replace(_PICTURE, elapsed_s=2, services=(opened,)), [_TRY])
    view.show(replace(_PICTURE, elapsed_s=3, services=(opened,)), [])
    view.show(replace(_PICTURE, elapsed_s=4), [])

    assert said == [
        try_line(_TRY),
        "08:00:05 ** circuit of crm open, 4 parked: answered 503 [2J",
        "08:00:05 ** circuit of crm closed: what was parked goes out",
    ]


def test_plain_view_gives_the_sums_now_and_then() -> None:
    said: list[str] = []
    view = Plain(said.append)

    for elapsed_s in (1, 4.9, 5, 6, 10, 11):
        view.show(replace(_PICTURE, elapsed_s=elapsed_s), [])

    assert said == ["08:00:05 -- 90 rows, 40 matched, 38 delivered, 0 parked, 2 behind"] * 2


@pytest.mark.parametrize("height", [24, 50])
def test_screen_fits_an_ordinary_terminal(height: int) -> None:
    console = Console(file=io.StringIO(), width=80, height=height, force_terminal=True, color_system=None)
    screen = Screen(console)
    services = tuple(replace(_CRM, name=name, sent=12_345) for name in ("crm", "lms-analytics", "flaky"))
    tries = [replace(_TRY, event="user_enrolment_created", service="lms-analytics", latency_ms=1_234)] * 60
    screen._place = "Look closer from another terminal:\n  mih status"
    screen._feed.extend(tries)

    console.print(screen.drawn(replace(_PICTURE, services=services, rows=123_456)))

    drawn = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(drawn) < height
    assert max(map(len, drawn)) <= 80
    assert any("lms-analytics  closed   12345" in line for line in drawn)
    assert sum("user_enrolment_created" in line for line in drawn) == min(height - 13, 30)


@pytest.mark.parametrize(
    ("step", "probe", "fate"),
    [
        (Step.DONE, False, Fate.DELIVERED),
        (Step.DONE, True, Fate.PROBE_OK),
        (Step.RETRY, False, Fate.RETRY),
        (Step.PARK, True, Fate.PROBE_BAD),
        (Step.BURY, False, Fate.DEAD),
    ],
)
def test_attempt_is_told_in_a_word(step: Step, probe: bool, fate: Fate) -> None:
    seen = describe(_settlement(step, probe=probe))

    assert seen == Try(_AT, "user_graded", "grade", "flaky", fate, 503, 33.3, 3, "answered 503")


def test_what_was_not_sent_is_no_attempt(clock: FakeClock) -> None:
    tally = Tally(clock)

    tally.settled(_settlement(Step.PARK, attempt=False))
    tally.settled(_settlement(Step.RETRY))

    assert [seen.fate for seen in tally.fresh()] == [Fate.RETRY]
    assert tally.fresh() == []
    assert tally.count(Fate.RETRY, service="flaky") == 1
    assert tally.count(Fate.RETRY, service="crm") == 0


def test_account_reads_in_80_columns() -> None:
    account = Account(
        seed=7,
        elapsed_s=20.4,
        rows=231,
        late=3,
        matched=118,
        arrived=112,
        retries=14,
        probes=4,
        dead=(("flaky", "rejected", 2),),
        waiting=4,
        duplicates=1,
        lost=0,
        given_up=3,
        held=(("too_old", 3), ("when", 2)),
    )

    said = list(lines(account))

    assert said == [
        "The demo ran for 20 s. The same story again: --seed 7",
        "  log rows        231  3 of them late; 3 ids rolled back and given up",
        "  matched         118  deliveries that the rules made of them",
        "  delivered       112  retries: 14, probes of an ill service: 4",
        "  dead letters      2  rejected by flaky: 2",
        "  held back         5  too old, from a restored course: 3, condition false: 2",
        "  waiting           4  would go out later",
        "  duplicates        1  came twice after a lost answer, with the same id",
        "  lost              0  each id that the log owes was looked for",
    ]
    assert max(map(len, said)) <= 80
