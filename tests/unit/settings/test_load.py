"""The shape of the configuration file: what loads, and into which values."""

from pathlib import Path

import pytest

from sidecar.settings import BearerAuth, load

URL = "mysql+pymysql://mih:p4ss@db/moodle"
HEAD = "site: campus\nmoodle: {url: sqlite:///moodle.sqlite}\n"
SERVICE = "services: {crm: {base_url: https://crm.example.org/api}}\n"

CONTRACT = r"""
site: campus
moodle:
  url: ${MOODLE_DB_URL}
  prefix: mdl_
  log_table: logstore_standard_log
store:
  url: ${MIH_STORE_URL:-}
  migrate: apply
tail:
  start: latest
dispatch: {concurrency: 64, lease: 60}
services:
  crm:
    type: rest
    base_url: https://crm.example.org/api
    auth: {type: bearer, token: "${CRM_TOKEN}"}
    timeout: 5
    retry: {max_retries: 3, backoff: 1}
    circuit_breaker: {failure_threshold: 5, cooldown: 30}
rules:
  - name: new-user-to-crm
    event: \core\event\user_created
    service: crm
    endpoint: /users
    method: POST
    where: {origin: [web, ws, cli], courseid: 2}
    when: other.auth != 'nologin'
    payload: |
      {"id": {{ objectid }}, "by": "{{ userid }}", "name": "{{ user.firstname }}", "other": {{ other | tojson }}}
"""  # noqa: E501


def write(folder: Path, text: str) -> Path:
    path = folder / "sidecar.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def rule(**keys: str) -> str:
    """Write a file with one rule; each key's text is YAML."""
    lines = {"name": "r", "event": "'*'", "service": "crm", **keys}
    return HEAD + SERVICE + "rules:\n- " + "\n  ".join(f"{key}: {text}" for key, text in lines.items())


def test_the_contract_s_example_loads_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, CONTRACT)

    settings = load(path, {"MOODLE_DB_URL": URL, "CRM_TOKEN": "s3cret"})

    crm, users = settings.services["crm"], settings.rules[0]
    assert settings.moodle.url.get_secret_value() == URL
    assert settings.store_url.get_secret_value() == URL
    assert isinstance(crm.auth, BearerAuth)
    assert crm.auth.token.get_secret_value() == "s3cret"
    assert (crm.timeout, crm.retry.backoff, crm.circuit_breaker.cooldown) == (5.0, 1.0, 30.0)
    assert users.events == (r"\core\event\user_created",)
    assert users.where == {"origin": ("web", "ws", "cli"), "courseid": 2}
    assert users.when == "other.auth != 'nologin'"
    assert users.payload.startswith('{"id": {{ objectid }}, "by"')
    assert users.max_event_age == 86400.0


def test_settings_print_stars_for_secrets(tmp_path: Path) -> None:
    settings = load(write(tmp_path, CONTRACT), {"MOODLE_DB_URL": URL, "CRM_TOKEN": "s3cret"})

    printed = f"{settings!r} {settings}"

    assert "s3cret" not in printed
    assert "p4ss" not in printed


def test_a_section_whose_lines_are_all_commented_out_has_its_defaults(tmp_path: Path) -> None:
    text = HEAD + "store:\ntail:\nservices:\nrules:\n"

    settings = load(write(tmp_path, text), {})

    assert (settings.store.migrate, settings.tail.start, settings.services, settings.rules) == (
        "apply",
        "latest",
        {},
        (),
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("latest", "latest"),
        ("beginning", "beginning"),
        ("12345", 12345),
        ('"12345"', 12345),
        ("2026-03-01T08:00:00Z", "2026-03-01T08:00:00+00:00"),
        ("2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T08:00:00+02:00", "2026-03-01T08:00:00+02:00"),
    ],
)
def test_the_tail_starts_where_it_is_told_and_times_are_utc(
    tmp_path: Path, written: str, expected: str | int
) -> None:
    settings = load(write(tmp_path, f"{HEAD}tail: {{start: {written}}}"), {})

    assert settings.tail.start == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("90", 90.0), ("90s", 90.0), ("15m", 900.0), ("1.5h", 5400.0), ("7d", 604800.0)]
)
def test_durations_have_units(tmp_path: Path, written: str, expected: float) -> None:
    text = rule(max_event_age=written) + f"\ntail: {{gap_patience: {written}}}"

    settings = load(write(tmp_path, text), {})

    assert settings.rules[0].max_event_age == expected
    assert settings.tail.gap_patience == expected


def test_none_switches_the_age_limit_off(tmp_path: Path) -> None:
    settings = load(write(tmp_path, rule(max_event_age="none")), {})

    assert settings.rules[0].max_event_age is None


def test_words_that_old_yaml_takes_for_something_else_stay_words(tmp_path: Path) -> None:
    payload = "{country: no, time: 12:30, day: 2026-03-01, id: 007, n: 7, f: 1.5, yes: true, nothing: null}"

    settings = load(write(tmp_path, rule(payload=payload)), {})

    assert settings.rules[0].payload == {
        "country": "no",
        "time": "12:30",
        "day": "2026-03-01",
        "id": "007",
        "n": 7,
        "f": 1.5,
        "yes": True,
        "nothing": None,
    }


def test_numeric_texts_in_where_become_numbers_and_texts_stay_texts(tmp_path: Path) -> None:
    where = '{courseid: ["2", 3, "${COURSE}"], realuserid: null, ip: "10", origin: web}'

    settings = load(write(tmp_path, rule(where=where)), {"COURSE": "44"})

    assert settings.rules[0].where == {
        "courseid": (2, 3, 44),
        "realuserid": None,
        "ip": "10",
        "origin": "web",
    }


def test_an_anchor_shares_what_services_have_in_common(tmp_path: Path) -> None:
    text = HEAD + (
        "services:\n"
        "  a: &usual {base_url: 'https://a.example.org', timeout: 7, retry: {max_retries: 9}}\n"
        "  b:\n    <<: *usual\n    base_url: https://b.example.org\n"
    )

    services = load(write(tmp_path, text), {}).services

    assert services["b"].base_url == "https://b.example.org"
    assert (services["b"].timeout, services["b"].retry.max_retries) == (7.0, 9)


@pytest.mark.parametrize(
    "event",
    [
        r"\core\event\user_created",
        r"\mod_quiz\event\*",
        r"'*'",
        r"'*\user_created'",
        r"\mod_*\event\*_viewed",
    ],
)
def test_events_and_patterns_load_as_written(tmp_path: Path, event: str) -> None:
    settings = load(write(tmp_path, rule(event=event)), {})

    assert settings.rules[0].events == (event.strip("'"),)
