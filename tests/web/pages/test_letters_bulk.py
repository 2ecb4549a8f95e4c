"""Many dead letters at once: counted, confirmed, worked off piece by piece, stopped, gone on with."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from sidecar.bridge import bulk
from sidecar.bridge.bulk import Deed, Job, Progress
from sidecar.bridge.replay import PIECE, Fate
from sidecar.model import DeadLetter, DeadReason
from sidecar.store import audit, dlq, pile, queue
from sidecar.store.pile import Choice, Count
from sidecar.store.tables import queue as queue_table
from tests.cli.seeds import Seeds
from tests.web.conftest import Enter, Site
from tests.web.people import Browser

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def bury(seeds: Seeds, count: int, first: int = 1) -> None:
    """Put so many dead letters with payloads into the store."""
    letters = [
        DeadLetter(seeds._delivery(number), DeadReason.EXHAUSTED, "HTTP 503", attempts=4, status=503)
        for number in range(first, first + count)
    ]
    with seeds.store.write() as conn:
        queue.enqueue_dead(conn, letters, now=seeds.clock.now())


def states(seeds: Seeds) -> dict[str, int]:
    with seeds.store.read() as conn:
        found = [row.state for row in conn.execute(select(queue_table.c.state))]
    return {state: found.count(state) for state in sorted(set(found))}


def fields_of(shown: str) -> dict[str, str]:
    """Return the hidden fields of the first form for many, without its token."""
    form = re.search(r'<form class="panel".*?</form>', shown, re.DOTALL)
    assert form, shown
    found = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0]))
    return {name: value for name, value in found.items() if name != "csrf"}


def until(holds: Callable[[], object]) -> None:
    """Wait for another thread; it keeps no fake clock."""
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        threading.Event().wait(0.02)


def ended(browser: Browser, address: str) -> str:
    """Return the page of a job when it is no longer at work."""
    until(lambda: "/job/stop" not in browser.get(address).text)
    return browser.get(address).text


def audited(site: Site) -> list[tuple[str, str, str | None]]:
    with site.store.read() as conn:
        rows = audit.find(conn)
    return [(row.action, row.object, row.detail) for row in rows if row.action.startswith("dead_letter")]


@ON_SQLITE
def test_all_that_match_are_counted_confirmed_and_replayed(site: Site, enter: Enter, seeds: Seeds) -> None:
    bury(seeds, 2 * PIECE + 50)
    seeds.rejected(9_001)
    browser = enter(site, "manage")

    asked = browser.get("/dead-letters/bulk?reason=exhausted").text
    begun = browser.post("/dead-letters/bulk", {**fields_of(asked), "deed": "as_sent"})
    shown = ended(browser, begun.headers["Location"])

    assert "Replay 450 dead letters" in asked
    assert "450 of 450 are done." in shown
    assert "finished" in shown
    assert states(seeds) == {"dead": 1, "pending": 450}
    [(action, thing, detail)] = audited(site)
    assert (action, thing) == ("dead_letter.replay", "450 dead letters")
    assert "reason exhausted" in str(detail)


@ON_SQLITE
def test_all_that_match_are_deleted(site: Site, enter: Enter, seeds: Seeds) -> None:
    bury(seeds, 3)
    browser = enter(site, "manage")

    asked = browser.get("/dead-letters/bulk?service=crm").text
    begun = browser.post("/dead-letters/bulk", {**fields_of(asked), "deed": "delete"})
    shown = ended(browser, begun.headers["Location"])

    assert "3 of 3 are done." in shown
    assert (states(seeds), seeds.letters()) == ({"cancelled": 3}, 0)


@ON_SQLITE
def test_nothing_is_done_when_the_number_is_another_than_was_confirmed(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    bury(seeds, 3)
    browser = enter(site, "manage")
    fields = fields_of(browser.get("/dead-letters/bulk").text)

    browser.post("/dead-letters/bulk", {**fields, "deed": "delete", "total": "2"})
    shown = browser.get("/dead-letters/bulk").text

    assert "Their number has changed meanwhile: nothing was done." in shown
    assert (seeds.letters(), audited(site)) == (3, [])


@ON_SQLITE
def test_what_dies_after_the_count_is_none_of_it(site: Site, enter: Enter, seeds: Seeds) -> None:
    bury(seeds, 3)
    browser = enter(site, "manage")
    fields = fields_of(browser.get("/dead-letters/bulk").text)
    seeds.clock.advance(1)
    bury(seeds, 2, first=100)

    begun = browser.post("/dead-letters/bulk", {**fields, "deed": "delete"})
    ended(browser, begun.headers["Location"])

    assert states(seeds) == {"cancelled": 3, "dead": 2}


@ON_SQLITE
def test_what_cannot_be_replayed_is_summed_up_and_stays(site: Site, enter: Enter, seeds: Seeds) -> None:
    bury(seeds, 2)
    bare = seeds.unrendered(50)
    browser = enter(site, "manage")
    fields = fields_of(browser.get("/dead-letters/bulk").text)

    begun = browser.post("/dead-letters/bulk", {**fields, "deed": "as_sent"})
    shown = ended(browser, begun.headers["Location"])

    assert "2 of 3 are done." in shown
    assert "It was never rendered, so there is nothing to send as it was" in shown
    assert f"/dead-letters/{bare.delivery_id}" in shown
    assert seeds.state(bare) == "dead"


@ON_SQLITE
def test_a_pace_spreads_them_over_time(site: Site, enter: Enter, seeds: Seeds) -> None:
    bury(seeds, 12)
    browser = enter(site, "manage")
    fields = fields_of(browser.get("/dead-letters/bulk").text)

    begun = browser.post("/dead-letters/bulk", {**fields, "deed": "as_sent", "pace": "5"})
    shown = ended(browser, begun.headers["Location"])

    with site.store.read() as conn:
        due = sorted(conn.execute(select(queue_table.c.due_at)).scalars())
    ahead = [(moment - seeds.clock.now()).total_seconds() for moment in due]
    assert ahead == [0] * 5 + [1] * 5 + [2] * 2
    assert "They are sent one after the other" in shown


@ON_SQLITE
def test_the_address_of_a_job_goes_on_after_a_restart(site: Site, enter: Enter, seeds: Seeds) -> None:
    bury(seeds, 5)
    browser = enter(site, "manage")
    fields = {**fields_of(browser.get("/dead-letters/bulk").text), "deed": "as_sent"}

    # A job that this process knows nothing of: it has only just started.
    shown = browser.client.get("/dead-letters/job", params=fields).text
    gone_on = browser.post("/dead-letters/job", fields)
    after = ended(browser, gone_on.headers["Location"])

    assert "5 of 5 are dead letters still." in shown
    assert "Going on does nothing twice." in shown
    assert "5 of 5 are done." in after
    assert states(seeds) == {"pending": 5}


@ON_SQLITE
def test_a_job_that_is_stopped_leaves_the_rest_and_can_go_on(
    site: Site, enter: Enter, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(seeds, PIECE + 10)
    browser = enter(site, "manage")
    fields = {**fields_of(browser.get("/dead-letters/bulk").text), "deed": "as_sent"}
    real, reached, free = bulk.go_on, threading.Event(), threading.Event()

    def held(*args: Any, **more: Any) -> Progress:
        reached.set()
        assert free.wait(20)
        return real(*args, **more)

    monkeypatch.setattr("sidecar.bridge.bulk.go_on", held)
    begun = browser.post("/dead-letters/bulk", fields)
    assert reached.wait(20)
    running, listed = browser.get(begun.headers["Location"]).text, browser.get("/dead-letters").text
    browser.post("/dead-letters/job/stop", fields)
    free.set()
    until(lambda: seeds.letters() == 10)
    stopped = browser.get(begun.headers["Location"]).text
    browser.post("/dead-letters/job", fields)
    shown = ended(browser, begun.headers["Location"])

    assert 'hx-trigger="every 1s, renew"' in running
    assert "manage-1 works on 210 dead letters." in listed
    assert "stopped" in stopped
    assert "Go on with 10" in stopped
    assert "finished" in shown
    assert states(seeds) == {"pending": PIECE + 10}


@ON_SQLITE
@pytest.mark.parametrize("query", ["", "deed=burn&upto=1&total=1", "deed=delete&upto=1&total=1&pace=7"])
def test_an_address_that_is_no_job_is_refused(site: Site, enter: Enter, query: str) -> None:
    assert enter(site, "manage").get(f"/dead-letters/job?{query}").status_code == 422


@ON_SQLITE
def test_the_role_view_sees_no_job_and_begins_none(site: Site, enter: Enter, seeds: Seeds) -> None:
    bury(seeds, 3)
    browser = enter(site, "view")

    assert browser.get("/dead-letters/bulk").status_code == 403
    assert (
        browser.post("/dead-letters/bulk", {"deed": "delete", "upto": "3", "total": "3"}).status_code == 403
    )
    assert seeds.letters() == 3


def test_two_processes_at_one_job_replay_each_letter_once_and_forget_none(site: Site, seeds: Seeds) -> None:
    bury(seeds, 3 * PIECE)
    job = Job(Deed.AS_SENT, Choice(service="crm"), _last(site), 3 * PIECE)
    now = seeds.clock.now()

    def work() -> None:
        progress = Progress()
        while not progress.is_over:
            progress = bulk.go_on(site.store, job, progress, again=None, now=now)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(60)

    assert (states(seeds), seeds.letters()) == ({"pending": 3 * PIECE}, 0)


def test_a_job_begun_again_from_its_start_does_nothing_twice(site: Site, seeds: Seeds) -> None:
    bury(seeds, PIECE + 5)
    job = Job(Deed.AS_SENT, Choice(), _last(site), PIECE + 5)
    now = seeds.clock.now()

    broken_off = bulk.go_on(site.store, job, Progress(), again=None, now=now)
    anew = bulk.go_on(site.store, job, Progress(), again=None, now=now + timedelta(seconds=9))

    assert (broken_off.looked_at, broken_off.is_over) == (PIECE, False)
    assert (anew.fates, anew.is_over) == ({Fate.REPLAYED: 5}, True)
    with site.store.read() as conn:
        due = list(conn.execute(select(queue_table.c.due_at)).scalars())
    assert due.count(now) == PIECE


def test_a_choice_is_the_same_in_list_count_and_work(site: Site, seeds: Seeds) -> None:
    bury(seeds, 4)
    seeds.rejected(9, rule="other", event="50%_off|x")
    seeds.unrendered(10)
    last = _last(site)

    for choice, wanted in (
        (Choice(), [1, 2, 3, 4, 9, 10]),
        (Choice(service="crm", reason=DeadReason.EXHAUSTED), [1, 2, 3, 4]),
        (Choice(rule="other", status=422), [9]),
        (Choice(event="0%_off|"), [9]),
        (Choice(error="null"), [10]),
        (Choice(log_id=3), [3]),
    ):
        with site.store.read() as conn:
            newest = pile.search(conn, choice, limit=50).rows
            oldest = pile.oldest(conn, choice, after=0, upto=last, limit=50)
            count = pile.count(conn, choice, upto=last)
        assert [row.log_id for row in oldest] == wanted, choice
        assert [row.log_id for row in newest] == wanted[::-1], choice
        assert count == Count(len(wanted))
    with site.store.read() as conn:
        [one] = pile.search(conn, replace(Choice(), service="crm"), before=last, limit=1).rows
    assert one.log_id == 9


@ON_SQLITE
def test_a_text_is_looked_for_in_20000_letters_a_page(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.unrendered(1)
    early = seeds.clock.now()
    seeds.clock.advance(3600)
    made = [DeadLetter(seeds._delivery(number), DeadReason.EXHAUSTED, "no") for number in range(2, 20_003)]
    with site.store.write() as conn:
        dlq.bury(conn, made, now=seeds.clock.now())
    browser = enter(site, "manage")

    first = browser.get("/dead-letters?error=null").text
    [older] = re.findall(r'href="(/dead-letters\?[^"]*before=\d+[^"]*)"', first)

    assert "20,000 dead letters were looked at" in first
    assert "No dead letter matches" not in first
    assert "row 1<" in browser.get(unescape(older)).text
    assert "row 1<" in browser.get(f"/dead-letters?error=null&until={early:%Y-%m-%dT%H:59}").text

    # To count before a job reads no more of them, and says so; the job itself leaves none out.
    chosen = browser.get("/dead-letters/bulk?error=null").text
    assert "≥ 0 dead letters" in chosen
    assert (
        "1 dead letter</h1>"
        in browser.get(f"/dead-letters/bulk?error=null&until={early:%Y-%m-%dT%H:59}").text
    )
    begun = browser.post("/dead-letters/bulk", {**fields_of(chosen), "deed": "delete"})
    assert "1 of ≥ 0 are done." in ended(browser, begun.headers["Location"])
    assert states(seeds) == {"cancelled": 1}
    assert audited(site)[0][1] == "≥ 0 dead letters"


def _last(site: Site) -> int:
    with site.store.read() as conn:
        return pile.last(conn)
