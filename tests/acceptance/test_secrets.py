"""Planted secrets: nothing that the sidecar writes, prints, answers or keeps may hold one of them."""

import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import yaml
from sqlalchemy import select

from sidecar.cli.main import cli, main
from sidecar.store.engine import Database as Store
from sidecar.store.tables import log, metadata
from tests.acceptance import planted
from tests.acceptance.planted import PLANTED
from tests.acceptance.sidecar import Sidecar, eventually, write_config
from tests.databases import Database
from tests.receiver import Receiver
from tests.rows import insert_rows, log_row
from tests.transports.certificates import Authority

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

# Commands that run until they are stopped, ask people, or read no configuration with services in it.
NOT_LOOKED_AT = {
    *("mih run", "mih demo", "mih init", "mih rules new", "mih cursor set"),
    *("mih users add", "mih users hash", "mih users password", "mih users remove"),
}
ENROL = {"student": {"id": 7}, "course": "math-1", "note": "hi"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A configuration full of secrets, and the texts that must be nowhere."""

    config: Path
    services: Mapping[str, Any]
    secrets: Mapping[str, str]
    url: str

    def leaks(self, seen: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return where which secret was found."""
        return [
            (where, name)
            for where, text in seen.items()
            for name, secret in self.secrets.items()
            if secret in text or json.dumps(secret)[1:-1] in text
        ]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "tls").mkdir()
    return Authority(tmp_path / "tls")


@pytest.fixture
def gossips(authority: Authority) -> Iterator[list[Receiver]]:
    """Two receivers, the second one with TLS, that repeat in their answers whatever they are sent."""
    with Receiver() as plain, Receiver(authority.server("IP:127.0.0.1")) as secure:
        planted.teach(plain)
        planted.teach(secure)
        yield [plain, secure]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def scene(bare_moodle_db: Database, gossips: list[Receiver], authority: Authority, tmp_path: Path) -> Scene:
    cert, key = authority.client(PLANTED["KEY_PASSWORD"])
    files = {"ca": authority.file, "cert": cert, "key": key}
    services = planted.services(gossips[0].url, gossips[1].url, files, free_port())
    every: dict[str, Any] = {"event": "*", "max_event_age": "none"}
    rules = [{"name": name, "service": name, **every} for name in services if name != "wsse"]
    rules.append({"name": "wsse", "service": "wsse", "endpoint": "Enrol", "payload": ENROL, **every})
    port = free_port()
    config = write_config(
        tmp_path / "sidecar.yaml",
        site="campus",
        moodle={"url": bare_moodle_db.url},
        tail={"start": "latest", "poll": 0.1},
        services=services,
        rules=rules,
        web={"port": port, "tokens": [{"name": "all", "token": "${WEB_TOKEN}", "role": "manage"}]},
    )
    return Scene(config, services, planted.spellings(key), f"http://127.0.0.1:{port}")


