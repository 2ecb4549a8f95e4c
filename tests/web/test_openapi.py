"""What the API says of itself is true: every answer is one that the document announces."""

import re
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.web.conftest import Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

_CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
_CASES_A_ROUTE = 10


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database, whose log some routes read."""
    return moodle_db


def test_the_page_asks_no_other_host_and_runs_no_script(site: Site) -> None:
    page = site.anyone.get("/api/docs")

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert re.findall(r"<script|<link|<img|<iframe|@import|url\(|\son\w+=|https?://", page.text) == []
    assert "script-src" not in page.headers["Content-Security-Policy"]


def test_the_page_has_every_route_with_its_example(site: Site) -> None:
    page = site.anyone.get("/api/docs").text
    paths = site.anyone.get("/api/openapi.json").json()["paths"]

    assert [path for path in paths if f"<code>{path}</code>" not in page] == []
    assert "&#34;endpoint&#34;: &#34;/users&#34;" in page


def test_every_route_says_what_it_does_and_what_can_go_wrong(site: Site) -> None:
    paths = site.anyone.get("/api/openapi.json").json()["paths"]

    for path, methods in paths.items():
        for method, route in methods.items():
            assert route["description"], (method, path)
            assert {"200", "503"} <= set(route["responses"]), (method, path)
            if path.startswith("/api/v1"):
                assert "401" in route["responses"], (method, path)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_comes_in_the_answer_is_one_that_is_documented(
    site: Site, seeds: Seeds, mode: GenerationMode
) -> None:
    for number in range(1, 4):
        seeds.rejected(number)
    schema = schemathesis.openapi.from_dict(_without_tokens(site))
    asked: list[int] = []

    operations: Iterable[Any] = schema.get_all_operations()
    for operation in [found.ok() for found in operations]:
        if mode is GenerationMode.NEGATIVE and not _takes_input(operation):
            continue

        @seed(1)
        @settings(
            max_examples=_CASES_A_ROUTE,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers_as_announced(case: Any) -> None:
            told = _sent(site.manage, case)
            asked.append(told.status_code)
            assert told.status_code < 500 or told.json().get("attempts") == 0, told.text
            negative = [negative_data_rejection] if mode is GenerationMode.NEGATIVE else []
            case.validate_response(told, checks=[*_CHECKS, *negative])

        answers_as_announced()

    assert len(asked) > 100
    assert 422 in asked if mode is GenerationMode.NEGATIVE else 200 in asked


def _without_tokens(site: Site) -> dict[str, Any]:
    """Return the document as somebody sees it who has a token; who has none is tested elsewhere."""
    document: dict[str, Any] = site.anyone.get("/api/openapi.json").json()
    del document["components"]["securitySchemes"]
    for methods in document["paths"].values():
        for route in methods.values():
            route.pop("security", None)
    return document


def _takes_input(operation: Any) -> bool:
    return bool(operation.body) or any(operation.iter_parameters())


def _sent(client: httpx.Client, case: Any) -> httpx.Response:
    """Send the case over our own connection, whose token is known."""
    made = case.as_transport_kwargs(base_url=str(client.base_url).rstrip("/"))
    headers = {name: value for name, value in made["headers"].items() if name.lower() != "authorization"}
    return client.request(
        made["method"],
        made["url"],
        params=made.get("params"),
        headers=headers,
        json=made.get("json"),
        content=made.get("data"),
    )
