"""Rules tried on a real Moodle's newest rows: what they would send, why not, and names that nothing has."""

import pytest

from tests.databases import Database
from tests.doctor.conftest import Patient, about
from tests.rows import insert_rows, log_row


def test_the_newest_matching_row_is_rendered_and_not_sent(bare_moodle_db: Database, patient: Patient) -> None:
    (number, _) = insert_rows(bare_moodle_db.url, [log_row(courseid=2), log_row(courseid=3)])
    rule = {
        "name": "r",
        "event": r"\core\event\course_viewed",
        "where": {"courseid": 2},
        "endpoint": "/courses/{{ courseid }}",
        "payload": '{"id": {{ courseid }}}',
    }

    finding = about(patient(bare_moodle_db.url, rules=[rule]), "rule r")

    assert finding.level == "ok"
    assert finding.text == (f"row {number}: POST http://127.0.0.1:9/courses/2, 9 bytes; the row is 0 s old")


def test_a_row_beyond_max_event_age_is_rendered_all_the_same(
    bare_moodle_db: Database, patient: Patient
) -> None:
    moment = int(log_row()["timecreated"]) - 4 * 86_400
    (number,) = insert_rows(bare_moodle_db.url, [log_row(timecreated=moment)])
    rule = {"name": "r", "event": r"\core\event\course_viewed", "payload": '{"a": 1}'}

    finding = about(patient(bare_moodle_db.url, rules=[rule]), "rule r")

    assert finding.level == "ok"
    assert finding.text.startswith(f"row {number}: ")
    assert finding.text.endswith("the row is 4 days old, beyond max_event_age: only newer ones are sent")


def test_why_no_row_matches_is_counted(bare_moodle_db: Database, patient: Patient) -> None:
    rows = [log_row(eventname=r"\x\event\y", courseid=number) for number in (1, 2, 2)]
    insert_rows(bare_moodle_db.url, rows)
    rule = {"name": "r", "event": r"\x\event\y", "where": {"courseid": 2}, "when": "userid == 99"}

    finding = about(patient(bare_moodle_db.url, rules=[rule]), "rule r")

    assert finding.level == "note"
    assert finding.text == (
        "none of the newest 3 rows of its events matches: held back 1 by `where`, 2 by `when`"
    )


def test_a_row_that_cannot_be_rendered_is_a_problem_with_its_id(
    bare_moodle_db: Database, patient: Patient
) -> None:
    (number,) = insert_rows(bare_moodle_db.url, [log_row(eventname=r"\x\event\y", objectid=None)])
    rule = {"name": "r", "event": r"\x\event\y", "payload": '{"half": {{ 1 / objectid }}}'}

    finding = about(patient(bare_moodle_db.url, rules=[rule]), "rule r")

    assert finding.level == "problem"
    assert finding.text.startswith(f"row {number} cannot be delivered: payload, line 1, column 10")


def test_a_payload_over_the_services_limit_is_a_problem(bare_moodle_db: Database, patient: Patient) -> None:
    insert_rows(bare_moodle_db.url, [log_row(eventname=r"\x\event\y")])
    rule = {"name": "r", "event": r"\x\event\y", "payload": '{"long": "0123456789"}'}
    services = {"crm": {"base_url": "http://127.0.0.1:9", "max_payload": 10}}

    finding = about(patient(bare_moodle_db.url, rules=[rule], services=services), "rule r")

    assert finding.level == "problem"
    assert "the payload has 22 bytes; services.crm.max_payload is 10" in finding.text


def test_the_person_behind_an_anonymous_row_stays_unknown(bare_moodle_db: Database, patient: Patient) -> None:
    insert_rows(bare_moodle_db.url, [log_row(eventname=r"\x\event\y", anonymous=1, userid=4)])
    rule = {"name": "r", "event": r"\x\event\y", "endpoint": "/u/{{ userid or 'nobody' }}", "payload": "{}"}

    assert "/u/nobody," in about(patient(bare_moodle_db.url, rules=[rule]), "rule r").text


def test_a_misspelt_event_is_a_warning_with_what_was_meant(
    bare_moodle_db: Database, patient: Patient
) -> None:
    rule = {"name": "r", "event": r"\core\event\user_creatd"}

    finding = about(patient(bare_moodle_db.url, rules=[rule]), "rule r")

    assert finding.level == "warning"
    assert finding.remedy == r"did you mean \core\event\user_created?"


def test_an_event_of_moodles_that_was_not_written_yet_is_a_note(
    bare_moodle_db: Database, patient: Patient
) -> None:
    rule = {"name": "r", "event": r"\core\event\badge_archived"}

    finding = about(patient(bare_moodle_db.url, rules=[rule]), "rule r")

    assert finding.level == "note"
    assert finding.text == r"\core\event\badge_archived: this Moodle has not written it among its newest rows"


def test_a_pattern_that_nothing_known_has_is_a_warning(bare_moodle_db: Database, patient: Patient) -> None:
    rule = {"name": "r", "event": r"\local_unheard\event\*"}

    assert about(patient(bare_moodle_db.url, rules=[rule]), "rule r").level == "warning"


def test_events_of_plugins_that_were_written_are_known(bare_moodle_db: Database, patient: Patient) -> None:
    insert_rows(bare_moodle_db.url, [log_row(eventname=r"\local_shop\event\sold")])
    rule = {"name": "r", "event": r"\local_shop\event\*", "payload": "{}"}

    assert about(patient(bare_moodle_db.url, rules=[rule]), "rule r").level == "ok"


@pytest.mark.parametrize("moment", [-1, 0, 10**17])
def test_a_row_of_an_impossible_time_does_not_stop_the_doctor(
    bare_moodle_db: Database, patient: Patient, moment: int
) -> None:
    insert_rows(bare_moodle_db.url, [log_row(eventname=r"\x\event\y", timecreated=moment)])
    rule = {"name": "r", "event": r"\x\event\y", "payload": "{}"}

    assert about(patient(bare_moodle_db.url, rules=[rule]), "rule r").level in {"ok", "note"}
