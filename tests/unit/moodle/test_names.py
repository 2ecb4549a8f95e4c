"""Names and patterns of events, as rules have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.moodle.names import NameFilter


@pytest.mark.parametrize(
    ("wanted", "name", "result"),
    [
        (r"\core\event\user_created", r"\core\event\user_created", True),
        (r"\core\event\user_created", r"\core\event\user_created2", False),
        (r"\core\event\user_created", r"\core\event\USER_created", False),
        (r"\mod_quiz\event\*", r"\mod_quiz\event\attempt_started", True),
        (r"\mod_quiz\event\*", r"\mod_quizzes\event\attempt_started", False),
        (r"\mod_*\event\course_module_viewed", r"\mod_forum\event\course_module_viewed", True),
        (r"\mod_*\event\course_module_viewed", r"\core\event\course_module_viewed", False),
        ("*", "anything\nat all", True),
        (r"\a.b\*", r"\axb\c", False),
    ],
)
def test_a_name_matches(wanted: str, name: str, result: bool) -> None:
    assert NameFilter.of([wanted]).matches(name) is result


def test_no_names_let_nothing_through() -> None:
    assert not NameFilter.of([]).matches(r"\core\event\user_created")


def test_names_and_patterns_are_told_apart() -> None:
    assert NameFilter.of(["b", "a*", "b"]) == NameFilter(exact=("b",), patterns=("a*",))


@given(st.text(min_size=1).filter(lambda name: "*" not in name))
def test_a_name_matches_itself(name: str) -> None:
    assert NameFilter.of([name]).matches(name)
    assert NameFilter.of([name + "*"]).matches(name)
