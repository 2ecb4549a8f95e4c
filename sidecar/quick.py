"""Classes of frozen values of which there are very many pass through here, to be made in less time."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

_T = TypeVar("_T")
_set: Callable[..., None] = object.__setattr__


def quick(cls: type[_T]) -> type[_T]:
    """Give a frozen dataclass with slots the constructor of one that is not frozen.

    A frozen one sets each field by a call around its own lock: with twenty fields that takes thrice as long.
    So a value is of an open twin while it is filled, and of its own class from then on.
    """
    spec: dict[str, Any] = {"__annotations__": {one.name: one.type for one in fields(cls)}}  # type: ignore[arg-type]
    for one in fields(cls):  # type: ignore[arg-type]
        if one.default is not MISSING:
            spec[one.name] = one.default
        elif one.default_factory is not MISSING:
            spec[one.name] = field(default_factory=one.default_factory)
    twin: Any = dataclass(slots=True)(type(cls.__name__, (), spec))
    fill = twin.__init__

    def init(self: Any, *args: Any, **named: Any) -> None:
        _set(self, "__class__", twin)
        fill(self, *args, **named)
        self.__class__ = cls

    cls.__init__ = init  # type: ignore[method-assign]
    return cls
