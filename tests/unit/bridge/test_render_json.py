"""Whatever the data holds, what comes out is JSON and says the same."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import EVENT_COLUMNS
from sidecar.moodle.decode import decode
from tests.campus import DATA
from tests.unit.bridge.rendering import NASTY, failure, make_event, make_scope, make_template, refused, render

_ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ['"', "\\", "{{ x }}", "\0", "\ud83d", "\u2028", "😀", "</script>", '\\"']
)
# A busy machine is no failure.
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _ANY_TEXT
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY_TEXT, inner, max_size=4)
)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        return [_mended(entry) for entry in value]
    if isinstance(value, dict):
        return {_whole(key): _mended(entry) for key, entry in value.items()}
    return value


def _whole(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


_OUTSIDE = make_template('{"v": {{ other }}, "w": [{{ other | tojson }}, {{ other | safe }}]}')
_BETWEEN = make_template('{"v": "<{{ other }}>", "w": "<{{ other | tojson }}>", "x": "<{{ other | safe }}>"}')
_TREE = make_template({"v": "{{ other }}", "w": ["<{{ other }}>"]})
_BRANCHED = make_template('{"v": {% if true %}{{ other }}{% else %}1{% endif %}, "w": ["<{{ other }}>"]}')
_LOOP = make_template('[{% for entry in other %}{{ entry }}{{ "," if not loop.last }}{% endfor %}]')


@given(_VALUES)
def test_value_outside_quotes_comes_back_as_it_was(value: Any) -> None:
    body = _OUTSIDE.body(make_scope(other=value))

    assert body is not None
    assert json.loads(body) == {"v": _mended(value), "w": [_mended(value), _mended(value)]}
    assert body.encode().decode() == body


@given(_ANY_TEXT)
def test_text_between_quotes_comes_back_as_it_was(value: str) -> None:
    body = _BETWEEN.body(make_scope(other=value))

    assert body is not None
    assert json.loads(body) == dict.fromkeys("vwx", f"<{_mended(value)}>")


@given(_VALUES)
def test_any_value_between_quotes_leaves_the_json_whole(value: Any) -> None:
    body = _BETWEEN.body(make_scope(other=value))

    assert body is not None
    parsed = json.loads(body)
    assert parsed["v"] == parsed["w"] == parsed["x"]
    if isinstance(value, list | dict):
        assert json.loads(parsed["v"][1:-1]) == _mended(value)


@given(_VALUES)
def test_mapping_keeps_types_and_texts(value: Any) -> None:
    body = _TREE.body(make_scope(other=value))

    assert body is not None
    parsed = json.loads(body)
    assert parsed["v"] == _mended(value)
    assert isinstance(parsed["w"][0], str)


@given(_VALUES)
def test_branches_change_nothing_of_it(value: Any) -> None:
    assert json.loads(_BRANCHED.body(make_scope(other=value)) or "") == json.loads(
        _TREE.body(make_scope(other=value)) or ""
    )


@given(st.lists(_VALUES, max_size=5))
def test_loop_with_commas_writes_the_list(values: list[Any]) -> None:
    assert json.loads(_LOOP.body(make_scope(other=values)) or "") == _mended(values)


@given(_VALUES)
def test_whole_event_is_json_whatever_other_holds(value: Any) -> None:
    body = make_template(None).body(make_scope(other=value, eventname="\\a\0\ud800"))

    assert body is not None
    assert json.loads(body)["other"] == _mended(value)
    assert json.loads(body)["eventname"] == "\\a\0\ufffd"


@pytest.mark.parametrize(
    ("value", "outside", "between"),
    [
        ("x", '"x"', '"x"'),
        (None, "null", '""'),
        (True, "true", '"true"'),
        (False, "false", '"false"'),
        (12, "12", '"12"'),
        (1.5, "1.5", '"1.5"'),
        ([1, "a"], '[1,"a"]', r'"[1,\"a\"]"'),
        ({"k": None}, '{"k":null}', r'"{\"k\":null}"'),
        ('"\\\0', r'"\"\\\u0000"', r'"\"\\\u0000"'),
        ("é日😀", '"é日😀"', '"é日😀"'),
        ("\ud800", '"\ufffd"', '"\ufffd"'),
    ],
)
def test_placeholder_is_written_for_where_it_stands(value: Any, outside: str, between: str) -> None:
    for placeholder in (
        "{{ other }}",
        "{{ other | tojson }}",
        "{{other|safe}}",
        "{{ other | tojson | safe }}",
    ):
        assert render(f"[{placeholder}]", other=value) == f"[{outside}]"
        assert render(f'["{placeholder}"]', other=value) == f"[{between}]"


def test_templates_of_the_plugin_work_unchanged() -> None:
    body = render('{"user": {{userid}}, "course": "{{courseid}}", "object": {{objectid}}}')

    assert body == '{"user": 2, "course": "0", "object": 5}'


def test_escaped_quote_does_not_end_the_string() -> None:
    body = render(r'{"a": "say \"{{ user.firstname }}\" \\", "b": {{ user.firstname }}}')

    assert json.loads(body) == {"a": f'say "{NASTY}" \\', "b": NASTY}


def test_time_is_written_in_utc() -> None:
    body = render('[{{ now }}, "{{ now }}", {{ timecreated | isodate }}, {{ 0 | isodate }}, {{ now.year }}]')

    assert body == '["2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z", null, 2026]'


def test_captured_text_is_a_text_value() -> None:
    body = render(
        '{% set x %}{{ userid }} "q" {{ other.none }}{% endset %}'
        '{% macro greet(name) %}Hi "{{ name }}"{% endmacro %}'
        '[{{ x }}, "{{ x }}", {{ greet("A") }}, {% filter upper %}a"{{ origin }}{% endfilter %}]'
    )

    assert json.loads(body) == ['2 "q" ', '2 "q" ', 'Hi "A"', 'A"WEB']


def test_if_expression_without_else_is_null_or_empty() -> None:
    assert render('[{{ "x" if userid == 1 }}, "{{ "x" if userid == 1 }}"]') == '[null, ""]'


def test_not_a_number_is_an_error() -> None:
    assert failure("[{{ other.x }}]", other={"x": float("nan")}) == (
        "payload, line 1, column 2, {{ other.x }}: nan is no JSON number"
    )
    assert "NaN or Infinity" in failure("[{{ other }}]", other=[float("inf")])


def test_whole_event_has_a_stable_shape() -> None:
    parsed = json.loads(render(None))

    assert list(parsed)[:4] == ["delivery_id", "site", "rule", "id"]
    assert len(parsed) == 24
    assert parsed["delivery_id"] == "5f0d"
    assert parsed["other"] == make_event().other


def test_mapping_leaf_of_one_placeholder_keeps_its_type() -> None:
    body = render(
        {
            "id": "{{ objectid }}",
            "text": "{{ objectid }} ",
            'quoted "key"': ["{{ other }}", 1, None, True, 'plain "text"'],
            "empty": {},
            "name": "{% if userid == 2 %}{{ user.firstname }}{% else %}nobody{% endif %}",
        }
    )

    assert json.loads(body) == {
        "id": 5,
        "text": "5 ",
        'quoted "key"': [make_event().other, 1, None, True, 'plain "text"'],
        "empty": {},
        "name": NASTY,
    }


def test_variables_of_one_leaf_do_not_reach_the_next() -> None:
    problems = refused({"a": "{% set x = 1 %}{{ x }}", "b": "{{ x }}"})

    assert problems[0].startswith('payload.b, line 1, column 4, {{ x }}: there is no "x"')


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_request_without_body_has_none_unless_a_payload_is_given(method: str) -> None:
    without = make_template(None, method=method).render_all(make_scope())
    given = make_template("[]", method=method).render_all(make_scope())

    assert (without.body, without.content_type) == (None, None)
    assert (given.body, given.content_type) == ("[]", "application/json")


def test_result_that_is_no_json_is_an_error_with_both_places() -> None:
    assert failure('{"a": [{% for x in other.tags %}\n{{ x }},{% endfor %}]}') == (
        "payload, line 2, column 1, {{ x }}: the result is no valid JSON: "
        'Trailing comma before ] at line 3, column 5 of the result, near {"a": [ "a", "b",⟶]}'
    )


def test_key_is_right_or_wrong_by_its_value() -> None:
    assert render("{ {{ origin }}: 1}") == '{ "web": 1}'
    assert "Expecting property name" in failure("{ {{ userid }}: 1}")


@pytest.mark.parametrize("site", ["mariadb", "postgresql"])
def test_every_row_of_a_real_site_comes_out_as_it_is(site: str) -> None:
    template = make_template(None)
    text = make_template('{"what": {{ eventname }}, "other": {{ other }}, "o": "{{ other }}"}')
    lines = (DATA / site / "logstore_standard_log.jsonl").read_text().splitlines()

    for event in (decode(json.loads(line)) for line in lines):
        columns = {name: getattr(event, name) for name in EVENT_COLUMNS}
        names = make_scope(**columns)
        whole = json.loads(template.body(names) or "")
        parts = json.loads(text.body(names) or "")
        assert whole == {"delivery_id": "5f0d", "site": "campus", "rule": "new-user", **columns}
        assert parts["what"] == event.eventname
        assert parts["other"] == event.other

    assert len(lines) > 100
