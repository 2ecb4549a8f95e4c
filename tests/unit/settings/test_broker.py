"""The address of a broker: what it names, what is wrong with it, and that nobody sees its password."""
# ruff: noqa: E501 - one case is one line

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ConfigError
from sidecar.settings import BasicAuth, Service, Settings, load
from sidecar.settings.broker import Broker, broker_problem, part, read_broker

URL = "amqp://moodle:s3cret@rabbit.example.org/campus?exchange=moodle"
HEAD = "site: campus\nmoodle: {url: sqlite:///moodle.sqlite}\nservices:\n  bus: "


def loaded(folder: Path, service: str) -> Settings:
    path = folder / "sidecar.yaml"
    path.write_text(f"{HEAD}{service}\n", encoding="utf-8")
    return load(path, {})


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("amqp://rabbit", Broker("rabbit", 5672, tls=False)),
        ("amqp://rabbit/", Broker("rabbit", 5672, tls=False)),
        ("amqp://rabbit//", Broker("rabbit", 5672, tls=False)),
        ("amqps://rabbit/%2F", Broker("rabbit", 5671, tls=True)),
        ("AMQPS://u:p@[::1]:7000/a%2Fb", Broker("::1", 7000, tls=True, vhost="a/b")),
        ("amqp://u@rabbit/c?exchange=e&routing_key=a.%23", Broker("rabbit", 5672, tls=False, vhost="c", exchange="e", routing_key="a.#")),
        ("amqp://rabbit?queue_declare=q&dlq=d", Broker("rabbit", 5672, tls=False, queue="q", dead_letter_queue="d")),
        ("amqp://rabbit?exchange=&routing_key=&queue_declare=&dlq=", Broker("rabbit", 5672, tls=False)),
    ],
)  # fmt: skip
def test_url_names_the_parts_of_a_broker(url: str, broker: Broker) -> None:
    assert read_broker(url) == broker


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("amqp://rabbit?queue_declare=q", "q"),
        ("amqp://rabbit?queue_declare=q&routing_key=k", "k"),
        ("amqp://rabbit?exchange=e&queue_declare=q&routing_key=", ""),
        ("amqp://rabbit", ""),
    ],
)
def test_routing_key_for_rules_without_an_endpoint(url: str, key: str) -> None:
    assert read_broker(url).fallback_key == key


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://rabbit", "expected a URL such as amqp://broker.example.org/vhost?exchange=moodle, amqps:// with TLS"),
        ("rabbit:5672", "expected a URL such as amqp://broker.example.org/vhost?exchange=moodle, amqps:// with TLS"),
        ("amqp://", "expected a URL such as amqp://broker.example.org/vhost?exchange=moodle, amqps:// with TLS"),
        ("amqp://rabbit:port", "this is no URL: its host or port cannot be read; in the user name and the password %40 stands for @, %2F for /, %3A for :"),
        ("amqp://u:p/w@rabbit", "this is no URL: its host or port cannot be read; in the user name and the password %40 stands for @, %2F for /, %3A for :"),
        ("amqp://u:1/w@rabbit", "this holds an @ after the host; in the user name and the password %40 stands for @, %2F for /, %3A for :"),
        ("amqp://rabbit:0", "this is no URL: its port is 0"),
        ("amqp://rab bit", "this is no URL: it holds a blank or a control character"),
        ("amqp://rabbit/a/b", "a / within the name of the virtual host is written %2F"),
        ("amqp://rabbit?routing_key=a.#", "no # here: in the name of a queue or a routing key it is written %23"),
        ("amqp://rabbit?exchnge=a", 'after the ? there is an unknown key, did you mean "exchange"?'),
        ("amqp://rabbit?heartbeat=5", "after the ? there is an unknown key; there is exchange, routing_key, queue_declare and dlq"),
        ("amqp://rabbit?exchange=a&exchange=b", "after the ? there is a key that is written twice"),
        (f"amqp://rabbit?exchange={'e' * 256}", "exchange is longer than 255 bytes"),
        ("amqp://rabbit?dlq=d", "dlq belongs to a queue that is declared: name it in queue_declare"),
        ("amqp://rabbit?queue_declare=q&dlq=q", "queue_declare and dlq name the same queue"),
        ("amqp://rabbit?exchange=e&queue_declare=q", "queue_declare with an exchange needs routing_key, the key that binds the queue (%23 stands for the # that takes all of a topic exchange)"),
    ],
)  # fmt: skip
def test_url_that_cannot_be_is_told_in_plain_words(tmp_path: Path, url: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"{{type: amqp, base_url: '{url}'}}")

    assert [one.partition("services.bus")[2] for one in caught.value.problems] == [f".base_url: {problem}"]


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (f"{{type: amqp, base_url: '{URL}', auth: {{type: basic, username: a, password: b}}}}", ": user and password stand in base_url and in auth: keep them in auth only"),
        ("{type: amqp, base_url: 'amqp://rabbit', auth: {type: bearer, token: t}}", ".auth: a broker wants a user and a password: use {type: basic, username: ..., password: ...}"),
        ("{type: amqp, base_url: 5}", ".base_url: expected text, got a number: put it in quotes"),
    ],
)  # fmt: skip
def test_login_that_cannot_be_is_told_in_plain_words(tmp_path: Path, service: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, service)

    assert [one.partition("services.bus")[2] for one in caught.value.problems] == [problem]


def test_password_of_a_url_becomes_a_credential_that_prints_stars(tmp_path: Path) -> None:
    service = loaded(tmp_path, f"{{type: amqp, base_url: '{URL}', auth: {{type: none}}}}").services["bus"]

    assert service.base_url == "amqp://rabbit.example.org/campus?exchange=moodle"
    assert isinstance(service.auth, BasicAuth)
    assert (service.auth.username, service.auth.password.get_secret_value()) == ("moodle", "s3cret")
    assert "s3cret" not in f"{service!r} {service} {service.model_dump_json()}"


def test_service_that_is_made_of_another_one_s_values_is_the_same() -> None:
    service = Service(type="amqp", base_url=URL)

    again = Service.model_validate(service.model_dump())

    assert again == service


@given(user=st.text(max_size=20), password=st.text(max_size=20), host=st.sampled_from(["rabbit", "[::1]:7"]))
def test_no_user_or_password_is_lost_or_left_in_the_url(user: str, password: str, host: str) -> None:
    written = f"{encoded(user)}:{encoded(password)}"

    parted = part(f"amqp://{written}@{host}/v")

    assert (parted.url, parted.user, parted.password) == (
        f"amqp://{host}/v",
        replaced(user),
        replaced(password),
    )


@given(st.text(max_size=60))
def test_any_text_is_a_broker_or_has_a_problem(text: str) -> None:
    url = f"amqp://{text}"

    problem = broker_problem(url)

    assert problem or read_broker(url).host


def encoded(text: str) -> str:
    return quote(text, safe="", errors="replace")


def replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
