"""Dead letters are listed, shown, replayed and deleted."""

from typing import Any

import pytest

from sidecar.cli import dlq, letters
from sidecar.store import deliveries
from tests.cli.conftest import Mih
from tests.cli.seeds import Seeds


def test_list_shows_the_newest_letter_first_with_its_number_in_the_queue(mih: Mih, seeds: Seeds) -> None:
    seeds.delivered(1)
    older, newer = seeds.rejected(2), seeds.unrendered(3)

    said = mih("dlq", "list", "--json")

    assert [(row["id"], row["delivery_id"], row["reason"]) for row in said.json] == [
        (3, newer.delivery_id, "render"),
        (2, older.delivery_id, "rejected"),
    ]
    assert said.json[1] == {
        "id": 2,
        "delivery_id": older.delivery_id,
        "service": "crm",
        "rule": "new-user",
        "event": r"\core\event\user_created",
        "log_id": 2,
        "reason": "rejected",
        "status": 422,
        "attempts": 1,
        "error": "HTTP 422",
        "created_at": "2026-03-02T08:00:00Z",
    }


def test_list_narrows_by_reason_and_time(mih: Mih, seeds: Seeds) -> None:
    seeds.rejected(1)
    seeds.clock.advance(3 * 3600)
    recent = seeds.rejected(2)
    seeds.unrendered(3)

    said = mih("dlq", "list", "--reason", "rejected", "--since", "2h", "--json")
    by_date = mih("dlq", "list", "--reason", "rejected", "--since", "2026-03-02 10:30", "--json")

    assert [row["delivery_id"] for row in said.json] == [recent.delivery_id]
    assert by_date.json == said.json


def test_show_prints_payload_and_answer(mih: Mih, seeds: Seeds) -> None:
    made = seeds.rejected(5)

    said = mih("dlq", "show", made.delivery_id)

    assert said.code == 0
    assert '\npayload:\n{"id": 5}\n' in said.out
    assert '\nresponse:\n{"no": "name"}\n' in said.out


def test_replay_sends_the_same_delivery_again_as_it_was(mih: Mih, seeds: Seeds) -> None:
    made = seeds.rejected(5)

    said = mih("dlq", "replay", "1")

    assert said == type(said)(0, "1 replayed: due now\n", "")
    assert seeds.letters() == 0
    with seeds.store.read() as conn:
        row = deliveries.get(conn, made.delivery_id)
    assert row is not None
    assert (row.state, row.attempts, row.payload) == ("pending", 0, '{"id": 5}')


def test_replay_as_sent_leaves_what_was_never_rendered(mih: Mih, seeds: Seeds) -> None:
    made = seeds.unrendered(5)

    said = mih("dlq", "replay", made.delivery_id)

    assert said.code == 1
    assert "1 left: never rendered, add --render" in said.out
    assert seeds.state(made) == "dead"
    assert seeds.letters() == 1


def test_bulk_replay_counts_asks_and_works_in_pieces(mih: Mih, seeds: Seeds) -> None:
    made = [seeds.rejected(number) for number in range(1, 6)]
    kept = seeds.rejected(9, service="erp")

    said = mih("dlq", "replay", "--service", "crm", typed="y\n")

    assert said.code == 0
    assert "Replay 5 dead letters, as they were sent?" in said.err
    assert said.out == "5 replayed: due now\n"
    assert {seeds.state(one) for one in made} == {"pending"}
    assert seeds.state(kept) == "dead"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_bulk_of_more_than_one_piece_is_replayed_whole(
    mih: Mih, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.cli.letters.PIECE", 2)
    monkeypatch.setattr("sidecar.bridge.replay.PIECE", 2)
    for number in range(1, 6):
        seeds.rejected(number)

    said = mih("dlq", "replay", "--all", "--yes", "--json")

    assert said.json == {"replayed": 5, "left": []}
    assert seeds.letters() == 0


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("typed", ["n\n", ""])
def test_without_a_yes_nothing_is_changed(mih: Mih, seeds: Seeds, typed: str) -> None:
    seeds.rejected(1)

    said = [mih("dlq", verb, "--all", typed=typed) for verb in ("replay", "delete")]

    assert [one.code for one in said] == [1, 1]
    assert all("Nothing was changed" in one.err for one in said)
    assert seeds.letters() == 1


def test_replay_leaves_alone_what_is_in_other_hands(mih: Mih, seeds: Seeds) -> None:
    sending, delivered = seeds.sending(1), seeds.delivered(2)
    seeds.bury(sending)
    seeds.bury(delivered)

    said = mih("dlq", "replay", "--all", "--yes")

    assert said.code == 1
    assert (
        said.out.splitlines()[0]
        == "2 left: they are being sent, were delivered, or somebody else replayed or deleted them"
    )
    assert {"  1: it is being sent right now", "  2: it was delivered"} <= set(said.out.splitlines())
    assert (seeds.state(sending), seeds.state(delivered)) == ("sending", "delivered")
    assert seeds.letters() == 2


def test_delete_cancels_the_delivery(mih: Mih, seeds: Seeds) -> None:
    made, kept = seeds.rejected(1), seeds.rejected(2, service="erp")

    said = mih("dlq", "delete", "--service", "crm", "--yes")

    assert said.out == "Deleted 1 dead letter.\n"
    assert (seeds.state(made), seeds.state(kept)) == ("cancelled", "dead")
    assert seeds.letters() == 1


def test_unknown_letters_are_told_from_living_deliveries(mih: Mih, seeds: Seeds) -> None:
    seeds.delivered(1)

    living, nothing, huge = (mih("dlq", "show", key) for key in ("1", "nonsense", "9" * 40))

    assert (living.code, living.err) == (1, "Delivery 1 is delivered: it is no dead letter.\n")
    assert (nothing.code, nothing.err) == (1, 'There is no dead letter "nonsense": there are none.\n')
    assert huge.code == 1


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_misspelt_filter_is_an_error_and_an_empty_queue_is_none(mih: Mih, seeds: Seeds) -> None:
    said = [mih("dlq", "list", "--service", "cmr"), mih("dlq", "list", "--service", "crm")]

    assert (said[0].code, said[0].err) == (1, 'There is no service "cmr", did you mean "crm"?\n')
    assert (said[1].code, said[1].out) == (0, "No dead letter matches.\n")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "args", [(), ("1", "--all"), ("1", "--rule", "seen"), ("--since", "yesterday"), ("--reason", "bad")]
)
def test_replay_wants_one_or_a_choice(mih: Mih, seeds: Seeds, args: tuple[str, ...]) -> None:
    said = mih("dlq", "replay", *args)

    assert said.code == 2


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("verb", "deed"), [("replay", "replay"), ("delete", "discard")])
def test_who_is_interrupted_says_what_is_done(
    mih: Mih, seeds: Seeds, monkeypatch: pytest.MonkeyPatch, verb: str, deed: str
) -> None:
    told = {"replay": "1 replayed: due now", "delete": "Deleted 1 dead letter."}[verb]
    seeds.rejected(1)
    seeds.rejected(2)
    do = getattr(dlq, deed)
    done: list[Any] = []

    def until_interrupted(*given: Any, **options: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(do(*given, **options))
        return done[0]

    monkeypatch.setattr(letters, "PIECE", 1)
    monkeypatch.setattr(dlq, deed, until_interrupted)

    said = mih("dlq", verb, "--all", "--yes")

    assert said.code == 130
    assert said.err.strip().splitlines() == [told, "Stopped: all others are dead letters still."]
    assert seeds.letters() == 1
