"""A campus whose log a test lets grow, and what the tail has made of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import FakeClock
from tests.build import Campus, loaded
from tests.databases import Database

MakeCampus = Callable[..., Campus]


@pytest.fixture
def make_campus(moodle_db: Database, clock: FakeClock, tmp_path: Path) -> Iterator[MakeCampus]:
    """A campus on a real Moodle's database, with the rules that the test names."""
    made: list[Campus] = []

    def make(*rules: dict[str, Any], **sections: Any) -> Campus:
        known = loaded(tmp_path, moodle_db.url, rules=list(rules), **sections)
        made.append(Campus(moodle_db.url, known, clock))
        return made[-1]

    yield make
    for campus in made:
        campus.close()
