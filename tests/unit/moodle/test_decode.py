"""Rows become events: every format of `other`, broken ones too, and real rows of two sites."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import EVENT_COLUMNS
from sidecar.moodle.decode import decode
from tests.rows import log_row

DATA = Path(__file__).parents[2] / "data" / "moodle"


def row(**changes: Any) -> dict[str, Any]:
    return log_row(id=7, **changes)


def rows_of(site: str) -> list[dict[str, Any]]:
    lines = (DATA / site / "logstore_standard_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("other", "value"),
    [
        (None, None),
        ("", None),
        ("null", None),
        ("N;", None),
        ("[]", []),
        ("a:0:{}", []),
        ('{"enrol":"manual"}', {"enrol": "manual"}),
        ('a:1:{s:5:"enrol";s:6:"manual";}', {"enrol": "manual"}),
        ('"text"', "text"),
        ("true", True),
        ("i:5;", 5),
        ('{"a":"x\\u0000y"}', {"a": "x\0y"}),
        ('{"a":"line\nbreak"}', {"a": "line\nbreak"}),
        ('{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        ('{"a\\udc00":["\\ud800"]}', {"a\ufffd": ["\ufffd"]}),
        ('{"a":1e999}', {"a": None}),
        ("a:1:{i:0;d:NAN;}", [None]),
        (b'{"a":"\xc3\x81\xff"}', {"a": "Á\ufffd"}),
    ],
)
def test_other_is_decoded_whatever_its_format(other: str | bytes | None, value: Any) -> None:
    event = decode(row(other=other))

    assert (event.other, event.other_problem) == (value, None)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ("{broken", "no JSON: Expecting property name enclosed in double quotes at character 1"),
        ('{"a":NaN}', "no JSON: NaN is no number"),
        ('O:8:"stdClass":0:{}', "an object is refused at byte 0"),
        ("a:1:{i:0;", "expected a value at byte 9"),
        ("[" * 101 + "]" * 101, "nested deeper than 100 levels"),
        ("[" * 50_000 + "]" * 50_000, "nested deeper than 100 levels"),
        ("a:1:{i:0;" * 101 + "N;" + "}" * 101, "nested deeper than 100 levels at byte 900"),
        (" " * 16_777_217, "it is longer than 16777216 characters"),
    ],
)
def test_an_undecodable_other_is_a_problem_that_the_event_carries(other: str, problem: str) -> None:
    event = decode(row(other=other))

    assert event.other is None
    assert event.other_problem == f"other cannot be decoded: {problem}"
    assert event.userid == 4


def test_a_number_of_thousands_of_digits_is_a_problem_and_no_exception() -> None:
    event = decode(row(other="[" + "9" * 5000 + "]"))

    assert event.other is None
    assert event.other_problem is not None


def test_a_problem_does_not_quote_the_data() -> None:
    event = decode(row(other='{"sessionid":"s3cr3t"'))

    assert event.other_problem is not None
    assert "s3cr3t" not in event.other_problem


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ('{"sessionid":"abc"}', {"sessionid": "[redacted]"}),
        ('a:1:{s:9:"sessionid";s:3:"abc";}', {"sessionid": "[redacted]"}),
        ('{"a":[{"SessionID":{"b":1}}]}', {"a": [{"SessionID": "[redacted]"}]}),
    ],
)
def test_a_session_id_is_redacted_at_any_depth(other: str, value: Any) -> None:
    assert decode(row(other=other)).other == value


def test_a_megabyte_is_decoded() -> None:
    event = decode(row(other=json.dumps({"text": "é" * 1_000_000}, ensure_ascii=False)))

    assert len(event.other["text"]) == 1_000_000


@given(st.text() | st.binary())
def test_whatever_is_in_other_decoding_never_fails_and_gives_sendable_data(other: str | bytes) -> None:
    event = decode(row(other=other))

    json.dumps(event.other, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(("site", "count"), [("mariadb", 559), ("postgresql", 731)])
def test_every_row_of_a_real_site_is_decoded(site: str, count: int) -> None:
    events = [decode(real) for real in rows_of(site)]

    assert len(events) == count
    assert [event.other_problem for event in events if event.other_problem] == []


@pytest.mark.parametrize(
    ("site", "name"),
    [
        ("mariadb", "Álgebra “Lineal” & <b>más</b> 日本語 ser13067"),
        ("postgresql", "Álgebra “Lineal” & <b>más</b> 日本語 ser5913"),
    ],
)
def test_real_serialized_rows_read_as_json_rows_do(site: str, name: str) -> None:
    real = rows_of(site)
    serialized = [one for one in real if (one["other"] or "").startswith("a:")]

    others = [decode(one).other for one in serialized]

    assert len(others) == 93
    assert name in [other.get("fullname") for other in others]
    assert all(isinstance(other, dict) for other in others)


@pytest.mark.parametrize("site", ["mariadb", "postgresql"])
def test_no_session_id_of_a_real_site_leaves(site: str) -> None:
    logged_out = [one for one in rows_of(site) if one["eventname"] == r"\core\event\user_loggedout"]

    assert logged_out
    assert {decode(one).other["sessionid"] for one in logged_out} == {"[redacted]"}


def test_all_columns_but_other_are_passed_on_unchanged() -> None:
    real = rows_of("mariadb")[0]

    event = decode(real)

    assert {name: getattr(event, name) for name in EVENT_COLUMNS} == real | {"other": None}
