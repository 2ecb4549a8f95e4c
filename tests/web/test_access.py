"""Who may do what: every route for everybody, and nobody without a token."""

import pytest

from tests.web.conftest import MakeSite, Site

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
pytestmark = ON_SQLITE

# The least role that each route lets in. A route that is missing here fails the test below it.
LEAST = {
    ("POST", "/api/v1/services/{name}/request"): "call",
    ("GET", "/api/v1/status"): "view",
    ("GET", "/api/v1/stats"): "view",
    ("POST", "/api/v1/preview"): "manage",
    ("POST", "/api/v1/history"): "manage",
    ("GET", "/api/v1/events"): "view",
    ("GET", "/api/v1/events/{number}"): "view",
    ("GET", "/api/v1/event-names"): "view",
    ("GET", "/api/v1/event-fields"): "view",
    ("GET", "/api/v1/services"): "view",
    ("GET", "/api/v1/services/{name}"): "view",
    ("POST", "/api/v1/services"): "manage",
    ("PUT", "/api/v1/services/{name}"): "manage",
    ("DELETE", "/api/v1/services/{name}"): "manage",
    ("POST", "/api/v1/services/{name}/enable"): "manage",
    ("POST", "/api/v1/services/{name}/disable"): "manage",
    ("GET", "/api/v1/services/{name}/definition"): "manage",
    ("GET", "/api/v1/services/{name}/export"): "manage",
    ("POST", "/api/v1/services/{name}/test"): "manage",
    ("POST", "/api/v1/rules"): "manage",
    ("PUT", "/api/v1/rules/{name}"): "manage",
    ("DELETE", "/api/v1/rules/{name}"): "manage",
    ("POST", "/api/v1/rules/{name}/enable"): "manage",
    ("POST", "/api/v1/rules/{name}/disable"): "manage",
    ("GET", "/api/v1/rules/{name}/definition"): "manage",
    ("GET", "/api/v1/rules/{name}/export"): "manage",
    ("GET", "/api/v1/audit"): "manage",
    ("GET", "/api/v1/ledger"): "view",
    ("GET", "/api/v1/replays"): "view",
    ("GET", "/api/v1/replays/{number}"): "view",
    ("POST", "/api/v1/replays"): "manage",
    ("POST", "/api/v1/replays/{number}/pause"): "manage",
    ("POST", "/api/v1/replays/{number}/resume"): "manage",
    ("POST", "/api/v1/replays/{number}/cancel"): "manage",
    ("POST", "/api/v1/services/{name}/pause"): "manage",
    ("POST", "/api/v1/services/{name}/resume"): "manage",
    ("GET", "/api/v1/circuits"): "view",
    ("POST", "/api/v1/circuits/{name}/reset"): "manage",
    ("GET", "/api/v1/rules"): "view",
    ("GET", "/api/v1/rules/{name}"): "view",
    ("GET", "/api/v1/rules/{name}/history"): "view",
    ("GET", "/api/v1/deliveries"): "view",
    ("GET", "/api/v1/deliveries/{key}"): "view",
    ("GET", "/api/v1/deliveries/{key}/story"): "view",
    ("POST", "/api/v1/deliveries/{key}/retry"): "manage",
    ("POST", "/api/v1/deliveries/{key}/cancel"): "manage",
    ("GET", "/api/v1/log"): "view",
    ("GET", "/api/v1/log/{number}"): "view",
    ("GET", "/api/v1/dead-letters"): "view",
    ("GET", "/api/v1/dead-letters/count"): "view",
    ("GET", "/api/v1/dead-letters/groups"): "view",
    ("POST", "/api/v1/dead-letters/replay"): "manage",
    ("POST", "/api/v1/dead-letters/delete"): "manage",
    ("GET", "/api/v1/dead-letters/{key}"): "view",
    ("GET", "/api/v1/dead-letters/{key}/comparison"): "manage",
    ("POST", "/api/v1/dead-letters/{key}/edit"): "manage",
    ("POST", "/api/v1/dead-letters/{key}/replay"): "manage",
    ("POST", "/api/v1/dead-letters/{key}/delete"): "manage",
}
OPEN = {("GET", "/healthz"), ("GET", "/readyz")}
ROLES = ("", "view", "call", "manage")
BODIES = {
    "/api/v1/services": {"name": "made", "definition": {"base_url": "https://made.example.org"}},
    "/api/v1/rules": {"name": "made", "definition": {"event": "*", "service": "crm"}},
    "/api/v1/services/{name}": {"definition": {}, "revision": 1},
    "/api/v1/rules/{name}": {"definition": {}, "revision": 1},
    "/api/v1/services/{name}/test": {},
    "/api/v1/services/{name}/request": {"mode": "async"},
    "/api/v1/replays": {"rule": "nobody", "ids": "1"},
    "/api/v1/dead-letters/replay": {"all": True, "count": 0},
    "/api/v1/dead-letters/delete": {"all": True, "count": 0},
}


