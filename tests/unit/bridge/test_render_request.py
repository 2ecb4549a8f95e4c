"""Addresses and headers take data without letting it change where a request goes."""

from typing import Any

import pytest

from sidecar.bridge.render import BrokenRule, compile_rule
from sidecar.errors import TemplateError
from sidecar.settings.rule import Rule
from tests.unit.bridge.rendering import make_scope, make_template, refused


def _endpoint(text: str, **changes: Any) -> str:
    return make_template("{}", endpoint=text).endpoint(make_scope(**changes))


def _header(text: str, **changes: Any) -> str:
    return make_template("{}", headers={"X-Of": text}).headers(make_scope(**changes))["X-Of"]


def test_pieces_of_path_and_query_are_percent_encoded() -> None:
    found = _endpoint("/u/{{ other }}/x?name={{ other }}&n={{ ip }}&id={{ userid }}", other="a/b ?&=é\ud800")

    piece = "a%2Fb%20%3F%26%3D%C3%A9%EF%BF%BD"
    assert found == f"/u/{piece}/x?name={piece}&n=&id=2"


def test_endpoint_without_placeholders_stays_as_it_is() -> None:
    assert _endpoint("/users/../all?a=b c\n") == "/users/../all?a=b c"


@pytest.mark.parametrize("other", [None, ""])
def test_empty_piece_of_a_path_is_refused(other: str | None) -> None:
    with pytest.raises(TemplateError, match=r"endpoint, line 1, column 4, \{\{ other \}\}: it is empty here"):
        _endpoint("/u/{{ other }}", other=other)


@pytest.mark.parametrize("other", [".", ".."])
def test_data_cannot_climb_out_of_the_path(other: str) -> None:
    with pytest.raises(TemplateError, match="data must not put"):
        _endpoint("/u/{{ other }}/x", other=other)


@pytest.mark.parametrize("other", ["a\r\nHost: evil", "a\nb", "a\0b"])
def test_line_breaks_and_nul_are_refused(other: str) -> None:
    with pytest.raises(TemplateError, match="line break or NUL"):
        _header("{{ other }}", other=other)
    with pytest.raises(TemplateError, match="line break or NUL"):
        _endpoint("/{{ other }}", other=other)
    with pytest.raises(TemplateError, match="line break or NUL"):
        _endpoint("/?{{ other }}", other=other)


def test_literal_line_break_is_refused_when_loaded() -> None:
    assert refused(headers={"X-Of": "a\nb"}) == ("headers.X-Of: the value has a line break or NUL",)
    assert refused(endpoint="/a\nb") == ("endpoint: it has a line break or NUL",)


def test_header_takes_ascii_only_and_says_how() -> None:
    assert _header(" {{ rule }}/{{ userid }} ") == "new-user/2"
    assert _header("{{ other | urlencode }}", other="é 1") == "%C3%A9%201"
    with pytest.raises(TemplateError, match=r"use `\| urlencode`"):
        _header("{{ other }}", other="é")


def test_query_begins_where_the_branches_agree() -> None:
    problems = refused(endpoint="/a{% if userid %}?x={{ userid }}{% endif %}")

    assert "after `if` we stand in the query, after `no else` in the path" in problems[0]


def test_whole_request_for_a_preview() -> None:
    template = make_template('{"id": {{ objectid }}}', method="PUT", endpoint="/users/{{ objectid }}")

    made = template.render_all(make_scope())

    assert (made.method, made.endpoint, made.body) == ("PUT", "/users/5", '{"id": 5}')
    assert (made.content_type, dict(made.headers)) == ("application/json", {})


def test_content_type_of_the_rule_wins() -> None:
    template = make_template("{}", headers={"content-type": "application/vnd.crm+json"})

    assert template.render_all(make_scope()).content_type == "application/vnd.crm+json"


def _key(text: str, kind: str = "amqp", **changes: Any) -> str:
    rule = Rule(name="new-user", event="*", service="bus", payload="{}", endpoint=text)
    return compile_rule(rule, kind=kind).endpoint(make_scope(**changes))


@pytest.mark.parametrize("kind", ["amqp", "soap"])
@pytest.mark.parametrize(
    "other", ["a/b c", "Zoë", "x.y", "*", "#", "50%", r"\core\event", "😀", "?a=b", ".."]
)
def test_name_takes_values_as_they_are(kind: str, other: str) -> None:
    assert _key("users.{{ other }}.{{ userid }}", kind, other=other) == f"users.{other}.2"


@pytest.mark.parametrize("kind", ["amqp", "soap"])
@pytest.mark.parametrize("other", ["a\nb", "a\0b", "\x7f", "a\x1bb", "\x85"])
def test_name_takes_no_control_characters(kind: str, other: str) -> None:
    with pytest.raises(
        TemplateError, match=r"endpoint, line 1, column 3, \{\{ other \}\}: .* control character"
    ):
        _key("u.{{ other }}", kind, other=other)


@pytest.mark.parametrize("other", [None, ""])
def test_empty_piece_of_a_name_is_refused(other: str | None) -> None:
    with pytest.raises(TemplateError, match="it is empty here, and the name would be another one"):
        _key("{{ other }}", other=other)


def test_name_that_utf_8_cannot_carry_is_mended() -> None:
    assert _key("u.{{ other }}", other="a\ud800") == "u.a\ufffd"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("ALG.1-a", "ALG-1-a"),
        ("*.#", "-"),
        (r"\core\event\user_created", "-core-event-user_created"),
        ("Zoë 日本 x", "Zoë-日本-x"),
        (5, "5"),
    ],
)
def test_value_can_be_made_one_word_of_a_routing_key(value: object, word: str) -> None:
    assert _key("course.{{ other | word }}", other=value) == f"course.{word}"


def test_routing_key_of_255_bytes_is_the_longest() -> None:
    assert _key("é{{ other }}", other="é" * 126 + "x") == "é" * 127 + "x"
    with pytest.raises(TemplateError, match="the routing key has 256 bytes; AMQP takes 255"):
        _key("é{{ other }}", other="é" * 127)
    assert len(_key("é{{ other }}", "soap", other="é" * 127)) == 128


def test_routing_key_without_placeholders_that_is_too_long_is_refused_when_loaded() -> None:
    with pytest.raises(BrokenRule) as caught:
        _key("k" * 256)

    assert caught.value.lines == ["endpoint: the routing key has 256 bytes; AMQP takes 255"]


def test_long_template_of_a_short_routing_key_is_fine() -> None:
    assert _key("{# " + "x" * 300 + " #}k") == "k"
