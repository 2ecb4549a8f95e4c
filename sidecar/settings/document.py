"""The shape of the file as a JSON Schema: editors complete and check with it while somebody types."""

import json
from typing import Any

from sidecar.settings.schema import Settings

# yaml-language-server, behind most editors, knows this draft best.
_DRAFT = "http://json-schema.org/draft-07/schema#"

_VARIABLE = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}|^file:",
    "description": "${NAME} or ${NAME:-default} from the environment, or file:/run/secrets/name",
}
_DURATION = {
    "type": "string",
    "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*[smhd]?\s*$|^none$",
    "description": "A figure with a unit: 90s, 15m, 24h, 7d",
}
# pydantic leaves these names where a validator stands before a number.
_BOUNDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}
# Never a variable: an editor tells the kinds of auth apart by these.
_FIXED = ("const", "$ref")


def json_schema() -> str:
    """Return the schema as text: the content of `config/sidecar.schema.json`."""
    schema = Settings.model_json_schema()
    shapes = {name: _lenient(shape) for name, shape in sorted(schema.pop("$defs").items())}
    shapes |= {"Variable": _VARIABLE, "Duration": _DURATION}
    head = {"$schema": _DRAFT, **_lenient(schema)}
    head |= {"title": "Configuration of the Moodle Integration Hub sidecar", "$defs": shapes}
    return json.dumps(head, indent=2, ensure_ascii=False) + "\n"


def _lenient(shape: Any) -> Any:
    """Return the shape with a variable allowed wherever something else than free text stands."""
    if isinstance(shape, list):
        return [_lenient(one) for one in shape]
    if not isinstance(shape, dict):
        return shape
    inner: dict[str, Any] = {}
    for key, value in shape.items():
        name = str(key)
        inner[_BOUNDS.get(name, name)] = _lenient(value) if key in _NESTED else value
    if "properties" in inner:
        inner["properties"] = {name: _lenient(one) for name, one in shape["properties"].items()}
    if "patternProperties" in inner:
        inner["additionalProperties"] = False
    return _or_variable(inner) if _is_strict(inner) else inner


_NESTED = ("items", "prefixItems", "additionalProperties", "anyOf", "oneOf")


def _is_strict(shape: dict[str, Any]) -> bool:
    if any(key in shape for key in _FIXED):
        return False
    free = {"type", "title", "default", "description", "writeOnly", "format"}
    return shape.get("type") in ("number", "integer", "boolean") or (
        shape.get("type") == "string" and not set(shape) <= free
    )


def _or_variable(shape: dict[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {
        key: shape.pop(key) for key in ("title", "default", "description") if key in shape
    }
    others = [{"$ref": "#/$defs/Variable"}]
    if shape["type"] == "number":
        others.append({"$ref": "#/$defs/Duration"})
    return {**words, "anyOf": [shape, *others]}
