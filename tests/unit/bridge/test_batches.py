"""Deliveries that share a request: nothing lost, nothing twice, order kept, limits held, bad ones found."""

import json
import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.batches import deliver, join, joined_octets, joins, portions
from sidecar.model import Attempt, Outcome, Route, Waiting
from sidecar.settings import BatchSettings
from tests.deliveries import attempt, delivery

ROUTE = Route("POST", "/events", (), "application/json")
TAKEN = attempt(status=200)
REFUSED = attempt(Outcome.REJECTED, status=422)
ILL = attempt(Outcome.FAILED, status=503)

routes = st.sampled_from(
    [ROUTE, Route("POST", "/other", (), "application/json"), Route("POST", "/events", (), "text/plain")]
)
waiting_lists = st.lists(
    st.tuples(st.sampled_from(["many", "few", "each"]), routes, st.integers(0, 600), st.booleans()),
    max_size=60,
).map(
    lambda rows: [
        Waiting(number, rule, route, octets, due) for number, (rule, route, octets, due) in enumerate(rows)
    ]
)
BATCHES = {
    "many": BatchSettings(max_items=7, max_bytes=2_000),
    "few": BatchSettings(max_items=2, max_bytes=1_024),
}


def waiting(number: int, *, rule: str = "many", octets: int = 10, due: bool = True) -> Waiting:
    return Waiting(number, rule, ROUTE, octets, due)


def refusing(bad: set[int], sent: list[int]) -> Callable[[Sequence[int]], Attempt]:
    """Return a receiver that refuses what holds something bad, and notes how many each request had."""

    def send(part: Sequence[int]) -> Attempt:
        sent.append(len(part))
        return REFUSED if bad & set(part) else TAKEN

    return send


@given(waiting_lists)
def test_whatever_waits_goes_once_in_order_and_within_the_limits(rows: list[Waiting]) -> None:
    by_number = {row.number: row for row in rows}

    made = portions(rows, BATCHES)

    gone = [number for portion in made for number in portion]
    assert len(gone) == len(set(gone))
    assert {row.number for row in rows if row.due} <= set(gone)
    for portion in made:
        members = [by_number[number] for number in portion]
        limits = BATCHES.get(members[0].rule or "", BatchSettings(max_items=1))
        assert portion == sorted(portion)
        assert len({(member.rule, member.route) for member in members}) == 1
        assert len(members) <= limits.max_items
        octets = joined_octets(sum(member.octets for member in members), len(members))
        assert len(members) == 1 or octets <= limits.max_bytes


@given(waiting_lists)
def test_what_stays_lingers_and_fills_no_request(rows: list[Waiting]) -> None:
    gone = {number for portion in portions(rows, BATCHES) for number in portion}

    left = [row for row in rows if row.number not in gone]

    assert not any(row.due for row in left)
    for rule, limits in BATCHES.items():
        for route in {row.route for row in left if joins(row.route)}:
            same = [row for row in left if (row.rule, row.route) == (rule, route)]
            assert len(same) < limits.max_items


def test_one_that_is_due_takes_those_along_that_linger() -> None:
    rows = [waiting(1), waiting(2, due=False), waiting(3, due=False)]

    assert portions(rows, {"many": BatchSettings()}) == [[1, 2, 3]]


def test_full_request_goes_at_once_and_the_rest_lingers_on() -> None:
    rows = [waiting(number, due=False) for number in range(1, 6)]

    assert portions(rows, {"many": BatchSettings(max_items=2)}) == [[1, 2], [3, 4]]


def test_request_that_is_full_by_its_bytes_goes_at_once() -> None:
    rows = [waiting(number, octets=400, due=False) for number in range(1, 4)]

    assert portions(rows, {"many": BatchSettings(max_bytes=1_024)}) == [[1, 2]]


def test_bytes_are_counted_with_brackets_and_commas() -> None:
    rows = [waiting(1, octets=500), waiting(2, octets=521), waiting(3, octets=500), waiting(4, octets=522)]

    assert portions(rows, {"many": BatchSettings(max_bytes=1_024)}) == [[1, 2], [3], [4]]


@pytest.mark.parametrize(
    ("content_type", "headers", "joined"),
    [
        ("application/json", (), True),
        ("application/json; charset=utf-8", (), True),
        ("application/vnd.crm+json", (), True),
        ("application/cloudevents+json", (), True),
        ("application/xml; charset=utf-8", (), False),
        ("application/jsonlines", (), False),
        (None, (), False),
        ("application/json", (("ce-id", "1"),), False),
    ],
)
def test_only_json_in_a_body_is_joined(
    content_type: str | None, headers: tuple[tuple[str, str], ...], joined: bool
) -> None:
    assert joins(Route("POST", "/events", headers, content_type)) is joined


