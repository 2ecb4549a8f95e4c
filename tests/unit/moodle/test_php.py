"""PHP's serialized data: what is read, what is refused, and that nothing else ever happens."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.moodle import php


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("N;", None),
        ("b:1;", True),
        ("b:0;", False),
        ("i:-42;", -42),
        ("i:9223372036854775807;", 9223372036854775807),
        ("d:0.5;", 0.5),
        ("d:1.0E+25;", 1e25),
        ("d:-INF;", float("-inf")),
        ('s:0:"";', ""),
        ('s:10:"Álgebra²";', "Álgebra²"),
        ('s:4:"😀";', "😀"),
        ('s:4:"a";b";', 'a";b'),
        ('s:3:"a\0b";', "a\0b"),
        ("a:0:{}", []),
        ('a:2:{i:0;s:1:"x";i:1;N;}', ["x", None]),
        ('a:1:{s:13:"relateduserid";s:2:"45";}', {"relateduserid": "45"}),
        ('a:1:{i:5;s:1:"x";}', {"5": "x"}),
        ('a:2:{i:1;s:1:"x";i:0;s:1:"y";}', {"1": "x", "0": "y"}),
        ('a:1:{s:1:"a";a:1:{i:0;a:1:{s:1:"b";b:1;}}}', {"a": [{"b": True}]}),
    ],
)
def test_data_is_read(text: str, value: Any) -> None:
    assert php.loads(text) == value


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert php.loads(b's:3:"a\xffb";') == "a\ufffdb"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('O:8:"stdClass":0:{}', "an object is refused at byte 0"),
        ('a:1:{s:1:"x";O:8:"stdClass":0:{}}', "an object is refused at byte 13"),
        ('C:11:"ArrayObject":2:{x}', "an object is refused at byte 0"),
        ('E:11:"Suit:Hearts";', "an enum is refused at byte 0"),
        ("a:2:{i:0;i:1;i:1;R:2;}", "a reference is refused at byte 17"),
        ("r:1;", "a reference is refused at byte 0"),
        ("", "expected a value at byte 0"),
        ("N", "expected null at byte 0"),
        ("b:2;", "expected true or false at byte 0"),
        ("i:x;", "expected a whole number at byte 0"),
        ("i:" + "9" * 5000 + ";", "expected a whole number at byte 0"),
        ("d:zero;", "expected a number at byte 0"),
        ('s:3:"ab";', "the text is not 3 bytes long at byte 5"),
        ('s:2:"Á";x', "something follows the end of the data at byte 9"),
        ('s:9999999999:"a";', "the text is not 9999999999 bytes long at byte 14"),
        ("a:2:{i:0;N;}", "expected a key at byte 11"),
        ("a:1:{i:0;N;i:1;N;}", "expected the end of the array at byte 11"),
        ("a:9999999999:{", "expected a key at byte 14"),
        ("a:1:{N;N;}", "expected a key at byte 5"),
        ("a:1:{i:0;N;", "expected the end of the array at byte 11"),
    ],
)
def test_anything_else_is_refused_with_its_position(text: str, problem: str) -> None:
    with pytest.raises(php.NotPhpData) as caught:
        php.loads(text)

    assert str(caught.value) == problem
    assert caught.value.position == int(problem.rsplit(" ", 1)[1])


def test_a_hundred_levels_are_read_and_one_more_is_refused() -> None:
    def nested(levels: int) -> str:
        return "a:1:{i:0;" * levels + "N;" + "}" * levels

    assert php.loads(nested(100))[0][0][0]
    with pytest.raises(php.NotPhpData, match="nested deeper than 100 levels at byte 900"):
        php.loads(nested(101))
    with pytest.raises(php.NotPhpData, match="nested deeper than 100 levels at byte 900"):
        php.loads(nested(100_000))


def test_a_text_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(php.NotPhpData, match="longer than 16777216 bytes"):
        php.loads(b"i" * (php.MAX_BYTES + 1))


def dumps(value: Any) -> str:
    """Serialize as PHP does."""
    match value:
        case None:
            return "N;"
        case bool():
            return f"b:{value:d};"
        case int():
            return f"i:{value};"
        case float():
            return f"d:{value!r};"
        case str():
            return f's:{len(value.encode())}:"{value}";'
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    return f"a:{len(pairs)}:{{{''.join(dumps(key) + dumps(item) for key, item in pairs)}}}"


WORDS = st.text(st.characters(exclude_categories=["Cs"]))
# PHP makes "5" as a key the number 5, so that a dict with the keys "0", "1" ... is a list again.
KEYS = WORDS.filter(lambda key: not key.isdecimal())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner, min_size=1), max_leaves=20
)


@given(DATA)
def test_what_php_writes_comes_back_as_it_was(value: Any) -> None:
    assert php.loads(dumps(value)) == value


def refused_at(data: str | bytes) -> int | None:
    try:
        php.loads(data)
    except php.NotPhpData as refused:
        return refused.position
    return None


@given(st.binary())
@example(b"a:1:{s:")
@example(b"d:1e999;")
def test_arbitrary_bytes_are_data_or_refused(data: bytes) -> None:
    position = refused_at(data)

    assert position is None or 0 <= position <= len(data)


@given(DATA.map(dumps), st.data())
def test_damaged_data_is_read_otherwise_or_refused(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    damaged = text[:cut] + data.draw(st.text('abdisNOR:;{}"0123456789', max_size=3)) + text[cut + 1 :]

    position = refused_at(damaged)

    assert position is None or 0 <= position <= len(damaged.encode())