@ON_SQLITE
def test_no_planted_secret_is_kept_printed_answered_or_logged(
    bare_moodle_db: Database, gossips: list[Receiver], scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    sidecar = Sidecar(scene.config)
    with closing(sidecar):
        assert sidecar.run("--until-idle") == 0, sidecar.said
        insert_rows(bare_moodle_db.url, [log_row()])
        sidecar.start("--log-level", "debug")
        eventually(lambda: tried(bare_moodle_db.url) == set(scene.services))
        seen = {"tables": dump(bare_moodle_db.url), **printed(scene, capsys), **answered(scene)}
        assert sidecar.terminate() == 0
        seen |= {"tables in the end": dump(bare_moodle_db.url), "log": sidecar.said}

    assert scene.leaks({"what the receivers heard": heard(gossips)}) == expected(scene)
    assert "answered 400" in seen["tables"]
    assert len(seen) > 250
    assert scene.leaks(seen) == []


def heard(receivers: Iterable[Receiver]) -> str:
    """Return all that was sent: the secrets were in it, or this test would say nothing."""
    return "\n".join(
        f"{request.target} {request.headers} {request.body.decode('utf-8', 'replace')}"
        for receiver in receivers
        for request in receiver.requests
    )


def expected(scene: Scene) -> list[tuple[str, str]]:
    """Name the secrets that travel; of the others only what is made with them does."""
    stay = {"BASIC", "PROXY", "SIGNING", "SIGNING_OLD", "BROKER", "KEY_PASSWORD", "WEB_TOKEN", "KEY"}
    stay |= {"SIGNING without its prefix", "SIGNING_OLD without its prefix", "QUERYKEY", "WSSE"}
    return [("what the receivers heard", name) for name in scene.secrets if name not in stay]


def tried(url: str) -> set[str]:
    """Return the services that something was sent to, or would have been."""
    store = Store(url)
    with store.read() as conn:
        found = set(conn.execute(select(log.c.service)).scalars())
    store.close()
    return found


def dump(url: str) -> str:
    """Return all that is in the sidecar's tables."""
    store = Store(url)
    with store.read() as conn:
        found = {table.name: str(conn.execute(select(table)).all()) for table in metadata.sorted_tables}
    store.close()
    return str(found)


def printed(scene: Scene, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return what every command prints, as a table and as JSON."""
    return {
        " ".join(words): said_by(words, capsys)
        for path, command in commands()
        if path not in NOT_LOOKED_AT
        for words in uses(path, command, scene)
    }


def commands(command: click.Command = cli, path: str = "mih") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, f"{path} {name}")


def uses(path: str, command: click.Command, scene: Scene) -> Iterator[list[str]]:
    """Yield the command as somebody types it. One service stands for all: the API is asked about each."""
    words = path.split()[1:]
    options = [option.opts[-1] for option in command.params if isinstance(option, click.Option)]
    words += ["-y"] if "-y" in options else []
    words += ["-c", str(scene.config)] if "-c" in options else []
    arguments = [one.human_readable_name for one in command.params if isinstance(one, click.Argument)]
    if arguments:
        words.append({"NAME": "wsse", "ID": "1", "[ID]": "1"}[arguments[0]])
    if command.name == "bury":
        words += ["--service", "wsse"]
    yield words
    if "--json" in options:
        yield [*words, "--json"]


def said_by(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main(words)
    said = capsys.readouterr()
    assert "Usage:" not in said.err, said.err
    return said.out + said.err


def answered(scene: Scene) -> dict[str, str]:
    """Return what every route answers, to somebody who may see everything and to nobody in particular."""
    token = PLANTED["WEB_TOKEN"]
    with (
        httpx.Client(base_url=scene.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as manager,
        httpx.Client(base_url=scene.url, headers={"Authorization": f"Bearer {token}x"}) as stranger,
    ):
        eventually(lambda: listens(manager))
        paths = manager.get("/api/openapi.json").json()["paths"]
        routes = [(method, path) for path in paths for method in paths[path]]
        seen = {}
        for method, path in sorted(routes):  # reading comes before changing
            for place in places(path, scene):
                for body in bodies(path, method, paths[path][method]):
                    for who in (manager, stranger):
                        told = who.request(method, place, json=body, params={"token": token})
                        seen[f"{method} {place} {body} {who is manager}"] = f"{told.headers} {told.text}"
        for place in ("/api/docs", "/api/openapi.json", f"/api/v1/{token}/no-such-path", "/"):
            told = manager.get(place.replace(token, "x"))
            seen[place.replace(token, "x")] = f"{told.headers} {told.text}"
    return seen


def listens(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.ConnectError:
        return False


def places(path: str, scene: Scene) -> list[str]:
    """Return a route's paths for all services and rules, and for a few deliveries."""
    if "{name}" in path:
        names = list(scene.services)
        return [path.replace("{name}", name) for name in (names[:1] if "pause" in path else names)]
    return [re.sub(r"\{\w+\}", number, path) for number in ("1", "2", "3")] if "{" in path else [path]


def bodies(path: str, method: str, route: Mapping[str, Any]) -> list[Any]:
    if path.endswith("/request"):
        payload = {"endpoint": "", "payload": "hello"}
        return [payload, {"endpoint": "Enrol", "payload": ENROL}, {**payload, "mode": "async"}, {"bad": 1}]
    return [{"all": True, "count": 1}] if "requestBody" in route else [None]


BROKEN = [
    {"auth": {"type": "${BEARER}"}},
    {"auth": {"type": "bearer", "token": ["${BEARER}"]}},
    {"auth": {"type": "bearer", "tokn": "${BEARER}"}},
    {"auth": {"type": "bearer", "token": "a\n${BEARER}"}},
    {"auth": {"type": "basic", "username": "${BASIC}:x", "password": "${BASIC}"}},
    {"auth": {"type": "oauth2", "token_url": "${CLIENT}", "client_id": "hub", "client_secret": "${CLIENT}"}},
    {"auth": {"type": "wsse", "username": "u", "password": "${WSSE}"}},
    {"signing": {"secret": "${BEARER}"}},
    {"signing": {"secret": "whsec_${BEARER}", "previous": ["${SIGNING_OLD}"]}},
    {"signing": "${SIGNING}"},
    {"proxy": "moodle:${PROXY}@proxy"},
    {"proxy": "ftp://moodle:${PROXY}@proxy:1/x"},
    {"headers": {"${HEADER} x": "a"}},
    {"headers": {"X-Key": "a\r\n${HEADER}"}},
    {"headers": ["${HEADER}"]},
    {"base_url": "https://moodle:${BASIC}@crm.example.org"},
    {"base_url": "${BEARER}"},
    {"type": "${BEARER}"},
    {"type": "amqp", "base_url": "amqp://moodle:${BROKER}@:0/?exchange=a&exchange=b"},
    {"type": "amqp", "base_url": "amqp://moodle:${BROKER}@host/", "auth": {"type": "bearer", "token": "x"}},
    {"tls": {"cert": "/nowhere/${BEARER}", "key_password": ["${KEY_PASSWORD}"]}},
    {"timeout": "${BEARER}"},
    {"retry": "${BEARER}"},
]


@pytest.mark.parametrize("service", BROKEN, ids=json.dumps)
def test_no_message_about_a_broken_configuration_holds_a_secret(
    service: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = {
        "site": "campus",
        "moodle": {"url": "sqlite:////nowhere.sqlite"},
        "services": {"crm": {"base_url": "https://crm.example.org", **service}},
    }
    assert_refused_without_secrets(sections, tmp_path, capsys)


@pytest.mark.parametrize(
    "sections",
    [
        {"moodle": {"url": "oracle://moodle:${BEARER}@db/moodle"}},
        {"moodle": {"url": "mysql+pymysql://moodle:${BEARER}@db"}},
        {"moodle": {"url": "${BEARER}"}},
        {"store": {"url": "postgresql+psycopg://mih:${BEARER}@db:99999/mih"}},
        {"web": {"tokens": [{"name": "a", "token": "${WEB_TOKEN}"}, {"name": "b", "token": "${WEB_TOKEN}"}]}},
        {"web": {"tokens": [{"name": "${WEB_TOKEN}", "token": "planted"}]}},
        {"web": {"tokens": "${WEB_TOKEN}"}},
        {"site": "${BEARER} ${WSSE}"},
    ],
    ids=json.dumps,
)
def test_no_message_about_broken_sections_holds_a_secret(
    sections: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"site": "campus", "moodle": {"url": "sqlite:////nowhere.sqlite"}, **sections}
    assert_refused_without_secrets(whole, tmp_path, capsys)


def test_no_message_about_a_key_file_holds_its_content(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cert, _ = authority.client(PLANTED["KEY_PASSWORD"])
    key = tmp_path / "tls" / "other.key"
    key.write_text("-----BEGIN PRIVATE KEY-----\nplanted-key-content\n-----END PRIVATE KEY-----\n")
    tls = {"cert": str(cert), "key": str(key), "key_password": "${KEY_PASSWORD}"}
    sections = {
        "site": "campus",
        "moodle": {"url": "sqlite:////nowhere.sqlite"},
        "services": {"crm": {"base_url": "https://crm.example.org", "tls": tls}},
    }
    assert_refused_without_secrets(sections, tmp_path, capsys)


def assert_refused_without_secrets(
    sections: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(sections), encoding="utf-8")
    for words in (["check"], ["check", "--json"], ["run", "--until-idle"], ["status", "--json"]):
        with pytest.raises(SystemExit) as end:
            main([*words, "--config", str(path)])
        assert end.value.code != 0
        said = capsys.readouterr()
        assert said.out + said.err
        assert "planted" not in said.out + said.err, words
        assert PLANTED["SIGNING"][6:20] not in said.out + said.err
        assert PLANTED["SIGNING_OLD"][6:20] not in said.out + said.err
