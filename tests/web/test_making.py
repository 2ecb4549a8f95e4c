"""Services and rules made by the API: kept without secrets, in force at once, changed by one at a time."""

import base64
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from sidecar.settings import load
from sidecar.store import audit
from sidecar.store.tables import metadata
from tests.cli.seeds import Seeds
from tests.receiver import Receiver, answer
from tests.web.conftest import MakeSite, Site

API = "/api/v1"
ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
KEY = base64.b64encode(b"k" * 32).decode()
TOKEN = "planted-token-9f31c0"
HEADER = "planted-header-77aa01"
ERP = {
    "base_url": "https://erp.example.org/api",
    "auth": {"type": "bearer", "token": TOKEN},
    "headers": {"X-Tenant-Key": HEADER},
}
RULE = {"event": r"\core\event\course_created", "service": "erp", "endpoint": "/courses"}


@pytest.fixture
def keyed(make_site: MakeSite) -> Site:
    """A site with a key, so that secrets can be kept."""
    return make_site(store={"secret_key": KEY})


def make(site: Site, name: str = "erp", definition: dict[str, Any] | None = None) -> Any:
    told = site.manage.post(f"{API}/services", json={"name": name, "definition": definition or ERP})
    assert told.status_code == 200, told.text
    return told.json()


def error_of(told: Any, status: int) -> Any:
    assert told.status_code == status, told.text
    return told.json()["error"]


def definition(site: Site, path: str = "services/erp") -> Any:
    return site.manage.get(f"{API}/{path}/definition").json()


def dump(site: Site) -> str:
    with site.store.read() as conn:
        return str([conn.execute(select(table)).all() for table in metadata.sorted_tables])


def test_a_service_made_here_is_in_force_at_once_and_no_table_has_its_secrets(keyed: Site) -> None:
    made = make(keyed)

    assert made == {"kind": "service", "name": "erp", "revision": 1, "created": True}
    in_force = keyed.hub.settings.services["erp"]
    assert in_force.headers["X-Tenant-Key"].get_secret_value() == HEADER
    assert (in_force.source, in_force.network.private, in_force.broken) == ("here", False, None)
    kept = dump(keyed)
    assert "erp.example.org" in kept
    assert TOKEN not in kept
    assert HEADER not in kept


def test_a_service_and_its_rule_are_seen_everywhere_without_secrets(keyed: Site) -> None:
    make(keyed)
    told = keyed.manage.post(f"{API}/rules", json={"name": "courses", "definition": RULE})

    assert told.json()["revision"] == 1
    listed = {one["name"]: one for one in keyed.view.get(f"{API}/services").json()["items"]}
    assert (listed["erp"]["source"], listed["crm"]["source"]) == ("here", "file")
    rules = {one["name"]: one for one in keyed.view.get(f"{API}/rules").json()["items"]}
    assert (rules["courses"]["source"], rules["courses"]["in_force"]) == ("here", "yes")
    assert [item.rule.name for item in keyed.hub.book.for_event(r"\core\event\course_created")] == ["courses"]
    pages = [keyed.manage.get(f"{API}/services/erp{path}").text for path in ("", "/definition", "/export")]
    assert [page for page in pages if TOKEN in page or HEADER in page] == []


@ON_SQLITE
def test_stars_keep_a_secret_and_a_new_one_takes_its_place(keyed: Site) -> None:
    make(keyed)
    seen = definition(keyed)
    assert seen["definition"]["auth"]["token"] == "********"

    changed = {**seen["definition"], "timeout": 9, "headers": {"X-Tenant-Key": "another-header-1"}}
    told = keyed.manage.put(f"{API}/services/erp", json={"definition": changed, "revision": 1})

    assert told.json()["revision"] == 2
    service = keyed.hub.settings.services["erp"]
    assert service.auth.model_dump()["token"].get_secret_value() == TOKEN
    assert service.headers["X-Tenant-Key"].get_secret_value() == "another-header-1"
    assert service.timeout == 9


