"""The payload Jinja2 environment: what a template may read, call and compute, and nothing else."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jinja2 import StrictUndefined, UndefinedError
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing, pass_context

from sidecar.bridge.render.budget import MAX_BITS, Budget, Overrun, size
from sidecar.bridge.render.filters import FUNCTIONS, metered
from sidecar.bridge.render.jsonsafe import (
    form_piece,
    header_piece,
    json_string,
    json_value,
    name_piece,
    path_piece,
    query_piece,
    text,
    xml_attribute,
    xml_cdata,
    xml_text,
)
from sidecar.errors import said
from sidecar.moodle.lookups import Record
from sidecar.settings.wording import listing

TEXT_METHODS = frozenset(
    (
        *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit"),
        *(
            "islower",
            "isnumeric",
            "isspace",
            "isupper",
            "join",
            "lower",
            "lstrip",
            "partition",
            "removeprefix",
        ),
        *("removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip", "split", "splitlines"),
        *("startswith", "strip", "swapcase", "title", "upper"),
    )
)
MAPPING_METHODS = frozenset(("get", "items", "keys", "values"))
TIME_METHODS = frozenset(("date", "isoformat", "isoweekday", "strftime", "timestamp", "weekday"))
TIME_FIELDS = frozenset(("year", "month", "day", "hour", "minute", "second", "microsecond"))
LOOP_FIELDS = frozenset(
    (
        *("index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"),
        *("previtem", "nextitem"),
    )
)
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (str, TEXT_METHODS - {"join", "replace"}),  # these two are rewritten to the filters, which count
    (dict, MAPPING_METHODS),
    (list, frozenset(("count", "index"))),
    (datetime, TIME_METHODS),
    (LoopContext, frozenset(("changed", "cycle"))),
)
_FIELDS: tuple[tuple[type, frozenset[str]], ...] = (
    (Record, frozenset(("exists",))),
    (datetime, TIME_FIELDS),
    (LoopContext, LOOP_FIELDS),
)


class RenderContext(Context):
    """What one rendering knows, and what it may still spend."""

    budget: Budget


class Missing(StrictUndefined):
    """Something that is not there: it may be asked for with `is defined` or given a default, nothing else."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        obj, name = self._undefined_obj, self._undefined_name
        if self._undefined_hint:
            return self._undefined_hint
        if obj is missing:
            return said('"%(name)s" is not known here', name=name)
        if isinstance(obj, Mapping):
            return said('"%(name)s" is missing; there is %(names)s', name=name, names=_keys(obj))
        return said('"%(name)s" is missing, for it is asked of %(kind)s', name=name, kind=_kind(obj))