def test_the_table_names_every_route(site: Site) -> None:
    paths = site.anyone.get("/api/openapi.json").json()["paths"]

    assert {(method.upper(), path) for path in paths for method in paths[path]} == {*LEAST, *OPEN}


@pytest.mark.parametrize(("method", "path"), LEAST)
def test_a_route_lets_in_its_role_and_those_above_it(site: Site, method: str, path: str) -> None:
    url = path.format(name="nobody", key="1", number=1)
    statuses = [site.as_role(role).request(method, url, json=BODIES.get(path)).status_code for role in ROLES]

    least = ROLES.index(LEAST[method, path])
    assert statuses[0] == 401
    assert statuses[1:least] == [403] * (least - 1)
    # Let in, some of them find nothing of that name, no log of Moodle's, or ask for more than was said.
    assert {status for status in statuses[least:] if status not in {200, 404, 422, 503}} == set()


def test_the_document_says_which_routes_need_a_token(site: Site) -> None:
    paths = site.anyone.get("/api/openapi.json").json()["paths"]

    needing = {
        (method.upper(), path)
        for path in paths
        for method, route in paths[path].items()
        if route.get("security") == [{"token": []}]
    }
    assert needing == set(LEAST)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "This request carries no token."),
        ("Bearer", "This request carries no token."),
        ("Basic dmlldzp2aWV3", "This request carries no token."),
        ("Bearer view-token-of-some-lengt", "This token is not known."),
        ("Bearer VIEW-TOKEN-OF-SOME-LENGTH", "This token is not known."),
    ],
)
def test_a_stranger_is_told_how_to_get_in(site: Site, header: str | None, message: str) -> None:
    answer = site.anyone.get("/api/v1/status", headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mih"'
    assert answer.json()["error"]["message"] == message
    assert "token" in answer.json()["error"]["remedy"].lower()


def test_a_stranger_learns_nothing_about_what_there_is(site: Site) -> None:
    answer = site.anyone.post("/api/v1/no/such/path", content=b"{", headers={"Content-Type": "text/x"})

    assert answer.status_code == 401


def test_without_tokens_every_call_says_how_to_make_one(make_site: MakeSite) -> None:
    site = make_site(web={})

    answer = site.view.get("/api/v1/status")

    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "No token is configured, so nobody may use the API."
    assert "openssl rand -hex 32" in answer.json()["error"]["remedy"]


def test_a_token_that_left_the_configuration_is_refused_at_once(site: Site) -> None:
    assert site.view.get("/api/v1/services").status_code == 200

    web = site.hub.settings.web.model_copy(update={"tokens": site.hub.settings.web.tokens[1:]})
    site.hub.reconfigure(site.hub.settings.model_copy(update={"web": web}), site.hub.book)

    assert site.view.get("/api/v1/services").status_code == 401
    assert site.call.get("/api/v1/services").status_code == 200


def test_health_and_the_explanation_need_no_token(site: Site) -> None:
    for path in ("/healthz", "/readyz", "/api/docs", "/api/openapi.json"):
        assert site.anyone.get(path).status_code == 200, path
