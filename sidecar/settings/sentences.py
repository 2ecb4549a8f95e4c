"""What pydantic finds wrong becomes problems in plain words, without the values."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sidecar.errors import as_said, said, text_of
from sidecar.settings.schema import Settings
from sidecar.settings.section import Section
from sidecar.settings.source import Problem, child
from sidecar.settings.values import PATTERN_WORDS
from sidecar.settings.wording import did_you_mean, kind, listing, not_text, suggest

_Steps = tuple[int | str, ...]


def problems_of(error: ValidationError, values: object) -> Iterator[Problem]:
    """Yield what is wrong, each with its place in the file."""
    details = error.errors(include_url=False)
    meant = {
        (*_steps(one, values)[:-1], _meant(one, values))
        for one in details
        if one["type"] == "extra_forbidden"
    }
    for one in details:
        steps = _steps(one, values)
        if one["type"] == "missing" and steps in meant:
            continue  # it is there, misspelt: one problem, not two
        if steps[:1] == ("rules",) and "where" in steps[:-1]:
            continue  # checks.py knows the columns and says it better
        yield Problem(_place(steps), _sentence(one, _at(values, steps), steps))


def _sentence(error: ErrorDetails, value: object, steps: _Steps) -> str:
    context = error.get("ctx", {})
    if error["type"] == "missing":
        return as_said("missing", f"missing{_description(steps)}")  # options are described in English
    if error["type"] == "extra_forbidden":
        return said("unknown key%(hint)s", hint=did_you_mean(str(steps[-1]), _keys(steps[:-1])))
    speak = _SENTENCES.get(error["type"])
    return speak(context, value) if speak else _wanted(error["type"], context, value)


_NOT_HERE: str = said("this has a character that cannot stand here")
_SENTENCES: dict[str, Callable[[Mapping[str, Any], object], str]] = {
    "value_error": lambda context, _: text_of(context["error"]),
    "string_type": lambda _, value: not_text(value),
    "union_tag_invalid": lambda *_: said(
        "unknown type; there is none, bearer, apikey, basic, oauth2 and wsse"
    ),
    "union_tag_not_found": lambda *_: said(
        "its type is missing; there is none, bearer, apikey, basic, oauth2 and wsse"
    ),
    "string_pattern_mismatch": lambda context, _: PATTERN_WORDS.get(context["pattern"], _NOT_HERE),
    "string_too_short": lambda *_: said("this must not be empty"),
    "too_short": lambda *_: said("this must not be empty"),
    "string_too_long": lambda context, _: said("at most %(n)s characters", n=context["max_length"]),
    "literal_error": lambda context, value: _one_of(re.findall(r"'([^']*)'", context["expected"]), value),
}


def _wanted(error_type: str, context: Mapping[str, Any], value: object) -> str:
    for start, wanted in _WANTED.items():
        if error_type.startswith(start):
            return said("expected %(wanted)s, got %(kind)s", wanted=wanted, kind=kind(value))
    for bound, words in _BOUNDS.items():
        if error_type == bound:
            return words(f"{next(iter(context.values())):g}")
    return said("this cannot stand here (%(kind)s)", kind=error_type.replace("_", " "))


_WANTED = {
    "int": said("a whole number"),
    "float": said("a number"),
    "finite": said("a number"),
    "bool": said("true or false"),
    "model": said("a mapping (key: value)"),
    "dict": said("a mapping (key: value)"),
    "mapping": said("a mapping (key: value)"),
    "tuple": said("a list (- item)"),
}
_BOUNDS: dict[str, Callable[[str], str]] = {
    "greater_than": lambda bound: said("must be more than %(bound)s", bound=bound),
    "greater_than_equal": lambda bound: said("must be at least %(bound)s", bound=bound),
    "less_than": lambda bound: said("must be less than %(bound)s", bound=bound),
    "less_than_equal": lambda bound: said("must be at most %(bound)s", bound=bound),
}


def _one_of(choices: Sequence[str], value: object) -> str:
    if not isinstance(value, str):
        return said("expected %(wanted)s, got %(kind)s", wanted=listing(choices), kind=kind(value))
    found = suggest(value, choices)
    names = ", ".join(choices)
    if found:
        return said("expected one of %(names)s; did you mean %(found)s?", names=names, found=found)
    return said("expected one of %(names)s", names=names)


def _steps(error: ErrorDetails, values: object) -> _Steps:
    """Return the keys down to the value; pydantic's own also name the types it tried on the way."""
    here, steps = values, []
    loc = [step for step in error["loc"] if step != "[key]"]
    for number, step in enumerate(loc):
        if _has(here, step):
            here = _at(here, (step,))
            steps.append(step)
        elif number == len(loc) - 1 and error["type"] in ("missing", "extra_forbidden"):
            steps.append(step)
    return tuple(steps)


def _has(value: object, step: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _at(value: Any, steps: _Steps) -> Any:
    for step in steps:
        value = value[step] if _has(value, step) else None
    return value


def _place(steps: _Steps) -> str:
    place = ""
    for step in steps:
        place = child(place, step)
    return place


def _meant(error: ErrorDetails, values: object) -> str | None:
    steps = _steps(error, values)
    return suggest(str(steps[-1]), _keys(steps[:-1]))


def _description(steps: _Steps) -> str:
    fields = _fields(steps[:-1])
    field = fields.get(str(steps[-1]))
    return f" ({field.description})" if field and field.description else ""


def _keys(steps: _Steps) -> list[str]:
    return list(_fields(steps))


def _fields(steps: _Steps) -> Mapping[str, FieldInfo]:
    """Return the known keys at a place, of all types of it that there are (auth has four)."""
    kinds: list[Any] = [Settings]
    for step in steps:
        kinds = [inner for outer in kinds for inner in _inner(outer, step)]
    return {name: field for one in kinds if _is_section(one) for name, field in one.model_fields.items()}


def _inner(outer: Any, step: int | str) -> Iterator[Any]:
    if _is_section(outer):
        field = outer.model_fields.get(step)
        yield from _flat(field.annotation) if field else ()
    elif get_args(outer):
        yield from _flat(get_args(outer)[0 if isinstance(step, int) else -1])


def _flat(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, UnionType):
        yield from get_args(annotation)
    else:
        yield annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)