@ON_SQLITE
def test_a_secret_has_to_be_written_again_when_the_service_moves(keyed: Site) -> None:
    make(keyed)
    elsewhere = {**definition(keyed)["definition"], "base_url": "https://evil.example.org"}

    error = error_of(
        keyed.manage.put(f"{API}/services/erp", json={"definition": elsewhere, "revision": 1}), 422
    )

    assert [one["place"] for one in error["problems"]] == ["auth.token", "headers.X-Tenant-Key"]
    assert keyed.hub.settings.services["erp"].base_url == "https://erp.example.org/api"


@ON_SQLITE
def test_stars_for_what_was_never_kept_are_refused(keyed: Site) -> None:
    wrong = {**ERP, "auth": {"type": "bearer", "token": "********"}}

    error = error_of(keyed.manage.post(f"{API}/services", json={"name": "erp", "definition": wrong}), 422)

    assert error["code"] == "bad_definition"
    assert error["problems"] == [
        {"place": "auth.token", "text": "nothing is kept here yet: ******** cannot stand for it"}
    ]


@ON_SQLITE
def test_a_secret_that_nothing_refers_to_any_more_is_forgotten(keyed: Site) -> None:
    make(keyed)
    plain = {"base_url": "https://erp.example.org/api"}
    keyed.manage.put(f"{API}/services/erp", json={"definition": plain, "revision": 1})

    with keyed.store.read() as conn:
        assert conn.execute(select(metadata.tables["mih_secrets"].c.name)).all() == []


@ON_SQLITE
def test_two_who_change_the_same_do_not_overwrite_each_other(keyed: Site) -> None:
    make(keyed)
    mine, yours = ({**definition(keyed)["definition"], "timeout": n} for n in (7, 8))

    first = keyed.manage.put(f"{API}/services/erp", json={"definition": mine, "revision": 1})
    error = error_of(keyed.manage.put(f"{API}/services/erp", json={"definition": yours, "revision": 1}), 409)

    assert first.status_code == 200
    assert error["code"] == "conflict"
    assert "by manageer" in error["message"]
    assert keyed.hub.settings.services["erp"].timeout == 7


@ON_SQLITE
def test_every_problem_is_told_with_its_place(keyed: Site) -> None:
    wrong = {"base_url": "ftp://erp", "timeuot": 5, "retry": {"max_retries": -1}}

    error = error_of(keyed.manage.post(f"{API}/services", json={"name": "erp", "definition": wrong}), 422)

    assert {one["place"] for one in error["problems"]} == {"base_url", "timeuot", "retry.max_retries"}
    assert 'did you mean "timeout"' in str(error["problems"])


@ON_SQLITE
@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("service", {**RULE, "service": "epr"}),
        ("event", {**RULE, "event": "user_created"}),
        ("payload.id", {**RULE, "payload": {"id": "{{ relatduserid }}"}}),
        ("when", {**RULE, "when": "userid >"}),
        ("endpoint", {**RULE, "endpoint": "/users/${HOME}"}),
        ("name", {**RULE, "name": "another"}),
    ],
)
def test_a_rule_with_a_problem_is_refused(keyed: Site, place: str, wrong: dict[str, Any]) -> None:
    make(keyed)

    told = keyed.manage.post(f"{API}/rules", json={"name": "courses", "definition": wrong})

    assert [one["place"] for one in error_of(told, 422)["problems"]] == [place]


@ON_SQLITE
@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "https://x.example.org/${MIH_SECRET_KEY}"},
        {"base_url": "https://x.example.org", "auth": {"type": "bearer", "token": "${MOODLE_DB_URL}"}},
        {"base_url": "https://x.example.org", "headers": {"X-A": "${secret:services.erp.auth.token}"}},
    ],
)
def test_the_sidecars_own_secrets_cannot_be_had_by_a_service(keyed: Site, wrong: dict[str, Any]) -> None:
    make(keyed)

    error = error_of(keyed.manage.post(f"{API}/services", json={"name": "spy", "definition": wrong}), 422)

    assert "variables are for the configuration file" in error["problems"][0]["text"]


