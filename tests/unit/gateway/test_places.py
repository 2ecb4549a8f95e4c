"""Places of direct calls: so many of a service, and how long somebody waits for one."""

from threading import Thread

import pytest

from sidecar.gateway.places import Places
from sidecar.settings import Service


def service(**options: object) -> Service:
    return Service.model_validate({"base_url": "https://crm.example.org", **options})


@pytest.mark.parametrize(
    ("places", "crm"),
    [
        (Places(), service(max_concurrency=2, timeout=0.05)),
        (Places(patient=False), service(max_concurrency=2)),
        (Places(otherwise=2, patient=False), service()),
    ],
)
def test_there_are_so_many_of_each_service(places: Places, crm: Service) -> None:
    with (
        places.one("crm", crm) as first,
        places.one("crm", crm) as second,
        places.one("crm", crm) as third,
        places.one("erp", crm) as other,
    ):
        assert (first, second, third, other) == (True, True, False, True)

    with places.one("crm", crm) as one, places.one("crm", crm) as another:
        assert (one, another) == (True, True)


def test_without_a_limit_there_are_as_many_as_are_wanted() -> None:
    places, crm = Places(), service()

    with places.one("crm", crm) as first, places.one("crm", crm) as second:
        assert (first, second) == (True, True)


def test_who_waits_gets_the_place_that_becomes_free() -> None:
    places, crm = Places(), service(max_concurrency=1, timeout=20)
    found: list[bool] = []

    def wait() -> None:
        with places.one("crm", crm) as place:
            found.append(place)

    with places.one("crm", crm):
        waiting = Thread(target=wait)
        waiting.start()
    waiting.join()

    assert found == [True]
