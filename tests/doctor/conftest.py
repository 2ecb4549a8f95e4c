"""A patient: a configuration for a real database, and the doctor's findings about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import Clock, FakeClock
from sidecar.doctor import Report, examine
from sidecar.doctor.findings import Finding
from tests.build import loaded

RULE = {
    "name": "viewed",
    "event": r"\core\event\course_viewed",
    "payload": {"id": "{{ courseid }}", "who": "{{ user.username }}"},
}

Patient = Callable[..., Report]


def subjects(report: Report, level: str) -> list[str]:
    """Return the subjects of the findings of a level."""
    return [finding.subject for finding in report.findings if finding.level == level]


def about(report: Report, subject: str) -> Finding:
    """Return the one finding about a subject."""
    found = [finding for finding in report.findings if finding.subject == subject]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def patient(tmp_path: Path, clock: FakeClock) -> Patient:
    """Return a function that writes a configuration for a database's URL and has it examined."""

    def see(url: str, *, rules: list[dict[str, Any]] | None = None, at: Clock = clock, **rest: Any) -> Report:
        known = loaded(tmp_path, url, rules=[RULE] if rules is None else rules, **rest)
        return examine(known.settings, known.source, known.book, clock=at)

    return see
