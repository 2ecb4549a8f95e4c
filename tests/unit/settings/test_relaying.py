"""`dispatch.engine: rabbitmq`: what it needs, and what cannot be had with it."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.transports.relay.door import door_of
from tests.build import loaded

_URL = "amqp://mih:secret@broker.example.org/moodle"


def dispatch_of(folder: Path, dispatch: dict[str, Any], **sections: Any) -> Any:
    """Return the section as the product loads it."""
    services = {"crm": {"base_url": "https://crm.example.org"}}
    rules = [{"name": "r", "event": "*", "service": "crm"}]
    whole = {"services": services, "rules": rules, **sections}
    return loaded(folder, "sqlite:///moodle.sqlite", dispatch=dispatch, **whole).settings.dispatch


def refused(folder: Path, dispatch: dict[str, Any], **sections: Any) -> list[str]:
    """Return why a configuration cannot be loaded, without file and line."""
    with pytest.raises(ConfigError) as caught:
        dispatch_of(folder, dispatch, **sections)
    return [problem.partition(" ")[2] for problem in caught.value.problems]


def test_a_broker_is_named_by_its_url_and_its_password_is_not_shown(tmp_path: Path) -> None:
    found = dispatch_of(tmp_path, {"engine": "rabbitmq", "broker": {"url": _URL}})

    assert (found.engine, found.broker.prefetch) == ("rabbitmq", 200)
    assert found.broker.url.get_secret_value() == _URL
    assert "secret" not in repr(found)


def test_other_nodes_of_the_cluster_are_as_the_url_but_for_host_and_port(tmp_path: Path) -> None:
    nodes = ["two.example.org", "[2001:db8::3]:5673"]
    url = _URL.replace("amqp:", "amqps:").replace("org/", "org:5674/")
    found = dispatch_of(tmp_path, {"engine": "rabbitmq", "broker": {"url": url, "nodes": nodes}})

    door = door_of(found.broker, "campus")

    addresses = ["broker.example.org:5674", "two.example.org:5671", "[2001:db8::3]:5673"]
    assert [one.address for one in (door.broker, *door.others)] == addresses
    assert {(one.tls, one.vhost) for one in (door.broker, *door.others)} == {(True, "moodle")}
    assert door.next().broker.address == addresses[1]
    assert door.next().next().next() == door


@pytest.mark.parametrize(
    ("dispatch", "said"),
    [
        ({"engine": "rabbitmq"}, "engine: rabbitmq needs a broker: write broker: {url: ${RABBITMQ_URL}}"),
        ({"broker": {"url": "http://b"}}, "expected a URL such as amqp://"),
        ({"broker": {"url": "amqp://broker/moodle"}}, "a user is expected: amqp://user:password@host/vhost"),
        ({"broker": {"url": f"{_URL}?exchange=x"}}, "take out the ? and what follows"),
        ({"broker": {"url": _URL, "nodes": ["two", "amqp://three"]}}, "nodes[1]: expected host or host:port"),
        ({"broker": {"url": _URL, "nodes": ["two:seventy"]}}, "its host or port cannot be read"),
        ({"broker": {"url": _URL, "ca": "gone.pem"}}, "dispatch.broker.ca: the file cannot be read"),
    ],
)
def test_what_is_wrong_with_the_broker_is_said(tmp_path: Path, dispatch: dict[str, Any], said: str) -> None:
    (problem,) = refused(tmp_path, dispatch)

    assert said in problem
    assert "secret" not in problem


def test_what_rabbitmq_cannot_do_is_refused_with_the_way_out(tmp_path: Path) -> None:
    crm = {"base_url": "https://crm.example.org", "drain_rate": "5/s"}
    rules = [{"name": "r", "event": "*", "service": "crm", "order_by": "{{ userid }}", "batch": {}}]
    dispatch = {"engine": "rabbitmq", "broker": {"url": _URL}}

    problems = refused(tmp_path, dispatch, services={"crm": crm}, rules=rules)

    assert sorted(problem.partition(":")[0] for problem in problems) == [
        "rules[0].batch",
        "rules[0].order_by",
        "services.crm.drain_rate",
    ]
    assert all(problem.endswith("leave it away, or use dispatch.engine: database") for problem in problems)
