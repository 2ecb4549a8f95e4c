"""Every ready template, on real rows where its event occurs, else on rows as Moodle writes them."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
import yaml
from sqlalchemy import NullPool, create_engine, select

from sidecar.bridge.harvest import Harvest, Harvester
from sidecar.errors import ConfigError
from sidecar.hub import load
from sidecar.model import Event, Held, delivery_id
from sidecar.moodle.catalogue import catalogue
from sidecar.moodle.decode import decode
from sidecar.moodle.names import NameFilter
from sidecar.settings import ReadyTemplate, Rule, Service, gallery, rule_text
from sidecar.store.engine import Database
from tests import campus, xapi
from tests.databases import SQLiteFolder
from tests.rows import LOG, log_row
from tests.unit.bridge.rendering import NASTY

NOW = 1_795_400_000
SITE = "https://moodle.example.org/m"
READY = {one.name: one for one in gallery()}
STATEMENTS = [name for name, one in READY.items() if one.format == "xapi"]


def made_up(eventname: str, objecttable: str, other: Any, **changes: Any) -> Event:
    """Return an event as Moodle's code writes it; people, course and module are those of the real site."""
    row = log_row(
        eventname=eventname,
        component=eventname.split("\\")[1],
        objecttable=objecttable,
        objectid=7,
        contextlevel=70,
        contextinstanceid=2,
        other=json.dumps(other),
        timecreated=NOW,
    )
    return decode(row | {"id": 10_000} | changes)


# https://github.com/moodle/moodle: the event classes say what is in `other`.
MADE_UP = [
    made_up(r"\mod_quiz\event\attempt_started", "quiz_attempts", {"quizid": 1}, relateduserid=4),
    made_up(
        r"\mod_quiz\event\attempt_submitted",
        "quiz_attempts",
        {"submitterid": None, "quizid": 1},
        userid=-1,
        relateduserid=4,
    ),
    made_up(r"\mod_assign\event\assessable_submitted", "assign_submission", {"submission_editable": True}),
    made_up(r"\mod_assign\event\submission_graded", "assign_grades", None, userid=2, relateduserid=4),
    made_up(
        r"\mod_forum\event\post_created",
        "forum_posts",
        {"discussionid": 1, "forumid": 2, "forumtype": "general"},
    ),
    made_up(r"\mod_page\event\course_module_viewed", "page", None),
    made_up(
        r"\core\event\course_module_completion_updated",
        "course_modules_completion",
        {"relateduserid": 4, "overrideby": None, "completionstate": 1},
        relateduserid=4,
    ),
    made_up(
        r"\core\event\badge_awarded",
        "badge",
        {"dateexpire": None, "badgeissuedid": 3},
        userid=2,
        relateduserid=4,
        contextlevel=10,
        contextinstanceid=0,
        courseid=0,
    ),
]


@pytest.fixture(scope="module")
def moodle(sqlite: SQLiteFolder) -> Iterator[Database]:
    """A real Moodle's rows in SQLite."""
    name = sqlite.fresh_name("gallery")
    sqlite.create_database(name)
    url = sqlite.url(name)
    campus.load(url)
    database = Database(url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def events(moodle: Database) -> list[Event]:
    """All rows of the real log."""
    with create_engine(moodle.url, poolclass=NullPool).connect() as conn:
        return [decode(row) for row in conn.execute(select(LOG).order_by(LOG.c.id))]


def configured(folder: Path, template: ReadyTemplate, url: str, *, site_url: str = SITE) -> Harvester:
    """Return what a configuration makes of events when it holds the rule that `mih rules new` prints."""
    head = {
        "site": "campus",
        "site_url": site_url,
        "moodle": {"url": url},
        "services": {"s": dict(template.service)},
    }
    rule = rule_text("ready", template.events, "s", template, known=True)
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(head) + "rules:\n" + rule, encoding="utf-8")
    names = re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8"))
    loaded = load(path, dict.fromkeys(names, "hunter2-hunter2"))
    return Harvester(loaded.settings, loaded.book)


