"""What the xAPI specification 1.0.3, part two, demands of a statement, as far as any of ours goes."""

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

_STATEMENT = {"id", "actor", "verb", "object", "result", "context", "timestamp", "version", "attachments"}
_IDENTIFIERS = {"mbox", "mbox_sha1sum", "openid", "account"}
_CONTEXT = {
    *("registration", "instructor", "team", "contextActivities", "revision", "platform", "language"),
    *("statement", "extensions"),
}
_DEFINITION = {"name", "description", "type", "moreInfo", "extensions"}
_ACTIVITIES = {"parent", "grouping", "category", "other"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_DURATION = re.compile(r"P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?!$)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)")


def problems(statement: Any) -> list[str]:
    """Return everything about a statement that a learning record store would refuse."""
    return list(_statement(statement)) if isinstance(statement, dict) else ["it is no object"]


def _statement(statement: Mapping[str, Any]) -> Iterator[str]:
    yield from _keys("statement", statement, _STATEMENT, {"actor", "verb", "object"})
    yield from (f"{place} is null" for place in _nulls("statement", statement))
    if "id" in statement and not _is_uuid(statement["id"]):
        yield f"id {statement['id']!r} is no UUID"
    yield from _agent("actor", statement.get("actor"))
    yield from _verb(statement.get("verb"))
    yield from _activity("object", statement.get("object"))
    yield from _result(statement.get("result", {}))
    yield from _context(statement.get("context", {}))
    if "timestamp" in statement and not _is_timestamp(statement["timestamp"]):
        yield f"timestamp {statement['timestamp']!r} is not RFC 3339"


def _agent(place: str, agent: Any) -> Iterator[str]:
    yield from _keys(place, agent, {"objectType", "name", *_IDENTIFIERS}, set())
    if agent.get("objectType", "Agent") != "Agent":
        yield f"{place}.objectType {agent['objectType']!r} is not Agent"
    if len(_IDENTIFIERS & set(agent)) != 1:
        yield f"{place} needs exactly one of {sorted(_IDENTIFIERS)}"
    if "name" in agent and not isinstance(agent["name"], str):
        yield f"{place}.name is no text"
    if "account" in agent:
        account = agent["account"]
        yield from _keys(f"{place}.account", account, {"homePage", "name"}, {"homePage", "name"})
        yield from _iri(f"{place}.account.homePage", account.get("homePage"))
        if not isinstance(account.get("name"), str) or not account["name"]:
            yield f"{place}.account.name is no text"
    if "mbox" in agent and not re.fullmatch(r"mailto:[^@\s]+@[^@\s]+", str(agent["mbox"])):
        yield f"{place}.mbox is no mailto IRI"


def _verb(verb: Any) -> Iterator[str]:
    yield from _keys("verb", verb, {"id", "display"}, {"id"})
    yield from _iri("verb.id", verb.get("id"))
    yield from _language_map("verb.display", verb.get("display", {}))


def _activity(place: str, activity: Any) -> Iterator[str]:
    yield from _keys(place, activity, {"objectType", "id", "definition"}, {"id"})
    if activity.get("objectType", "Activity") != "Activity":
        yield f"{place}.objectType {activity['objectType']!r} is not Activity"
    yield from _iri(f"{place}.id", activity.get("id"))
    definition = activity.get("definition", {})
    yield from _keys(f"{place}.definition", definition, _DEFINITION, set())
    for name in {"type", "moreInfo"} & set(definition):
        yield from _iri(f"{place}.definition.{name}", definition[name])
    for name in {"name", "description"} & set(definition):
        yield from _language_map(f"{place}.definition.{name}", definition[name])


def _result(result: Any) -> Iterator[str]:
    allowed = {"score", "success", "completion", "response", "duration", "extensions"}
    yield from _keys("result", result, allowed, set())
    for name in {"success", "completion"} & set(result):
        if not isinstance(result[name], bool):
            yield f"result.{name} is neither true nor false"
    if "duration" in result and not _DURATION.fullmatch(str(result["duration"])):
        yield "result.duration is not ISO 8601"
    yield from _score(result.get("score", {}))


def _score(score: Any) -> Iterator[str]:
    yield from _keys("result.score", score, {"scaled", "raw", "min", "max"}, set())
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in score.values()):
        yield "result.score holds what is no number"
    elif not score.get("min", score.get("raw", 0)) <= score.get("raw", 0) <= score.get("max", float("inf")):
        yield "result.score.raw is outside of min and max"
    elif not -1 <= score.get("scaled", 0) <= 1:
        yield "result.score.scaled is outside of -1 and 1"


def _context(context: Any) -> Iterator[str]:
    yield from _keys("context", context, _CONTEXT, set())
    if "platform" in context and not isinstance(context["platform"], str):
        yield "context.platform is no text"
    if "instructor" in context:
        yield from _agent("context.instructor", context["instructor"])
    groups = context.get("contextActivities", {})
    yield from _keys("context.contextActivities", groups, _ACTIVITIES, set())
    for name, group in groups.items():
        for number, activity in enumerate(group if isinstance(group, list) else [group]):
            yield from _activity(f"context.contextActivities.{name}[{number}]", activity)


def _keys(place: str, value: Any, allowed: set[str], required: set[str]) -> Iterator[str]:
    if not isinstance(value, dict):
        raise TypeError(f"{place} is no object")
    yield from (f"{place}.{name} is not allowed" for name in sorted(set(value) - allowed))
    yield from (f"{place}.{name} is missing" for name in sorted(required - set(value)))


def _nulls(place: str, value: Any) -> Iterator[str]:
    if value is None:
        yield place
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name != "extensions":
            yield from _nulls(f"{place}.{name}", inner)
    for number, inner in enumerate(value if isinstance(value, list) else ()):
        yield from _nulls(f"{place}[{number}]", inner)


def _language_map(place: str, value: Any) -> Iterator[str]:
    for tag, text in value.items():
        if not _LANGUAGE.fullmatch(tag) or not isinstance(text, str):
            yield f"{place}.{tag} is no text in a language"


def _iri(place: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not urlsplit(value).scheme or re.search(r'[\s<>"{}|\\^`]', value):
        yield f"{place} {value!r} is no IRI"


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _is_timestamp(value: Any) -> bool:
    try:
        return isinstance(value, str) and "T" in value and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
