"""What the API says of itself is true: every answer is one that the document announces."""

import re

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.cli.seeds import Seeds
from tests.web.conftest import Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


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
