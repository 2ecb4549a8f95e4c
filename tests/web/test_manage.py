"""Seeing and operating what the sidecar does: lists by pages, one thing, and what changes it."""

import pytest
from pydantic import BaseModel

from sidecar.model import DeliveryState
from sidecar.store import pile, shapes
from tests.cli.seeds import Seeds
from tests.web.conftest import Site

API = "/api/v1"
ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_deliveries_come_in_pages_the_newest_first(site: Site, seeds: Seeds) -> None:
    for number in range(1, 6):
        seeds.delivery(number)

    first = site.view.get(f"{API}/deliveries?limit=2").json()
    second = site.view.get(f"{API}/deliveries?limit=2&before={first['next']}").json()
    third = site.view.get(f"{API}/deliveries?limit=2&before={second['next']}").json()

    pages = [[one["log_id"] for one in page["items"]] for page in (first, second, third)]
    assert pages == [[5, 4], [3, 2], [1]]
    assert third["next"] is None


@ON_SQLITE
def test_deliveries_are_found_by_state_service_and_rule(site: Site, seeds: Seeds) -> None:
    seeds.delivered(1)
    seeds.delivery(2)
    seeds.delivery(3, service="erp", rule="seen")

    def found(query: str) -> list[int]:
        return [one["log_id"] for one in site.view.get(f"{API}/deliveries?{query}").json()["items"]]

    assert found("state=delivered") == [1]
    assert found("service=crm&state=pending") == [2]
    assert found("rule=seen") == [3]


@ON_SQLITE
def test_payloads_are_for_those_who_manage(site: Site, seeds: Seeds) -> None:
    dead = seeds.rejected(1)

    for path in (f"/deliveries/{dead.delivery_id}", f"/dead-letters/{dead.delivery_id}"):
        assert site.view.get(API + path).json()["request"] is None
        assert site.manage.get(API + path).json()["request"]["payload"] == '{"id": 1}'
    assert site.call.get(f"{API}/dead-letters/1").json()["response"] is None
    assert site.manage.get(f"{API}/log/1").json()["response"] == '{"no": "name"}'
    assert site.view.get(f"{API}/log/1").json()["response"] is None


def test_dead_delivery_is_sent_again_and_cancelled(site: Site, seeds: Seeds) -> None:
    dead = seeds.rejected(1)

    told = site.manage.post(f"{API}/deliveries/{dead.delivery_id}/retry")

    assert (told.status_code, told.json()["state"], told.json()["attempts"]) == (200, "pending", 0)
    assert seeds.letters() == 0
    assert site.manage.post(f"{API}/deliveries/1/cancel").json()["state"] == "cancelled"


@ON_SQLITE
def test_what_was_delivered_is_left_alone(site: Site, seeds: Seeds) -> None:
    seeds.delivered(1)

    told = site.manage.post(f"{API}/deliveries/1/retry")

    assert (told.status_code, told.json()["error"]["code"]) == (409, "left_alone")
    assert "delivered" in told.json()["error"]["message"]


@ON_SQLITE
def test_one_dead_letter_is_replayed_or_deleted(site: Site, seeds: Seeds) -> None:
    sent, bare = seeds.rejected(1), seeds.unrendered(2)

    replayed = site.manage.post(f"{API}/dead-letters/{sent.delivery_id}/replay").json()
    left = site.manage.post(f"{API}/dead-letters/{bare.delivery_id}/replay").json()
    deleted = site.manage.post(f"{API}/dead-letters/{bare.delivery_id}/delete").json()

    assert replayed == {"replayed": 1, "left": [], "next": None, "next_begins_at": None}
    assert (left["replayed"], left["left"][0]["why"]) == (0, "never_rendered")
    assert deleted == {"deleted": 1, "next": None}
    assert seeds.state(bare) == DeliveryState.CANCELLED


def test_many_are_replayed_only_as_they_were_counted(site: Site, seeds: Seeds) -> None:
    for number in (1, 2, 3):
        seeds.rejected(number)
    seeds.rejected(4, service="erp")
    choice = {"service": "crm", "reason": "rejected"}
    counted = site.view.get(f"{API}/dead-letters/count", params=choice).json()["count"]

    wrong = site.manage.post(f"{API}/dead-letters/replay", json={**choice, "count": counted - 1})
    right = site.manage.post(f"{API}/dead-letters/replay", json={**choice, "count": counted})

    assert counted == 3
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (409, "count_differs")
    assert right.json() == {"replayed": 3, "left": [], "next": None, "next_begins_at": None}
    assert seeds.letters() == 1


