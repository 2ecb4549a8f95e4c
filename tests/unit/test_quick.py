"""Values of a quick class are made in less time, and are in nothing else unlike those of any frozen class."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from sidecar.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Swift:
    """A value."""

    name: str
    many: tuple[int, ...] = (1, 2)
    more: list[int] = field(default_factory=list, compare=False)


def test_it_is_made_by_position_or_by_name_with_its_defaults() -> None:
    made, other = Swift("a", more=[3]), Swift(name="a", many=(1, 2))

    assert type(made) is Swift
    assert (made.name, made.many, made.more, other.more) == ("a", (1, 2), [3], [])
    assert (made, hash(made)) == (other, hash(other))


def test_nothing_of_it_can_be_changed() -> None:
    made: Any = Swift("a")

    with pytest.raises(FrozenInstanceError):
        made.name = "b"
    with pytest.raises(AttributeError):
        object.__setattr__(made, "unheard_of", 1)


def test_what_is_missing_is_told() -> None:
    made: Any = Swift

    with pytest.raises(TypeError, match="name"):
        made()


def test_it_can_be_copied_and_changed_on_the_way() -> None:
    made = Swift("a", (3,))

    assert [copy.copy(made), pickle.loads(pickle.dumps(made))] == [made, made]
    assert replace(made, name="b") == Swift("b", (3,))
