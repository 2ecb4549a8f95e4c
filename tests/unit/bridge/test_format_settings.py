"""The format of a service holds for its rules, a rule's own goes before it, and what cannot be is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.bridge.render import Rendered
from sidecar.errors import ConfigError
from tests.build import loaded
from tests.unit.bridge.rendering import make_scope


def rendered(folder: Path, service: dict[str, Any], rule: dict[str, Any], **sections: Any) -> Rendered:
    """Return the request of a rule of a service, as the product loads them."""
    known = loaded(
        folder,
        "sqlite:///moodle.sqlite",
        services={"crm": {"base_url": "https://crm.example.org"} | service},
        rules=[{"name": "r", "event": "*"} | rule],
        **sections,
    )
    scope = make_scope() | {"site_url": known.settings.site_url}
    return known.book.rules[0].template.render_all(scope)


def refused(folder: Path, service: dict[str, Any], rule: dict[str, Any], **sections: Any) -> str:
    """Return why a configuration cannot be loaded."""
    with pytest.raises(ConfigError) as caught:
        rendered(folder, service, rule, **sections)
    return str(caught.value)


def test_the_services_format_holds_for_its_rules(tmp_path: Path) -> None:
    made = rendered(tmp_path, {"format": "form"}, {"payload": {"id": "{{ objectid }}"}})

    assert (made.body, made.content_type) == ("id=5", "application/x-www-form-urlencoded")


def test_a_rules_format_goes_before_the_services(tmp_path: Path) -> None:
    made = rendered(tmp_path, {"format": "form"}, {"payload": {"id": "{{ objectid }}"}, "format": "json"})

    assert (made.body, made.content_type) == ('{"id":5}', "application/json")


def test_cloudevents_take_mode_and_source_of_the_service(tmp_path: Path) -> None:
    source = {"format": "cloudevents", "cloudevents_source": "https://moodle.example.org"}

    structured = rendered(tmp_path, source, {})
    binary = rendered(tmp_path, source | {"cloudevents": "binary"}, {})

    assert json.loads(structured.body or "")["source"] == "https://moodle.example.org"
    assert binary.headers["ce-source"] == "https://moodle.example.org"
    assert binary.content_type == "application/json"


def test_the_sites_address_is_there_for_templates(tmp_path: Path) -> None:
    made = rendered(
        tmp_path, {}, {"payload": {"at": "{{ site_url }}/x"}}, site_url="https://moodle.example.org/m"
    )

    assert made.body == '{"at":"https://moodle.example.org/m/x"}'


@pytest.mark.parametrize(
    ("service", "rule", "sections", "problem"),
    [
        ({"format": "yaml"}, {}, {}, "services.crm.format: "),
        ({}, {"format": "yaml"}, {}, "rules[0].format: "),
        ({"cloudevents_source": "a b"}, {}, {}, "services.crm.cloudevents_source: this is no URI"),
        ({}, {}, {"site_url": "moodle.example.org"}, "site_url: write Moodle's address without a slash"),
        ({}, {}, {"site_url": "https://moodle.example.org/"}, "site_url: write Moodle's address"),
        ({"format": "xml"}, {"payload": {"a": 1}}, {}, "rules[0] (r) payload: format xml needs a text"),
        (
            {"type": "soap", "format": "xml", "base_url": "https://crm.example.org/?wsdl"},
            {"endpoint": "Create", "payload": "<a/>"},
            {},
            "rules[0] (r) format: SOAP has its own, arguments are given as json",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    tmp_path: Path, service: dict[str, Any], rule: dict[str, Any], sections: dict[str, Any], problem: str
) -> None:
    assert problem in refused(tmp_path, service, rule, **sections)


@pytest.mark.parametrize(
    ("service", "endpoint"),
    [
        ({"type": "amqp", "base_url": "amqps://bus.example.org"}, "course.a/b é"),
        ({"type": "soap", "base_url": "https://sis.example.org?wsdl"}, "course.a/b é"),
        ({"type": "rest"}, "course.a%2Fb%20%C3%A9"),
    ],
    ids=["amqp", "soap", "rest"],
)
def test_endpoint_is_written_as_the_type_of_the_service_wants(
    tmp_path: Path, service: dict[str, Any], endpoint: str
) -> None:
    made = rendered(tmp_path, service, {"endpoint": "course.{{ 'a/b é' }}"})

    assert made.endpoint == endpoint
