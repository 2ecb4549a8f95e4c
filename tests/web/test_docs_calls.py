"""The examples of the page on the API, run as they stand: only the address and the token are ours."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.seeds import Seeds
from tests.conftest import absent
from tests.databases import Database
from tests.receiver import Receiver, answer
from tests.web.conftest import TOKENS, Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES: list[str] = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
MISUNDERSTOOD = {"bad_input", "no_such_path", "wrong_method", "not_json", "not_found", "broken"}


def example(path: str) -> str:
    """Return the only example that asks this path of the API."""
    [found] = [text for text in EXAMPLES if f"/api/v1{path}" in text]
    return found


CALL, FATE, REPLAY = (
    example("/services/crm/request"),
    example("/deliveries/"),
    example("/dead-letters/replay"),
)
OTHERS = [text for text in EXAMPLES if text not in {CALL, FATE, REPLAY}]


@pytest.fixture
def shell(site: Site) -> "Shell":
    if shutil.which("curl") is None:
        absent("curl is not installed")
    return Shell(site)


class Shell:
    """Somebody's shell, with a token in its environment."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def run(self, example: str, role: str) -> list[Any]:
        """Run an example and return the JSON answers of its commands."""
        assert "127.0.0.1:8080" in example
        script = example.replace("http://127.0.0.1:8080", self._site.server.url)
        env = {"MIH_TOKEN": TOKENS[role], "PATH": "/usr/local/bin:/usr/bin:/bin", "NO_PROXY": "*"}
        done = subprocess.run(
            ["sh", "-e", "-c", script], env=env, capture_output=True, text=True, check=True, timeout=60
        )
        return list(_documents(done.stdout))


def _documents(text: str) -> list[Any]:
    found, decoder = [], json.JSONDecoder()
    while text.strip():
        value, end = decoder.raw_decode(text.strip())
        found.append(value)
        text = text.strip()[end:]
    return found


def test_the_call_is_made_and_answers_with_the_fields_that_the_page_shows(
    shell: Shell, receiver: Receiver
) -> None:
    receiver.on("/users", answer(201, b'{"id": 7}'))
    [shown] = re.findall(r"```json\n(\{\"ok\".*?)```", PAGE, re.DOTALL)

    [told] = shell.run(CALL, "call")

    assert [json.loads(one.body) for one in receiver.to("/users")] == [{"id": 7, "name": "Ada"}]
    expected = json.loads(shown)
    assert list(told) == list(expected)
    measured = ("latency_ms", "delivery_id")
    assert {name: told[name] for name in told if name not in measured} == {
        name: expected[name] for name in expected if name not in measured
    }


def test_the_fate_of_a_delivery_is_told(shell: Shell, seeds: Seeds) -> None:
    [key] = re.findall(r"deliveries/([0-9a-f-]{36})", FATE)
    seeds.delivery(1, delivery_id=key)

    [told] = shell.run(FATE, "view")

    assert (told["delivery_id"], told["state"]) == (key, "pending")


def test_many_dead_letters_are_counted_and_replayed(shell: Shell, seeds: Seeds) -> None:
    for number in range(1, 18):
        seeds.rejected(number)
    seeds.rejected(18, service="erp")

    counted, replayed = shell.run(REPLAY, "manage")

    assert counted["count"] == 17
    assert (replayed["replayed"], seeds.letters()) == (17, 1)


@pytest.mark.parametrize("text", OTHERS)
def test_any_other_example_is_understood(shell: Shell, text: str) -> None:
    for told in shell.run(text, "manage"):
        assert told.get("error", {}).get("code") not in MISUNDERSTOOD, told


def test_the_call_from_python_is_made(database: Database, receiver: Receiver, tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    receiver.on("/users", answer(201, b'{"id": 7}'))
    config = {
        "site": "campus",
        "moodle": {"url": database.url},
        "services": {"crm": {"base_url": receiver.url}},
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "sidecar.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.startswith("True 201 {'id': 7} None 1 ")
