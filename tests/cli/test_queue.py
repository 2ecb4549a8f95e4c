"""Deliveries are listed, shown, retried and cancelled."""

import pytest

from sidecar.store import services
from tests.cli.conftest import Mih
from tests.cli.seeds import Seeds


def test_list_filters_by_state_service_and_rule(mih: Mih, seeds: Seeds) -> None:
    seeds.delivered(1)
    waiting = seeds.delivery(2)
    seeds.delivery(3, service="erp")
    seeds.delivery(4, rule="seen")

    said = mih("queue", "list", "--state", "pending", "--service", "crm", "--rule", "new-user", "--json")

    assert [row["delivery_id"] for row in said.json] == [waiting.delivery_id]


def test_list_shows_the_newest_first_and_no_more_than_asked_for(mih: Mih, seeds: Seeds) -> None:
    for number in range(1, 5):
        seeds.delivery(number)

    said = mih("queue", "list", "--limit", "2", "--json")

    assert [row["log_id"] for row in said.json] == [4, 3]


def test_parked_deliveries_say_why(mih: Mih, seeds: Seeds) -> None:
    seeds.services()
    seeds.open_circuit("crm")
    with seeds.store.write() as conn:
        services.pause(conn, "erp", pause=True, now=seeds.clock.now())
    seeds.delivery(1)
    seeds.delivery(2, service="erp")
    seeds.delivery(3, service="old")

    said, lines = mih("queue", "list", "--json"), mih("queue", "list").out.splitlines()

    assert {row["service"]: row["parked"] for row in said.json} == {
        "crm": "circuit open",
        "erp": "paused",
        "old": "not configured",
    }
    assert {row["state"] for row in said.json} == {"pending"}
    assert "parked: paused" in lines[2]


def test_show_has_the_payload_and_every_try(mih: Mih, seeds: Seeds) -> None:
    made = seeds.rejected(7)

    said, shown = mih("queue", "show", made.delivery_id, "--json"), mih("queue", "show", "1")

    assert said.json["payload"] == '{"id": 7}'
    assert said.json["headers"] == {}
    assert [(one["outcome"], one["status"], one["latency_ms"]) for one in said.json["tries"]] == [
        ("rejected", 422, 12.5)
    ]
    assert '\npayload:\n{"id": 7}\n' in shown.out


def test_retry_of_a_dead_delivery_takes_its_letter_away(mih: Mih, seeds: Seeds) -> None:
    made = seeds.rejected(1)

    said = mih("queue", "retry", "1")

    assert said.out == f"Delivery 1 ({made.delivery_id}) is due now.\n"
    assert (seeds.state(made), seeds.letters()) == ("pending", 0)


def test_retry_says_that_a_delivery_still_waits_for_its_service(mih: Mih, seeds: Seeds) -> None:
    seeds.open_circuit("crm")
    seeds.delivery(1)

    said = mih("queue", "retry", "1")

    assert "is due now, but parked: circuit open." in said.out


def test_retry_never_sends_an_empty_request(mih: Mih, seeds: Seeds) -> None:
    made = seeds.unrendered(1)

    dead = mih("queue", "retry", "1")
    mih("dlq", "delete", "1")
    cancelled = mih("queue", "retry", "1")

    assert (dead.code, cancelled.code) == (1, 1)
    assert f"`mih dlq replay {made.delivery_id} --render` renders it again" in dead.err
    assert "its dead letter was deleted: there is nothing to send" in cancelled.err
    assert seeds.state(made) == "cancelled"


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_what_is_being_sent_or_was_delivered_is_left_alone(mih: Mih, seeds: Seeds, verb: str) -> None:
    sending, delivered = seeds.sending(1), seeds.delivered(2)

    said = [mih("queue", verb, made.delivery_id) for made in (sending, delivered)]

    assert [one.code for one in said] == [1, 1]
    assert said[0].err == "Delivery 1 was left alone: it is sending.\n"
    assert said[1].err == "Delivery 2 was left alone: it is delivered.\n"


def test_cancel_can_be_taken_back(mih: Mih, seeds: Seeds) -> None:
    made = seeds.rejected(1)

    cancelled = mih("queue", "cancel", made.delivery_id.upper())
    state, letters = seeds.state(made), seeds.letters()
    again = mih("queue", "retry", "1")

    assert (cancelled.code, state, letters) == (0, "cancelled", 0)
    assert (again.code, seeds.state(made)) == (0, "pending")


