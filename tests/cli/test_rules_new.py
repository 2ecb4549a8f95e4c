"""`mih rules new` prints what can be pasted, and says what is missing where nobody can be asked."""

from pathlib import Path

import pytest
import yaml

from sidecar.settings import gallery, load
from tests.cli.conftest import Mih

HEAD = r"""
site: campus
site_url: https://moodle.example.org
moodle: {url: "sqlite:///moodle.sqlite"}
services:
  lrs: {base_url: "https://lrs.example.org/xapi", format: xapi}
rules:
  - {name: course-viewed-xapi, event: '\core\event\course_viewed', service: lrs, payload: {actor: {}}}
"""


@pytest.fixture
def config(bare: Mih) -> Path:
    bare.config.write_text(HEAD, encoding="utf-8")
    return bare.config


def test_what_is_printed_can_be_added_to_the_file(bare: Mih, config: Path) -> None:
    said = bare("rules", "new", "--template", "xapi/course_viewed", "--service", "lrs")
    config.write_text(config.read_text() + said.out, encoding="utf-8")

    rule = load(config, {}).rules[-1]
    assert (said.code, said.err) == (0, "")
    assert rule.name == "course-viewed-xapi-2"
    assert rule.events == (r"\core\event\course_viewed",)
    assert (rule.endpoint, rule.format, rule.where) == ("/statements", "xapi", {"realuserid": None})
    assert '"platform": "Moodle"' in rule.payload


@pytest.mark.parametrize("template", [one.name for one in gallery()])
def test_every_template_makes_a_rule_that_loads(template: str, bare: Mih, config: Path) -> None:
    said = bare("rules", "new", "--template", template, "--service", "lrs", "--name", "mine")
    config.write_text(config.read_text() + said.out, encoding="utf-8")

    assert [rule.name for rule in load(config, {}).rules] == ["course-viewed-xapi", "mine"]


def test_a_service_that_is_not_there_is_described(bare: Mih) -> None:
    said = bare("rules", "new", "--template", "xapi/user_loggedin", "--service", "records")

    remarks = [line for line in said.out.splitlines() if line.startswith("  #")]
    wanted = yaml.safe_load(remarks[-1].removeprefix("  #"))
    assert remarks[0] == "  # Somebody logged in."
    assert remarks[2] == "  # There is no service records in the file yet. Under `services:`, such as:"
    assert wanted["records"]["format"] == "xapi"


def test_without_a_template_the_whole_event_is_sent(bare: Mih, config: Path) -> None:
    said = bare("rules", "new", "--template", "none", "--event", r"\mod_quiz\event\*", "--service", "lrs")

    assert yaml.safe_load(said.out) == [{"name": "mod-quiz", "event": r"\mod_quiz\event\*", "service": "lrs"}]


def test_nobody_to_ask_is_told_which_option_to_add(bare: Mih, config: Path) -> None:
    no_template = bare("rules", "new", "--event", r"\core\event\user_loggedin", "--service", "lrs")
    no_service = bare("rules", "new", "--template", "user_created")

    assert no_template.code == no_service.code == 2
    assert "Nobody can be asked here: add --template" in no_template.err
    assert "add --service" in no_service.err


def test_wrong_names_are_told_with_what_was_meant(bare: Mih, config: Path) -> None:
    template = bare("rules", "new", "--template", "xapi/course_view", "--service", "lrs")
    event = bare("rules", "new", "--template", "none", "--event", "core/user_created", "--service", "lrs")
    unknown = bare(
        "rules", "new", "--template", "none", "--event", r"\core\event\user_creatd", "--service", "lrs"
    )

    assert (template.code, event.code, unknown.code) == (1, 2, 0)
    assert 'There is no template "xapi/course_view", did you mean "xapi/course_viewed' in template.err
    assert r'did you mean "\core\event\user_created"' in event.err
    assert r"Did you mean \core\event\user_created?" in unknown.err


def test_somebody_who_is_there_chooses(bare: Mih, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.cli.wish._somebody", lambda: True)

    said = bare("rules", "new", "--event", r"\core\event\user_loggedin", typed="1\nlrs\n")

    assert yaml.safe_load(said.out)[0]["payload"] == "xapi/user_loggedin.json.j2"
    assert "Somebody logged in." in said.err


def test_the_gallery_is_a_table_and_json(bare: Mih) -> None:
    table = bare("rules", "gallery", config=False)
    listed = bare("rules", "gallery", "--json", config=False)

    assert "xapi/quiz_attempt_submitted.json.j2" in table.out
    assert {"template", "event", "format", "about"} == set(listed.json[0])