@ON_SQLITE
@pytest.mark.parametrize("name", ["/etc/passwd", "../sidecar.yaml"])
def test_a_certificate_is_looked_for_beside_the_file_only(keyed: Site, name: str) -> None:
    wrong = {"base_url": "https://x.example.org", "tls": {"ca": name}}

    error = error_of(keyed.manage.post(f"{API}/services", json={"name": "spy", "definition": wrong}), 422)

    assert error["problems"][0]["place"] == "tls.ca"
    assert "name a file below" in error["problems"][0]["text"]


@ON_SQLITE
def test_without_a_key_services_can_be_made_but_no_secrets_kept(site: Site) -> None:
    make(site, "open", {"base_url": "https://open.example.org"})

    error = error_of(site.manage.post(f"{API}/services", json={"name": "erp", "definition": ERP}), 422)

    assert "generate-key" in error["message"]
    assert list(site.hub.settings.services) == ["crm", "open"]


@ON_SQLITE
def test_what_stands_in_the_file_is_changed_there(keyed: Site) -> None:
    body = {"definition": {"base_url": "https://x.example.org"}, "revision": 1}

    put = error_of(keyed.manage.put(f"{API}/services/crm", json=body), 409)
    gone = error_of(keyed.manage.delete(f"{API}/rules/new-user"), 409)
    twin = error_of(keyed.manage.post(f"{API}/services", json={"name": "crm", "definition": ERP}), 409)

    assert "edit it there" in put["message"]
    assert "edit it there" in gone["message"]
    assert "choose another name" in twin["message"]


@ON_SQLITE
def test_a_rule_is_switched_off_and_on(keyed: Site) -> None:
    make(keyed)
    keyed.manage.post(f"{API}/rules", json={"name": "courses", "definition": RULE})

    off = keyed.manage.post(f"{API}/rules/courses/disable").json()
    matched = keyed.hub.book.for_event(RULE["event"])
    keyed.manage.post(f"{API}/rules/courses/enable")

    assert (off["revision"], matched) == (2, ())
    assert len(keyed.hub.book.for_event(RULE["event"])) == 1


@ON_SQLITE
def test_a_disabled_service_keeps_its_secrets(keyed: Site) -> None:
    make(keyed)

    keyed.manage.post(f"{API}/services/erp/disable")
    off = keyed.hub.settings.services["erp"].enabled
    keyed.manage.post(f"{API}/services/erp/enable")

    service = keyed.hub.settings.services["erp"]
    assert (off, service.enabled) == (False, True)
    assert service.auth.model_dump()["token"].get_secret_value() == TOKEN


@ON_SQLITE
@pytest.mark.parametrize("what", ["services/erp", "rules/courses"])
@pytest.mark.parametrize(
    ("waiting", "state"), [("park", "pending"), ("cancel", "cancelled"), ("bury", "dead")]
)
def test_what_has_deliveries_waiting_is_switched_off_when_it_is_said_what_becomes_of_them(
    keyed: Site, seeds_of: Any, what: str, waiting: str, state: str
) -> None:
    seeds: Seeds = seeds_of(keyed)
    make(keyed)
    keyed.manage.post(f"{API}/rules", json={"name": "courses", "definition": RULE})
    owed = seeds.delivery(1, service="erp", rule="courses")

    error = error_of(keyed.manage.post(f"{API}/{what}/disable"), 409)
    off = keyed.manage.post(f"{API}/{what}/disable?waiting={waiting}").json()

    assert (error["code"], error["waiting"]) == ("still_waiting", 1)
    assert off["revision"] == 2
    assert seeds.state(owed) == state


