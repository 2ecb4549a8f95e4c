"""The files that people start from are complete, load, and agree with the schema that editors use."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sidecar.errors import ConfigError
from sidecar.settings import json_schema, load, starter
from sidecar.settings.schema import Settings
from sidecar.settings.section import Section

CONFIG = Path(__file__).resolve().parents[3] / "config"
EXAMPLE = CONFIG / "sidecar.example.yaml"
URL = "mysql+pymysql://mih:p4ss@db/moodle"
ENV = {
    "MOODLE_DB_URL": URL,
    "CRM_TOKEN": "t",
    "HELPDESK_KEY": "k",
    "REGISTRY_PASSWORD": "p",
    "BUS_PASSWORD": "p",
    "SIS_PASSWORD": "p",
    "DIRECTORY_SECRET": "p",
    "HELPDESK_SIGNING": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLasw",
    "MIH_TOKEN": "0123456789abcdef",
    "ANA_PASSWORD_HASH": "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzYWx0$ZGlnZXN0ZGlnZXN0ZGlnZXN0",
}


def sections(section: type[Section] = Section) -> list[type[Section]]:
    return [one for child in section.__subclasses__() for one in (child, *sections(child))]


def schema() -> Any:
    return json.loads(json_schema())


def test_the_example_loads() -> None:
    settings = load(EXAMPLE, ENV)

    assert sorted(settings.services) == ["bus", "crm", "directory", "helpdesk", "registry", "sis"]
    assert "relateduser.firstname" in settings.rules[0].payload


def test_the_example_shows_the_defaults() -> None:
    settings = load(EXAMPLE, ENV)

    assert settings.tail == Settings.model_fields["tail"].default
    assert settings.dispatch.broker is not None
    assert (
        settings.dispatch.broker.prefetch == type(settings.dispatch.broker).model_fields["prefetch"].default
    )
    no_broker = {"broker": None}
    assert settings.dispatch.model_copy(update=no_broker) == Settings.model_fields["dispatch"].default
    assert settings.retention == Settings.model_fields["retention"].default
    assert settings.services["crm"].retry == type(settings.services["crm"].retry)()
    assert settings.rules[0].max_event_age == type(settings.rules[0]).model_fields["max_event_age"].default


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_option_is_in_the_example_with_a_reason(section: type[Section]) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()

    for name in section.model_fields:
        written = [line for line in lines if re.search(rf"(^|[\s{{,-]){name}:", line.partition(" # ")[0])]
        assert any(" #" in line for line in written), f"{section.__name__}.{name}"


def test_the_example_asks_editors_to_complete_it() -> None:
    first = EXAMPLE.read_text(encoding="utf-8").splitlines()[0]

    assert first == "# yaml-language-server: $schema=sidecar.schema.json"


def test_the_written_schema_is_the_generated_one() -> None:
    written = (CONFIG / "sidecar.schema.json").read_text(encoding="utf-8")

    assert written == json_schema(), "write it again: sidecar.settings.json_schema()"


def test_the_schema_is_valid_and_describes_every_option() -> None:
    jsonschema.Draft7Validator.check_schema(schema())

    undescribed = [
        f"{shape}.{name}"
        for shape, body in schema()["$defs"].items()
        for name, option in body.get("properties", {}).items()
        if "description" not in option and "$ref" not in option
    ]

    assert undescribed == []


def test_the_example_and_the_starter_pass_the_schema() -> None:
    validator = jsonschema.Draft7Validator(schema())

    for text in (EXAMPLE.read_text(encoding="utf-8"), starter(URL, "campus")):
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    ("option", "value", "valid"),
    [
        ("poll", 1, True),
        ("poll", "${POLL}", True),
        ("poll", "90s", True),
        ("poll", "often", False),
        ("poll", 0, False),
        ("window", "${WINDOW:-500}", True),
        ("window", "wide", False),
        ("windw", 500, False),
    ],
)
def test_the_schema_knows_variables_and_durations(option: str, value: object, valid: bool) -> None:
    config = {"site": "campus", "moodle": {"url": "sqlite:///m.sqlite"}, "tail": {option: value}}

    assert jsonschema.Draft7Validator(schema()).is_valid(config) is valid


@pytest.mark.parametrize(("state", "valid"), [("on", True), (True, True), (False, True), ("maybe", False)])
def test_the_schema_takes_the_state_of_a_rule_as_any_yaml_reader_reads_it(state: object, valid: bool) -> None:
    rule = {"name": "r", "event": r"\core\event\user_created", "service": "crm", "state": state}
    config = {"site": "campus", "moodle": {"url": "sqlite:///m.sqlite"}, "rules": [rule]}

    assert jsonschema.Draft7Validator(schema()).is_valid(config) is valid


def test_a_starter_keeps_the_password_out_and_sends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(starter(URL, "campus"), encoding="utf-8")

    settings = load(path, {"MOODLE_DB_URL": URL})

    assert "p4ss" not in path.read_text(encoding="utf-8")
    assert settings.moodle.url.get_secret_value() == URL
    assert settings.site == "campus"
    assert [rule.enabled for rule in settings.rules] == [False]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///campus.sqlite",
        "postgresql+psycopg:///moodle?host=/run/postgresql",
        'sqlite:////var/lib/a "b" \\ ${C} $${D} # e.sqlite',
    ],
)
def test_a_starter_without_a_password_needs_no_environment(tmp_path: Path, url: str) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(starter(url, "true"), encoding="utf-8")

    settings = load(path, {})

    assert settings.moodle.url.get_secret_value() == url
    assert settings.site == "true"


def test_a_starter_for_no_database_says_why() -> None:
    with pytest.raises(ConfigError) as caught:
        starter("mysql://mih:p4ss@db/moodle", "my campus")

    assert caught.value.problems == [
        "the database URL: this starts with mysql://, which is not one of our drivers: write mysql+pymysql://",
        (
            'the site "my campus": use letters, digits, dot, dash and underscore,'
            " and start with a letter or a digit"
        ),
    ]
