"""What is wrong with a template is said when it is loaded: all of it, with place and remedy."""

from typing import Any

import pytest

from sidecar.moodle.lookups import Record
from tests.unit.bridge.rendering import failure, make_scope, make_template, refused, render


def test_all_problems_of_a_rule_come_at_once() -> None:
    problems = refused(
        '{"a": {{ course.visibl }},\n "b": {{ usrid }}}',
        when="other.auth ==",
        endpoint="/u/{{ objctid }}",
        headers={"X-Name": "{{ rule.nam }}"},
    )

    assert problems == (
        "when, line 1, column 12, other.auth ==: unexpected 'end of template'",
        'endpoint, line 1, column 7, {{ objctid }}: there is no "objctid", did you mean "objectid"?',
        'headers.X-Name, line 1, column 8, {{ rule.nam }}: "rule" is a single value, it has no "nam"',
        'payload, line 1, column 16, {{ course.visibl }}: "course" has no "visibl", did you mean "visible"?',
        'payload, line 2, column 10, {{ usrid }}: there is no "usrid", did you mean "userid"?',
    )


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ('{"a": {{ userid ', "line 1, column 10, {{ userid: unexpected end of template"),
        ('{"a": {{ userid }', "line 1, column 17, {{ userid }: unexpected '}'"),
        ('{"a": {% if %}', "line 1, column 13, {% if %}: Expected an expression"),
        ('{"a":\n{% frob %}}', "line 2, column 4, {% frob %}}: Encountered unknown tag 'frob'"),
        ('{% include "x" %}', "a payload stands alone, it cannot include"),
        ('{% extends "x" %}', "a payload stands alone, it cannot extend"),
        ('{% import "x" as y %}', "a payload stands alone, it cannot import"),
        ("{% autoescape false %}1{% endautoescape %}", "everything is escaped already"),
        ("{% macro f(x) %}{% endmacro %}{% call f(1) %}{% endcall %}", "call the macro"),
        ("{{ self }}", 'there is no "self"'),
        ("{{ delivery.number }}", '"delivery" has no "number"; there is id'),
        ('{{ course["shortnam"] }}', 'did you mean "shortname"?'),
        ("{{ event.usrid }}", 'did you mean "userid"?'),
        ("{{ now.yeer }}", 'did you mean "year"?'),
        ("{{ eventname.upper }}", "write eventname.upper()"),
        ("{{ eventname.uper() }}", 'did you mean "upper"?'),
        ("{{ userid | toJSON }}", 'did you mean "tojson"?'),
        ("{% if 1 %}{{ userid | uper }}{% endif %}", 'did you mean "upper"?'),
        ("{{ userid is definde }}", 'did you mean "defined"?'),
        ("{{ foo is defined }}", 'there is no "foo"'),
        ("{{ 1e999 }}", "this number is too large"),
        ('{"a": 1,}', "line 1, column 9, }: this can never be valid JSON"),
        ('{"a": {{ userid }} {{ userid }}}', "this can never be valid JSON"),
        ("", "this can never be valid JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": "x}', 'line 1, column 7, "x}: this quote is never closed'),
        ('{"a": "\\{{ userid }}"}', "a backslash before a placeholder"),
        (
            '{"a": {% if userid %}"x{% else %}\n1{% endif %}}',
            "after `if` we stand between quotes, after `else` outside quotes",
        ),
        ('{"a": {% if userid %}"x{% endif %}"}', "after `no else` outside quotes"),
        (
            '{"a": {% if userid %}1{% elif\n courseid %}"{% else %}1{% endif %}}',
            "after `elif` between quotes",
        ),
        (
            '{"a": {% for x in other %}"{% endfor %}1}',
            "the loop's body begins outside quotes and ends between",
        ),
        ("{% for x in other recursive %}{% endfor %}1", "recursive loops have no use here"),
        ({"a": {"b": ["{{ usrid }}"]}}, 'payload.a.b[0], line 1, column 4, {{ usrid }}: there is no "usrid"'),
        ({"a": float("nan")}, "payload.a, line 1, column 1, nan: nan is no JSON number"),
    ],
)
def test_broken_payload_is_refused_when_loaded(payload: Any, problem: str) -> None:
    problems = refused(payload)

    assert len(problems) == 1
    assert problem in problems[0]


