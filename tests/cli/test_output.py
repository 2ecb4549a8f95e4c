"""What is shown is readable, and harmless to the terminal that shows it."""

import json
from datetime import datetime, timedelta, timezone

import click
import pytest

from sidecar.cli import output
from sidecar.store.words import span


def test_plain_lines_stay_in_one_piece_and_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [{"name": "crm", "last_error": None, "n": 12}]
    rows.append({"name": "日本", "last_error": "x" * 90, "n": 3})

    output.show_rows(rows, ("name", "last_error", "n"), as_json=False, empty="none")

    assert capsys.readouterr().out.splitlines() == [
        f"name  {'last error':<90}   n",
        f"crm   {'-':<90}  12",
        f"日本  {'x' * 90}   3",
    ]


def test_json_moments_are_utc(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 3, 2, 10, 0, tzinfo=timezone(timedelta(hours=2)))

    output.show_json([{"at": moment, "name": "Zoë"}])

    assert json.loads(capsys.readouterr().out) == [{"at": "2026-03-02T08:00:00Z", "name": "Zoë"}]


def test_an_answer_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_thing({"id": 1, "response": "a\x1b[2Jb\r\nc\u202e"}, as_json=False, texts=("response",))

    assert capsys.readouterr().out == "id  1\n\nresponse:\na\\x1b[2Jb\\r\nc\\u202e\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3, "0 s"), (42, "42 s"), (90, "2 min"), (7200, "2 h"), (3 * 86400, "3 d")]
)
def test_spans_are_in_the_unit_that_suits_them(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_table_fits_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda _: True))
    rows = [{"id": 1, "event": r"\mod_quiz\event\attempt_submitted", "last_error": "HTTP 503 " * 20}]

    output.show_rows(rows, ("id", "event", "last_error"), as_json=False, empty="none")

    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
