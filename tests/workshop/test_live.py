"""What is made in one process is in force in the others; what is unsound costs itself and nothing else."""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import update

from sidecar import workshop
from sidecar.clock import FakeClock
from sidecar.errors import ConfigError
from sidecar.gateway.gateway import Gateway
from sidecar.hub import Hub, load
from sidecar.model import DeliveryState
from sidecar.settings import Kind, read
from sidecar.store import deliveries, overview, replicas, services, vault
from sidecar.store.audit import Author
from sidecar.store.tables import definitions, secrets
from sidecar.store.vault import Keys
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.receiver import Receiver

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
ME = Author("ada", "dashboard")
KEY, OTHER = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))
TOKEN = "planted-token-9f31c0"
ERP = {"base_url": "https://erp.example.org/api", "auth": {"type": "bearer", "token": TOKEN}}
RULE = {"event": r"\core\event\course_created", "service": "erp", "endpoint": "/courses"}

MakeHub = Callable[..., Hub]


class File:
    """The configuration file of a site."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.values: dict[str, Any] = {
            "site": "campus",
            "moodle": {"url": url},
            "store": {"secret_key": KEY},
            "services": {"crm": {"base_url": "https://crm.example.org"}},
            "rules": [{"name": "new-user", "event": r"\core\event\user_created", "service": "crm"}],
        }

    def write(self, **sections: Any) -> None:
        """Write it, with other sections."""
        self.values |= sections
        self.path.write_text(yaml.safe_dump(self.values), encoding="utf-8")


@pytest.fixture
def file(database: Database, tmp_path: Path) -> File:
    made = File(tmp_path / "sidecar.yaml", database.url)
    made.write()
    return made


@pytest.fixture
def make_hub(file: File, clock: FakeClock) -> Iterator[MakeHub]:
    """Processes of the site, each with the file as it is when it starts."""
    made: list[Hub] = []

    def make() -> Hub:
        loaded = load(file.path, {})
        hub = Hub(loaded.settings, loaded.book, role="dispatch", clock=clock, source=loaded.source)
        made.append(hub)
        hub.open()
        return hub

    yield make
    for hub in made:
        hub.close()


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    return make_hub()


def flaws(hub: Hub) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.name, one.shadowed) for one in hub.settings.made.flaws]


def obstacle(hub: Hub, name: str) -> str | None:
    with hub.store.read() as conn:
        return overview.obstacles(conn, hub.settings.services, {name: None}).get(name)


def test_what_one_process_makes_the_other_has_after_its_next_look(make_hub: MakeHub) -> None:
    here, there = make_hub(), make_hub()

    workshop.save_service(here, "erp", ERP, by=ME)
    workshop.save_rule(here, "courses", RULE, by=ME)
    before = there.book.for_event(RULE["event"])
    looked = (there.refresh(), there.refresh())

    assert (before, looked) == ((), (True, False))
    assert [one.rule.name for one in there.book.for_event(RULE["event"])] == ["courses"]
    assert there.settings.services["erp"].auth.model_dump()["token"].get_secret_value() == TOKEN
    workshop.remove(there, Kind.RULE, "courses", by=ME)
    assert here.refresh() is True
    assert here.book.for_event(RULE["event"]) == ()


def test_a_process_that_starts_later_has_it_too_and_so_have_scripts(
    make_hub: MakeHub, file: File, clock: FakeClock
) -> None:
    workshop.save_service(make_hub(), "erp", ERP, by=ME)

    later = make_hub()

    assert later.settings.services["erp"].source == "here"
    with Gateway.from_config(file.path, {}) as gateway:
        answer = gateway.request("erp", method="GET")
    assert "there is no service" not in str(answer.error)


@ON_SQLITE
def test_two_processes_change_the_same_and_one_is_told(make_hub: MakeHub) -> None:
    here, there = make_hub(), make_hub()
    workshop.save_service(here, "erp", ERP, by=ME)
    there.refresh()
    workshop.save_service(here, "erp", {**ERP, "timeout": 7}, by=ME, revision=1)

    with pytest.raises(workshop.Conflict, match="changed meanwhile, by ada"):
        workshop.save_service(there, "erp", {**ERP, "timeout": 8}, by=ME, revision=1)

    assert there.settings.services["erp"].timeout == 7


@pytest.mark.parametrize("revision", [None, 1])
def test_of_many_at_the_same_moment_exactly_one_is_kept(make_hub: MakeHub, revision: int | None) -> None:
    hubs = [make_hub(), make_hub()]
    if revision:
        workshop.save_service(hubs[0], "erp", ERP, by=ME)
        hubs[1].refresh()

    def change(number: int) -> str:
        try:
            values = {**ERP, "timeout": 10 + number}
            workshop.save_service(hubs[number % 2], "erp", values, by=ME, revision=revision)
        except workshop.Conflict:
            return "conflict"
        return "kept"

    with ThreadPoolExecutor(6) as threads:
        told = sorted(threads.map(change, range(6)))

    assert told == ["conflict"] * 5 + ["kept"]
    timeouts = {(hub.refresh(), hub.settings.services["erp"].timeout)[1] for hub in hubs}
    assert len(timeouts) == 1


def test_an_edit_of_the_file_keeps_what_was_made_here(hub: Hub, file: File) -> None:
    workshop.save_service(hub, "erp", ERP, by=ME)
    file.write(services={"crm": {"base_url": "https://crm.example.org", "timeout": 9}})

    hub.reload(read(file.path, {}))

    assert hub.settings.services["crm"].timeout == 9
    assert hub.settings.services["erp"].auth.type == "bearer"


@ON_SQLITE
def test_a_broken_edit_of_the_file_does_not_keep_changes_made_here_from_coming_into_force(
    hub: Hub, file: File
) -> None:
    file.path.write_text("site: [", encoding="utf-8")
    with pytest.raises(ConfigError):
        hub.reload(read(file.path, {}))

    workshop.save_service(hub, "erp", ERP, by=ME)

    assert list(hub.settings.services) == ["crm", "erp"]


def test_with_a_lost_key_the_service_is_broken_and_what_is_for_it_waits(
    make_hub: MakeHub, file: File, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    before = make_hub()
    workshop.save_service(before, "erp", ERP, by=ME)
    workshop.save_rule(before, "courses", RULE, by=ME)
    file.write(store={"secret_key": OTHER})

    with caplog.at_level(logging.WARNING, "mih"):
        hub = make_hub()
    owed = Seeds(hub.store, clock).delivery(1, service="erp", rule="courses")
    hub.dispatcher.wake()
    hub.dispatcher.run_once()

    assert flaws(hub) == [("service", "erp", False)]
    assert "definition.broken kind=service name=erp" in caplog.text
    assert (obstacle(hub, "erp"), obstacle(hub, "crm")) == ("broken", None)
    assert Seeds(hub.store, clock).state(owed) == DeliveryState.PENDING
    assert [one.rule.name for one in hub.book.for_event(RULE["event"])] == ["courses"]
    assert TOKEN not in caplog.text


def test_the_key_that_comes_back_mends_it_while_the_process_runs(
    make_hub: MakeHub, file: File, clock: FakeClock
) -> None:
    workshop.save_service(make_hub(), "erp", ERP, by=ME)
    file.write(store={"secret_key": OTHER})
    hub = make_hub()
    assert flaws(hub)

    file.write(store={"secret_key": f"{OTHER},{KEY}"})
    later = hub.reload(read(file.path, {}))
    with hub.store.write() as conn:
        done = vault.rotate(conn, Keys(f"{OTHER},{KEY}"), now=clock.now())
    file.write(store={"secret_key": OTHER})
    hub.reload(read(file.path, {}))

    assert (later, done.sealed) == ([], 1)
    assert (flaws(hub), obstacle(hub, "erp")) == ([], None)
    assert hub.settings.services["erp"].auth.model_dump()["token"].get_secret_value() == TOKEN


@ON_SQLITE
def test_a_secret_of_the_store_stands_in_the_file(hub: Hub, file: File, clock: FakeClock) -> None:
    wanting = {"base_url": "https://crm.example.org", "headers": {"X-Key": "a ${secret:crm-key} b"}}
    file.write(services={"crm": wanting})
    hub.reload(read(file.path, {}))
    missing = (flaws(hub), hub.settings.services["crm"].broken, len(hub.book.rules))

    with hub.store.write() as conn:
        vault.put(conn, Keys(KEY), "crm-key", TOKEN, now=clock.now())
    hub.refresh()

    assert missing == (
        [("service", "crm", False)],
        "headers.X-Key: there is no secret crm-key: `mih secrets set crm-key` keeps one",
        1,
    )
    crm = hub.settings.services["crm"]
    assert (crm.broken, crm.source, crm.network.private) == (None, "file", True)
    assert crm.headers["X-Key"].get_secret_value() == f"a {TOKEN} b"


@ON_SQLITE
def test_a_secret_of_the_store_cannot_stand_elsewhere_in_the_file(file: File) -> None:
    file.write(site_url="https://${secret:x}")

    with pytest.raises(ConfigError, match="can stand in services only"):
        load(file.path, {})


@ON_SQLITE
def test_a_signing_secret_that_cannot_be_read_breaks_its_service_only(hub: Hub, file: File) -> None:
    signed = {
        "base_url": "https://crm.example.org",
        "format": "cloudevents",
        "signing": {"secret": "${secret:x}"},
    }
    file.write(services={"crm": signed})

    hub.reload(read(file.path, {}))

    crm = hub.settings.services["crm"]
    assert (crm.enabled, crm.format, crm.base_url) == (False, "cloudevents", "https://crm.example.org")


@ON_SQLITE
def test_the_key_can_come_from_the_environment(file: File, clock: FakeClock) -> None:
    file.write(store={"migrate": "apply"})
    loaded = load(file.path, {"MIH_SECRET_KEY": KEY})
    hub = Hub(loaded.settings, loaded.book, role="dispatch", clock=clock, source=loaded.source)
    hub.open()

    workshop.save_service(hub, "erp", ERP, by=ME)

    assert hub.settings.services["erp"].broken is None
    hub.close()


@ON_SQLITE
def test_a_name_of_the_file_wins_over_one_made_here(hub: Hub, file: File) -> None:
    workshop.save_service(hub, "erp", ERP, by=ME)
    workshop.save_rule(hub, "courses", RULE, by=ME)
    file.write(
        services={**file.values["services"], "erp": {"base_url": "https://of-file.example.org"}},
        rules=[*file.values["rules"], {**RULE, "name": "courses", "endpoint": "/of-file"}],
    )

    hub.reload(read(file.path, {}))

    assert flaws(hub) == [("service", "erp", True), ("rule", "courses", True)]
    assert hub.settings.services["erp"].base_url == "https://of-file.example.org"
    assert [rule.endpoint for rule in hub.settings.rules] == ["", "/of-file"]
    assert workshop.show(hub, Kind.SERVICE, "erp").shadowed is True
    workshop.remove(hub, Kind.RULE, "courses", by=ME)
    assert flaws(hub) == [("service", "erp", True)]


def test_a_rule_whose_service_left_the_file_is_left_out(
    hub: Hub, file: File, make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    workshop.save_rule(hub, "courses", {**RULE, "service": "crm"}, by=ME)
    file.write(services={"erp": {"base_url": "https://erp.example.org"}}, rules=[])

    with caplog.at_level(logging.WARNING, "mih"):
        hub.reload(read(file.path, {}))
    started = make_hub()

    assert flaws(hub) == flaws(started) == [("rule", "courses", False)]
    assert 'service: unknown service "crm"' in caplog.text
    assert started.book.rules == ()


@ON_SQLITE
@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (Kind.SERVICE, {"base_url": "https://x.example.org", "gone_option": 1}, "gone_option: unknown key"),
        (Kind.SERVICE, ["no", "mapping"], "expected a mapping"),
        (Kind.RULE, {**RULE, "service": "crm", "payload": "{{ user.no_such }}"}, "no_such"),
        (Kind.RULE, {**RULE, "service": "crm", "where": {"colour": 1}}, "where.colour: unknown column"),
        (Kind.RULE, "{broken", "is no JSON"),
    ],
)
def test_a_definition_that_an_upgrade_broke_stops_nobody_else(
    hub: Hub, make_hub: MakeHub, *, kind: Kind, text: Any, reason: str
) -> None:
    with hub.store.write() as conn:
        conn.execute(
            definitions.insert(),
            {
                "kind": kind,
                "name": "old",
                "definition": text if isinstance(text, str) else json.dumps(text),
                "revision": 1,
                "updated_by": "ada",
                "updated_at": hub.clock.now(),
            },
        )

    started = make_hub()

    (flaw,) = started.settings.made.flaws
    assert (flaw.kind, flaw.name) == (kind, "old")
    assert reason in flaw.reason
    assert [one.rule.name for one in started.book.rules] == ["new-user"]
    assert ("old" in started.settings.services) is (kind is Kind.SERVICE)
    assert started.settings.services["crm"].enabled
    workshop.remove(started, kind, "old", by=ME)
    assert started.settings.made.flaws == ()


@ON_SQLITE
def test_a_broken_service_goes_on_having_its_rules_rendered_in_its_format(
    hub: Hub, make_hub: MakeHub
) -> None:
    workshop.save_service(hub, "erp", {"base_url": "https://x.example.org", "format": "form"}, by=ME)
    with hub.store.write() as conn:
        old = json.dumps({"base_url": "https://x.example.org", "format": "form", "gone": 1})
        conn.execute(update(definitions).values(definition=old, revision=2))

    started = make_hub()

    assert started.settings.services["erp"].format == "form"
    assert started.settings.services["erp"].enabled is False


@ON_SQLITE
def test_a_broken_service_is_mended_by_a_change(hub: Hub, clock: FakeClock) -> None:
    workshop.save_service(hub, "erp", ERP, by=ME)
    clock.advance(1)
    with hub.store.write() as conn:
        conn.execute(update(secrets).values(sealed="x", updated_at=clock.now()))
    hub.refresh()
    assert flaws(hub)
    new = {**ERP, "auth": {"type": "bearer", "token": "new-one-12"}}

    workshop.save_service(hub, "erp", new, by=ME, revision=1)

    assert flaws(hub) == []


@ON_SQLITE
def test_a_pause_survives_a_process_that_has_not_seen_the_service_yet(make_hub: MakeHub) -> None:
    here, behind = make_hub(), make_hub()
    workshop.save_service(here, "erp", ERP, by=ME)
    with here.store.write() as conn:
        services.pause(conn, "erp", pause=True, now=here.clock.now())

    behind.reconfigure(behind.settings, behind.book)

    with here.store.read() as conn:
        assert services.paused(conn) == {"erp"}


@ON_SQLITE
def test_a_rule_made_here_may_name_a_ready_template_and_a_file_beside_the_configuration(
    hub: Hub, file: File
) -> None:
    folder = file.path.parent / "payloads"
    folder.mkdir()
    (folder / "mine.json.j2").write_text('{"id": {{ courseid }}}', encoding="utf-8")

    workshop.save_rule(hub, "courses", {**RULE, "service": "crm", "payload": "file:mine.json.j2"}, by=ME)

    assert hub.settings.rules[-1].payload == '{"id": {{ courseid }}}'
    wrong = {**RULE, "service": "crm", "payload": "file:../sidecar.yaml"}
    with pytest.raises(workshop.BadDefinition, match="has to be inside"):
        workshop.save_rule(hub, "spy", wrong, by=ME)


@ON_SQLITE
def test_a_longer_timeout_than_the_lease_allows_is_told_where_it_can_be_mended(hub: Hub) -> None:
    with pytest.raises(workshop.BadDefinition) as caught:
        workshop.save_service(hub, "erp", {"base_url": "https://x.example.org", "timeout": 120}, by=ME)

    assert [one.place for one in caught.value.problems] == ["timeout"]


@ON_SQLITE
@pytest.mark.parametrize(
    "values", [None, [], "text", {"base_url": float("nan")}, {"a": "\ud800"}, {"a": "\0"}]
)
def test_what_is_no_definition_at_all_is_refused_in_words(hub: Hub, values: Any) -> None:
    with pytest.raises(workshop.BadDefinition):
        workshop.save_service(hub, "erp", values, by=ME)


@ON_SQLITE
@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 101, "-a", "a\n"])
def test_a_name_that_no_address_can_hold_is_refused(hub: Hub, name: str) -> None:
    with pytest.raises(workshop.BadDefinition, match="name"):
        workshop.save_service(hub, name, {"base_url": "https://x.example.org"}, by=ME)


@ON_SQLITE
def test_a_name_with_a_dot_keeps_its_secrets_apart_from_its_namesake(hub: Hub) -> None:
    workshop.save_service(hub, "a.b", ERP, by=ME)
    workshop.save_service(hub, "a", ERP, by=ME)
    workshop.save_service(hub, "a", {"base_url": "https://x.example.org"}, by=ME, revision=1)

    assert hub.settings.services["a.b"].auth.model_dump()["token"].get_secret_value() == TOKEN
    assert flaws(hub) == []


@ON_SQLITE
def test_values_are_tried_before_they_are_saved(hub: Hub, file: File) -> None:
    with Receiver() as receiver:
        refused = workshop.try_values(hub, "erp", {"base_url": receiver.url})
        file.write(network={"allow": ["127.0.0.0/8"]})
        hub.reload(read(file.path, {}))
        accepted = workshop.try_values(hub, "erp", {"base_url": receiver.url})

    assert (refused.reached, accepted.accepted) == (False, True)
    assert "erp" not in hub.settings.services


def test_deliveries_of_a_removed_service_are_parked_until_there_is_one_again(
    hub: Hub, clock: FakeClock
) -> None:
    workshop.save_service(hub, "erp", ERP, by=ME)
    owed = Seeds(hub.store, clock).delivery(1, service="erp")

    workshop.remove(hub, Kind.SERVICE, "erp", by=ME, waiting=workshop.Waiting.PARK)
    gone = obstacle(hub, "erp")
    workshop.save_service(hub, "erp", ERP, by=ME)

    assert (gone, obstacle(hub, "erp")) == ("not configured", None)
    with hub.store.read() as conn:
        found = deliveries.get(conn, owed.delivery_id)
    assert found is not None
    assert found.state == DeliveryState.PENDING


def test_processes_with_different_files_say_so_and_the_last_one_left_puts_its_own_in_order(
    file: File, make_hub: MakeHub, caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    first = make_hub()
    file.write(services={"erp": {"base_url": "https://erp.example.org"}}, rules=[])
    second = make_hub()

    first.compare()
    said_at_once = first.discord
    first.compare()
    second.compare()
    second.compare()

    assert said_at_once is None
    assert "other services or rules (crm, erp, new-user)" in (first.discord or "")
    assert second.discord is None  # its own are those in the tables
    assert [one.getMessage()[:14] for one in caplog.records if "differs" in one.getMessage()] == [
        "config.differs"
    ]

    with second.store.write() as conn:
        replicas.leave(conn, second.replica.name)
    first.compare()

    with first.store.read() as conn:
        written = services.of_file(conn)
    assert first.discord is None
    assert written == {"crm"}