@pytest.mark.parametrize(
    ("waiting", "state", "letters"), [("park", "pending", 0), ("cancel", "cancelled", 0), ("bury", "dead", 1)]
)
def test_a_service_is_deleted_when_it_is_said_what_becomes_of_what_waits(
    keyed: Site, seeds_of: Any, waiting: str, state: str, letters: int
) -> None:
    seeds: Seeds = seeds_of(keyed)
    make(keyed)
    owed = seeds.delivery(1, service="erp")

    error = error_of(keyed.manage.delete(f"{API}/services/erp"), 409)
    gone = keyed.manage.delete(f"{API}/services/erp?waiting={waiting}")

    assert (error["code"], error["waiting"]) == ("still_waiting", 1)
    assert gone.json() == {"kind": "service", "name": "erp", "waiting": 1}
    assert (seeds.state(owed), seeds.letters()) == (state, letters)
    assert "erp" not in keyed.hub.settings.services
    assert TOKEN not in dump(keyed)


@ON_SQLITE
def test_what_was_buried_with_its_service_is_sent_when_there_is_one_again(keyed: Site, seeds_of: Any) -> None:
    seeds: Seeds = seeds_of(keyed)
    make(keyed)
    owed = seeds.delivery(1, service="erp")
    keyed.manage.delete(f"{API}/services/erp?waiting=bury")
    make(keyed)

    told = keyed.manage.post(f"{API}/dead-letters/{owed.delivery_id}/replay").json()

    assert told["replayed"] == 1
    assert seeds.state(owed) == "pending"


@ON_SQLITE
def test_a_service_that_rules_use_is_not_deleted(keyed: Site) -> None:
    make(keyed)
    keyed.manage.post(f"{API}/rules", json={"name": "courses", "definition": RULE})

    error = error_of(keyed.manage.delete(f"{API}/services/erp?waiting=cancel"), 409)

    assert "used by courses" in error["message"]


@ON_SQLITE
def test_a_rule_is_deleted_with_what_it_made(keyed: Site, seeds_of: Any) -> None:
    seeds: Seeds = seeds_of(keyed)
    make(keyed)
    keyed.manage.post(f"{API}/rules", json={"name": "courses", "definition": RULE})
    owed = seeds.delivery(1, service="erp", rule="courses")

    error = error_of(keyed.manage.delete(f"{API}/rules/courses"), 409)
    keyed.manage.delete(f"{API}/rules/courses?waiting=cancel")

    assert error["waiting"] == 1
    assert seeds.state(owed) == "cancelled"
    assert keyed.hub.book.for_event(RULE["event"]) == ()


@ON_SQLITE
def test_an_export_put_into_the_file_means_the_same(keyed: Site, tmp_path: Any) -> None:
    rule: dict[str, Any] = {
        **RULE,
        "payload": '{\n  "id": {{ courseid }}\n}\n',
        "where": {"courseid": [2, 3]},
        "timeout": "1e1",
    }
    rule["headers"] = {"X-Numb": "1e5", "X-Off": "off", "X-Dollar": "$${x"}
    rule["timeout"] = 10
    make(keyed)
    told = keyed.manage.post(f"{API}/rules", json={"name": "courses", "definition": rule})
    assert told.status_code == 200, told.text

    texts = [
        keyed.manage.get(f"{API}/{path}/export").json()["yaml"] for path in ("services/erp", "rules/courses")
    ]

    assert "${ERP_TOKEN}" in texts[0]
    path = tmp_path / "exported.yaml"
    head = {"site": "campus", "moodle": {"url": "sqlite:///x.sqlite"}}
    path.write_text(yaml.safe_dump(head) + "".join(texts), encoding="utf-8")
    read = load(path, {"ERP_TOKEN": TOKEN, "ERP_X_TENANT_KEY": HEADER})
    (again,) = read.rules
    assert again == next(one for one in keyed.hub.settings.rules if one.name == "courses")
    assert read.services["erp"].model_dump() == keyed.hub.settings.services["erp"].model_dump()


