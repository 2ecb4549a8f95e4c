"""The filters of payload templates: few, for data rather than pages, and counted."""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any
from urllib.parse import quote

from jinja2 import Undefined, pass_context
from jinja2.filters import FILTERS as JINJA_FILTERS

from sidecar.bridge.render.budget import size
from sidecar.bridge.render.jsonsafe import iso, json_value, marked, mend, text
from sidecar.errors import said

FILTERS: Mapping[str, str] = {
    "abs": "the number without its sign",
    "capitalize": "first letter large, the others small",
    "d": "short for default",
    "default": "another value where it is missing; default(x, true): also where it is null or empty",
    "first": "the first entry",
    "float": "a number with a fraction; float(x) gives x where it is none",
    "int": "a whole number; int(x) gives x where it is none",
    "isodate": "Moodle's seconds since 1970 as ISO 8601 in UTC; null for null and for 0, Moodle's never",
    "items": "pairs of key and value of a mapping",
    "join": "the entries as one text, with a separator between them",
    "last": "the last entry",
    "length": "how many characters or entries",
    "list": "a list of the entries",
    "lower": "small letters",
    "map": "a filter applied to each entry, or map(attribute='name') of each",
    "max": "the largest entry",
    "min": "the smallest entry",
    "reject": "the entries that a test does not hold for",
    "rejectattr": "the entries whose attribute a test does not hold for",
    "replace": "replace(old, new): every old text by a new one",
    "reverse": "the text or the entries backwards",
    "round": "round(digits)",
    "safe": "the value as it is: nothing here switches escaping off",
    "select": "the entries that a test holds for",
    "selectattr": "the entries whose attribute a test holds for",
    "sort": "the entries in order; sort(attribute='name')",
    "string": "the value as text; null is empty",
    "striptags": "text without HTML tags and entities",
    "sum": "the numbers added up",
    "title": "Each Word With A Large Letter",
    "tojson": "JSON; needed nowhere, harmless everywhere",
    "trim": "text without blanks around it",
    "truncate": "truncate(length): cut to so many characters, the last of them an ellipsis",
    "unique": "every entry once",
    "upper": "large letters",
    "urlencode": "percent-encoded text",
    "word": "one word of a routing key: what is no letter, digit, `-` or `_` becomes `-`",
}

_NOT_GIVEN = object()
# No repetition can begin inside another: linear on any text.
_TAG = re.compile(r"<[^<>]*>")
_NO_WORD = re.compile(r"[^\w-]+")


def metered(function: Callable[..., Any], wants: str = "") -> Callable[..., Any]:
    """Count a filter's call and result; what comes lazily is made a list, and every entry counted."""

    @pass_context
    @wraps(function)
    def run(context: Any, *args: Any, **kwargs: Any) -> Any:
        budget = context.budget
        budget.step()
        first = {"context": (context,), "environment": (context.environment,)}.get(wants, ())
        result = function(*first, *args, **kwargs)
        if isinstance(result, Iterator):
            result = list(budget.each(result))
        budget.take(size(result))
        return result

    return run


def _of_text(change: Callable[[str], str]) -> Callable[[Any], str]:
    def changed(value: Any) -> str:
        return change(text(value))

    return changed


def isodate(seconds: Any) -> str | None:
    """Return Moodle's time as ISO 8601 in UTC; None for null and for 0, which is Moodle's never."""
    if isinstance(seconds, datetime | date):
        return iso(seconds)
    if seconds is None or int(seconds) == 0:
        return None
    try:
        return iso(datetime.fromtimestamp(int(seconds), UTC))
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(said("%(value)s is no time in seconds since 1970", value=seconds)) from error


def _items(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise TypeError(said("items needs a mapping"))
    return list(value.items())


def _join(values: Iterable[Any], separator: Any = "", attribute: str | None = None) -> str:
    pieces = [text(value[attribute] if attribute else value) for value in values]
    return text(separator).join(pieces)


def _replace(value: Any, old: Any, new: Any, count: int = -1) -> str:
    return text(value).replace(text(old), text(new), count)


@pass_context
def _replace_counted(context: Any, value: Any, old: Any, new: Any, count: int = -1) -> str:
    found = text(value).count(text(old))
    context.budget.step()
    context.budget.take(len(text(value)) + found * len(text(new)))
    return _replace(value, old, new, count)


@pass_context
def _join_counted(context: Any, values: Any, separator: Any = "", attribute: str | None = None) -> str:
    context.budget.step()
    entries = list(context.budget.each(values))
    if attribute:
        entries = [context.environment.getitem(entry, attribute) for entry in entries]
    for entry in entries:
        context.budget.take(len(text(entry)) + len(text(separator)))
    return _join(entries, separator)


def _number(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    def convert(value: Any, default: Any = _NOT_GIVEN) -> Any:
        try:
            return kind(value)
        except (TypeError, ValueError, OverflowError):
            if default is not _NOT_GIVEN:
                return default
            raise ValueError(
                said("%(value)s is no number: give a default, such as int(0)", value=json_value(value)[:40])
            ) from None

    return convert


def _round(value: Any, digits: int = 0) -> Any:
    rounded = round(value, max(-15, min(int(digits), 15)))
    return int(rounded) if digits <= 0 else rounded


def _sum(values: Iterable[Any]) -> Any:
    return sum(0 if value is None else value + 0 for value in values)


def _striptags(value: Any) -> str:
    return " ".join(html.unescape(_TAG.sub("", text(value))).split())


def _truncate(value: Any, length: int = 255, end: str = "…") -> str:
    whole = text(value)
    return whole if len(whole) <= length else whole[: max(length - len(end), 0)] + end


def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else list(value)[::-1]


def _first(value: Any) -> Any:
    return next(iter(value), None)


def _last(value: Any) -> Any:
    return _first(_reverse(value))


def _urlencode(value: Any) -> str:
    return quote(mend(text(value)), safe="")


def _word(value: str) -> str:
    return _NO_WORD.sub("-", mend(value))


def _default(value: Any, other: Any = "", boolean: bool = False) -> Any:
    return other if isinstance(value, Undefined) or (boolean and not value) else value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: metered(_of_text(getattr(str, name))) for name in ("capitalize", "lower", "title", "upper")},
    **{
        name: metered(JINJA_FILTERS[name], "context")
        for name in ("map", "reject", "rejectattr", "select", "selectattr")
    },
    **{name: metered(JINJA_FILTERS[name], "environment") for name in ("max", "min", "sort", "unique")},
    "abs": metered(abs),
    "d": metered(_default),
    "default": metered(_default),
    "first": metered(_first),
    "float": metered(_number(float)),
    "int": metered(_number(int)),
    "isodate": metered(isodate),
    "items": metered(_items),
    "join": _join_counted,
    "last": metered(_last),
    "length": metered(len),
    "list": metered(list),
    "replace": _replace_counted,
    "reverse": metered(_reverse),
    "round": metered(_round),
    "safe": metered(lambda value: value),
    "string": metered(text),
    "striptags": metered(_striptags),
    "sum": metered(_sum),
    "tojson": metered(marked),
    "trim": metered(_of_text(str.strip)),
    "truncate": metered(_truncate),
    "urlencode": metered(_urlencode),
    "word": metered(_of_text(_word)),
}
