"""A text whose placeholders only name values is written down here, without running its compiled template."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import nodes

from sidecar.bridge.render.sandbox import ENVIRONMENT, PLAIN_ESCAPERS


class Slot(NamedTuple):
    """A placeholder: a name, keys that lead from its value to another, and the escaper that writes it."""

    name: str
    keys: Sequence[str | int]
    write: Callable[[Any], str]


class Plain:
    """A template in which nothing runs but escapers, so that there is nothing to count but characters.

    What it writes is what the compiled template would write.
    """

    def __init__(self, literals: Sequence[str], slots: Sequence[Slot], max_size: int) -> None:
        self._pattern = "%s".join(text.replace("%", "%%") for text in literals)
        self._slots = slots
        self._room = max_size - sum(map(len, literals))

    def text(self, scope: Mapping[str, Any]) -> str | None:
        """Return the rendered text; None where it fails: the compiled template then says why, and where."""
        room, pieces = self._room, []
        try:
            for name, keys, write in self._slots:
                value = scope[name]
                for key in keys:
                    value = ENVIRONMENT.getitem(value, key)
                piece = write(value)
                room -= len(piece)
                if room < 0:
                    return None
                pieces.append(piece)
        except Exception:  # noqa: BLE001 - it meets the compiled template again
            return None
        return self._pattern % tuple(pieces)


def plain(body: Sequence[nodes.Node], max_size: int) -> Plain | None:
    """Return a woven template as literal text and slots; None if there is more to it."""
    literals, slots = [""], list[Slot]()
    for part in _parts(body):
        if isinstance(part, nodes.TemplateData):
            literals[-1] += part.data
        elif slot := _slot(part):
            slots.append(slot)
            literals.append("")
        else:
            return None
    return Plain(literals, slots, max_size)


def _parts(body: Sequence[nodes.Node]) -> Iterator[nodes.Node]:
    """Yield the parts of statements that only write, and any other statement whole."""
    for node in body:
        if isinstance(node, nodes.Scope):
            yield from _parts(node.body)
        elif isinstance(node, nodes.Output):
            yield from node.nodes
        else:
            yield node


def _slot(part: nodes.Node) -> Slot | None:
    if not isinstance(part, nodes.Filter) or part.args or part.name not in PLAIN_ESCAPERS:
        return None
    value, keys = part.node, list[str | int]()
    while isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Const):
        keys.insert(0, value.arg.value)
        value = value.node
    return Slot(value.name, keys, PLAIN_ESCAPERS[part.name]) if isinstance(value, nodes.Name) else None
