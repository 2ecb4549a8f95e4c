"""The contract of all transports: each fault on each of them, and what it is judged as.

`pytest tests/transports/test_faults.py -v` prints the table; docs/resilience.md shows it to users.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.gateway.circuit import observe
from sidecar.gateway.retry import decide
from sidecar.model import Circuit, Outcome, Step
from sidecar.settings import CircuitBreakerSettings, NetworkRules, RetrySettings
from sidecar.transports.base import Transport
from sidecar.transports.soap_cache import library
from tests.deliveries import attempt
from tests.transports.certificates import Authority
from tests.transports.doors import Door, Trick, hang, hang_up, reset, say, show
from tests.transports.proxies import TestProxy
from tests.transports.stages import STAGES, WRONG, RestStage, Tools
from tests.transports.test_credentials_oauth import TokenServer

TIMEOUT_S = 0.5
# How much longer than its timeout an attempt may take on a busy machine; without a deadline it is for ever.
SLACK_S = 2.0
PAGE = Path(__file__).parents[2] / "docs" / "resilience.md"

KINDS = ("rest", "amqp", "soap", "wsdl")
EVERYWHERE = dict.fromkeys(KINDS, "failed")
# What happens, by the words of the page; and what it is judged as.
FAULTS: dict[str, tuple[str, dict[str, str]]] = {
    "refused": ("nobody listens there", EVERYWHERE),
    "unknown": ("nobody knows the name", EVERYWHERE),
    "reset": ("the connection is reset", EVERYWHERE),
    "closed": ("the connection is closed without an answer", EVERYWHERE),
    "timeout": ("no answer in time", EVERYWHERE),
    "slow": ("an answer byte by byte, without end", EVERYWHERE),
    "half": ("half an answer", EVERYWHERE),
    "garbage": ("an answer in another protocol", EVERYWHERE),
    "tls": ("a certificate of an unknown authority", EVERYWHERE),
    "auth": (
        "wrong credentials",
        {"rest": "rejected", "amqp": "failed", "soap": "rejected", "wsdl": "failed"},
    ),
    "restart": ("the service dies with the request in its hands", EVERYWHERE),
    "proxy": ("the proxy is away", dict.fromkeys(KINDS, "unsent")),
    "token": ("the token server refuses us", dict.fromkeys(("rest", "soap", "wsdl"), "unsent")),
    "address": ("the network rules refuse the address", dict.fromkeys(KINDS, "invalid")),
}
SAID = {
    "refused": r"could not connect to {where}: \[Errno 111\] Connection refused",
    "unknown": r"could not connect to {where}: \[Errno -2\] Name or service not known",
    # When the first half of the request runs into it, there is an end where the answer should be.
    "reset": (
        r"the connection to {where} broke: \[Errno 104\] Connection reset by peer"
        "|{where} closed the connection without an answer"
    ),
    "closed": "{where} closed the connection without an answer",
    "timeout": "no answer from {where} within 0.5 s",
    "slow": "no answer from {where} within 0.5 s",
    "half": "{where} closed the connection in the middle of its answer",
    "garbage": "{where} did not answer in (HTTP|AMQP): .*",
    "tls": "could not connect to {where}: .*certificate verify failed.*unable to get local issuer.*",
    "auth": (
        "answered 401 Unauthorized|fault e:Client: .*could not be authenticated .*"
        r"|http://{where}/sis\.wsdl answered 401 Unauthorized; are the credentials right\?"
        r"|{where} refused the connection: ACCESS_REFUSED .* \(403\)"
    ),
    "restart": "(the connection to )?{where} (broke: .*|closed the connection .* answer)",
    "proxy": r"the proxy {where} cannot be used: \[Errno 111\] Connection refused",
    "token": r"no token from 127\.0\.0\.1:\d+: answered 401 invalid_client",
    "address": "(the WSDL cannot be used: )?the network rules refuse 127.0.0.1, which is loopback: add 127.*",
}
# What follows from each outcome: whether it is charged to the circuit, what becomes of the delivery, and
# how the page says that.
FOLLOWS = {
    "failed": (True, Step.RETRY, "yes, after the backoff"),
    "rejected": (False, Step.BURY, "no, a dead letter"),
    "invalid": (False, Step.BURY, "no, a dead letter"),
    "unsent": (False, Step.PARK, "yes, without spending a try"),
}
CASES = [(kind, fault) for fault, (_, judged) in FAULTS.items() for kind in judged]


class Scene:
    """A fault on a stage: `first` meets it; after `mend` it is over, and `second` is who comes then."""

    def __init__(self, stage: RestStage, door: Door, first: Transport) -> None:
        self.stage, self.first, self.second = stage, first, first
        self.mend: Callable[[], object] = door.mend
        self.where = re.escape(stage.where)


Setting = Callable[[type[RestStage], Tools, pytest.FixtureRequest], Scene]


def at_the_door(trick: Callable[[type[RestStage]], Trick], **options: Any) -> Setting:
    def build(stages: type[RestStage], tools: Tools, _: pytest.FixtureRequest) -> Scene:
        door = tools.stack.enter_context(Door(trick(stages)))
        stage = stages(tools, door)
        scene = Scene(stage, door, stage.connect(**options))
        # Half a second is enough to find that there is no answer, not always for one.
        scene.second = stage.connect() if options else scene.first
        return scene

    return build


def refused(stages: type[RestStage], tools: Tools, _: pytest.FixtureRequest) -> Scene:
    door = tools.stack.enter_context(Door(closed=True))
    stage = stages(tools, door)
    return Scene(stage, door, stage.connect())


def unknown(stages: type[RestStage], tools: Tools, wanted: pytest.FixtureRequest) -> Scene:
    patch: pytest.MonkeyPatch = wanted.getfixturevalue("monkeypatch")
    real, known = socket.getaddrinfo, list[str]()

    def resolve(host: str, port: Any, *rest: Any, **named: Any) -> Any:
        if host == "crm.example" and not known:
            raise socket.gaierror(-2, "Name or service not known")
        return real(host.replace("crm.example", "127.0.0.1"), port, *rest, **named)

    door = tools.stack.enter_context(Door())
    stage = stages(tools, door, "crm.example")
    patch.setattr(socket, "getaddrinfo", resolve)
    scene = Scene(stage, door, stage.connect())
    scene.mend = lambda: known.append("crm.example")
    return scene


def tls(stages: type[RestStage], tools: Tools, wanted: pytest.FixtureRequest) -> Scene:
    (folder := tools.folder / "stranger").mkdir()
    stranger = Authority(folder).server("IP:127.0.0.1")
    door = tools.stack.enter_context(Door(show(stranger)))
    stage = stages(tools, door, secure=True)
    return Scene(stage, door, stage.connect())


def auth(stages: type[RestStage], tools: Tools, _: pytest.FixtureRequest) -> Scene:
    stage = stages(tools, door := tools.stack.enter_context(Door()))
    stage.guard()
    scene = Scene(stage, door, stage.connect(WRONG))
    scene.second = stage.connect()
    return scene


def restart(stages: type[RestStage], tools: Tools, _: pytest.FixtureRequest) -> Scene:
    stage = stages(tools, door := tools.stack.enter_context(Door()))
    scene = Scene(stage, door, stage.connect())
    door.bait, door.trap = stage.bait, stage.stop

    def mend() -> None:
        assert door.sprung.wait(20)
        stage.serve()

    scene.mend = mend
    return scene


def proxy(stages: type[RestStage], tools: Tools, _: pytest.FixtureRequest) -> Scene:
    """The door is the proxy's: behind it is one that leads to the service."""
    door = tools.stack.enter_context(Door(closed=True))
    door.leads_to = tools.stack.enter_context(TestProxy()).port
    stage = stages(tools, tools.stack.enter_context(Door()))
    scene = Scene(stage, door, stage.connect(proxy=f"http://127.0.0.1:{door.port}"))
    scene.where = re.escape(f"127.0.0.1:{door.port}")
    return scene


