"""Services, circuits and rules are shown, parked, resumed and reset."""

import pytest

from sidecar.bridge.match import version_of
from sidecar.settings import Rule
from sidecar.store import circuits, rules, services
from tests.cli.conftest import Mih
from tests.cli.seeds import Seeds


def test_a_paused_service_parks_and_a_resumed_one_sends(mih: Mih, seeds: Seeds) -> None:
    seeds.services()
    made = seeds.delivery(1)

    paused = mih("services", "pause", "crm")
    with seeds.store.read() as conn:
        names = services.paused(conn)
    resumed = mih("services", "resume", "crm")
    with seeds.store.read() as conn:
        after = services.paused(conn)

    assert paused.out == "crm is paused; 1 delivery parked. `mih services resume crm` sends them.\n"
    assert names == {"crm"}
    assert not after
    assert resumed.out == "crm is resumed.\n"
    assert seeds.state(made) == "pending"


def test_pausing_what_is_not_there_says_what_is(mih: Mih, seeds: Seeds) -> None:
    before = mih("services", "pause", "crm")
    seeds.services()
    typo = mih("services", "pause", "cmr")

    assert before.err.startswith("crm is not in force yet: start `mih run`")
    assert (typo.code, typo.err) == (1, 'There is no service "cmr", did you mean "crm"?\n')


def test_list_says_how_each_service_fares(mih: Mih, seeds: Seeds) -> None:
    seeds.open_circuit("erp")
    seeds.rejected(1)
    seeds.delivery(2, service="erp")

    found = mih("services", "list", "--json").json

    assert [(one["name"], one["health"], one["parked"], one["dead"]) for one in found] == [
        ("crm", "closed", 0, 1),
        ("erp", "open", 1, 0),
    ]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_show_has_the_settings_and_no_secret(mih: Mih, seeds: Seeds) -> None:
    shown, found = mih("services", "show", "crm"), mih("services", "show", "crm", "--json")

    assert found.json["settings"]["retry"]["max_retries"] == 3
    assert found.json["settings"]["auth"]["token"] == "**********"
    assert "hunter2" not in shown.out + found.out


def test_reset_closes_a_circuit(mih: Mih, seeds: Seeds) -> None:
    seeds.open_circuit("crm")
    seeds.clock.advance(300)

    said = mih("circuits", "reset", "crm")

    assert said.out == "crm: closed; it was open for 5 min.\n"
    with seeds.store.read() as conn:
        found = circuits.load_all(conn)["crm"]
    assert (found.state, found.failures) == ("closed", 0)


def test_reset_all_says_what_each_was(mih: Mih, seeds: Seeds) -> None:
    seeds.services()
    seeds.open_circuit("erp")

    said = mih("circuits", "reset", "--all")

    assert said.out == "crm: was closed already.\nerp: closed; it was open for 0 s.\n"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_circuits_are_shown_with_their_last_error(mih: Mih, seeds: Seeds) -> None:
    seeds.open_circuit("crm")

    listed, shown = mih("circuits", "list", "--json"), mih("circuits", "show", "crm", "--json")

    assert [one["state"] for one in listed.json] == ["open", "closed"]
    assert shown.json == {
        "service": "crm",
        "state": "open",
        "failures": 5,
        "opened_at": "2026-03-02T08:00:00Z",
        "probe_at": "2026-03-02T08:00:00Z",
        "last_error": "HTTP 503",
        "last_error_at": "2026-03-02T08:00:00Z",
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_reset_wants_a_name_or_all(mih: Mih, seeds: Seeds) -> None:
    said = [mih("circuits", "reset"), mih("circuits", "reset", "crm", "--all"), mih("circuits", "reset", "x")]

    assert [one.code for one in said] == [2, 2, 1]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_rules_say_whether_they_are_in_force(mih: Mih, seeds: Seeds) -> None:
    same = Rule(name="new-user", event=r"\core\event\user_created", service="crm", endpoint="/users")
    other = Rule(name="seen", event=r"\core\event\course_viewed", service="erp", endpoint="/old")
    left = Rule(name="left", event="*", service="crm")
    with seeds.store.write() as conn:
        wanted = [(rule, version_of(rule)) for rule in (same, other, left)]
        rules.sync(conn, wanted, now=seeds.clock.now())

    found = mih("rules", "list", "--json").json

    assert {one["name"]: one["in_force"] for one in found} == {
        "left": "gone from the file",
        "new-user": "yes",
        "seen": "an older version",
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_rule_is_shown_with_its_definition(mih: Mih, seeds: Seeds) -> None:
    shown, unknown = mih("rules", "show", "seen", "--json"), mih("rules", "show", "sen")

    assert shown.json["event"] == [r"\core\event\course_viewed"]
    assert shown.json["in_force"] == "not yet"
    assert shown.json["definition"]["max_event_age"] == 86400
    assert unknown.err == 'There is no rule "sen", did you mean "seen"?\n'
