"""Forms, XML and text take any data without its becoming structure."""

import re
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.bridge.render import BrokenRule, Encoding, PayloadTooLarge, Rendered, compile_rule
from sidecar.errors import TemplateError
from sidecar.settings import Rule
from sidecar.settings.service import FormatName
from tests.unit.bridge.rendering import make_scope

_ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text("]>[<&\"'-!?CDATA\r\n\t\0;#")


def rendered(form: FormatName, payload: Any, method: str = "POST", **changes: Any) -> Rendered:
    """Return what a payload of a format becomes for an event with changes."""
    rule = Rule.model_validate(
        {"name": "r", "event": "*", "service": "crm", "payload": payload, "method": method}
    )
    return compile_rule(rule, Encoding(form)).render_all(make_scope(**changes))


def body(form: FormatName, payload: Any, **changes: Any) -> str:
    """Return only the body."""
    found = rendered(form, payload, **changes).body
    assert found is not None
    return found


def refused(form: FormatName, payload: Any, method: str = "POST") -> str:
    """Return why a rule cannot be loaded."""
    with pytest.raises(BrokenRule) as caught:
        rendered(form, payload, method)
    return str(caught.value)


def test_a_mapping_becomes_nested_fields_as_moodle_reads_them() -> None:
    payload = {
        "wsfunction": "core_user_create_users",
        "users": [{"username": "{{ rule }}", "id": "{{ objectid }}", "tags": "{{ other.tags }}"}],
        "flags": [True, False],
        "left": "{{ ip }}",
        "empty": [],
        "big": 12345678901234567890,
        "share": 7.50,
    }

    made = rendered("form", payload)

    assert made.content_type == "application/x-www-form-urlencoded"
    assert parse_qsl(made.body or "", keep_blank_values=True) == [
        ("wsfunction", "core_user_create_users"),
        ("users[0][username]", "new-user"),
        ("users[0][id]", "5"),
        ("users[0][tags][0]", "a"),
        ("users[0][tags][1]", "b"),
        ("flags[0]", "1"),
        ("flags[1]", "0"),
        ("big", "12345678901234567890"),
        ("share", "7.5"),
    ]


def test_a_form_without_a_payload_is_the_whole_event() -> None:
    fields = dict(parse_qsl(body("form", None, other={"auth": "manual"})))

    assert (fields["eventname"], fields["other[auth]"]) == (r"\core\event\user_created", "manual")


@given(_ANY_TEXT)
def test_no_value_adds_a_field(value: str) -> None:
    mended = value.encode("utf-8", "replace").decode() if value.isascii() else None

    for payload in ("a={{ other }}\n  &b=1", {"a": "{{ other }}", "b": "1"}):
        fields = parse_qsl(body("form", payload, other=value), keep_blank_values=True)
        assert [name for name, _ in fields] == ["a", "b"]
        assert mended is None or fields[0][1] == mended


def test_a_form_written_by_hand_is_one_line_and_encoded() -> None:
    text = "users[0][name]=Zoë b\n  &a={{ rule }}\n  &n={{ ip }}\n"

    assert body("form", text) == "users[0][name]=Zo%C3%AB+b&a=new-user&n="


def test_a_long_name_with_many_entries_is_too_large_instead_of_eating_all_memory() -> None:
    with pytest.raises(PayloadTooLarge, match="as a form it has more than 1,048,576 characters"):
        body("form", {"other": "{{ other }}"}, other={"n" * 400_000: [1] * 200_000})


def test_text_is_sent_as_it_is() -> None:
    made = rendered("text", 'Zoë "{{ other }}" <{{ ip }}>', other='<a> & "b"')

    assert made.body == 'Zoë "<a> & "b"" <>'
    assert made.content_type == "text/plain; charset=utf-8"


_XML = """<?xml version="1.0" encoding="UTF-8"?>
<a b="{{ other }}" c='{{ other }}'><!-- "{no} --><d>{{ other }}</d><![CDATA[]{{ other }}]x]]></a>"""


def as_xml(value: str) -> str:
    """Return what is left of a text in XML."""
    return re.sub("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]", "\ufffd", value)


