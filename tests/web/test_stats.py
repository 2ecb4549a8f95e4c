"""Statistics over HTTP: rates and latencies, the points of a chart, and names that are not there."""

import pytest
from pydantic import BaseModel

from sidecar import upkeep
from sidecar.store import shapes
from sidecar.store.stats import Tally
from sidecar.store.trends import Point, Window
from sidecar.web import models
from tests.cli.seeds import Seeds
from tests.web.conftest import Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
STATS = "/api/v1/stats"


@pytest.fixture
def morning(site: Site, seeds: Seeds) -> Site:
    """A site that delivered twice to crm and was refused once, ten minutes ago."""
    for number in (1, 2):
        seeds.delivered(number)
    seeds.rejected(3)
    seeds.clock.advance(600)
    upkeep.roll_up(site.store, seeds.clock)
    return site


def test_a_service_has_its_rate_and_latencies(morning: Site) -> None:
    told = morning.view.get(STATS).json()

    assert (told["span"], told["step_s"], len(told["points"])) == ("24h", 600, 144)
    [crm] = told["services"]
    assert (crm["service"], crm["delivered"], crm["failed"], crm["dead"]) == ("crm", 2, 1, 1)
    assert (crm["success"], crm["mean_ms"]) == (0.6667, 41.2)
    assert crm["p95_ms"] == pytest.approx(41.25, rel=0.1)


def test_one_service_has_latencies_in_its_chart(morning: Site) -> None:
    of_all = morning.view.get(STATS, params={"span": "1h"}).json()["points"]
    of_one = morning.view.get(STATS, params={"span": "1h", "service": "crm"}).json()["points"]

    assert [one["delivered"] for one in of_all] == [one["delivered"] for one in of_one]
    assert [one["p95_ms"] for one in of_all if one["delivered"]] == [None]
    assert [one["p95_ms"] for one in of_one if one["delivered"]] == [pytest.approx(41.25, rel=0.1)]


def test_a_service_that_was_not_called_has_an_empty_chart(site: Site) -> None:
    told = site.view.get(STATS, params={"service": "crm", "span": "30d"}).json()

    assert told["services"] == []
    assert len(told["points"]) == 120
    assert sum(one["delivered"] for one in told["points"]) == 0


@pytest.mark.parametrize(
    ("params", "status", "code"), [({"service": "cmr"}, 404, "not_found"), ({"span": "2h"}, 422, "bad_input")]
)
def test_what_is_not_there_is_named(site: Site, params: dict[str, str], status: int, code: str) -> None:
    told = site.view.get(STATS, params=params)

    assert (told.status_code, told.json()["error"]["code"]) == (status, code)


def test_nobody_sees_them_without_a_token(site: Site) -> None:
    assert site.anyone.get(STATS).status_code == 401


def test_the_models_have_all_that_the_shapes_have(site: Site) -> None:
    whole = shapes.stats(Window.DAY, [Tally("crm")], [Point(site.hub.clock.now())])

    pairs: list[tuple[type[BaseModel], shapes.View]] = [
        (models.Stats, whole),
        (models.Fared, whole["services"][0]),
        (models.Point, whole["points"][0]),
    ]
    assert [set(model.model_fields) ^ set(shape) for model, shape in pairs] == [set(), set(), set()]