def test_joined_request_holds_all_payloads_as_they_were_rendered() -> None:
    parts = [delivery(1, body='{"n": "Zoë"}'), delivery(2, body='{"n":2.50}')]

    joined = join(parts)

    assert joined.body == '[{"n": "Zoë"},{"n":2.50}]'
    assert len(joined.body.encode()) == joined_octets(sum(len((one.body or "").encode()) for one in parts), 2)
    assert joined.content_type == "application/json"
    assert (joined.method, joined.endpoint) == ("POST", "/crm")


def test_cloud_events_become_a_batch_of_cloud_events() -> None:
    event = delivery(1, content_type="application/cloudevents+json")

    assert join([event]).content_type == "application/cloudevents-batch+json"


def test_same_composition_has_the_same_id_and_no_other_has_it() -> None:
    one, two = delivery(1), delivery(2)

    assert join([one, two]).delivery_id == join([one, two]).delivery_id
    assert len({join(parts).delivery_id for parts in ([one, two], [two, one], [one], [two])}) == 4
    assert join([one, two]).delivery_id == "0db81b87-5332-5337-a0fa-a5cb5382a3ab"


@given(st.lists(st.text(max_size=5), min_size=1, max_size=20))
def test_what_is_joined_comes_apart_again(texts: list[str]) -> None:
    parts = [delivery(number, body=json.dumps(text)) for number, text in enumerate(texts, start=1)]

    joined = join(parts)

    assert json.loads(joined.body or "") == texts


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_search_ends_with_each_bad_one_alone_and_all_others_taken(case: tuple[int, set[int]]) -> None:
    total, bad = case
    items = list(range(total))

    fates = list(deliver(items, refusing(bad, [])))

    assert [item for part, _ in fates for item in part] == items
    assert all(len(part) == 1 for part, one in fates if one is REFUSED)
    assert {item for part, one in fates if one is REFUSED for item in part} == bad


@given(st.integers(1, 1_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_one_bad_one_is_found_in_few_requests(case: tuple[int, int]) -> None:
    total, bad = case
    sent: list[int] = []

    list(deliver(range(total), refusing({bad}, sent)))

    assert len(sent) <= 1 + 2 * math.ceil(math.log2(total))


def test_one_bad_among_a_hundred_is_found_in_nine_to_fourteen_requests() -> None:
    counts = []
    for bad in range(100):
        sent: list[int] = []
        list(deliver(range(100), refusing({bad}, sent)))
        counts.append(len(sent))

    assert (min(counts), max(counts), sum(counts)) == (9, 14, 1_124)


def test_second_half_is_not_sent_whole_when_the_first_was_taken() -> None:
    sent: list[int] = []

    fates = list(deliver(range(8), refusing({7}, sent)))

    assert sent == [8, 4, 2, 1, 1]
    assert [(list(part), one.outcome) for part, one in fates if one] == [
        ([0, 1, 2, 3], "delivered"),
        ([4, 5], "delivered"),
        ([6], "delivered"),
        ([7], "rejected"),
    ]


def test_what_is_only_too_large_together_is_taken_in_halves() -> None:
    sent: list[int] = []

    def send(part: Sequence[int]) -> Attempt:
        sent.append(len(part))
        return attempt(Outcome.REJECTED, status=413) if len(part) > 4 else TAKEN

    fates = list(deliver(range(8), send))

    assert sent == [8, 4, 4]
    assert [one for _, one in fates] == [TAKEN, TAKEN]


def test_refusal_that_no_part_explains_is_tried_part_by_part() -> None:
    fates = list(deliver(range(4), lambda part: REFUSED if len(part) > 1 else TAKEN))

    assert [(list(part), one) for part, one in fates] == [([number], TAKEN) for number in range(4)]


@pytest.mark.parametrize(
    "answer",
    [
        ILL,
        attempt(Outcome.BUSY, status=429),
        attempt(Outcome.UNSENT),
        attempt(Outcome.INVALID),
        attempt(Outcome.REJECTED, status=301),
        attempt(Outcome.REJECTED, status=401),
        attempt(Outcome.REJECTED, status=405),
        attempt(Outcome.REJECTED, status=410),
        attempt(Outcome.REJECTED, status=501),
        None,
    ],
)
def test_what_concerns_the_service_is_the_fate_of_all(answer: Attempt | None) -> None:
    sent: list[int] = []

    def send(part: Sequence[int]) -> Attempt | None:
        sent.append(len(part))
        return answer

    assert list(deliver(range(8), send)) == [(range(8), answer)]
    assert sent == [8]


@given(
    st.integers(2, 200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))),
    st.integers(1, 20),
)
def test_service_that_falls_ill_on_the_way_is_asked_no_more(case: tuple[int, set[int]], well: int) -> None:
    total, bad = case
    sent: list[int] = []
    receiver = refusing(bad, sent)

    fates = list(deliver(range(total), lambda part: receiver(part) if len(sent) < well else _ill(sent)))

    assert [item for part, _ in fates for item in part] == list(range(total))
    assert len(sent) <= well + 1
    if len(sent) > well:
        assert fates[-1][1] is ILL


def _ill(sent: list[int]) -> Attempt:
    sent.append(0)
    return ILL
