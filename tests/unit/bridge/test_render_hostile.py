"""No template can hang or kill the process, or read what it was not given."""

import time

import pytest

from sidecar.bridge.render import FILTERS, PayloadTooLarge
from sidecar.bridge.render.sandbox import ENVIRONMENT
from sidecar.errors import TemplateError
from tests.unit.bridge.rendering import make_scope, make_template, render

_GROW = "{% set ns = namespace(s='a', n=3, l=[1], m=[1]) %}{% for i in range(99) %}BODY{% endfor %}"


def _seconds(payload: str) -> float:
    before = time.thread_time()
    with pytest.raises(TemplateError):
        make_template(payload).body(make_scope(other="<" * 1_000_000))
    return time.thread_time() - before


@pytest.mark.parametrize(
    "payload",
    [
        "{{ 'a' * 10 ** 12 }}",
        "{{ [1] * 10 ** 12 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ 2 ** (10 ** 9) }}",
        "{{ [[[[1] * 1000] * 1000] * 1000] * 1000 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ other.replace('<', other) }}",
        "{{ other | replace('', other) }}",
        "{{ other.join(other) }}",
        "{{ other ~ other ~ other ~ other ~ other ~ other ~ other ~ other ~ other }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}1",
        "{% for i in range(100000) %}{% set x = other.upper() %}{% endfor %}1",
        "{% for i in range(100000) %}{% set x = other[1:] %}{% endfor %}1",
        "{{ range(100000) | map('default', 1) | list | length }}",
        "{{ range(10 ** 9) | list }}",
        _GROW.replace("BODY", "{% set ns.s = ns.s + ns.s %}"),
        _GROW.replace("BODY", "{% set ns.s = ns.s ~ ns.s %}"),
        _GROW.replace("BODY", "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}"),
        _GROW.replace("BODY", "{% set ns.n = ns.n * ns.n %}"),
        _GROW.replace("BODY", "{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}")
        + "{{ ns.l == ns.m }}",
        _GROW.replace("BODY", "{% set ns.l = {'a': ns.l, 'b': ns.l} %}") + "{{ ns.l }}",
        _GROW.replace("BODY", "{% set ns.l = ns.l + [ns.l] %}"),
        "{% set s %}{% for i in range(99999) %}" + "x" * 100_000 + "{% endfor %}{% endset %}1",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) }}",
        "{% macro f(n) %}{{ varargs }}{% endmacro %}{{ f(1, 2) }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "1+" * 20_000 + "1 }}",
        "{% if 1 %}" * 500 + "1" + "{% endif %}" * 500,
        "{% for a in [1] %}" * 40 + "1" + "{% endfor %}" * 40,
        "1" * 300_000,
    ],
)
def test_bomb_becomes_an_error_soon(payload: str) -> None:
    assert _seconds(payload) < 4


@pytest.mark.parametrize(
    "payload",
    [
        "{{ user.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''['__cla' ~ 'ss__'] }}",
        "{{ ['__class__'] | map(attribute='__class__') | list }}",
        "{{ [user] | map(attribute='__class__') | list }}",
        "{{ [other] | join(',', '__class__') }}",
        "{{ user.get.__self__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ range.__module__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{0.__class__}'.format_map(other) }}",
        "{{ other | attr('__class__') }}",
        "{{ lipsum }}",
        "{{ cycler('a') }}",
        "{{ other.tags.append(1) }}",
        "{{ other.update({}) }}",
        "{{ user.clear() }}",
        "{{ now.tzinfo }}",
        "{{ now.replace(year=1) }}",
        "{{ range }}",
        "{{ namespace() }}",
        "{% set ns = namespace() %}{{ ns.__class__ }}",
        "{% set other.x = 1 %}1",
        "{{ [1] | map('json value') | list }}{{ context }}",
    ],
)
def test_nothing_but_data_can_be_reached(payload: str) -> None:
    with pytest.raises(TemplateError):
        make_template(payload).body(make_scope())


