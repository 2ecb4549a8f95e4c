"""Planted secrets: nothing that the sidecar writes, prints or keeps may hold one of them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from sidecar.cli.main import main
from sidecar.store.engine import Database as Store
from sidecar.store.tables import metadata
from tests.acceptance.sidecar import Sidecar, write_config
from tests.databases import Database
from tests.receiver import Receiver, echo
from tests.rows import insert_rows, log_row

PLANTED = {
    "BEARER": "planted-bearer-7f3a91",
    "APIKEY": "planted-apikey-55d0c2",
    "BASIC": "planted-basic-e81b44",
    "HEADER": "planted-header-0a9c6e",
}
SERVICES = {
    "bearer": {"auth": {"type": "bearer", "token": "${BEARER}"}},
    "apikey": {"auth": {"type": "apikey", "key": "${APIKEY}"}},
    "basic": {"auth": {"type": "basic", "username": "moodle", "password": "${BASIC}"}},
    "header": {"headers": {"X-Tenant-Key": "${HEADER}"}},
}
LOOKS = (
    *(f"{noun} list" for noun in ("services", "rules", "circuits", "queue", "dlq", "log")),
    *(f"services show {name}" for name in SERVICES),
    *(f"{noun} show 1" for noun in ("queue", "log")),
    "status",
    "check",
)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def gossip() -> Iterator[Receiver]:
    """A receiver that repeats every header it gets in its answers, which are refusals."""
    with Receiver() as running:
        running.otherwise(echo(400))
        yield running


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_no_planted_secret_is_kept_printed_or_logged(
    moodle_db: Database,
    gossip: Receiver,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    planted: None,
) -> None:
    config = write_config(
        tmp_path / "sidecar.yaml",
        site="campus",
        moodle={"url": moodle_db.url},
        tail={"start": "latest", "poll": 0.1},
        services={name: {"base_url": gossip.url, **more} for name, more in SERVICES.items()},
        rules=[{"name": name, "event": "*", "service": name, "max_event_age": "none"} for name in SERVICES],
    )
    sidecar = Sidecar(config)
    with closing(sidecar):
        sidecar.run("--until-idle")
        insert_rows(moodle_db.url, [log_row(), log_row()])
        assert sidecar.run("--until-idle", "--log-level", "debug") == 0

    seen_headers = " ".join(value for sent in gossip.requests for _, value in sent.headers)
    assert all(PLANTED[name] in seen_headers for name in ("BEARER", "APIKEY", "HEADER"))
    seen = {"log": sidecar.said, **dump(moodle_db.url)}
    seen |= {look: printed(look, config, capsys) for look in LOOKS}
    assert [
        (where, name) for where, text in seen.items() for name, value in PLANTED.items() if value in text
    ] == []


def dump(url: str) -> dict[str, str]:
    """Return all that is in the sidecar's tables."""
    store = Store(url)
    with store.read() as conn:
        found = {table.name: str(conn.execute(select(table)).all()) for table in metadata.sorted_tables}
    store.close()
    assert "answered 400" in found["mih_dlq"]
    return found


def printed(look: str, config: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command prints, as a table and as JSON."""
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit) as end:
            main([*look.split(), "--config", str(config), *options])
        assert end.value.code in {0, 1}, capsys.readouterr().err
    said = capsys.readouterr()
    return said.out + said.err
