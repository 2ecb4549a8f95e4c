"""Real accounts that lack something: the GRANT that is printed, when it is run, mends it."""

from collections.abc import Iterator
from typing import cast

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from sidecar.doctor import Report
from sidecar.store.tables import metadata
from tests.databases import Database, Databases
from tests.doctor.conftest import Patient, about, subjects
from tests.doctor.test_moodle import run
from tests.servers import Server

pytestmark = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)

PASSWORD = "not-a-secret"
RULE = {
    "name": "viewed",
    "event": r"\core\event\course_viewed",
    "payload": {"who": "{{ relateduser.username }}", "in": "{{ category.name }}"},
}


@pytest.fixture
def account(moodle_db: Database, databases: Databases) -> Iterator[str]:
    """The URL of an account that may connect, and nothing else."""
    server, name = cast("Server", databases), f"poor_{moodle_db.name}"[-60:]
    if moodle_db.dialect == "mysql":
        # Any right on a table lets it into the database.
        nothing = f"GRANT SELECT (id) ON {moodle_db.name}.mdl_cohort TO {name}"
        server.execute(f"CREATE USER {name} IDENTIFIED BY '{PASSWORD}'", nothing)
    else:
        server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    parts = make_url(moodle_db.url).set(username=name, password=PASSWORD)
    yield parts.render_as_string(hide_password=False)
    if moodle_db.dialect == "mysql":
        server.execute(f"DROP USER {name}")
    else:
        run(moodle_db.url, f"DROP OWNED BY {name} CASCADE")
        server.execute(f"DROP ROLE {name}")


def grants(report: Report) -> list[str]:
    """Return the GRANT statements among the remedies of problems."""
    problems = [one for one in report.findings if one.level == "problem"]
    return [one.remedy for one in problems if one.remedy and one.remedy.startswith("GRANT")]


def test_the_grants_that_are_printed_mend_everything(
    moodle_db: Database, account: str, patient: Patient
) -> None:
    first = patient(account, rules=[RULE])
    printed = grants(first)
    run(moodle_db.url, *printed)
    second = patient(account, rules=[RULE])

    assert "mdl_logstore_standard_log" in subjects(first, "problem")
    assert "mdl_course_categories" in subjects(first, "problem")
    assert "mih_queue" in subjects(first, "problem")
    assert subjects(second, "problem") == ["service crm"]
    assert about(second, "mih_ tables").level == "ok"
    assert [one for one in second.findings if one.subject.startswith("account")] == []


def test_a_grant_is_written_for_this_account_and_database(
    moodle_db: Database, account: str, patient: Patient
) -> None:
    who = make_url(account).username

    finding = about(patient(account), "mdl_logstore_standard_log")

    expected = {
        "mysql": f"GRANT SELECT ON `{moodle_db.name}`.`mdl_logstore_standard_log` TO '{who}'@'%';",
        "postgresql": f'GRANT SELECT ON "public"."mdl_logstore_standard_log" TO "{who}";',
    }
    assert finding.text == "may not be read by this account"
    assert finding.remedy == expected[moodle_db.dialect]


def test_a_grant_on_people_names_the_columns(moodle_db: Database, account: str, patient: Patient) -> None:
    remedy = str(about(patient(account, rules=[RULE]), "mdl_user").remedy)

    assert remedy.startswith("GRANT SELECT (id, username, idnumber, firstname, ")
    assert "password" not in remedy.partition(" ON ")[0]


def test_only_the_missing_verbs_are_granted(moodle_db: Database, account: str, patient: Patient) -> None:
    who = make_url(account).username
    for name in metadata.tables:
        run(moodle_db.url, f"GRANT SELECT, INSERT, UPDATE ON {name} TO {who}")
    if moodle_db.dialect == "postgresql":
        run(moodle_db.url, f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {who}")

    finding = about(patient(account), "mih_dlq")

    assert finding.text == "this account may not DELETE here"
    assert str(finding.remedy).startswith("GRANT DELETE ON ")


def test_an_account_that_may_do_more_than_needed_is_a_note(moodle_db: Database, patient: Patient) -> None:
    notes = [one for one in patient(moodle_db.url).findings if one.subject.startswith("account")]

    assert [(one.level, one.text) for one in notes] == [
        ("note", "may change Moodle's log and read mdl_user.password; the sidecar does neither")
    ]


def test_a_wrong_prefix_is_told_from_a_missing_grant(
    moodle_db: Database, account: str, patient: Patient
) -> None:
    run(moodle_db.url, f"GRANT SELECT ON mdl_logstore_standard_log TO {make_url(account).username}")

    finding = about(patient(account, moodle={"url": account, "prefix": "m_"}), "m_logstore_standard_log")

    assert finding.remedy == "set moodle.prefix to mdl_: there is a log table under that prefix"


def test_a_wrong_password_ends_the_look_without_showing_it(moodle_db: Database, patient: Patient) -> None:
    url = make_url(moodle_db.url).set(password="mistyped-word").render_as_string(hide_password=False)

    report = patient(url)

    assert report.exit_code == 4
    assert "refused the user name or password" in about(report, "moodle.url").text
    assert "mistyped-word" not in str(report)


def test_what_cannot_be_proven_about_gaps_is_named(
    moodle_db: Database, account: str, patient: Patient
) -> None:
    run(moodle_db.url, f"GRANT SELECT ON mdl_logstore_standard_log TO {make_url(account).username}")

    # PostgreSQL hides the sessions of others, so there has to be one.
    with create_engine(moodle_db.url, poolclass=NullPool).connect() as other:
        other.execute(text("SELECT 1"))
        finding = about(patient(account), "gaps")

    remedies = {"mysql": "GRANT PROCESS ON *.* TO ", "postgresql": "GRANT pg_read_all_stats TO "}
    assert finding.level == "note"
    assert finding.text.startswith("a missing id is given up after 60 min, tail.gap_patience.")
    assert str(finding.remedy).startswith(remedies[moodle_db.dialect])