@given(_ANY_TEXT)
@example("]]><d>")
@example("]><d>")
@example("--><d>")
def test_no_value_leaves_its_place_in_xml(value: str) -> None:
    root = ET.fromstring(body("xml", _XML, other=value))

    there = as_xml(value)
    assert (root.get("b"), root.get("c")) == (there, there)
    assert [child.tag for child in root] == ["d"]
    assert root[0].text == (there or None)
    # A parser makes one line break of CR and CRLF, and CDATA cannot say otherwise.
    lines = f"]{there}]x".replace("\r\n", "\n").replace("\r", "\n")
    assert root[0].tail == lines


@pytest.mark.parametrize("value", [">", "]", "]]", "]]>", ">]]>", "]]]]>>"])
def test_cdata_ends_where_its_author_ended_it(value: str) -> None:
    root = ET.fromstring(body("xml", "<a><![CDATA[x]]{{ other }}y]]{{ other }}]]></a>", other=value))

    assert root.text == f"x]]{value}y]]{value}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<a {{ other }}/>", "inside a tag a placeholder has to stand between quotes"),
        ("<{{ other }}/>", "inside a tag a placeholder has to stand between quotes"),
        ("<a><!-- {{ other }} --></a>", "no placeholder can stand in a comment"),
        ("<?php {{ other }} ?><a/>", "no placeholder can stand in a processing instruction"),
        (
            "<a>{{ other }}</b>",
            "payload, line 1, column 17, b>: this can never be valid XML: mismatched tag",
        ),
        ("<a>\n<b></a>", "payload, line 2"),
        ("<p:a/>", "unbound prefix"),
        ("plain {{ other }}", "this can never be valid XML"),
        ("<!DOCTYPE a><a>{{ other }}</a>", "a document type (<!DOCTYPE) is not allowed"),
        ('<?xml version="1.0" encoding="latin1"?><a/>', "it is sent as UTF-8, but says latin1"),
        ("<a>{% if userid %}<b>{% endif %}</a>{{ nosuch }}", 'there is no "nosuch"'),
    ],
)
def test_xml_that_cannot_be_right_is_refused_when_loaded(text: str, problem: str) -> None:
    assert problem in refused("xml", text)


def test_xml_that_depends_on_the_data_is_proven_at_each_rendering() -> None:
    text = "<a>{% if courseid %}<b>{% endif %}{{ other }}</a>"

    assert body("xml", text, courseid=0, other="<") == "<a>&lt;</a>"
    with pytest.raises(
        TemplateError, match=r"the result is no valid XML: mismatched tag at line 1, column 13"
    ):
        body("xml", text, courseid=2, other="<")


def test_a_document_type_from_a_branch_is_refused_too() -> None:
    bomb = '{% if courseid %}<!DOCTYPE a [<!ENTITY x "y">]>{% endif %}<a>&x;</a>'

    with pytest.raises(TemplateError, match="document type"):
        body("xml", bomb, courseid=2)


@pytest.mark.parametrize(
    ("form", "payload", "method", "problem"),
    [
        ("xml", {"a": 1}, "POST", "format xml needs a text or a file"),
        ("text", None, "POST", "format text needs a text or a file"),
        ("form", ["{{ userid }}"], "POST", "format form needs a mapping or a text, got a list"),
        ("xapi", None, "POST", "format xapi needs a statement; `mih rules new` has ready ones"),
        ("cloudevents", None, "GET", "GET has no body to put a CloudEvent in: use POST"),
    ],
)
def test_a_payload_of_the_wrong_kind_is_refused(
    form: FormatName, payload: Any, method: str, problem: str
) -> None:
    assert problem in refused(form, payload, method)


@pytest.mark.parametrize("form", ["json", "form", "xml", "text"])
def test_a_request_without_a_body_has_no_content_type(form: FormatName) -> None:
    made = rendered(form, None, "DELETE")

    assert (made.body, made.content_type) == (None, None)


def test_an_address_nobody_has_said_is_an_error_when_loaded() -> None:
    rule = Rule(name="r", event="*", service="crm", payload={"at": "{{ site_url }}"})

    with pytest.raises(BrokenRule, match=r"payload\.at.*site_url is not set: write Moodle's address"):
        compile_rule(rule)
    compile_rule(rule, site_url="https://moodle.example.org")
