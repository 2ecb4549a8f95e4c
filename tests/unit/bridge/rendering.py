"""What the tests of rendering share: an event, its names, and one call from template to text."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from sidecar.bridge.render import BrokenRule, Template, compile_rule, scope
from sidecar.errors import TemplateError
from sidecar.model import EVENT_COLUMNS, Event
from sidecar.moodle.lookups import Record, missing
from sidecar.settings.rule import Rule

NASTY = 'Zoë "Z" O\\Brien {{ userid }} <b>\u65e5\u672c</b> \U0001f600'


def make_event(**changes: Any) -> Event:
    """Return somebody's creation of a user, with changes."""
    fields: dict[str, Any] = {
        "id": 7,
        "eventname": r"\core\event\user_created",
        "component": "core",
        "action": "created",
        "target": "user",
        "objecttable": "user",
        "objectid": 5,
        "crud": "c",
        "edulevel": 0,
        "contextid": 12,
        "contextlevel": 30,
        "contextinstanceid": 5,
        "userid": 2,
        "courseid": 0,
        "relateduserid": 5,
        "anonymous": 0,
        "other": {"auth": "manual", "count": 3, "tags": ["a", "b"], "none": None},
        "timecreated": 1_772_438_400,
        "origin": "web",
        "ip": None,
        "realuserid": None,
    }
    return Event(**fields | changes)


def make_scope(
    lookups: Mapping[str, Record] | None = None, *, columns: Sequence[str] = EVENT_COLUMNS, **changes: Any
) -> dict[str, Any]:
    """Return the names of an event with changes, a user of a nasty name and a course that is gone."""
    found = {"user": Record({"firstname": NASTY, "lastname": None}), "course": missing("course")}
    return scope(
        make_event(**changes),
        found | dict(lookups or {}),
        rule="new-user",
        service="crm",
        delivery_id="5f0d",
        site="campus",
        now=datetime(2026, 3, 2, 8, tzinfo=UTC),
        columns=columns,
    )


def make_template(payload: Any = None, *, max_size: int = 1_048_576, **options: Any) -> Template:
    """Compile a rule of that payload."""
    rule = Rule(name="new-user", event="*", service="crm", payload=payload, **options)
    return compile_rule(rule, max_size=max_size)


def render(payload: Any, **changes: Any) -> str:
    """Return the body for an event with changes."""
    template = make_template(payload)
    body = template.body(make_scope(columns=template.columns, **changes))
    assert body is not None
    return body


def refused(payload: Any = "{}", **options: Any) -> tuple[str, ...]:
    """Return what is found wrong with a rule when it is loaded."""
    with pytest.raises(BrokenRule) as caught:
        make_template(payload, **options)
    return tuple(caught.value.lines)


def failure(payload: Any, **changes: Any) -> str:
    """Return why a payload that can be loaded cannot be rendered."""
    template = make_template(payload)
    with pytest.raises(TemplateError) as caught:
        template.body(make_scope(columns=template.columns, **changes))
    return str(caught.value)