def test_branch_is_named_with_its_line() -> None:
    (problem,) = refused('{"a": {% if userid %}"x{% else %}\n{{ 1 }}{% endif %}}')

    assert problem.startswith("payload, line 1, column 34")


def test_condition_in_braces_is_refused_with_the_remedy() -> None:
    assert refused(when="{{ userid == 2 }}") == (
        "when, line 1, column 1, {{ userid == 2 }}: this is an expression already: write it without {{ }}",
    )


def test_key_that_other_lacks_is_an_error_that_lists_the_keys() -> None:
    assert failure('{"a":\n  {{ other.foo }}}') == (
        'payload, line 2, column 3, {{ other.foo }}: "foo" is missing; there is auth, count, tags and none'
    )


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (None, '"foo" is missing, for it is asked of null'),
        ([1], '"foo" is missing, for it is asked of a list'),
        ("text", '"foo" is missing, for it is asked of text'),
        ({}, '"foo" is missing; there is nothing in it'),
    ],
)
def test_other_of_any_kind_gives_the_same_clear_error(other: Any, reason: str) -> None:
    assert failure("[{{ other.foo }}]", other=other).endswith(reason)
    assert failure("[{{ other.foo.bar | upper }}]", other=other).endswith(reason)


def test_key_that_may_be_missing_can_be_asked_for() -> None:
    body = render(
        '[{{ other.foo is defined }}, {{ other.get("foo") }}, {{ other.foo | default(7) }},'
        ' "{{ other.foo | d }}",'
        ' {{ other.foo.bar | default(8) }}, {{ other["auth"] }}]'
    )

    assert body == '[false, null, 7, "", 8, "manual"]'


def test_key_of_the_data_goes_before_a_method_of_the_same_name() -> None:
    body = render("[{{ other.items }}, {{ other.items() | list }}]", other={"items": 3})

    assert body == '[3, [["items",3]]]'


def test_other_that_could_not_be_decoded_fails_only_where_it_is_used() -> None:
    changes = {"other": None, "other_problem": "other cannot be decoded: no JSON"}

    assert render("[{{ userid }}]", **changes) == "[2]"
    assert failure("[{{ other }}]", **changes).endswith("{{ other }}: other cannot be decoded: no JSON")
    assert failure("[{{ other.x }}]", **changes).endswith("other cannot be decoded: no JSON")
    assert render("[{{ other | default(none) }}]", **changes) == "[null]"


def test_fields_of_a_missing_record_are_null_and_it_does_not_exist() -> None:
    body = render('[{{ course.shortname }}, "{{ course.fullname }}", {{ course.exists }}, {{ user.exists }}]')

    assert body == '[null, "", false, true]'


def test_template_tells_which_lookups_it_needs() -> None:
    template = make_template(
        '["{{ user.email }}", {{ userid }}]',
        when="course.visible == 1",
        endpoint="/{{ category.id }}",
        headers={"X-By": "{{ realuser.id }}"},
    )

    assert template.needs == {"user", "course", "category", "realuser"}
    assert make_template("[{{ userid }}]").needs == frozenset()


def test_loop_and_set_variables_may_hide_known_names() -> None:
    body = render(
        "{% set user = other.tags %}[{{ user.0 }},"
        " {% for course in [1] %}{{ course + loop.index }}{% endfor %}]"
    )

    assert body == '["a", 2]'


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("other.auth != 'nologin'", True),
        ("other.auth in ['nologin', 'ldap']", False),
        ("userid", True),
        ("courseid", False),
        ("other.none is none and not course.exists", True),
        (None, True),
    ],
)
def test_condition_decides_by_truth(when: str | None, holds: bool) -> None:
    assert make_template("{}", when=when).condition(make_scope()) is holds


def test_record_that_was_not_fetched_is_an_error_not_a_null() -> None:
    names = make_scope({"user": Record({})})

    with pytest.raises(Exception, match=r'"firstname" is missing; there is nothing in it'):
        make_template("[{{ user.firstname }}]").body(names)
