"""Which values of a service are secrets: found by the types of its options, wherever they are written."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import SecretStr

from sidecar.settings.section import Section
from sidecar.settings.service import Service
from sidecar.settings.source import child

# What is shown in place of a secret. Sent back, it means: as it is.
STARS = "********"


def secrets_of(section: object) -> dict[str, Any]:
    """Return the secrets of a service as it is written, by their places within it."""
    return dict(_found(Service, section, ""))


def replaced(value: Any, texts: Mapping[str, Any], place: str = "") -> Any:
    """Return the section with other values at these places."""
    if isinstance(value, dict):
        return {key: replaced(one, texts, child(place, str(key))) for key, one in value.items()}
    if isinstance(value, list):
        return [replaced(one, texts, child(place, number)) for number, one in enumerate(value)]
    return texts.get(place, value)


def _found(annotation: Any, value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if annotation is SecretStr:
        if value not in (None, ""):
            yield place, value
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        if isinstance(value, dict):
            for name, field in annotation.model_fields.items():
                if name in value:
                    yield from _found(field.annotation, value[name], child(place, name))
    else:
        yield from _within(annotation, value, place)


def _within(annotation: Any, value: Any, place: str) -> Iterator[tuple[str, Any]]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _found(inner[0], value, place)
    elif origin in (Union, UnionType):
        for one in inner:
            yield from _found(one, value, place)
    elif origin is Mapping and isinstance(value, dict):
        for name, one in value.items():
            yield from _found(inner[1], one, child(place, str(name)))
    elif origin is tuple and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _found(inner[0], one, child(place, number))