@ON_SQLITE
def test_more_than_a_thousand_go_on_where_the_answer_says(site: Site, seeds: Seeds) -> None:
    for number in range(1, 1004):
        seeds.unrendered(number)

    first = site.manage.post(f"{API}/dead-letters/delete", json={"all": True, "count": 1003}).json()
    second = site.manage.post(
        f"{API}/dead-letters/delete", json={"all": True, "count": 1003, "before": first["next"]}
    ).json()

    assert first["deleted"] == 1000
    assert second == {"deleted": 3, "next": None}
    assert seeds.letters() == 0


@ON_SQLITE
@pytest.mark.parametrize("choice", [{}, {"all": True, "service": "crm"}])
def test_all_is_said_or_narrowed_but_not_both(site: Site, choice: dict[str, object]) -> None:
    told = site.manage.post(f"{API}/dead-letters/delete", json={**choice, "count": 0})

    assert told.status_code == 422


@ON_SQLITE
def test_a_typo_in_a_filter_is_no_empty_list(site: Site) -> None:
    told = site.view.get(f"{API}/deliveries?service=cmr")

    assert told.status_code == 404
    assert "did you mean" in told.json()["error"]["message"]


@ON_SQLITE
def test_pausing_parks_and_resuming_sends(site: Site, seeds: Seeds) -> None:
    seeds.delivery(1)

    paused = site.manage.post(f"{API}/services/crm/pause").json()
    parked = site.view.get(f"{API}/services/crm").json()
    resumed = site.manage.post(f"{API}/services/crm/resume").json()

    assert paused == {"service": "crm", "paused": True, "obstacle": "paused"}
    assert (parked["parked"], parked["obstacle"]) == (1, "paused")
    assert resumed == {"service": "crm", "paused": False, "obstacle": None}


@ON_SQLITE
def test_a_circuit_is_closed_by_hand(site: Site, seeds: Seeds) -> None:
    seeds.open_circuit("crm")

    told = site.manage.post(f"{API}/circuits/crm/reset").json()

    assert (told["state"], told["failures"]) == ("closed", 0)


@ON_SQLITE
def test_a_rule_shows_its_definition_to_those_who_manage(site: Site) -> None:
    seen, managed = (client.get(f"{API}/rules/new-user").json() for client in (site.view, site.manage))

    assert (seen["in_force"], seen["definition"]) == ("yes", None)
    assert managed["definition"]["event"] == r"\core\event\user_created"


@ON_SQLITE
def test_status_is_the_same_as_the_commands(site: Site, seeds: Seeds) -> None:
    seeds.rejected(1)

    told = site.view.get(f"{API}/status").json()

    assert told["dead_letters"] == {
        "total": 1,
        "last_hour": 1,
        "last_day": 1,
        "by_reason": [{"service": "crm", "reason": "rejected", "count": 1}],
    }
    assert told["site"] == "campus"


@ON_SQLITE
def test_the_models_have_all_that_the_shapes_have(site: Site, seeds: Seeds) -> None:
    from sidecar.store import deliveries, log, overview, rules
    from sidecar.web import models

    seeds.rejected(1)
    with site.store.read() as conn:
        [delivery], [letter], [attempt] = (
            deliveries.find(conn),
            pile.search(conn, pile.Choice()).rows,
            log.find(conn),
        )
        whole = overview.look(conn, site.hub.settings, now=site.hub.clock.now())
        [rule] = shapes.rules(rules.all_rows(conn), {})

    service = shapes.service(whole.lots[0], site.hub.settings.services["crm"])
    pairs: list[tuple[type[BaseModel], shapes.View]] = [
        (models.Delivery, shapes.delivery(delivery, None)),
        (models.Sent, shapes.request(delivery)),
        (models.Letter, shapes.letter(letter, 1)),
        (models.Attempt, shapes.attempt(attempt)),
        (models.Status, shapes.overview(whole)),
        (models.Lot, shapes.lot(whole.lots[0])),
        (models.Circuit, shapes.circuit(whole.lots[0].circuit)),
        (models.Process, shapes.process(whole.processes[0])),
        (models.Service, service),
        (models.Rule, rule),
    ]
    assert [(model.__name__, set(model.model_fields) ^ set(shape)) for model, shape in pairs] == [
        (model.__name__, set()) for model, _ in pairs
    ]