@ON_SQLITE
def test_a_broker_url_with_a_password_is_kept_without_it(keyed: Site) -> None:
    make(keyed, "bus", {"type": "amqp", "base_url": f"amqp://moodle:{TOKEN}@mq.example.org/v?exchange=x"})

    shown = definition(keyed, "services/bus")["definition"]

    assert shown["base_url"] == "amqp://mq.example.org/v?exchange=x"
    assert shown["auth"] == {"type": "basic", "username": "moodle", "password": "********"}
    assert TOKEN not in dump(keyed)


@ON_SQLITE
def test_a_private_address_is_refused_for_what_is_made_here_unless_it_is_listed(
    make_site: MakeSite, receiver: Receiver
) -> None:
    strict, listed = make_site(), make_site(network={"allow": ["127.0.0.0/8"]})
    make(strict, "erp", {"base_url": receiver.url})
    listed.hub.refresh()

    refused = strict.manage.post(f"{API}/services/erp/test", json={}).json()
    allowed = listed.manage.post(f"{API}/services/erp/test", json={}).json()
    of_file = strict.manage.post(f"{API}/services/crm/test", json={}).json()

    assert (refused["reached"], refused["outcome"]) == (False, "invalid")
    assert "network.allow" in refused["error"]
    assert (allowed["reached"], allowed["accepted"], allowed["status"]) == (True, True, 200)
    assert of_file["accepted"] is True
    assert [one.method for one in receiver.requests] == ["GET", "GET"]


@ON_SQLITE
def test_a_try_counts_nowhere(make_site: MakeSite, receiver: Receiver) -> None:
    site = make_site(crm={"circuit_breaker": {"failure_threshold": 1}})
    receiver.otherwise(answer(503))

    told = site.manage.post(f"{API}/services/crm/test", json={"method": "HEAD", "endpoint": "/ping"}).json()

    assert (told["reached"], told["status"]) == (False, 503)
    (seen,) = receiver.requests
    assert (seen.method, seen.target) == ("HEAD", "/ping")
    assert site.view.get(f"{API}/circuits").json()["items"][0]["state"] == "closed"
    assert site.view.get(f"{API}/log").json()["items"] == []


@ON_SQLITE
def test_everything_that_was_changed_is_in_the_audit_without_secrets(keyed: Site, seeds_of: Any) -> None:
    seeds: Seeds = seeds_of(keyed)
    make(keyed)
    changed = {**definition(keyed)["definition"], "timeout": 9, "headers": {"X-Tenant-Key": "another-one-1"}}
    keyed.manage.put(f"{API}/services/erp", json={"definition": changed, "revision": 1})
    keyed.manage.post(f"{API}/services/crm/pause")
    keyed.manage.post(f"{API}/circuits/crm/reset")
    dead = seeds.rejected(1)
    keyed.manage.post(f"{API}/dead-letters/{dead.delivery_id}/replay")
    keyed.manage.post(f"{API}/deliveries/{dead.delivery_id}/cancel")
    keyed.manage.delete(f"{API}/services/erp")

    told = keyed.manage.get(f"{API}/audit").json()["items"]

    assert [(one["action"], one["object"]) for one in reversed(told)] == [
        ("service.create", "service erp"),
        ("service.change", "service erp"),
        ("service.pause", "service crm"),
        ("circuit.reset", "service crm"),
        ("dead_letter.replay", f"delivery {dead.delivery_id}"),
        ("delivery.cancel", f"delivery {dead.delivery_id}"),
        ("service.delete", "service erp"),
    ]
    assert {(one["who"], one["via"]) for one in told} == {("manageer", "api")}
    assert told[-2]["detail"] == "timeout, headers.X-Tenant-Key (secret)"
    assert "planted" not in str(told)
    assert len(keyed.manage.get(f"{API}/audit?action=service.pause").json()["items"]) == 1


@ON_SQLITE
def test_a_change_that_is_refused_leaves_no_trace(keyed: Site) -> None:
    make(keyed)
    keyed.manage.put(f"{API}/services/erp", json={"definition": ERP, "revision": 7})

    with keyed.store.read() as conn:
        assert [row.action for row in audit.find(conn)] == ["service.create"]