def token(stages: type[RestStage], tools: Tools, _: pytest.FixtureRequest) -> Scene:
    tokens = tools.stack.enter_context(TokenServer())
    tokens.refuse()
    stage = stages(tools, door := tools.stack.enter_context(Door()))
    scene = Scene(stage, door, stage.connect(auth=tokens.auth))
    scene.mend = tokens.relent
    return scene


def address(stages: type[RestStage], tools: Tools, _: pytest.FixtureRequest) -> Scene:
    stage = stages(tools, door := tools.stack.enter_context(Door()))
    scene = Scene(stage, door, stage.connect(network=NetworkRules(private=False)))
    scene.second = stage.connect()
    return scene


SETTINGS: dict[str, Setting] = {
    "refused": refused,
    "unknown": unknown,
    "reset": at_the_door(lambda _: reset),
    "closed": at_the_door(lambda _: hang_up),
    "timeout": at_the_door(lambda _: hang, timeout=TIMEOUT_S),
    "slow": at_the_door(lambda stage: say(stage.endless, slowly=True), timeout=TIMEOUT_S),
    "half": at_the_door(lambda stage: say(stage.half)),
    "garbage": at_the_door(lambda stage: say(stage.garbage)),
    "tls": tls,
    "auth": auth,
    "restart": restart,
    "proxy": proxy,
    "token": token,
    "address": address,
}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Tools]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    library.forget()
    with ExitStack() as stack:
        yield Tools(
            tmp_path,
            stack,
            lambda: request.getfixturevalue("authority"),
            lambda: request.getfixturevalue("rabbitmq"),
        )


@pytest.mark.parametrize(("kind", "fault"), CASES, ids=["-".join(case) for case in CASES])
def test_fault_is_judged_in_time_and_the_next_message_goes(
    kind: str, fault: str, tools: Tools, request: pytest.FixtureRequest
) -> None:
    scene = SETTINGS[fault](STAGES[kind], tools, request)
    started = time.monotonic()

    first = scene.stage.send(scene.first)
    took_s = time.monotonic() - started
    scene.mend()
    second = scene.stage.send(scene.second)

    before = "the WSDL cannot be used: " if kind == "wsdl" else ""
    assert first.outcome == FAULTS[fault][1][kind]
    assert re.fullmatch(f"{before}({SAID[fault].format(where=scene.where)})", str(first.error))
    assert "s3cret" not in f"{first}"
    assert took_s < TIMEOUT_S + SLACK_S
    assert (second.outcome, second.error) == (Outcome.DELIVERED, None)


@pytest.mark.parametrize("outcome", FOLLOWS)
def test_outcome_decides_what_is_charged_and_what_is_tried_again(outcome: str, clock: FakeClock) -> None:
    one = attempt(Outcome(outcome))
    now = clock.now()

    circuit = observe(Circuit("crm"), one, CircuitBreakerSettings(), now=now, probe=False)
    decision = decide(one, retries=0, policy=RetrySettings(), now=now, probe=False)

    assert (circuit.failures == 1, decision.step) == FOLLOWS[outcome][:2]


def test_page_for_users_shows_the_same() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Faults, one by one")[2].partition("\n## ")[0]

    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| fault", "| judged as"))
    ]

    faults = [[words, *(judged.get(kind, "–") for kind in KINDS)] for words, judged in FAULTS.values()]
    follows = [[outcome, "yes" if said[0] else "no", said[2]] for outcome, said in FOLLOWS.items()]
    assert rows == faults + follows