def test_error_names_the_line_of_a_costly_loop() -> None:
    template = make_template("[\n{% for i in range(99999) %}{% for j in range(9) %}{% endfor %}{% endfor %}]")

    with pytest.raises(TemplateError) as caught:
        template.body(make_scope())

    assert str(caught.value) == (
        "payload, line 2, column 28, {% for j in range(9) %}: this costs too much: "
        "more than 100,000 loop rounds, calls and filters in one rendering"
    )


def test_longer_result_than_allowed_is_too_large() -> None:
    template = make_template('["{{ other }}"]', max_size=1000)

    assert template.body(make_scope(other="x" * 990)) is not None
    with pytest.raises(PayloadTooLarge, match="it renders to more than 1,000 characters"):
        template.body(make_scope(other="x" * 1000))


def test_megabyte_of_other_is_rendered() -> None:
    other = {"rows": [{"id": number, "text": "x" * 80} for number in range(8_000)]}

    assert len(render('{"o": {{ other | tojson }}}', other=other)) > 800_000


def test_every_filter_is_documented_and_every_documented_filter_is_there() -> None:
    assert {name for name in ENVIRONMENT.filters if " " not in name} == set(FILTERS)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("none | upper", '""'),
        ("'ab' | capitalize | lower | title | trim", '"Ab"'),
        ("[3, 1, 2, 1] | sort | unique | list", "[1,2,3]"),
        ("[1, 2, none] | sum", "3"),
        ("[1, 2] | max + [1, 2] | min", "3"),
        ("['a', none, 1] | join('-')", '"a--1"'),
        ("'-'.join(['a', 'b'])", '"a-b"'),
        ("'a.b'.replace('.', '!')", '"a!b"'),
        ("'<b>A &amp;\n B</b>' | striptags", '"A & B"'),
        ("'abcdef' | truncate(4)", '"abc…"'),
        ("'x y' | urlencode", '"x%20y"'),
        ("'12' | int + ('x' | int(0))", "12"),
        ("'1.5' | float | round | abs", "2"),
        ("1.25 | round(1)", "1.2"),
        ("'abc' | reverse ~ 'abc' | first ~ 'abc' | last", '"cbaac"'),
        ("'abc' | length", "3"),
        ("'abc'[1:]", '"bc"'),
        ("['a'] | map('upper') | list", '["A"]'),
        ("[{'n': 1}, {'n': 2}] | selectattr('n', 'eq', 2) | map(attribute='n') | first", "2"),
        ("[1, 2, 3] | select('odd') | list ~ [1, 2] | reject('odd') | string", '"[1,3][2]"'),
        ("{'a': 1} | items | list", '[["a",1]]'),
        ("7 | string", '"7"'),
        ("eventname.split('\\\\') | last", '"user_created"'),
    ],
)
def test_filters_do_what_they_say(expression: str, expected: str) -> None:
    assert render("{{ " + expression + " }}") == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("'x' | int", '"x" is no number: give a default, such as int(0)'),
        ("'a' + 1", "+ cannot add text and a number: join text with ~"),
        ("1 / 0", "division by zero"),
        ("1 .x and userid", '"x" is missing, for it is asked of a number'),
        ("userid()", "a number cannot be called"),
        ("other.auth()", "text cannot be called"),
        ("-1e308 * 10", "-inf is no JSON number"),
        ("(10 ** 20) | isodate", "is no time in seconds since 1970"),
        ("other.count[:1]", "no part can be cut out of a number"),
    ],
)
def test_silly_expression_is_explained(expression: str, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render("{{ " + expression + " }}")

    assert reason in str(caught.value)


def test_loop_over_null_is_explained() -> None:
    with pytest.raises(TemplateError, match="a loop needs a list, this is null: `or \\[\\]` allows for null"):
        render("[{% for x in other %}{{ x }}{% endfor %}]", other=None)