def test_unknown_numbers_say_what_there_is(mih: Mih, seeds: Seeds) -> None:
    empty = mih("queue", "show", "3")
    seeds.delivery(1)
    unknown = mih("queue", "show", "9" * 18)

    assert (empty.code, empty.err) == (1, 'There is no delivery "3": the queue is empty.\n')
    assert unknown.err.endswith("the newest is 1; `mih queue list` shows them.\n")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_log_lists_tries_of_one_delivery(mih: Mih, seeds: Seeds) -> None:
    seeds.delivered(1)
    made = seeds.rejected(2)

    by_id = mih("log", "list", "--delivery", made.delivery_id, "--json")
    by_number = mih("log", "list", "--delivery", "2", "--json")
    shown = mih("log", "show", "2")

    assert [(row["id"], row["status"]) for row in by_id.json] == [(2, 422)]
    assert by_number.json == by_id.json
    assert '\nresponse:\n{"no": "name"}\n' in shown.out


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_an_unknown_try_says_what_there_is(mih: Mih, seeds: Seeds) -> None:
    empty = mih("log", "show", "4")
    seeds.delivered(1)
    unknown = mih("log", "show", "4")

    assert empty.err == "There is no try 4 in the request log: nothing was sent yet.\n"
    assert unknown.err == "There is no try 4 in the request log: the newest is 1.\n"
    assert (unknown.code, mih("log", "show", "x").code) == (1, 2)


def test_delivery_behind_another_of_its_key_says_which(mih: Mih, seeds: Seeds) -> None:
    seeds.services()
    seeds.delivery(1, order_key="a")
    seeds.delivery(2, order_key="a")
    seeds.delivery(3, order_key="b")

    said, shown = mih("queue", "list", "--json"), mih("queue", "list").out
    one = mih("queue", "show", "2", "--json")

    assert [row["waits_for"] for row in said.json] == [None, 1, None]
    assert "waits for 1 of the same key" in shown
    assert one.json["waits_for"] == 1


def test_all_that_waits_for_a_service_is_cancelled_once_it_is_confirmed(mih: Mih, seeds: Seeds) -> None:
    seeds.services()
    seeds.delivery(1)
    seeds.delivery(2)
    seeds.delivery(3, service="erp")

    refused = mih("queue", "cancel", "--service", "crm")
    said = mih("queue", "cancel", "--service", "crm", "--yes")
    again = mih("queue", "cancel", "--service", "crm", "--yes")

    assert "Never send 2 deliveries of the service crm?" in refused.err
    assert said.out == "2 deliveries cancelled; `mih queue retry` takes that back, one by one.\n"
    assert again.out == "Nothing waits for the service crm.\n"
    assert [row["state"] for row in mih("queue", "list", "--json").json] == [
        "pending",
        "cancelled",
        "cancelled",
    ]
    assert [row["action"] for row in mih("audit", "list", "--json").json] == ["queue.cancel"]


def test_all_that_a_rule_made_is_buried_and_can_be_replayed(mih: Mih, seeds: Seeds) -> None:
    seeds.services()
    seeds.delivery(1, rule="gone", service="old")
    seeds.delivery(2)

    said = mih("queue", "bury", "--rule", "gone", "--yes")

    assert said.out == "1 delivery buried: `mih dlq list --reason removed` shows them.\n"
    (letter,) = mih("dlq", "list", "--json").json
    assert (letter["log_id"], letter["reason"], letter["error"]) == (
        1,
        "removed",
        "it was given up by hand while it waited",
    )
    assert mih("dlq", "replay", "--reason", "removed", "--yes").out == "1 replayed: due now\n"


@pytest.mark.parametrize(
    "words",
    [
        ("cancel",),
        ("cancel", "1", "--service", "crm"),
        ("cancel", "--service", "crm", "--rule", "new-user"),
        ("bury",),
    ],
)
def test_command_that_names_nothing_or_too_much_is_refused(mih: Mih, words: tuple[str, ...]) -> None:
    assert "Name" in mih("queue", *words).err


def test_unknown_name_is_told_from_one_that_owes_nothing(mih: Mih, seeds: Seeds) -> None:
    seeds.services()

    said = mih("queue", "bury", "--service", "crn", "--yes")

    assert 'There is no service "crn", did you mean "crm"?' in said.err
