"""Whatever somebody writes, the answer is Settings or a report: no other error, no empty report."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import ConfigError
from sidecar.model import EVENT_COLUMNS
from sidecar.settings import load
from sidecar.settings.rule import NUMERIC_COLUMNS, Rule
from sidecar.settings.schema import Settings, TailSettings
from sidecar.settings.service import Service

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["*", "\\core\\event\\x", "${A}", "${B:-5}", "5s", "none", "file:x", "a.j2", "https://x", "sqlite:///x"]
)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANYTHING = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


def some_of(section: type[Any], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = {name: known.get(name, ANYTHING) for name in section.model_fields}
    return st.fixed_dictionaries({}, optional={**keys, "unknown": ANYTHING}) | ANYTHING


WHERE = st.dictionaries(st.sampled_from([*EVENT_COLUMNS, "corseid"]), ANYTHING, max_size=3)
FILE = some_of(
    Settings,
    moodle=st.just({"url": "sqlite:///x"}) | ANYTHING,
    tail=some_of(TailSettings),
    services=st.dictionaries(TEXT, some_of(Service), max_size=2) | ANYTHING,
    rules=st.lists(some_of(Rule, where=WHERE), max_size=2) | ANYTHING,
)


def outcome(folder: Path, text: str) -> tuple[Settings | None, list[str]]:
    path = folder / "fuzz.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        return load(path, {"A": "1"}), []
    except ConfigError as error:
        return None, error.problems


@given(content=FILE)
@settings(max_examples=150)
def test_any_content_is_settings_or_a_report(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    folder = tmp_path_factory.getbasetemp()

    loaded, problems = outcome(folder, json.dumps(content))

    assert (loaded is None) is (problems != [])
    assert all(problem.startswith(f"{folder}/fuzz.yaml") for problem in problems)
    assert all(problem.isprintable() for problem in problems)


@given(where=WHERE)
@settings(max_examples=150)
def test_a_condition_that_loads_fits_its_columns(
    tmp_path_factory: pytest.TempPathFactory, where: dict[str, Any]
) -> None:
    rule = {"name": "r", "event": "*", "service": "s", "where": where}
    services = {"s": {"base_url": "https://x"}}
    content = {"site": "s", "moodle": {"url": "sqlite:///x"}, "services": services, "rules": [rule]}

    loaded, problems = outcome(tmp_path_factory.getbasetemp(), json.dumps(content))

    assert (loaded is None) is (problems != [])
    for column, wanted in loaded.rules[0].where.items() if loaded else ():
        kind = int if column in NUMERIC_COLUMNS else str
        for one in wanted if isinstance(wanted, tuple) else (wanted,):
            assert one is None or type(one) is kind


@given(text=st.text(st.sampled_from("ab: \n\t-[]{}\"'\\&*!|>%@`#,?${}~<=.\x07é"), max_size=40))
@settings(max_examples=300)
def test_any_text_is_settings_or_a_report(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    _, problems = outcome(tmp_path_factory.getbasetemp(), text)

    assert problems
