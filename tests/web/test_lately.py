"""What takes long to look at is looked at once for all who ask at that time, and is never old for long."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import pytest
from sqlalchemy import Connection, event

from sidecar.clock import FakeClock
from sidecar.store import deliveries, queue, stats
from sidecar.store.deliveries import Owed
from sidecar.store.latencies import Latencies
from sidecar.store.stats import Span, Tally
from sidecar.store.trends import Window
from sidecar.web.lately import Fortunes, Owings
from tests.cli.seeds import Seeds
from tests.web.conftest import Site

MANY = 5_001

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def owings(site: Site, clock: FakeClock) -> Iterator[Owings]:
    made = Owings(site.store, clock)
    yield made
    made.close()


def owed(owings: Owings, site: Site) -> int:
    with site.store.read() as conn:
        return sum(one.pending for one in owings.get(conn))


def enqueue_many(seeds: Seeds) -> None:
    with seeds.store.write() as conn:
        made = [seeds._delivery(number) for number in range(MANY)]
        queue.enqueue(conn, made, now=seeds.clock.now())


def test_few_deliveries_are_counted_at_every_look(owings: Owings, site: Site, seeds: Seeds) -> None:
    seeds.delivery(1)
    first = owed(owings, site)

    seeds.delivery(2)

    assert (first, owed(owings, site)) == (1, 2)


def test_many_deliveries_are_counted_once_for_a_moment_and_anew_beside_the_next_look(
    owings: Owings, site: Site, seeds: Seeds, clock: FakeClock
) -> None:
    enqueue_many(seeds)
    first = owed(owings, site)
    seeds.delivery(MANY)

    at_once = owed(owings, site)
    clock.advance(3)
    while_it_is_counted = owed(owings, site)
    owings.close()
    after = owed(owings, site)

    assert (first, at_once, while_it_is_counted, after) == (MANY, MANY, MANY, MANY + 1)


def test_a_count_that_is_old_is_not_shown(owings: Owings, site: Site, seeds: Seeds, clock: FakeClock) -> None:
    enqueue_many(seeds)
    owed(owings, site)
    seeds.delivery(MANY)

    clock.advance(16)

    assert owed(owings, site) == MANY + 1


def test_what_takes_long_to_count_is_counted_beside_what_else_a_page_reads(
    owings: Owings, site: Site, seeds: Seeds, clock: FakeClock
) -> None:
    owings.begin()  # nothing is known to be much
    enqueue_many(seeds)
    owed(owings, site)
    seeds.delivery(MANY)
    clock.advance(16)

    owings.begin()
    found = owings.get(cast("Any", None))  # by another connection than this page's

    assert sum(one.pending for one in found) == MANY + 1


def test_a_count_that_was_begun_before_a_change_is_not_kept(
    owings: Owings, site: Site, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_many(seeds)
    totals = deliveries.totals

    def totals_and_then_a_change(conn: Connection) -> list[Owed]:
        found = totals(conn)
        monkeypatch.setattr(deliveries, "totals", totals)
        seeds.delivery(MANY)
        owings.forget()
        return found

    monkeypatch.setattr(deliveries, "totals", totals_and_then_a_change)

    assert (owed(owings, site), owed(owings, site)) == (MANY, MANY + 1)


def test_who_changes_something_sees_what_came_of_it(site: Site, seeds: Seeds) -> None:
    enqueue_many(seeds)
    ours = site.server._desk.owings
    owed(ours, site)
    seeds.delivery(MANY)

    site.manage.post("/api/v1/services/crm/pause").raise_for_status()

    assert owed(ours, site) == MANY + 1


def test_statistics_are_read_again_when_they_were_written_and_when_a_minute_is_over(
    site: Site, clock: FakeClock
) -> None:
    fortunes, minute = Fortunes(), Span.MINUTE.floor(clock.now())
    read: list[str] = []

    def tries() -> int:
        with site.store.read() as conn:
            event.listen(conn, "before_cursor_execute", lambda *given: read.append(given[2]))
            found = fortunes.at(conn, now=clock.now()).summaries(Window.HOUR)
        return found["crm"].tries if "crm" in found else 0

    seen: list[Any] = [tries()]
    save(site, minute - Span.MINUTE.length, 3)
    seen += [tries(), tries()]
    queries = len(read)
    seen.append(tries())
    again = [query.partition("(")[0] for query in read[queries:] if query != "BEGIN"]
    save(site, minute, 4)
    clock.advance(60)
    seen.append(tries())

    assert seen == [0, 3, 3, 3, 7]
    assert again == ["SELECT max"]


def save(site: Site, begins: datetime, count: int) -> None:
    tally = Tally("crm", count, latencies=Latencies(40.0 * count, {30: count}))
    with site.store.write() as conn:
        for span in (Span.MINUTE, Span.TEN):
            stats.save(conn, span, span.floor(begins), [tally])
