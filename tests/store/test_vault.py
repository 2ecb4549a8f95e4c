"""Secrets at rest: sealed for one name with one key, opened with any key, sealed anew without loss."""

import base64
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from sidecar.settings import Definition, Kind
from sidecar.store import definitions, made, vault
from sidecar.store.engine import Database as Store
from sidecar.store.tables import secrets
from sidecar.store.vault import Keys, NoKey
from tests.databases import Database
from tests.deliveries import NOW

OLD, NEW = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n"))
VALUE = "planted-secret-51c7"


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made_now = Store(database.url)
    yield made_now
    made_now.close()


def put(store: Store, keys: Keys, **values: str) -> None:
    with store.write() as conn:
        for name, value in values.items():
            vault.put(conn, keys, name, value, now=NOW)


def opened(store: Store, keys: Keys) -> dict[str, str]:
    with store.read() as conn:
        return dict(vault.opened(vault.all_rows(conn), keys).values)


def why_not(store: Store, keys: Keys) -> dict[str, str]:
    with store.read() as conn:
        return dict(vault.opened(vault.all_rows(conn), keys).sealed)


def test_a_secret_comes_back_and_no_table_has_it(store: Store) -> None:
    keys = Keys(OLD)
    put(store, keys, a=VALUE, b="ünïcode 😀 ${x}\n")

    assert opened(store, keys) == {"a": VALUE, "b": "ünïcode 😀 ${x}\n"}
    with store.read() as conn:
        assert VALUE not in str(conn.execute(select(secrets)).all())


def test_rotation_seals_all_anew_and_says_which_key_can_go(store: Store) -> None:
    put(store, Keys(OLD), a="1", b="2")
    both = Keys(f"{NEW}, {OLD}")
    put(store, both, c="3")

    with store.write() as conn:
        done = vault.rotate(conn, both, now=NOW)
        again = vault.rotate(conn, both, now=NOW)

    assert (done.sealed, done.kept, done.unopened) == (2, 1, ())
    assert done.old_keys == (Keys(OLD).ids[0],)
    assert (again.sealed, again.kept) == (0, 3)
    assert opened(store, Keys(NEW)) == {"a": "1", "b": "2", "c": "3"}
    assert opened(store, Keys(OLD)) == {}


def test_what_a_lost_key_sealed_is_named_and_stays(store: Store) -> None:
    put(store, Keys(OLD), a="1")
    put(store, Keys(NEW), b="2")

    with store.write() as conn:
        done = vault.rotate(conn, Keys(NEW), now=NOW)

    assert [name for name, _ in done.unopened] == ["a"]
    assert "put that key into store.secret_key" in done.unopened[0][1]
    assert opened(store, Keys(f"{NEW},{OLD}")) == {"a": "1", "b": "2"}


def test_without_a_key_nothing_is_sealed(store: Store) -> None:
    with pytest.raises(NoKey, match="generate-key"):
        put(store, Keys(""), a="1")
    with store.write() as conn, pytest.raises(NoKey):
        vault.rotate(conn, Keys(""), now=NOW)


def test_a_sealed_value_does_not_open_in_another_row(store: Store) -> None:
    keys = Keys(OLD)
    put(store, keys, a="1", b="2")
    with store.write() as conn:
        stolen = conn.execute(select(secrets.c.sealed).where(secrets.c.name == "a")).scalar_one()
        conn.execute(update(secrets).where(secrets.c.name == "b").values(sealed=stolen))

    assert opened(store, keys) == {"a": "1"}
    assert "belongs to another secret" in why_not(store, keys)["b"]


def test_a_sealed_value_that_was_changed_does_not_open(store: Store) -> None:
    keys = Keys(OLD)
    put(store, keys, a="1")
    with store.write() as conn:
        conn.execute(update(secrets).values(sealed="nonsense"))

    assert "changed by hand" in why_not(store, keys)["a"]


@pytest.mark.parametrize("text", ["short", "x" * 44, f"{OLD},garbage", "ü" * 43])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_key_that_is_none_is_explained_without_being_repeated(store: Store, text: str) -> None:
    problem = Keys(text).problem

    assert problem is not None
    assert "is not 32 bytes as base64" in problem
    assert "garbage" not in problem
    assert Keys(text).ids == (Keys(OLD).ids if text.startswith(OLD) else [])


@pytest.mark.parametrize(
    "text",
    [OLD, OLD.rstrip("="), base64.b64encode(b"o" * 32).decode(), f" {OLD} ,", vault.new_key()],
    ids=["url-safe", "unpadded", "standard", "with blanks", "generated"],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_either_alphabet_of_base64_is_a_key(store: Store, text: str) -> None:
    keys = Keys(text)

    assert (keys.problem, len(keys.ids), len(keys.ids[0])) == (None, 1, 8)


def test_the_mark_changes_with_every_change_and_with_nothing_else(store: Store) -> None:
    def mark() -> str:
        with store.read() as conn:
            return made.mark(conn)

    seen = [mark()]
    first = Definition(Kind.RULE, "r", "{}", 1, "me", NOW)
    with store.write() as conn:
        assert definitions.add(conn, first)
    seen.append(mark())
    with store.write() as conn:
        definitions.change(conn, Definition(Kind.RULE, "r", "[]", 2, "you", NOW + timedelta(seconds=1)))
    seen.append(mark())
    put(store, Keys(OLD), a="1")
    seen.append(mark())
    with store.write() as conn:
        definitions.remove(conn, Kind.RULE, "r")
        vault.remove(conn, ["a"])

    assert len(set(seen)) == 4
    assert mark() == seen[0]


def test_of_two_who_make_the_same_name_one_is_told(store: Store) -> None:
    one = Definition(Kind.SERVICE, "crm", "{}", 1, "me", NOW)
    with store.write() as conn:
        assert definitions.add(conn, one)

    with store.write() as conn:
        assert not definitions.add(conn, one)
        assert definitions.lock(conn, Kind.SERVICE, "crm") == one