def gathered(template: ReadyTemplate, folder: Path, moodle: Database, events: list[Event]) -> Harvest:
    """Return what events come to, a few hours after the last of them."""
    harvester = configured(folder, template, moodle.url.render_as_string(hide_password=False))
    now = datetime.fromtimestamp(NOW, UTC)
    with moodle.read() as conn:
        return harvester.gather(conn, events, newest=now, now=now)


def fitting(template: ReadyTemplate, events: list[Event]) -> list[Event]:
    """Return the events of a template: real ones, or where there is none, made-up ones."""
    wanted = NameFilter.of(template.events)
    real = [event for event in events if wanted.matches(event.eventname)]
    return real or [event for event in MADE_UP if wanted.matches(event.eventname)]


def check(format_name: str, body: str) -> None:
    """Fail unless a body is what its format demands."""
    match format_name:
        case "xapi":
            assert xapi.problems(json.loads(body)) == []
        case "json":
            assert isinstance(json.loads(body), dict)
        case "xml":
            ET.fromstring(body)
        case "form":
            assert all(value for _, value in parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        case _:
            assert body.strip()
            assert "\n" not in body


@pytest.mark.parametrize("name", READY)
def test_a_ready_template_makes_sound_deliveries(
    name: str, tmp_path: Path, moodle: Database, events: list[Event]
) -> None:
    template = READY[name]
    rows = fitting(template, events)

    harvest = gathered(template, tmp_path, moodle, rows)

    assert rows
    assert harvest.letters == []
    # Grades without a figure, and only these, are held back.
    assert len(harvest.deliveries) == len(rows) - harvest.tally["ready", Held.WHEN]
    assert harvest.deliveries
    for delivery in harvest.deliveries:
        check(template.format, delivery.body or "")


@pytest.mark.parametrize("name", READY)
def test_a_ready_template_bears_anonymous_events_of_strangers_with_nasty_data(
    name: str, tmp_path: Path, moodle: Database, events: list[Event]
) -> None:
    template = READY[name]
    event = fitting(template, events)[0]
    nasty = {key: NASTY if isinstance(value, str) else value for key, value in (event.other or {}).items()}
    if "finalgrade" in nasty:
        nasty["finalgrade"] = "1.5"
    strange = replace(event, anonymous=1, other=nasty or None, courseid=999_999)

    harvest = gathered(template, tmp_path, moodle, [strange])

    assert harvest.letters == []
    # Whose membership it is has to be known; without the masked name the other Moodle's field is empty.
    assert [what for _, what in harvest.tally] == (
        ["when"] if name == "json/membership.json.j2" else ["queued"]
    )
    for delivery in harvest.deliveries if template.format != "form" else ():
        check(template.format, delivery.body or "")


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_keeps_its_id_and_names_the_person(
    name: str, tmp_path: Path, moodle: Database, events: list[Event]
) -> None:
    template = READY[name]
    event = fitting(template, events)[0]

    first = gathered(template, tmp_path, moodle, [event]).deliveries[0]
    again = gathered(template, tmp_path, moodle, [event]).deliveries[0]

    statement = json.loads(first.body or "")
    assert statement["id"] == first.delivery_id == delivery_id("campus", "ready", event.id)
    assert again.body == first.body
    person = event.relateduserid or event.userid
    assert statement["actor"]["account"] == {"homePage": SITE, "name": str(person)}
    assert statement["actor"]["name"]
    assert first.headers["X-Experience-API-Version"] == "1.0.3"
    assert first.endpoint == "/statements"


def test_the_first_course_view_as_a_statement(tmp_path: Path, moodle: Database, events: list[Event]) -> None:
    template = READY["xapi/course_viewed.json.j2"]

    made = gathered(template, tmp_path, moodle, fitting(template, events)[:1]).deliveries[0]

    assert json.loads(made.body or "") == {
        "id": made.delivery_id,
        "actor": {
            "objectType": "Agent",
            "name": "José Núñez Jr",
            "account": {"homePage": SITE, "name": "3"},
        },
        "verb": {"id": "http://id.tincanapi.com/verb/viewed", "display": {"en": "viewed"}},
        "object": {
            "objectType": "Activity",
            "id": f"{SITE}/course/view.php?id=2",
            "definition": {
                "type": "http://adlnet.gov/expapi/activities/course",
                "name": {"und": "Álgebra “Lineal” & <b>más</b> 日本語 js6981"},
            },
        },
        "context": {
            "platform": "Moodle",
            "contextActivities": {
                "grouping": [{"id": SITE, "definition": {"type": "http://id.tincanapi.com/activitytype/lms"}}]
            },
        },
        "timestamp": "2026-11-22T22:39:52Z",
    }


@pytest.mark.parametrize("state", [0, "0", 1, "1", 2, 3])
def test_an_activity_no_longer_completed_is_not_completed(
    state: int | str, tmp_path: Path, moodle: Database
) -> None:
    template = READY["xapi/course_module_completion_updated.json.j2"]
    event = replace(fitting(template, [])[0], other={"completionstate": state})

    made = gathered(template, tmp_path, moodle, [event]).deliveries[0]

    statement = json.loads(made.body or "")
    done = state not in {0, "0"}
    assert statement["result"] == {"completion": done}
    assert statement["verb"]["display"]["en"] == ("completed" if done else "progressed")


def test_there_are_statements_for_at_least_fifteen_events_that_moodle_has() -> None:
    assert len(STATEMENTS) >= 15
    for template in READY.values():
        for name in template.events:
            assert any(map(NameFilter.of([name]).matches, catalogue())), name


def test_every_ready_template_says_what_it_wants_in_terms_of_the_file() -> None:
    for template in READY.values():
        rule = {"name": "r", "event": list(template.events), "service": "s"}
        assert Rule.model_validate({**rule, **template.rule})
        assert Service.model_validate(template.service).format == template.format
        assert template.about.endswith(".")


def test_a_statement_without_the_sites_address_is_refused_when_loaded(tmp_path: Path) -> None:
    template = READY["xapi/course_viewed.json.j2"]

    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, template, "sqlite:///moodle.sqlite", site_url="")

    assert "site_url is not set: write Moodle's address there" in str(caught.value)


