"""The three services: what they take, refuse and fail, over real connections."""

from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from random import Random
from urllib.parse import urlsplit

import pytest

from sidecar.clock import FakeClock
from sidecar.demo.receiver import CRM, FLAKY, Outages, Receiver


@pytest.fixture
def receiver(clock: FakeClock) -> Iterator[Receiver]:
    made = Receiver(Random(1), clock, pause=lambda _: None)
    yield made
    made.close()


def _post(receiver: Receiver, path: str, delivery_id: str, method: str = "POST") -> int | None:
    """Return the status; None if the connection broke."""
    address = urlsplit(receiver.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        connection.request(method, path, body=b"{}", headers={"webhook-id": delivery_id})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def test_taken_ids_are_counted_once_for_each_time_they_came(receiver: Receiver) -> None:
    answers = [_post(receiver, f"/{CRM}/users", "a"), _post(receiver, f"/{CRM}/users", "a", "PUT")]

    assert answers == [201, 201]
    assert receiver.taken() == {"a": 2}


def test_refused_and_unknown_paths_take_nothing(receiver: Receiver) -> None:
    assert _post(receiver, f"/{FLAKY}/grades/deleted", "a") == 422
    assert _post(receiver, "/nobody/users", "b") == 404
    assert receiver.taken() == {}


def test_first_request_of_an_outage_is_taken_without_an_answer_then_all_fail(
    receiver: Receiver, clock: FakeClock
) -> None:
    clock.advance(2.5)

    answers = [_post(receiver, f"/{FLAKY}/grades/graded", f"id-{number}") for number in range(20)]

    assert answers[0] is None
    assert set(answers) == {None, 503}
    assert receiver.taken() == {"id-0": 1}


def test_service_is_well_after_its_outage_and_in_it_once_healed(receiver: Receiver, clock: FakeClock) -> None:
    clock.advance(10.5)
    assert _post(receiver, f"/{FLAKY}/grades/graded", "a") == 201
    clock.advance(12)
    assert _post(receiver, f"/{FLAKY}/grades/graded", "b") is None

    receiver.heal()

    assert _post(receiver, f"/{FLAKY}/grades/graded", "b") == 201
    assert receiver.taken() == {"a": 1, "b": 2}


def test_the_other_services_are_well_while_one_is_down(receiver: Receiver, clock: FakeClock) -> None:
    clock.advance(5)

    assert _post(receiver, f"/{CRM}/users", "a") == 201
    assert _post(receiver, "/lms-analytics/events", "b") == 201


@pytest.mark.parametrize(
    ("elapsed_s", "number"),
    [(0, None), (2.4, None), (2.5, 0), (10.4, 0), (10.5, None), (22.5, 1), (31, None)],
)
def test_outages_come_back(elapsed_s: float, number: int | None) -> None:
    assert Outages(first_s=2.5, length_s=8, every_s=20).number_at(elapsed_s) == number
