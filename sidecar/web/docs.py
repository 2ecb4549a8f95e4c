"""The page that explains the API, made of its OpenAPI document: no script, no request to another host."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FunctionLoader

router = APIRouter()

_HERE = files("sidecar.web") / "templates"
_PAGES = Environment(loader=FunctionLoader(lambda name: (_HERE / name).read_text("utf-8")), autoescape=True)
_STYLE = (_HERE / "api.css").read_text("utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'"


@router.get("/api/docs", include_in_schema=False)
def explain(request: Request) -> HTMLResponse:
    """Return the page."""
    spec = request.app.openapi()
    page = _PAGES.get_template("api.html").render(
        info=spec["info"], groups=grouped(spec), models=spec["components"]["schemas"], style=_STYLE
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def grouped(spec: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the routes of an OpenAPI document by their first tag."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for route in _routes(spec):
        groups.setdefault(route["tag"], []).append(route)
    return groups


def _routes(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in spec["paths"].items():
        for method, route in methods.items():
            body = _body(route, spec)
            yield {
                "tag": route["tags"][0],
                "method": method.upper(),
                "path": path,
                "summary": route["summary"],
                "text": route.get("description", ""),
                "id": route["operationId"],
                "parameters": [_field(one["name"], one, one["in"]) for one in route.get("parameters", [])],
                "fields": [_field(name, one, "body") for name, one in body.get("properties", {}).items()],
                "example": json.dumps(body["examples"][0], indent=2) if body.get("examples") else "",
                "answers": [_answer(status, one) for status, one in route["responses"].items()],
            }


def _body(route: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    content = route.get("requestBody", {}).get("content", {}).get("application/json")
    if not content:
        return {}
    found: Mapping[str, Any] = spec["components"]["schemas"][_name(content["schema"])]
    return found


def _field(name: str, one: Mapping[str, Any], where: str) -> dict[str, str]:
    schema = one.get("schema", one)
    return {"name": name, "in": where, "type": _type(schema), "text": one.get("description", "")}


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(_name(schema) or schema.get("format") or schema.get("type", "any"))


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _answer(status: str, one: Mapping[str, Any]) -> dict[str, Any]:
    schema = one.get("content", {}).get("application/json", {}).get("schema", {})
    names = [_name(part) for part in schema.get("anyOf", [schema])]
    return {"status": status, "text": one["description"], "models": [name for name in names if name]}
