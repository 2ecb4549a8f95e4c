"""What is said about a configuration that loads, and how the command says it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sidecar.cli.check import check
from sidecar.doctor.config import configuration
from sidecar.doctor.findings import Finding, Level, Report, Section, duration
from sidecar.doctor.reach import Reached
from sidecar.doctor.services import in_the_open
from sidecar.errors import ExitCode
from sidecar.hub import Loaded, load
from sidecar.settings import Service

FILE = r"""
site: campus
moodle:
  url: sqlite:///{folder}/moodle.sqlite
services:
  crm:
    base_url: http://127.0.0.1:9
    auth: {{type: bearer, token: {token}}}
    headers: {{X-Api-Key: hunter2, X-Tenant: campus}}
  idle: {{base_url: "http://127.0.0.1:9", enabled: false}}
rules:
  - name: one
    event: \core\event\user_created
    service: crm
    payload: {{key: "${{TENANT}}", price: "${{{{ objectid }}}}"}}
  - {{name: two, event: '*', service: idle}}
  - {{name: three, event: '*', service: crm, enabled: false}}
  - {{name: ready, event: '*', service: crm, format: form, payload: form/moodle_cohort_member.form.j2}}
"""


def known(folder: Path, env: Mapping[str, str], token: str = '"${TOKEN}"') -> Loaded:
    path = folder / "sidecar.yaml"
    path.write_text(FILE.format(folder=folder, token=token))
    return load(path, env)


def found(loaded: Loaded, level: str) -> list[tuple[str, str]]:
    findings = configuration(loaded.settings, loaded.source)
    return [(one.subject.partition(" ")[2], one.text) for one in findings if one.level == level]


def test_a_secret_in_the_file_is_a_warning_and_is_not_repeated(tmp_path: Path) -> None:
    loaded = known(tmp_path, {}, token="tell-nobody")

    warnings = found(loaded, "warning")

    assert [place for place, text in warnings if "secret" in text] == [
        "services.crm.auth.token",
        "services.crm.headers.X-Api-Key",
    ]
    assert "tell-nobody" not in str(warnings)
    assert "hunter2" not in str(warnings)


def test_a_secret_by_reference_is_right(tmp_path: Path) -> None:
    warnings = found(known(tmp_path, {"TOKEN": "tell-nobody"}), "warning")

    assert [place for place, text in warnings if "auth" in place] == []


def test_a_variable_in_a_payload_is_a_warning_but_not_a_price(tmp_path: Path) -> None:
    warnings = found(known(tmp_path, {"TOKEN": "x"}), "warning")

    assert [text for place, text in warnings if "payload" in place] == [
        "${TENANT} is sent as it stands: templates know no variables of the environment"
    ]


def test_what_is_switched_off_is_told(tmp_path: Path) -> None:
    loaded = known(tmp_path, {"TOKEN": "x"})

    assert ("two", "its service idle is disabled: its deliveries are queued and wait") in found(
        loaded, "warning"
    )
    assert ("three", "is disabled: it matches nothing") in found(loaded, "note")


@pytest.mark.parametrize(
    ("url", "resolved", "warned"),
    [
        ("http://crm.example.org", ["93.184.216.34"], True),
        ("https://crm.example.org", ["93.184.216.34"], False),
        ("http://crm.example.org", ["10.0.0.7"], False),
    ],
)
def test_credentials_over_a_public_network_need_tls(url: str, resolved: list[str], warned: bool) -> None:
    service = Service.model_validate({"base_url": url, "auth": {"type": "bearer", "token": "t"}})

    findings = list(in_the_open("crm", service, Reached("crm.example.org:80", resolved)))

    assert bool(findings) is warned


@pytest.mark.parametrize(
    ("levels", "worst", "code"),
    [
        (["ok", "note", "warning"], ExitCode.OK, 0),
        (["ok", "problem"], ExitCode.OK, 1),
        (["problem"], ExitCode.CONFIG, 3),
        (["ok"], ExitCode.DATABASE, 4),
    ],
)
def test_only_problems_make_an_exit_code(levels: list[str], worst: ExitCode, code: int) -> None:
    findings = tuple(Finding(Level(level), "s", "t") for level in levels)

    assert Report((Section("S", findings),), worst).exit_code == code


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 days")]
)
def test_spans_of_time_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def invoke(folder: Path, *options: str, text: str | None = None) -> Any:
    path = folder / "sidecar.yaml"
    path.write_text(text or FILE.format(folder=folder, token="tell-nobody"))
    return CliRunner().invoke(check, ["--config", str(path), *options])


def test_all_problems_of_a_broken_file_come_in_one_report(tmp_path: Path) -> None:
    text = "site: campus\nmoodle: {url: 'oracle://x'}\nserviecs: {}\n"

    result = invoke(tmp_path, text=text)

    assert result.exit_code == 3
    assert "moodle.url" in result.output
    assert "serviecs" in result.output
    assert "2 problems, 1 note." in result.output


def test_the_page_fits_80_columns_and_has_no_colours_without_a_terminal(tmp_path: Path) -> None:
    result = invoke(tmp_path)

    lines = result.output.splitlines()
    unbreakable = re.compile(r"\S{60,}")
    assert result.exit_code == 4
    assert "\x1b" not in result.output
    assert [line for line in lines if len(line) > 80 and not unbreakable.search(line)] == []
    assert [line for line in lines if line and not line.startswith(" ")][:-1] == [
        "Configuration",
        "Store",
        "Moodle",
        "Rules",
        "Services",
    ]
    assert "tell-nobody" not in result.output


def test_json_is_one_document_with_every_finding(tmp_path: Path) -> None:
    result = invoke(tmp_path, "--json")

    document = json.loads(result.output)
    assert document["exit_code"] == result.exit_code == 4
    assert document["findings"][0] == {
        "section": "Configuration",
        "level": "ok",
        "subject": str(tmp_path / "sidecar.yaml"),
        "text": "2 services, 4 rules; every template compiles",
        "remedy": None,
    }
    assert document["problems"] == sum(one["level"] == "problem" for one in document["findings"])
    assert "tell-nobody" not in result.output
