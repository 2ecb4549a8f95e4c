"""What `dispatch.engine: rabbitmq` needs, and what cannot be had with it."""

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.errors import said, text_of
from sidecar.settings.broker import node_beside, part, read_broker
from sidecar.settings.outside import tls_problems
from sidecar.settings.source import Problem, child

_ANY = read_broker("amqp://any")
_INSTEAD = said("leave it away, or use dispatch.engine: database")


def relay_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the engine, the broker, and services and rules that RabbitMQ cannot serve.

    Works on the values as written.
    """
    dispatch = _mapping(values.get("dispatch"))
    broker = dispatch.get("broker")
    url = _mapping(broker).get("url")
    if isinstance(url, str) and (problem := _url_problem(url)):
        yield Problem("dispatch.broker.url", problem)
    yield from _node_problems(_mapping(broker).get("nodes"))
    for option, text in tls_problems({"ca": _mapping(broker).get("ca")}):
        yield Problem(f"dispatch.broker.{option.removeprefix('tls.')}", text)
    if dispatch.get("engine") != "rabbitmq":
        return
    if broker is None:
        text = said("engine: rabbitmq needs a broker: write broker: {url: ${RABBITMQ_URL}} beside it")
        yield Problem("dispatch.engine", text)
    for name, service in _mapping(values.get("services")).items():
        if _mapping(service).get("drain_rate") is not None:
            text = said(
                "a queue of RabbitMQ lets nothing pass what piled up before it: %(instead)s", instead=_INSTEAD
            )
            yield Problem(child(child("services", name), "drain_rate"), text)
    rules = values.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        place = child("rules", number)
        if _mapping(rule).get("order_by") is not None:
            text = said(
                "several processes take from a queue of RabbitMQ, so it keeps no order: %(instead)s",
                instead=_INSTEAD,
            )
            yield Problem(child(place, "order_by"), text)
        if _mapping(rule).get("batch") is not None:
            text = said(
                "RabbitMQ hands out deliveries one by one, so none can wait for others: %(instead)s",
                instead=_INSTEAD,
            )
            yield Problem(child(place, "batch"), text)


def _url_problem(url: str) -> str | None:
    if "?" in url:
        return said(
            "nothing is expected after the host and the virtual host: take out the ? and what follows"
        )
    try:
        read_broker(url)
    except ValueError as error:
        return text_of(error)
    return None if part(url).user else said("a user is expected: amqp://user:password@host/vhost")


def _node_problems(nodes: Any) -> Iterator[Problem]:
    for number, node in enumerate(nodes if isinstance(nodes, list) else []):
        try:
            node_beside(_ANY, str(node))
        except ValueError as error:
            yield Problem(child("dispatch.broker.nodes", number), text_of(error))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
