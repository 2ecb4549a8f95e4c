"""The page on transports is true: its example, installed as it says, carries real deliveries."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select

from sidecar.store.engine import Database as Store
from sidecar.store.tables import log
from tests.acceptance.sidecar import Sidecar, write_config
from tests.databases import Database
from tests.rows import insert_rows, log_row

PAGE = (Path(__file__).parents[2] / "docs" / "transports.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the only block of the page in that language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder of packages in which the example is installed, as pip leaves it behind."""
    project = tomllib.loads(block("toml"))["project"]
    packages = tmp_path / "packages"
    name = project["name"].replace("-", "_")
    info = packages / f"{name}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (packages / f"{name}.py").write_text(block("python"), encoding="utf-8")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return packages


@pytest.fixture
def sidecar(bare_moodle_db: Database, environment: Path, tmp_path: Path) -> Iterator[Sidecar]:
    services = yaml.safe_load(block("yaml"))["services"]
    services["siem"]["base_url"] = str(tmp_path)
    event = {"event": "*", "service": "siem", "max_event_age": "none"}
    config = write_config(
        tmp_path / "sidecar.yaml",
        site="campus",
        moodle={"url": bare_moodle_db.url},
        services=services,
        rules=[
            {"name": "good", "endpoint": "events.log", **event},
            {"name": "bad", "endpoint": "../events.log", **event},
        ],
        web={"enabled": False},
    )
    made = Sidecar(config, env={"PYTHONPATH": str(environment)})
    yield made
    made.close()


def test_the_example_is_about_forty_lines() -> None:
    lines = block("python").splitlines()

    assert 35 <= len(lines) <= 50


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_doctor_does_not_try_what_it_does_not_know(sidecar: Sidecar, environment: Path) -> None:
    command = [sys.executable, "-m", "sidecar", "check", "--config", str(sidecar.config), "--json"]
    said = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONPATH": str(environment)}, check=False
    ).stdout

    findings = [one for one in json.loads(said)["findings"] if one["subject"] == "service siem"]
    assert [one["text"] for one in findings] == ["is of type file: only sending shows whether it works"]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_example_carries_deliveries(sidecar: Sidecar, bare_moodle_db: Database, tmp_path: Path) -> None:
    assert sidecar.run("--until-idle") == 0, sidecar.said
    insert_rows(bare_moodle_db.url, [log_row(), log_row()])
    assert sidecar.run("--until-idle") == 0, sidecar.said

    written = [json.loads(line) for line in (tmp_path / "events.log").read_text("utf-8").splitlines()]
    store = Store(bare_moodle_db.url)
    with store.read() as conn:
        tries = conn.execute(select(log).order_by(log.c.id)).all()
    store.close()
    good, bad = ([row for row in tries if row.rule == rule] for rule in ("good", "bad"))
    assert sorted(one["id"] for one in written) == sorted(row.delivery_id for row in good)
    assert all(json.loads(one["body"])["eventname"] for one in written)
    assert [row.outcome for row in good] == ["delivered"] * 2
    assert [row.outcome for row in bad] == ["invalid"] * 2
    assert bad[0].error == "the endpoint has to be the name of a file, without a folder"
