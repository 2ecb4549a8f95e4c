"""A rule that stands in no file: the same problems in the same words, with their places in the rule."""

from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.settings import Service
from sidecar.settings.draft import draft_rule

SERVICES = {"crm": Service(base_url="https://crm.example.org")}
GOOD = {"name": "r", "event": r"\core\event\user_created", "service": "crm"}


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as found:
        draft_rule({**GOOD, **changes}, SERVICES)
    return found.value.problems


def test_a_good_one_is_a_rule() -> None:
    rule = draft_rule({**GOOD, "state": "shadow", "where": {"courseid": "2"}}, SERVICES)

    assert (rule.name, rule.shadow, rule.where) == ("r", True, {"courseid": 2})


def test_a_ready_template_becomes_its_text() -> None:
    rule = draft_rule({**GOOD, "payload": "file:user_created.json.j2"}, SERVICES)

    assert "{{" in rule.payload


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"service": "cmr"}, 'service: unknown service "cmr", did you mean "crm"?'),
        ({"evnt": "x"}, 'evnt: unknown key, did you mean "event"?'),
        ({"state": "maybe"}, "state: expected one of off, shadow, on"),
        ({"where": {"nope": 1}}, "where.nope: unknown column"),
        ({"event": "core/event/user_created"}, "event: Moodle writes events with backslashes"),
        ({"payload": "file:../../etc/passwd"}, 'payload: there is no ready template "../../etc/passwd"'),
        ({"payload": "user_creatd.json.j2"}, 'did you mean "user_created.json.j2"?'),
        ({"name": "a b"}, "name: use letters"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(changes: dict[str, Any], said: str) -> None:
    assert any(said in line for line in problems(**changes))


def test_all_problems_come_at_once() -> None:
    assert len(problems(service="x", name="", event="", headers=3)) == 4


@pytest.mark.parametrize(
    ("written", "state"), [(True, "on"), (False, "off"), ("on", "on"), ("off", "off"), ("shadow", "shadow")]
)
def test_a_state_that_yaml_took_for_a_boolean_is_meant_as_written(written: object, state: str) -> None:
    assert draft_rule({**GOOD, "state": written}, SERVICES).state == state


@pytest.mark.parametrize(
    ("written", "enabled"), [({"state": "off"}, False), ({"enabled": False}, False), ({}, True)]
)
def test_the_two_switches_say_the_same(written: dict[str, Any], enabled: bool) -> None:
    rule = draft_rule({**GOOD, **written}, SERVICES)

    assert (rule.enabled, rule.state) == (enabled, "on" if enabled else "off")
