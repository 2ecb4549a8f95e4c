"""`mih secrets` and `mih audit`: keys are changed, values go in and never come out, deeds are noted."""

import base64
import getpass
from datetime import timedelta

import pytest

from sidecar.store import audit, vault
from sidecar.store.vault import Keys
from tests.cli.conftest import CONFIG, Mih
from tests.cli.seeds import Seeds
from tests.databases import Database

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
OLD, NEW = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n"))
SECRET = "planted-secret-51c7"


@pytest.fixture
def keyed(mih: Mih, seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> Mih:
    """The command line with a key in the environment, and tables."""
    monkeypatch.setenv("MIH_SECRET_KEY", OLD)
    return mih


@ON_SQLITE
def test_a_key_is_made(mih: Mih) -> None:
    made = mih("secrets", "generate-key", config=False).out.strip()

    assert Keys(made).problem is None
    assert len(Keys(made).ids) == 1


def test_a_secret_is_kept_listed_and_forgotten_and_never_shown(keyed: Mih, seeds: Seeds) -> None:
    kept = keyed("secrets", "set", "crm-key", typed=f"{SECRET}\n")
    listed = keyed("secrets", "list", "--json")
    table = keyed("secrets", "list")
    gone = keyed("secrets", "delete", "crm-key", "--yes")

    assert (kept.code, "Write ${secret:crm-key} where it is wanted" in kept.out) == (0, True)
    (row,) = listed.json
    assert (row["name"], row["key"], row["wanted"], row["problem"]) == (
        "crm-key",
        Keys(OLD).ids[0],
        False,
        None,
    )
    assert SECRET not in kept.out + listed.out + table.out + gone.out
    assert keyed("secrets", "list").out == "No secret is kept.\n"


@ON_SQLITE
def test_what_was_typed_is_what_the_service_gets(keyed: Mih, seeds: Seeds) -> None:
    keyed("secrets", "set", "crm-key", typed=f"  {SECRET} \n")

    with seeds.store.read() as conn:
        assert vault.opened(vault.all_rows(conn), Keys(OLD)).values == {"crm-key": f"  {SECRET} "}


@ON_SQLITE
def test_a_secret_that_a_service_waits_for_is_asked_about(keyed: Mih, database: Database) -> None:
    keyed.write(database.url, CONFIG.replace("hunter2-hunter2", '"${secret:crm-key}"'))
    broken = keyed("services", "show", "crm", "--json").json
    keyed("secrets", "set", "crm-key", typed=SECRET)

    mended = keyed("services", "show", "crm", "--json").json
    asked = keyed("secrets", "delete", "crm-key", typed="n\n")

    assert (broken["broken"], broken["obstacle"]) == (
        "auth.token: there is no secret crm-key: `mih secrets set crm-key` keeps one",
        "broken",
    )
    assert (mended["broken"], mended["obstacle"]) == (None, None)
    assert "It is wanted by a service" in asked.err
    assert asked.code == 1


@ON_SQLITE
@pytest.mark.parametrize("typed", ["", "\n", "a\0b"])
def test_no_secret_is_not_kept(keyed: Mih, typed: str) -> None:
    said = keyed("secrets", "set", "crm-key", typed=typed)

    assert (said.code, "Nothing was kept" in said.err) == (1, True)


@ON_SQLITE
@pytest.mark.parametrize("name", ["a b", "a}", "x" * 201])
def test_a_name_that_no_reference_can_hold_is_refused(keyed: Mih, name: str) -> None:
    assert keyed("secrets", "set", name, typed=SECRET).code == 2


@ON_SQLITE
def test_without_a_key_the_remedy_is_told(mih: Mih, seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIH_SECRET_KEY", raising=False)

    said = mih("secrets", "set", "crm-key", typed=SECRET)

    assert said.code == 1
    assert "`mih secrets generate-key` makes one" in said.err


def test_the_key_is_changed(keyed: Mih, seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed("secrets", "set", "a", typed="1")
    keyed("secrets", "set", "b", typed="2")
    monkeypatch.setenv("MIH_SECRET_KEY", f"{NEW},{OLD}")

    done = keyed("secrets", "rotate")
    again = keyed("secrets", "rotate", "--json").json

    assert done.out.startswith(f"2 secrets sealed anew with the key {Keys(NEW).ids[0]}, 0 were already.")
    assert f"Nothing needs the key {Keys(OLD).ids[0]} any more" in done.out
    assert (again["sealed"], again["kept"], again["old_keys"]) == (0, 2, Keys(OLD).ids)
    monkeypatch.setenv("MIH_SECRET_KEY", NEW)
    assert [row["problem"] for row in keyed("secrets", "list", "--json").json] == [None, None]


@ON_SQLITE
def test_a_key_that_is_missing_keeps_the_old_ones_from_going(
    keyed: Mih, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed("secrets", "set", "a", typed="1")
    monkeypatch.setenv("MIH_SECRET_KEY", NEW)

    done = keyed("secrets", "rotate")

    assert done.code == 1
    assert "a could not be opened: it was sealed with the key" in done.out
    assert "Keep all old keys" in done.out


@ON_SQLITE
def test_what_commands_change_is_in_the_audit(keyed: Mih, seeds: Seeds) -> None:
    seeds.services()
    dead = seeds.rejected(1)
    keyed("secrets", "set", "crm-key", typed=SECRET)
    keyed("services", "pause", "crm")
    keyed("circuits", "reset", "crm")
    keyed("dlq", "replay", dead.delivery_id)
    keyed("queue", "cancel", dead.delivery_id)

    listed = keyed("audit", "list", "--json")

    me = getpass.getuser()
    assert [(one["who"], one["via"], one["action"], one["object"]) for one in reversed(listed.json)] == [
        (me, "command", "secret.set", "secret crm-key"),
        (me, "command", "service.pause", "service crm"),
        (me, "command", "circuit.reset", "service crm"),
        (me, "command", "dead_letter.replay", f"delivery {dead.delivery_id}"),
        (me, "command", "delivery.cancel", f"delivery {dead.delivery_id}"),
    ]
    assert SECRET not in listed.out
    assert len(keyed("audit", "list", "--action", "service.pause", "--json").json) == 1
    assert keyed("audit", "list", "--who", "nobody").out == "Nothing was changed, or nothing matches.\n"


@ON_SQLITE
def test_the_audit_is_pruned_by_its_age(seeds: Seeds, keyed: Mih) -> None:
    for number in range(3):
        with seeds.store.write() as conn:
            audit.write(conn, who="a", via="api", action="x", object=str(number), now=seeds.clock.now())
        seeds.clock.advance(86_400)

    seeds.clock.advance(1)
    with seeds.store.write() as conn:
        gone = audit.prune(conn, before=seeds.clock.now() - timedelta(days=2), limit=10)

    with seeds.store.read() as conn:
        assert (gone, [row.object for row in audit.find(conn)]) == (2, ["2"])
