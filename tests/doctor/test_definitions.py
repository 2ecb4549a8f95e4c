"""What the doctor says of what was made here, of secrets that the store keeps and of their key."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.doctor import Report, examine
from sidecar.settings import Definition, Kind
from sidecar.store import definitions, vault
from sidecar.store.engine import Database as Store
from sidecar.store.vault import Keys
from tests.build import loaded
from tests.databases import Database
from tests.doctor.conftest import about, subjects

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

KEY, OTHER = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))
RULE = {"event": "*", "service": "erp"}


class Patient:
    """A site with things in its store."""

    def __init__(self, url: str, folder: Path, clock: FakeClock) -> None:
        self.url, self.folder, self.clock = url, folder, clock

    def define(self, kind: Kind, name: str, section: Any) -> None:
        store = Store(self.url)
        with store.write() as conn:
            definitions.add(conn, Definition(kind, name, json.dumps(section), 1, "ada", self.clock.now()))
        store.close()

    def keep(self, name: str, key: str = KEY) -> None:
        store = Store(self.url)
        with store.write() as conn:
            vault.put(conn, Keys(key), name, "planted-secret", now=self.clock.now())
        store.close()

    def see(self, key: str = "") -> Report:
        known = loaded(self.folder, self.url, rules=[], store={"secret_key": key})
        report = examine(known.settings, known.source, known.book, clock=self.clock)
        assert "planted-secret" not in str(report)
        return report


@pytest.fixture
def patient(moodle_db: Database, tmp_path: Path, clock: FakeClock) -> Patient:
    return Patient(moodle_db.url, tmp_path, clock)


def test_what_is_sound_is_counted(patient: Patient) -> None:
    patient.define(Kind.SERVICE, "erp", {"base_url": "http://127.0.0.1:9"})
    patient.define(Kind.RULE, "all", RULE)

    assert about(patient.see(), "made here").text == "1 service, 1 rule, in the dashboard or by the API"


def test_what_is_not_in_force_is_told_with_its_reason(patient: Patient) -> None:
    patient.define(Kind.SERVICE, "crm", {"base_url": "https://x.example.org"})
    patient.define(Kind.RULE, "lost", RULE)

    report = patient.see()

    assert about(report, "rule lost").level == "problem"
    assert 'unknown service "erp"' in about(report, "rule lost").text
    notes = [one for one in report.findings if one.subject == "service crm" and one.level == "note"]
    assert "the file has a service crm" in notes[0].text


def test_a_lost_key_is_told_and_its_services_are_not_visited(patient: Patient) -> None:
    text = {"base_url": "https://erp.example.org", "auth": {"type": "bearer"}}
    text["auth"] = {"type": "bearer", "token": "${secret:services.erp.auth.token}"}
    patient.define(Kind.SERVICE, "erp", text)
    patient.keep("services.erp.auth.token")

    none, other = patient.see(), patient.see(OTHER)

    assert "generate-key" in about(none, "store.secret_key").text
    assert about(none, "store.secret_key").level == "problem"
    assert "auth.token: it was sealed with the key" in about(other, "service erp").text


def test_a_secret_that_nothing_wants_is_told(patient: Patient) -> None:
    patient.keep("old-one")

    report = patient.see(KEY)

    assert about(report, "secret old-one").remedy == "mih secrets delete old-one"
    assert "1 secret of the store can be opened" in about_all(report, "store.secret_key")


def test_a_key_that_is_none_is_told(patient: Patient) -> None:
    assert "is not 32 bytes as base64" in about_all(patient.see("rubbish"), "store.secret_key")


def test_a_key_in_the_file_itself_is_told(patient: Patient) -> None:
    assert any("store.secret_key" in subject for subject in subjects(patient.see(KEY), "warning"))


def about_all(report: Report, subject: str) -> str:
    return "; ".join(one.text for one in report.findings if one.subject == subject)
