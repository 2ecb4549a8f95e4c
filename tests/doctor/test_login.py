"""Credentials tried on real servers: who is let in, what is missing there, and what must not be said."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.doctor.login import exposed, log_in_all
from sidecar.settings import NetworkRules, Rule, Service
from tests.broker import RabbitMQ
from tests.doctor.conftest import Patient, about
from tests.receiver import Behaviour, Receiver, answer, hang
from tests.transports.brokers import Cable, Inbox, listener
from tests.transports.soapserver import SoapServer

Said = list[tuple[str, str]]


def service(url: str, **options: Any) -> Service:
    return Service.model_validate({"type": "amqp", "base_url": url, "timeout": 5, **options})


def rule(name: str, endpoint: str, **options: Any) -> Rule:
    return Rule(name=name, event="*", service="bus", endpoint=endpoint, **options)


def tried(one: Service, *rules: Rule) -> Said:
    found = log_in_all({"bus": one}, rules, SystemClock(), reached=["bus"])["bus"]
    assert {finding.subject for finding in found} <= {"service bus"}
    return [(finding.level.value, finding.text) for finding in found]


def warnings(one: Service) -> list[str]:
    return [finding.text for finding in exposed("bus", one)]


@pytest.fixture
def inbox(rabbitmq: RabbitMQ) -> Iterator[Inbox]:
    made = Inbox(rabbitmq)
    yield made
    made.remove()


@pytest.fixture
def tokens() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def with_token(tokens: Receiver, **options: Any) -> Service:
    auth = {"type": "oauth2", "token_url": f"{tokens.url}/token", "client_id": "moodle"}
    values = {"type": "rest", "auth": {**auth, "client_secret": "s3cret/of:ours"}, **options}
    return service("https://crm.example.org", **values)


def test_broker_that_lets_us_in_is_well(rabbitmq: RabbitMQ) -> None:
    found = tried(service(rabbitmq.url(query="exchange=amq.topic")))

    assert found == [("ok", f"127.0.0.1:{rabbitmq.port} lets us in")]


def test_wrong_password_is_a_problem_that_does_not_repeat_it(rabbitmq: RabbitMQ) -> None:
    ((level, text),) = tried(service(f"amqp://guest:s3cret-pass@127.0.0.1:{rabbitmq.port}"))

    assert level == "problem"
    assert "refused the connection: ACCESS_REFUSED - Login was refused" in text
    assert "s3cret" not in text


def test_virtual_host_that_is_not_there_is_a_problem_with_its_remedy(rabbitmq: RabbitMQ) -> None:
    bus = {"bus": service(rabbitmq.url("nowhere"))}

    (found,) = log_in_all(bus, [], SystemClock(), reached=["bus"])["bus"]

    assert "vhost nowhere not found (530)" in found.text
    assert found.remedy == "check the virtual host in base_url, and whether the account may enter it"


def test_exchange_and_queue_that_are_not_there_are_both_told_and_nothing_is_made(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.url(query="exchange=mih-no-exchange&routing_key=a&queue_declare=mih-no-queue")

    first, second = tried(service(url)), tried(service(url))

    assert (
        first
        == second
        == [
            ("ok", f"127.0.0.1:{rabbitmq.port} lets us in"),
            ("problem", "there is no exchange mih-no-exchange: nothing can be delivered"),
            ("note", "there is no queue mih-no-queue yet: it is declared before the first message"),
        ]
    )


def test_queue_that_a_rule_names_on_the_default_exchange_has_to_be_there(
    rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    rules = [
        rule("a", inbox.name),
        rule("b", "mih-typo"),
        rule("c", "{{ action }}"),
        rule("d", "mih-idle", enabled=False),
    ]

    found = tried(service(rabbitmq.url()), *rules)

    assert found[1:] == [
        ("problem", "there is no queue mih-typo, which rule b names: its messages are unroutable")
    ]


def test_account_without_any_permission_may_still_look(rabbitmq: RabbitMQ) -> None:
    rabbitmq.add_user("looker", "p")

    found = tried(service(f"amqp://looker:p@127.0.0.1:{rabbitmq.port}?exchange=mih-no-exchange"))
    rabbitmq.remove_user("looker")

    assert [level for level, _ in found] == ["ok", "problem"]


def test_disabled_broker_is_only_a_note(rabbitmq: RabbitMQ) -> None:
    found = tried(service(rabbitmq.url("nowhere"), enabled=False))

    assert [level for level, _ in found] == ["note"]


def test_what_is_no_broker_is_a_problem(rabbitmq: RabbitMQ) -> None:
    with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        ((level, text),) = tried(service(f"amqp://127.0.0.1:{port}"))

    assert level == "problem"
    assert text.endswith("it speaks HTTP; is it the port of the management pages?")


def test_broker_that_was_not_reached_is_not_tried_again(rabbitmq: RabbitMQ) -> None:
    cable = Cable(rabbitmq.port)
    with closing(cable):
        bus = {"bus": service(f"amqp://127.0.0.1:{cable.port}")}
        found = log_in_all(bus, [], SystemClock(), reached=[])

    assert found == {"bus": []}
    assert cable.connections == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://m:p@rabbit.example.org", ["its password and its messages cross the network unencrypted"]),
        ("amqp://m:p@10.0.0.5", ["its password and its messages cross the network unencrypted"]),
        ("amqp://m:p@127.0.0.1", []),
        ("amqp://m:p@[::1]", []),
        ("amqp://m:p@localhost", []),
        ("amqps://m:p@rabbit.example.org", []),
        ("amqp://localhost", ["it logs in as guest with the password that everybody knows"]),
        ("amqp://guest:guest@localhost", ["it logs in as guest with the password that everybody knows"]),
        ("amqp://guest:other@localhost", []),
    ],
)
def test_broker_s_password_in_the_open_is_a_warning(url: str, expected: list[str]) -> None:
    assert warnings(service(url)) == expected


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://login.example.org/token", True),
        ("https://login.example.org/token", False),
        ("http://127.0.0.1:8080/token", False),
    ],
)
def test_token_server_without_tls_is_a_warning(url: str, warned: bool) -> None:
    auth = {"type": "oauth2", "token_url": url, "client_id": "a", "client_secret": "b"}

    found = warnings(service("https://crm.example.org", type="rest", auth=auth))

    assert found == ["its client_secret and its tokens cross the network unencrypted"] * warned


def test_token_server_that_gives_a_token_is_well(tokens: Receiver) -> None:
    tokens.otherwise(answer(200, b'{"access_token": "t0ken", "token_type": "Bearer"}'))

    found = tried(with_token(tokens))

    assert found == [("ok", f"127.0.0.1:{tokens.port} gave a token")]


def test_refusal_of_a_token_server_is_told_without_the_secret_that_it_repeats(tokens: Receiver) -> None:
    said = {"error": "invalid_client", "error_description": "moodle with s3cret/of:ours is unknown"}
    tokens.otherwise(answer(401, json.dumps(said).encode()))

    found = tried(with_token(tokens))

    text = (
        f"no token from 127.0.0.1:{tokens.port}: answered 401 invalid_client moodle with ******** is unknown"
    )
    assert found == [("problem", text)]


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (answer(200, b"<html>"), "its answer holds no access_token to send"),
        (hang(), "in time"),
    ],
    ids=["a page", "nothing"],
)
def test_token_server_that_gives_none_is_a_problem(
    tokens: Receiver, behaviour: Behaviour, sentence: str
) -> None:
    tokens.otherwise(behaviour)

    ((level, text),) = tried(with_token(tokens, timeout=0.3))
    tokens.released.set()

    assert level == "problem"
    assert text.endswith(sentence)


def test_token_server_that_the_network_rules_refuse_is_a_problem(tokens: Receiver) -> None:
    ((level, text),) = tried(with_token(tokens).within(NetworkRules(private=False)))

    assert level == "problem"
    assert text.startswith("the network rules refuse the token server: 127.0.0.1, which is loopback")
    assert tokens.requests == []


def test_whole_examination_tries_the_broker_of_the_configuration(
    patient: Patient, rabbitmq: RabbitMQ
) -> None:
    url = rabbitmq.url(query="exchange=mih-no-exchange")

    report = patient("sqlite:///not-there.sqlite", services={"crm": {"type": "amqp", "base_url": url}})

    texts = [(one.level, one.text) for one in report.findings if one.subject == "service crm"]
    assert ("ok", f"127.0.0.1:{rabbitmq.port} lets us in") in texts
    assert ("problem", "there is no exchange mih-no-exchange: nothing can be delivered") in texts
    assert ("warning", "it logs in as guest with the password that everybody knows") in texts
    assert about(report, "moodle.url").level == "problem"


def test_wsdl_is_read_and_a_rule_that_names_no_operation_of_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rules = [rule("right", "Enrol"), rule("later", "{{ action }}"), rule("typo", "Enroll")]

    with Receiver() as receiver:
        sis = service(SoapServer(receiver).wsdl_url, type="soap")
        page = service(f"{receiver.url}/page", type="soap")
        receiver.on("/page", answer(200, b"<html>Welcome", content_type="text/html"))
        found = tried(sis, *rules)
        ((level, text),) = tried(page, *rules)

    assert found == [
        ("ok", "its WSDL can be used"),
        ("problem", 'rule typo: the WSDL has no operation "Enroll", did you mean "Enrol"?'),
    ]
    assert level == "problem"
    assert text.startswith("the WSDL cannot be used:")