class PayloadEnvironment(ImmutableSandboxedEnvironment):
    """Reads data by key, calls the listed methods, counts what it costs; knows no files."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))
    context_class = RenderContext

    def __init__(self) -> None:
        super().__init__(undefined=Missing, optimized=False, autoescape=False, cache_size=0)
        self.globals = {"range": self.globals["range"], "namespace": Namespace}
        self.filters = dict(_ESCAPERS | FUNCTIONS)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Read data: a key, an index, or one of the fields of our own objects."""
        try:
            return obj[argument]
        except UndefinedError:
            return obj
        except (TypeError, LookupError):
            if isinstance(argument, str):
                return self._field(obj, argument)
            return self.undefined(obj=obj, name=argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a method that is about to be called."""
        for kind, methods in _METHODS:
            if isinstance(obj, kind) and attribute in methods:
                return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call a listed method, a macro or a function; count it and what it returns."""
        budget: Budget = __context.budget  # type: ignore[attr-defined]
        budget.step()
        if isinstance(__obj, Undefined):
            str(__obj)  # which raises, with the name of what is missing
        if not callable(__obj):
            raise TypeError(said("%(kind)s cannot be called", kind=_kind(__obj)))
        result = __context.call(__obj, *args, **kwargs)
        budget.take(size(result))
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute, after a look at how large the result gets."""
        budget: Budget = context.budget  # type: ignore[attr-defined]
        budget.take(_result_size(operator, left, right))
        return self.binop_table[operator](left, right)

    def _field(self, obj: Any, name: str) -> Any:
        for kind, fields in _FIELDS:
            if isinstance(obj, kind) and name in fields:
                return getattr(obj, name)
        if isinstance(obj, Namespace) and not name.startswith("_"):
            return getattr(obj, name, self.undefined(obj={}, name=name))
        return self.undefined(obj=obj, name=name)


def _result_size(sign: str, left: Any, right: Any) -> int:
    if isinstance(left, int) and isinstance(right, int):
        _refuse_giant(sign, left, right)
        return 0
    if sign == "*" and isinstance(left, int):
        left, right = right, left
    if sign == "*" and isinstance(right, int):
        return size(left) * max(right, 0)
    if sign == "%" and isinstance(left, str):
        raise TypeError(said("%(sign)s does not format text here: join the parts with ~", sign=sign))
    if sign == "+" and isinstance(left, str) != isinstance(right, str):
        raise TypeError(
            said(
                "%(sign)s cannot add %(left)s and %(right)s: join text with ~",
                sign=sign,
                left=_kind(left),
                right=_kind(right),
            )
        )
    return size(left) + size(right) if sign == "+" else 0


def _refuse_giant(sign: str, left: int, right: int) -> None:
    bits = left.bit_length() + right.bit_length() if sign == "*" else left.bit_length() * max(right, 0)
    if sign in {"*", "**"} and bits > MAX_BITS:
        raise Overrun(said("the number has more than %(n)s bits", n=f"{MAX_BITS:,}"))


def _kind(value: object) -> str:
    if value is None:
        return "null"
    for kind, name in (
        (str, said("text")),
        (bool, said("true or false")),
        (int | float, said("a number")),
        (Mapping, said("a mapping")),
    ):
        if isinstance(value, kind):
            return name
    return said("a list") if isinstance(value, list | tuple) else type(value).__name__


def _keys(obj: Mapping[Any, Any]) -> str:
    return listing(str(key) for key in obj) if obj else said("nothing in it")


@pass_context
def _each(context: RenderContext, items: Iterable[Any], weight: int) -> Iterator[Any]:
    if items is None or isinstance(items, bool | int | float):
        raise TypeError(
            said("a loop needs a list, this is %(kind)s: `or []` allows for null", kind=_kind(items))
        )
    return context.budget.each(items, weight)


def _plain_text(value: Any) -> str:
    return str(value) if isinstance(value, str) else text(value)


@pass_context
def _counted_text(context: RenderContext, value: Any) -> str:
    # This text may be gathered in memory before anybody counts it, so it is counted here.
    written = _plain_text(value)
    context.budget.take(len(written))
    return written


def _truth(value: Any) -> str:
    return "true" if value else ""


def _slice(value: Any, start: Any, stop: Any, step: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise TypeError(said("no part can be cut out of %(kind)s", kind=_kind(value)))
    return operator.getitem(value, slice(start, stop, step))


def _concat(values: list[Any]) -> str:
    return "".join(map(_plain_text, values))


# Names with a blank: no template can write them. These know nothing but the value.
PLAIN_ESCAPERS: Mapping[str, Callable[[Any], str]] = {
    "json value": json_value,
    "json string": json_string,
    "path piece": path_piece,
    "query piece": query_piece,
    "header piece": header_piece,
    "name piece": name_piece,
    "form piece": form_piece,
    "xml text": xml_text,
    "xml attribute": xml_attribute,
    "xml cdata": xml_cdata,
    "plain text": _plain_text,
    "a truth": _truth,
}
_ESCAPERS: dict[str, Any] = {
    **PLAIN_ESCAPERS,
    "plain text": _counted_text,
    "each one": _each,
    "a slice": metered(_slice),
    "a concatenation": metered(_concat),
    "a container": metered(lambda value: value),
}

ENVIRONMENT = PayloadEnvironment()
