"""The first commands of a new site: init, migrate, and the container's health check."""

import socket
from pathlib import Path

import pytest

from sidecar.settings import json_schema, load
from tests.cli.conftest import Mih
from tests.cli.seeds import Seeds
from tests.receiver import Receiver, answer

HOST = socket.gethostname()[:60]


@pytest.fixture
def mih(mih: Mih) -> Mih:
    """With its dashboard on a port where nobody listens: the usual one may be somebody else's here."""
    set_port(mih, 9)
    return mih


def set_port(mih: Mih, port: int) -> None:
    """Write where the dashboard listens."""
    config = mih.config.read_text().partition("\nweb:")[0]
    mih.config.write_text(f"{config}\nweb:\n  port: {port}\n")


def test_migrate_makes_the_tables_once(new_mih: Mih) -> None:
    pending = new_mih("migrate", "--check")
    first, second = new_mih("migrate"), new_mih("migrate")
    current = new_mih("migrate", "--check")

    assert (pending.code, current.code) == (5, 0)
    assert first.out.startswith("Applied to ")
    assert "0001" in first.out
    assert second.out.endswith(" is up to date.\n")


def test_sql_is_what_is_pending(new_mih: Mih) -> None:
    before = new_mih("migrate", "--sql")
    new_mih("migrate")
    after = new_mih("migrate", "--sql")

    assert "CREATE TABLE mih_queue" in before.out
    assert after.out == "-- Nothing is pending.\n"


@pytest.mark.parametrize("dialect", ["mysql", "postgresql", "sqlite"])
def test_sql_for_a_dialect_needs_neither_configuration_nor_connection(bare: Mih, dialect: str) -> None:
    said = bare("migrate", "--sql", "--dialect", dialect)

    assert said.code == 0
    assert "CREATE TABLE mih_queue" in said.out


@pytest.mark.parametrize("args", [("--sql", "--check"), ("--dialect", "mysql"), ("--dialect", "oracle")])
def test_migrate_refuses_what_makes_no_sense(bare: Mih, args: tuple[str, ...]) -> None:
    assert bare("migrate", *args).code == 2


def test_looking_at_a_store_that_is_not_there_makes_no_file(bare: Mih, tmp_path: Path) -> None:
    bare.write(f"sqlite:///{tmp_path}/new/store.db")

    said = [bare("status"), bare("migrate", "--check"), bare("queue", "list"), bare("migrate", "--sql")]

    assert [one.code for one in said] == [0, 5, 5, 0]
    assert not (tmp_path / "new/store.db").exists()


def test_init_writes_a_file_that_loads(bare: Mih, tmp_path: Path) -> None:
    said = bare("init", "--url", "sqlite:///moodle.db", "--site", "uni", config=False)

    assert said.code == 0
    assert said.out.startswith("Wrote config/sidecar.yaml, and sidecar.schema.json beside it")
    assert (tmp_path / "config" / "sidecar.schema.json").read_text(encoding="utf-8") == json_schema()
    assert load(tmp_path / "config/sidecar.yaml", {}).site == "uni"


def test_init_keeps_a_password_out_of_the_file(
    bare: Mih, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOODLE_DB_URL", "postgresql+psycopg://moodle:hunter2@db/moodle")

    said = bare("init", "-o", "here.yaml", config=False)

    text = (tmp_path / "here.yaml").read_text()
    assert "hunter2" not in text + said.out
    assert "${MOODLE_DB_URL}" in text
    assert "export MOODLE_DB_URL=" in said.out


def test_init_without_a_url_reads_it_from_the_environment_later(
    bare: Mih, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOODLE_DB_URL", raising=False)

    bare("init", config=False)

    settings = load(tmp_path / "config/sidecar.yaml", {"MOODLE_DB_URL": "sqlite:///later.db"})
    assert settings.moodle.url.get_secret_value() == "sqlite:///later.db"


def test_init_overwrites_only_when_told_to(bare: Mih, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")

    refused = bare("init", "-o", "mine.yaml", "--url", "sqlite:///m.db", config=False)
    kept = (tmp_path / "mine.yaml").read_text()
    forced = bare("init", "-o", "mine.yaml", "--url", "sqlite:///m.db", "--force", config=False)

    assert (refused.code, kept) == (1, "mine")
    assert "is there already and was not touched" in refused.err
    assert forced.code == 0
    assert (tmp_path / "mine.yaml").read_text() != "mine"


def test_init_says_what_is_wrong_with_a_url(bare: Mih, tmp_path: Path) -> None:
    said = bare("init", "--url", "oracle://x/y", config=False)

    assert said.code == 3
    assert "the database URL" in said.err
    assert not (tmp_path / "config").exists()


def test_a_process_that_makes_its_rounds_is_healthy(mih: Mih, seeds: Seeds) -> None:
    seeds.replica(HOST)

    said = mih("health")

    assert (said.code, said.out) == (0, "well: process 7 (all)\n")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_process_of_another_host_says_nothing_about_this_one(mih: Mih, seeds: Seeds) -> None:
    seeds.replica("elsewhere")

    said = mih("health")

    assert (said.code, said.err) == (1, f"No sidecar on {HOST} has signed in.\n")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_silent_process_is_ill(mih: Mih, seeds: Seeds) -> None:
    seeds.replica(HOST)
    seeds.clock.advance(31)

    said = mih("health")

    assert (said.code, said.err) == (1, "Process 7 is ill: it was last seen 31 s ago.\n")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("role", "code"), [("all", 1), ("tail", 1), ("dispatch", 0)])
def test_a_standing_tail_is_an_illness_of_those_who_tail(
    mih: Mih, seeds: Seeds, role: str, code: int
) -> None:
    seeds.replica(HOST, role)
    seeds.clock.advance(90)
    seeds.beat(tail_ago_s=80, host=HOST)

    said = mih("health")

    assert said.code == code


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("status", "said", "code", "word"),
    [
        (200, '{"status": "well", "reason": null}', 0, "well: the process that listens on port"),
        (503, '{"status": "ill", "reason": "its tail stands"}', 1, "The process is ill: its tail stands."),
        (404, "<html>somebody else</html>", 0, "well: process 7 (all)"),
        (200, "[]", 0, "well: process 7 (all)"),
    ],
)
def test_the_dashboard_of_this_host_is_asked_if_it_is_ours(
    mih: Mih, seeds: Seeds, *, status: int, said: str, code: int, word: str
) -> None:
    seeds.replica(HOST)
    with Receiver() as receiver:
        receiver.on("/healthz", answer(status, said.encode()))
        set_port(mih, receiver.port)

        found = mih("health")

    assert (found.code, word in found.out + found.err) == (code, True)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_health_knows_no_other_code_than_one(mih: Mih) -> None:
    no_tables = mih("health")
    mih.config.unlink()
    no_config = mih("health")

    assert (no_tables.code, no_config.code) == (1, 1)
