"""A payload that only names values is written without its compiled template, and comes to the same."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.render import PayloadTooLarge, Template
from sidecar.errors import TemplateError
from tests.unit.bridge.rendering import NASTY, make_scope, make_template, render

# It writes nothing, but is something to run.
_TO_RUN = "{% set nothing = 1 %}"
_PAYLOADS = [
    '{"id": {{ id }}, "100 %s of": "{{ eventname }} {{ user.firstname }}", "where": {{ ip }}}',
    '["{{ other }}", {{ other }}]',
    '["{{ other.name }}"]',
    "[{{ other[0].name }}, {{ event.other }}]",
    '["{{ now }} {{ course.fullname }} %"]',
]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.just("name") | st.text(), inner, max_size=2)
    ),
    max_leaves=4,
)


_PAIRS = [(make_template(payload), make_template(payload + _TO_RUN)) for payload in _PAYLOADS]


def outcome(template: Template, other: Any) -> str:
    """Return what comes out, or what is wrong."""
    try:
        return template.body(make_scope(other=other)) or ""
    except TemplateError as error:
        return f"{type(error).__name__}: {error}"


@given(_VALUES)
def test_it_writes_and_refuses_what_the_compiled_template_does(other: Any) -> None:
    for plain, compiled in _PAIRS:
        assert outcome(plain, other) == outcome(compiled, other)


def test_signs_of_percent_in_the_text_stay_as_they_are() -> None:
    assert render('{"%s %(id)s %%": "{{ other }} %d"}', other=NASTY[:3]) == '{"%s %(id)s %%": "Zoë %d"}'


def test_a_large_value_that_is_named_often_ends_where_the_payload_is_too_large() -> None:
    template = make_template("[" + ",".join(['"{{ other }}"'] * 5_000) + "]")
    scope = make_scope(other="x" * 100_000)

    tracemalloc.start()
    with pytest.raises(PayloadTooLarge):
        template.body(scope)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert most < 20_000_000
