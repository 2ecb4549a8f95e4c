"""YAML text becomes nodes that know their line; only what looks like JSON is not text (YAML 1.2)."""

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from sidecar.errors import in_our_words, said

_NULL, _BOOL, _INT, _FLOAT, _STR = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")
)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes `no` for false, 12:30 for 750, 010 for 8 and a date for an object. This one does not."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as PyYAML declares it

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        """Return a scalar of whole characters: escapes may write one in two halves, as JSON does."""
        node = super().compose_scalar_node(anchor)
        try:
            node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise BadYaml(_HALF, node.start_mark.line + 1) from None
        return node


# What is a number without quotes: tag, pattern, first characters.
NUMBERS = (
    (_INT, r"[-+]?(?:0|[1-9][0-9]{0,99})", list("-+0123456789")),
    (_FLOAT, r"[-+]?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][-+]?[0-9]{1,4})?", list("-+0123456789")),
)
for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    *NUMBERS,
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


_HALF = said("an escape such as \\ud83d is half a character: write the other half behind it")


class BadYaml(Exception):
    """The text is no YAML. Its message never quotes the text, which may hold secrets."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


def compose(text: str) -> yaml.Node | None:
    """Return the root node, None for an empty file. Raises BadYaml."""
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        broken = BadYaml(_syntax(error, text), mark.line + 1 if mark else None)
    except yaml.reader.ReaderError as error:
        broken = BadYaml(_UNPRINTABLE, text.count("\n", 0, error.position) + 1)
    except RecursionError:
        broken = BadYaml(said("the YAML is nested too deeply"), None)
    raise broken


_UNPRINTABLE = said("the file holds a control character that YAML does not allow")


def scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """Return the value of a scalar. Raises ValueError for a tag that is not one of JSON's types."""
    build = _BUILDERS.get(node.tag)
    if build is None:
        raise ValueError(said("YAML tags (a leading !) are not used here: put the text in quotes"))
    return build(str(node.value))


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


_BUILDERS: dict[str, Callable[[str], str | int | float | bool | None]] = {
    _NULL: lambda _: None,
    _BOOL: lambda text: text.lower() == "true",
    _INT: int,
    _FLOAT: _float,
    _STR: str,
}


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    """Say what is wrong without PyYAML's snippets: they quote the line, and names that may be a password."""
    problem = error.problem or said("it cannot be read")
    for start, sentence in _SENTENCES.items():
        if problem.startswith(start):
            return sentence
    lines = text.splitlines()
    line = error.problem_mark.line if error.problem_mark else 0
    if "${" in "".join(lines[line : line + 1]) and "expected ',' or" in problem:
        return said('inside {...} and [...] a variable needs quotes: {token: "${TOKEN}"}')
    return said(
        "this is no valid YAML: %(problem)s", problem=in_our_words(_QUOTED.sub(_short, problem), _FOREIGN)
    )


_FOREIGN: dict[str, str] = {
    r"expected ',' or '(?P<sign>.)', but got .*": said("a comma or %(sign)s is missing"),
    "found unexpected end of stream": said("a quote is never closed"),
    "expected <block end>, but found .*": said("the indentation does not fit, or quotes are missing"),
    "(?:did not find expected|expected) the node content, but found .*": said("a value is missing"),
}
_QUOTED = re.compile(r"'[^']*'")


def _short(match: re.Match[str]) -> str:
    return (
        match[0]
        if len(match[0]) <= len("'<document start>'") and not match[0][1:2].isalnum()
        else "something"
    )


_ESCAPE = said(
    "in double quotes a backslash starts an escape: write the event without quotes, or in single quotes"
)


def _starting(sign: str) -> str:
    return said("a value that starts with %(sign)s needs quotes", sign=sign)


_SENTENCES = {
    "found unknown escape character": _ESCAPE,
    "expected escape sequence": _ESCAPE,
    "found undefined alias": said("a value that starts with * needs quotes (in YAML it names an anchor)"),
    "found duplicate anchor": said("two anchors have the same name; a value that starts with & needs quotes"),
    "found undefined tag handle": _starting("!"),
    "mapping values are not allowed here": said(
        'a ": " where none can be: check the indentation; a text that holds ": " needs quotes'
    ),
    "found character '\\t'": said("a tab: YAML is indented with spaces"),
    "found character '%'": _starting("%"),
    "found character '@'": _starting("@"),
    "found character '`'": _starting("`"),
    "could not find expected ':'": said('this line has no ": " between a key and its value'),
    "but found another document": said("there is a second document (a line ---): the configuration is one"),
    "expected alphabetic or numeric character": said("a value that starts with * or & needs quotes"),
    "special characters are not allowed": _UNPRINTABLE,
}
