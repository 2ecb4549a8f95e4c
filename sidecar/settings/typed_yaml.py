"""YAML that somebody typed into a form becomes a mapping, read as the configuration file is read."""

from collections.abc import Iterator
from typing import Any

import yaml

from sidecar.errors import said
from sidecar.settings.nodes import BadYaml, compose, scalar

_MOST_VALUES = 5_000


def mapping(text: str) -> dict[str, Any]:
    """Return the mapping, an empty one of nothing. Raises ValueError, which never quotes the text."""
    try:
        node = compose(text)
        found = None if node is None else _value(node, iter(range(_MOST_VALUES)))
    except BadYaml as error:
        what = error.args[0]
        raise ValueError(
            said("line %(n)s: %(error)s", n=error.line, error=what) if error.line else what
        ) from None
    except RecursionError:
        raise ValueError(said("it is nested too deeply")) from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(said("expected a mapping: one `key: value` in a line"))
    return found


def _value(node: yaml.Node, left: Iterator[int]) -> Any:
    if next(left, None) is None:
        raise ValueError(said("more than %(n)s values are too many", n=f"{_MOST_VALUES:,}"))
    match node:
        case yaml.ScalarNode():
            return scalar(node)
        case yaml.SequenceNode():
            return [_value(one, left) for one in node.value]
        case _:
            return {str(_value(key, left)): _value(one, left) for key, one in node.value}
