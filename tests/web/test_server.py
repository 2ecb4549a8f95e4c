"""The listener itself: its port, its health, its headers, its log, and a database that goes away."""

import logging
import socket

import pytest

from sidecar.web.server import CannotListen, Server
from tests.acceptance.sidecar import eventually
from tests.servers import MariaDB
from tests.web.conftest import TOKENS, MakeSite, Site

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@ON_SQLITE
def test_a_port_that_is_taken_is_told_with_what_to_change(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(CannotListen, match=rf"port {port} cannot be listened on.*Set web.port"):
            Server(site.hub, pulse=lambda: None, port=port).start()


@ON_SQLITE
def test_the_second_piece_of_an_answer_waits_for_no_acknowledgement(site: Site) -> None:
    asked = [site.anyone.get("/healthz") for _ in range(12)]

    # Waiting would take 40 ms each time from the first requests on.
    assert min(one.elapsed.total_seconds() for one in asked[4:]) < 0.03


@ON_SQLITE
def test_health_fails_with_the_reason_when_a_loop_stands_still(site: Site) -> None:
    assert site.anyone.get("/healthz").json() == {"status": "well", "reason": None}

    site.ailment = "its tail has made no round for 75 s: its log says why"

    for path in ("/healthz", "/readyz"):
        told = site.anyone.get(path)
        assert told.status_code == 503
        assert told.json() == {"status": "ill", "reason": site.ailment}


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
def test_database_that_goes_away_is_explained_and_comes_back(site: Site, mariadb: MariaDB) -> None:
    assert site.view.get("/api/v1/services").status_code == 200

    mariadb.kill()
    listed = site.view.get("/api/v1/services")
    called = site.call.post("/api/v1/services/crm/request", json={"mode": "async"})
    healthy, ready = site.anyone.get("/healthz"), site.anyone.get("/readyz")
    mariadb.start()

    for told in (listed, called):
        assert (told.status_code, told.json()["error"]["code"]) == (503, "database_away")
        assert told.headers["Retry-After"] == "5"
        assert "not-a-secret" not in told.text
    assert (healthy.status_code, ready.status_code) == (200, 503)
    assert site.view.get("/api/v1/services").status_code == 200


@ON_SQLITE
def test_an_error_of_the_program_is_logged_and_not_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("inner workings")

    monkeypatch.setattr("sidecar.store.overview.lots", fail)

    told = site.view.get("/api/v1/services")

    assert (told.status_code, told.json()["error"]["code"]) == (500, "broken")
    assert "inner workings" not in told.text
    eventually(lambda: "inner workings" in caplog.text)


@ON_SQLITE
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/status", "/api/docs", "/nothing", "/api/v1/x"])
def test_every_answer_has_the_headers_that_keep_browsers_safe(site: Site, path: str) -> None:
    told = site.view.get(path, headers={"Origin": "https://evil.example"})

    assert told.headers["X-Content-Type-Options"] == "nosniff"
    assert told.headers["X-Frame-Options"] == "DENY"
    assert told.headers["Cache-Control"] == "no-store"
    assert told.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Access-Control-Allow-Origin" not in told.headers
    assert "Server" not in told.headers


@ON_SQLITE
def test_requests_are_logged_by_the_tokens_name_and_on_one_line(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mih.web")

    site.view.get("/api/v1/services/a%0Aforged?token=hunter2-hunter2")

    # The line is written after the answer.
    eventually(lambda: "web.request" in caplog.text)
    [line] = [record.getMessage() for record in caplog.records if "web.request" in record.getMessage()]
    assert "method=GET path=/api/v1/services/a%0Aforged token=viewer status=422" in line
    assert "hunter2" not in line
    assert TOKENS["view"] not in caplog.text


@ON_SQLITE
def test_listening_beyond_this_machine_is_warned_about(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mih.web")

    make_site(web={"host": "0.0.0.0", "port": 8080})

    assert "web.exposed host=0.0.0.0" in caplog.text
