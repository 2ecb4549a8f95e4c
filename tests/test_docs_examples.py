"""The examples of the pages, run: configurations load, templates become what is written below them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from sidecar.bridge.harvest import Harvest, Harvester
from sidecar.bridge.render import compile_rule
from sidecar.errors import TemplateError
from sidecar.hub import load
from sidecar.model import Delivery
from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.lookups import Record
from sidecar.settings import Rule
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.unit.bridge.rendering import make_scope

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
TEMPLATES = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
ENV = {
    "MOODLE_DB_URL": "mysql+pymysql://mih_app:secret@db/moodle",
    "CRM_TOKEN": "t",
    "BROKER_PASSWORD": "p",
    "SIS_PASSWORD": "p",
}

# Each recipe and what it became: a block of YAML and the JSON below it.
RECIPES = re.findall(r"```yaml\n(name: .*?)```\n```json\n(.*?)\n```", TEMPLATES, re.DOTALL)
TEXTS = re.findall(r"```jinja\n(.*?)\n```\n```(json|problem)\n(.*?)\n```", TEMPLATES, re.DOTALL)
MAPPINGS = re.findall(r"```jinja-mapping\n(.*?)```\n```json\n(.*?)\n```", TEMPLATES, re.DOTALL)


def configurations() -> list[Any]:
    """Return every whole configuration that a page shows."""
    found = []
    for path in PAGES:
        fenced = re.findall(
            r"^( *)```yaml\n(.*?)^\1```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        blocks = [dedent(block) for _, block in fenced]
        name = str(path.relative_to(ROOT))
        found += [pytest.param(block, id=name) for block in blocks if block.startswith("site:")]
    return found


@pytest.mark.parametrize("text", configurations())
def test_a_configuration_in_the_docs_loads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(text, encoding="utf-8")

    assert load(path, ENV).settings.site == "campus"


def test_there_are_configurations_in_the_first_pages_and_the_reference() -> None:
    assert len(configurations()) >= 3


def names() -> Mapping[str, Any]:
    """Return what the section on JSON safety says of its user."""
    user = Record({"firstname": 'Zoë "Z" O\'Brien', "lastname": None})
    other = {"auth": "manual", "count": 3, "none": None}
    return make_scope({"user": user}, other=other, courseid=2, objectid=5)


@pytest.mark.parametrize(("text", "kind", "result"), TEXTS)
def test_a_text_becomes_what_is_written_below_it(text: str, kind: str, result: str) -> None:
    template = compile_rule(Rule(name="a", event="*", service="crm", payload=text))

    if kind == "json":
        assert template.body(names()) == result
    else:
        with pytest.raises(TemplateError, match=result):
            template.body(names())


@pytest.mark.parametrize(("text", "result"), MAPPINGS)
def test_a_mapping_becomes_what_is_written_below_it(text: str, result: str) -> None:
    template = compile_rule(Rule(name="a", event="*", service="crm", payload=yaml.safe_load(text)))

    assert template.body(names()) == result


def test_the_page_has_both_kinds_of_examples_and_six_recipes() -> None:
    assert len(RECIPES) == 6
    assert len(TEXTS) == 4
    assert len(MAPPINGS) == 1


def harvest(folder: Path, url: str, rule: str) -> Harvest:
    """Return what a rule makes of the whole log of a real Moodle, whatever its age."""
    config = {
        "site": "campus",
        "moodle": {"url": url},
        "services": {"crm": {"base_url": "https://crm.example.org"}},
        "rules": [yaml.safe_load(rule) | {"max_event_age": "none"}],
    }
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    loaded, moodle = load(path, {}), Store(url)
    with moodle.read() as conn:
        rows = LogStore().rows(conn, 0, 10**9, None, 10**6)
        events = [decode(row) for row in rows]
        made = Harvester(loaded.settings, loaded.book).gather(conn, events, newest=NOW, now=NOW)
    moodle.close()
    return made


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("rule", "result"), RECIPES)
def test_a_recipe_makes_of_a_real_log_what_is_written_below_it(
    moodle_db: Database, tmp_path: Path, rule: str, result: str
) -> None:
    made = harvest(tmp_path, moodle_db.url, rule)

    assert made.letters == []
    assert body(made.deliveries[0]) == result


def body(delivery: Delivery) -> str:
    assert delivery.body is not None
    return delivery.body.strip()
