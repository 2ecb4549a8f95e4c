"""Rules tried from the command line, on a real Moodle's database; the sidecar needs no tables for it."""

import pytest

from tests.cli.conftest import Mih
from tests.databases import Database
from tests.rows import insert_rows, log_row

CONFIG = r"""
site: campus
moodle: {url: "%s"}
services:
  crm: {base_url: "https://crm.example.org/api", auth: {type: bearer, token: hunter2-hunter2}}
rules:
  - name: r
    event: \x\event\y
    service: crm
    endpoint: /c/{{ courseid }}
    payload: '{"id": {{ id }}}'
    where: {courseid: 2}
  - {name: dim, event: '\x\event\y', service: crm, state: shadow}
"""


@pytest.fixture
def mih(bare: Mih, moodle_db: Database) -> Mih:
    bare.write(moodle_db.url, CONFIG)
    return bare


def test_a_matching_row_shows_the_request_without_secrets(mih: Mih, moodle_db: Database) -> None:
    (number,) = insert_rows(moodle_db.url, [log_row(eventname=r"\x\event\y", courseid=2)])

    said = mih("rules", "test", "r")

    assert said.code == 0
    assert said.out.startswith(f"Row {number}, \\x\\event\\y: matches.\n")
    assert "POST https://crm.example.org/api/c/2" in said.out
    assert "Authorization: ********" in said.out
    assert f'{{"id": {number}}}' in said.out
    assert "hunter2" not in said.out


def test_what_does_not_match_says_which_filter_and_exits_with_1(mih: Mih, moodle_db: Database) -> None:
    first, _ = insert_rows(moodle_db.url, [log_row(eventname=r"\x\event\y", courseid=n) for n in (3, 2)])

    said = mih("rules", "test", "r", "--id", str(first))
    scripted = mih("rules", "test", "r", "--id", str(first), "--json")

    assert said.code == scripted.code == 1
    assert "does not match: `where`" in said.out
    assert "courseid is 3, wanted 2" in said.out
    assert scripted.json["verdict"] == "where"
    assert scripted.json["misfits"] == [{"column": "courseid", "wanted": 2, "found": 3}]


def test_a_rule_in_the_shadow_says_that_nothing_is_sent(mih: Mih, moodle_db: Database) -> None:
    insert_rows(moodle_db.url, [log_row(eventname=r"\x\event\y")])

    assert "note: the rule is in the shadow: nothing is sent" in mih("rules", "test", "dim").out


def test_no_row_and_no_rule_are_told_apart(mih: Mih) -> None:
    assert "There is no row of its events among the newest." in mih("rules", "test", "r").out
    assert "There is no row 999999 in Moodle's log." in mih("rules", "test", "r", "--id", "999999").out
    assert 'There is no rule "nope"' in mih("rules", "test", "nope").err


def test_the_last_days_are_counted_by_the_hour(mih: Mih, moodle_db: Database) -> None:
    insert_rows(moodle_db.url, [log_row(eventname=r"\x\event\y", courseid=n) for n in (2, 2, 3)])

    said = mih("rules", "history", "r")
    scripted = mih("rules", "history", "r", "--json", "--days", "1")

    assert said.code == 0
    assert "3 rows: 2 matched, 1 where, since 2026-02-23 08:00:00." in said.out
    assert scripted.json["totals"] == {"matched": 2, "where": 1}
    assert scripted.json["hours"] == [{"hour": "2026-03-02T08:00:00Z", "counts": {"matched": 2, "where": 1}}]
