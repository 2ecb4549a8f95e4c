"""Users of the dashboard are added, listed, given another password, removed; weak passwords are refused."""

import re

import pytest

from sidecar.store import sessions, tables, users
from sidecar.store.passwords import make_hash, matches
from tests.cli.conftest import CONFIG, Mih
from tests.cli.seeds import Seeds
from tests.databases import Database

PASSWORD = "correct horse battery"


def stored(seeds: Seeds) -> list[tuple[str, str, bool]]:
    with seeds.store.read() as conn:
        rows = conn.execute(tables.users.select().order_by(tables.users.c.name))
        return [(row.name, row.role, matches(PASSWORD, row.password_hash)) for row in rows]


def audited(seeds: Seeds) -> list[tuple[str, str, str, str | None]]:
    with seeds.store.read() as conn:
        rows = conn.execute(tables.audit.select().order_by(tables.audit.c.id))
        return [(row.via, row.action, row.object, row.detail) for row in rows]


def test_a_user_is_added_with_the_password_of_standard_input(mih: Mih, seeds: Seeds) -> None:
    said = mih("users", "add", "ana@example.org", "--role", "manage", typed=f"{PASSWORD}\n")

    assert (said.code, said.out) == (0, "ana@example.org can sign in and manage.\n")
    assert stored(seeds) == [("ana@example.org", "manage", True)]
    assert audited(seeds) == [("command", "user.add", "ana@example.org", "manage")]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("ana", "short", "it is shorter than 10 characters"),
        ("anastasia-maria", "Anastasia-Maria\n", "it is the name"),
        ("ana", "1111111111\n", "it repeats itself"),
        ("ana", "", "it is shorter than 10 characters"),
        ("<b>", f"{PASSWORD}\n", "use letters, digits and . _ @ + -"),
        ("a" * 101, f"{PASSWORD}\n", "at most 100 characters"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_changes(
    mih: Mih, seeds: Seeds, name: str, typed: str, said: str
) -> None:
    answer = mih("users", "add", name, typed=typed)

    assert answer.code == 1
    assert said in answer.err
    assert PASSWORD not in answer.err
    assert stored(seeds) == []


def test_a_name_is_given_once(mih: Mih, seeds: Seeds) -> None:
    mih("users", "add", "ana", typed=f"{PASSWORD}\n")

    again = mih("users", "add", "ana", typed=f"{PASSWORD}\n")

    assert again.code == 1
    assert again.err == "there is already a user ana: change the password with `mih users password ana`\n"


def test_another_password_and_removal_end_all_sessions_of_that_user(mih: Mih, seeds: Seeds) -> None:
    begin(seeds, "ana")
    begin(seeds, "eva")

    changed = mih("users", "password", "ana", typed="another one at all\n")
    left = sessions_of(seeds)
    removed = mih("users", "remove", "eva", "--yes")

    assert changed.out == "ana has a new password; all sessions of ana have ended.\n"
    assert left == ["eva"]
    assert removed.out == "eva is removed and signed out everywhere.\n"
    assert sessions_of(seeds) == []
    assert stored(seeds) == [("ana", "view", False)]
    assert [one[1:3] for one in audited(seeds)] == [("user.password", "ana"), ("user.remove", "eva")]


def begin(seeds: Seeds, name: str) -> None:
    from datetime import timedelta

    made, now = make_hash(PASSWORD), seeds.clock.now()
    with seeds.store.write() as conn:
        users.add(conn, name, role="view", password_hash=made, now=now)
        sessions.begin(conn, name, role="view", via="password", seal=made, lasts=timedelta(days=7), now=now)


def sessions_of(seeds: Seeds) -> list[str]:
    with seeds.store.read() as conn:
        return [row.user_name for row in conn.execute(tables.sessions.select())]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_users_of_the_file_are_listed_and_changed_in_the_file_only(
    mih: Mih, seeds: Seeds, database: Database
) -> None:
    made = make_hash(PASSWORD)
    web = "web: {users: [{name: root, password_hash: '%s', role: manage}]}\n"
    mih.config.write_text(CONFIG % database.url + web % made)
    mih("users", "add", "ana", typed=f"{PASSWORD}\n")

    listed = mih("users", "list", "--json")
    refused = [mih("users", *words) for words in (("add", "root"), ("password", "root"), ("remove", "root"))]

    assert listed.json == [
        {"name": "ana", "role": "view", "where": "here"},
        {"name": "root", "role": "manage", "where": "file"},
    ]
    assert {one.code for one in refused} == {1}
    for one in refused:
        assert "root is in the configuration, web.users" in one.err


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_an_unknown_user_is_told_with_a_guess(mih: Mih, seeds: Seeds) -> None:
    mih("users", "add", "ana", typed=f"{PASSWORD}\n")

    said = mih("users", "remove", "anna", "--yes")

    assert said.code == 1
    assert said.err == 'There is no user "anna", did you mean "ana"?\n'


def test_without_users_the_list_says_how_to_add_one(mih: Mih, seeds: Seeds) -> None:
    assert mih("users", "list").out == "Nobody can sign in yet: `mih users add NAME --role manage`.\n"


def test_a_hash_for_the_file_is_printed_and_differs_each_time(bare: Mih) -> None:
    first, second = (bare("users", "hash", typed=f"{PASSWORD}\n", config=False).out for _ in range(2))

    assert re.fullmatch(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$[^$]+\$[^$]+\n", first)
    assert first != second
    assert matches(PASSWORD, first.strip())