def test_the_sites_own_file_goes_before_a_ready_one(tmp_path: Path, moodle: Database) -> None:
    template = READY["xapi/badge_awarded.json.j2"]
    own = tmp_path / "payloads" / "xapi" / "badge_awarded.json.j2"
    own.parent.mkdir(parents=True)
    own.write_text('{"actor": {}, "verb": {}, "object": {"id": {{ objectid }}}}', encoding="utf-8")

    made = gathered(template, tmp_path, moodle, fitting(template, [])).deliveries[0]

    assert json.loads(made.body or "")["object"] == {"id": 7}


GOOD = {
    "actor": {"mbox": "mailto:a@example.org"},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
    "object": {"id": "https://moodle.example.org/"},
}


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({}, None),
        ({"id": "7"}, "id '7' is no UUID"),
        ({"actor": {"name": "a"}}, "actor needs exactly one of"),
        ({"verb": {"id": "completed"}}, "verb.id 'completed' is no IRI"),
        ({"object": {"id": None}}, "statement.object.id is null"),
        ({"result": {"score": {"raw": "7"}}}, "result.score holds what is no number"),
        ({"result": {"score": {"scaled": 7}}}, "result.score.scaled is outside of -1 and 1"),
        ({"result": {"completion": 1}}, "result.completion is neither true nor false"),
        ({"timestamp": "2026-03-02 08:00"}, "timestamp '2026-03-02 08:00' is not RFC 3339"),
        ({"course": 2}, "statement.course is not allowed"),
        ({"context": {"contextActivities": {"parent": [{}]}}}, "context.contextActivities.parent[0].id is"),
    ],
)
def test_the_checks_of_statements_find_what_is_wrong(wrong: dict[str, Any], problem: str | None) -> None:
    found = xapi.problems(GOOD | wrong)

    assert found == [] if problem is None else any(text.startswith(problem) for text in found)
