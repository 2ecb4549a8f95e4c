"""Rules whose deliveries share requests: what they say, and which cannot be like that."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.settings import BatchSettings
from tests.build import loaded

_TO_RABBITMQ = (
    "this is for services of type rest: to RabbitMQ a backlog is sent together anyway, each delivery as a"
    " message of its own; leave batch away"
)


def batch_of(folder: Path, rule: dict[str, Any], service: dict[str, Any] | None = None) -> Any:
    """Return the batch of a rule as the product loads it."""
    known = loaded(
        folder,
        "sqlite:///moodle.sqlite",
        services={"crm": {"base_url": "https://crm.example.org"} | (service or {})},
        rules=[{"name": "r", "event": "*"} | rule],
    )
    return known.settings.rules[0].batch


def refused(folder: Path, rule: dict[str, Any], service: dict[str, Any] | None = None) -> list[str]:
    """Return why a configuration cannot be loaded, without file and line."""
    with pytest.raises(ConfigError) as caught:
        batch_of(folder, rule, service)
    return [problem.partition(" ")[2] for problem in caught.value.problems]


def test_without_a_word_each_delivery_goes_alone(tmp_path: Path) -> None:
    assert batch_of(tmp_path, {}) is None


def test_empty_batch_has_the_defaults(tmp_path: Path) -> None:
    assert batch_of(tmp_path, {"batch": {}}) == BatchSettings(max_items=100, max_bytes=262_144, linger=5)


def test_all_of_it_can_be_said(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, {"batch": {"max_items": 7, "max_bytes": 4_096, "linger": "2m"}})

    assert batch == BatchSettings(max_items=7, max_bytes=4_096, linger=120)


@pytest.mark.parametrize(
    ("rule", "service"),
    [
        ({"format": "cloudevents"}, {}),
        ({"method": "PUT", "headers": {"content-type": "application/vnd.crm+json"}}, {}),
        ({"format": "json"}, {"format": "xml"}),
        ({}, {"format": "cloudevents", "cloudevents": "structured"}),
        ({"format": "json"}, {"cloudevents": "binary"}),
    ],
)
def test_whatever_is_json_in_a_body_can_be_a_batch(
    tmp_path: Path, rule: dict[str, Any], service: dict[str, Any]
) -> None:
    assert batch_of(tmp_path, rule | {"batch": {}}, service) is not None


@pytest.mark.parametrize(
    ("rule", "service", "problem"),
    [
        (
            {"format": "form"},
            {},
            "a batch is a JSON array: format has to be json, cloudevents or xapi, it is form",
        ),
        (
            {"payload": "<a/>"},
            {"format": "xml"},
            "a batch is a JSON array: format has to be json, cloudevents or xapi, it is xml",
        ),
        (
            {},
            {"format": "cloudevents", "cloudevents": "binary"},
            "only structured CloudEvents can share a request: write cloudevents: structured for the service",
        ),
        ({"method": "GET"}, {}, "GET has no body to put a batch in: use POST, PUT or PATCH"),
        ({"method": "DELETE"}, {}, "DELETE has no body to put a batch in: use POST, PUT or PATCH"),
        (
            {"headers": {"Content-Type": "text/plain"}},
            {},
            "a batch is a JSON array: take the header Content-Type out, or name a type of JSON there",
        ),
        (
            {},
            {"type": "amqp", "base_url": "amqp://broker.example.org"},
            _TO_RABBITMQ,
        ),
        (
            {"endpoint": "Create"},
            {"type": "soap", "base_url": "https://crm.example.org/?wsdl"},
            "this is for services of type rest: an operation takes one delivery; leave batch away",
        ),
    ],
)
def test_rule_that_cannot_be_a_batch_is_refused_with_the_way_out(
    tmp_path: Path, rule: dict[str, Any], service: dict[str, Any], problem: str
) -> None:
    assert refused(tmp_path, rule | {"batch": {}}, service) == [f"rules[0].batch: {problem}"]


@pytest.mark.parametrize(
    ("batch", "problem"),
    [
        ({"max_items": 0}, "rules[0].batch.max_items: "),
        ({"max_items": 1_001}, "rules[0].batch.max_items: "),
        ({"max_bytes": 100}, "rules[0].batch.max_bytes: "),
        ({"linger": -1}, "rules[0].batch.linger: "),
        ({"linger": "2h"}, "rules[0].batch.linger: "),
        ({"max_item": 5}, 'rules[0].batch.max_item: unknown key, did you mean "max_items"?'),
        (True, "rules[0].batch: "),
    ],
)
def test_figures_out_of_bounds_are_refused_at_their_place(tmp_path: Path, batch: Any, problem: str) -> None:
    (found,) = refused(tmp_path, {"batch": batch})

    assert found.startswith(problem)
