"""Rows of a real Moodle log, one of each kind of event, with how often the kind was seen there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_CORE = "\\core\\event\\"
_FORUM = "\\mod_forum\\event\\"
FEEDBACK = "\\mod_feedback\\event\\response_submitted"


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of `logstore_standard_log` that has no id yet; `other` as the text that Moodle stores."""

    eventname: str
    component: str
    action: str
    target: str
    objecttable: str | None
    objectid: int | None
    crud: str
    edulevel: int
    contextid: int
    contextlevel: int
    contextinstanceid: int
    userid: int
    courseid: int | None
    relateduserid: int | None
    anonymous: int
    other: str
    timecreated: int
    origin: str | None
    ip: str | None
    realuserid: int | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One real row of an event, and how many rows of that event the real logs had."""

    row: LogRow
    seen: int


@dataclass(frozen=True, slots=True)
class Plot:
    """What one transaction of Moodle's writes: events that came together in the real logs."""

    name: str
    events: tuple[str, ...]


def _plot(name: str, *events: str, prefix: str = _CORE) -> Plot:
    return Plot(name, tuple(prefix + event for event in events))


JOIN = _plot("join", "user_password_updated", "user_created")
ENROL = _plot("enrol", "user_enrolment_created", "role_assigned", "group_member_added")
GRADE = _plot("grade", "user_graded")
LEAVE = _plot(
    "leave",
    *("grade_deleted", "role_unassigned", "group_member_removed", "user_enrolment_deleted", "user_deleted"),
)
COURSE = _plot(
    "course",
    "course_created",
    *("course_section_created",) * 2,
    *("enrol_instance_created",) * 3,
    *("course_module_created", "course_module_created"),
    *("grade_item_created", "grade_item_created", "grade_item_updated", "group_created"),
)
POST = _plot("post", "assessable_uploaded", "discussion_created", prefix=_FORUM)
VIEW = _plot("view", "course_viewed")
LOGIN = _plot("login", "user_loggedin", "dashboard_viewed", "user_loggedout")
ANSWER = Plot("answer", (FEEDBACK,))

# Each is as frequent as its first event was; together they give the mix of the real logs.
PLOTS: tuple[Plot, ...] = (
    *(JOIN, ENROL, GRADE, LEAVE, COURSE, POST, VIEW, LOGIN),
    _plot("complete", "course_completed", "email_failed"),
    _plot("cohort", "cohort_member_added"),
    _plot("update", "user_updated"),
    _plot("category", "course_category_created"),
    _plot("new cohort", "cohort_created"),
    _plot("setting", "config_log_created"),
    _plot("failed login", "user_login_failed"),
)


def load_kinds() -> Mapping[str, Kind]:
    """Return the kinds by event name. Feedback was not used on the real sites: it was seen 0 times."""
    text = files(__package__).joinpath("events.jsonl").read_text(encoding="utf-8")
    return {kind.row.eventname: kind for kind in map(_kind, text.splitlines())}


def _kind(line: str) -> Kind:
    fields: dict[str, Any] = json.loads(line)
    return Kind(seen=fields.pop("seen"), row=LogRow(**fields))
