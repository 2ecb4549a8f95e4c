"""The form of a rule: what somebody typed becomes a section as the file has it, and the other way round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from starlette.datastructures import FormData

from sidecar.errors import said, text_of
from sidecar.settings import Problem, typed_yaml
from sidecar.settings.export import yaml_text
from sidecar.settings.gallery import ReadyTemplate, gallery_folder

_OF_REQUEST = ("service", "endpoint", "method", "headers", "payload", "format", "batch")
_OF_ROW = ("event", "where", "when", "max_event_age", "anonymous")
_OWN = frozenset(("name", "state", "enabled", *_OF_ROW, *_OF_REQUEST))
_BATCH = ("max_items", "max_bytes", "linger")


@dataclass(frozen=True, slots=True)
class RuleForm:
    """The fields as texts, nothing of them lost: also of a rule that makes no sense yet."""

    name: str = ""
    event: str = ""  # one in a line
    service: str = ""
    endpoint: str = ""
    method: str = "POST"
    headers: str = ""  # Name: value, one in a line
    where: str = ""  # YAML
    when: str = ""
    max_event_age: str = ""
    anonymous: str = "mask"
    content: str = "event"  # or template, mapping
    payload: str = ""
    format: str = ""
    batch: str = ""
    max_items: str = ""
    max_bytes: str = ""
    linger: str = ""
    more: str = ""  # YAML
    state: str = "shadow"
    revision: str = ""
    log_id: str = ""

    @property
    def events(self) -> list[str]:
        """The event names and patterns."""
        return [line.strip() for line in self.event.splitlines() if line.strip()]


@dataclass(slots=True)
class Reading:
    """A form being read: the section so far, and what is wrong with it."""

    section: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, name: str, value: object) -> None:
        """Take a value over unless it is empty: then the default holds."""
        if value not in ("", None, {}, []):
            self.section[name] = value


def typed(form: FormData) -> RuleForm:
    """Return what came, with line ends as templates have them."""
    found: dict[str, str] = {}
    for one in fields(RuleForm):
        value = form.get(one.name, "")
        text = value.replace("\r\n", "\n") if isinstance(value, str) else ""
        found[one.name] = text if one.name in ("payload", "more", "where") else text.strip()
    return RuleForm(**found)


def section_of(form: RuleForm) -> Reading:
    """Return the section that the form means; what cannot be read is among the problems."""
    read = Reading()
    events = form.events
    read.put("event", events[0] if len(events) == 1 else events)
    read.put("service", form.service)
    read.put("endpoint", form.endpoint)
    read.put("method", form.method if form.method != "POST" else "")
    read.put("headers", _headers(form.headers, read.problems))
    read.put("where", _mapping("where", form.where, read.problems))
    read.put("when", form.when)
    read.put("payload", _payload(form, read.problems))
    read.put("format", form.format)
    read.put("max_event_age", form.max_event_age)
    read.put("anonymous", form.anonymous if form.anonymous != "mask" else "")
    if form.batch:
        read.section["batch"] = {name: _figure(text) for name in _BATCH if (text := getattr(form, name))}
    for name, value in _mapping("more", form.more, read.problems).items():
        if name in _OWN:
            read.problems.append(Problem("more", said("%(name)s: it has a field of its own", name=name)))
        else:
            read.section[name] = value
    read.put("state", form.state if form.state != "on" else "")
    return read


def form_of(section: Mapping[str, Any], name: str) -> RuleForm:
    """Return the form that means this section; options without a field of their own stand under `more`."""
    events = section.get("event", "")
    batch = section.get("batch")
    payload = section.get("payload")
    state = "off" if section.get("enabled") is False else _state(section.get("state", "on"))
    limits = batch if isinstance(batch, dict) else {}
    more = {key: value for key, value in section.items() if key not in _OWN}
    return RuleForm(
        name=name,
        event=events if isinstance(events, str) else "\n".join(map(str, events)),
        **{one: _text(section.get(one)) for one in ("service", "endpoint", "when", "format")},
        method=_text(section.get("method")) or "POST",
        headers="\n".join(f"{key}: {value}" for key, value in (section.get("headers") or {}).items()),
        where=_yaml(section.get("where")),
        max_event_age=_age(section),
        anonymous=_text(section.get("anonymous")) or "mask",
        content="event" if payload is None else "template" if isinstance(payload, str) else "mapping",
        payload=payload if isinstance(payload, str) else _yaml(payload),
        batch="yes" if isinstance(batch, dict) else "",
        **{one: _text(limits.get(one)) for one in _BATCH},
        more=_yaml(more),
        state=state,
    )


def with_template(form: RuleForm, ready: ReadyTemplate) -> RuleForm:
    """Return the form with a ready template's text and the options that it wants; what was typed stays."""
    wanted = form_of({**ready.rule, "event": list(ready.events)}, "")
    kept = {
        name: getattr(form, name) or getattr(wanted, name) for name in ("event", "endpoint", "where", "when")
    }
    method = form.method if form.method != "POST" else wanted.method
    text = (gallery_folder() / ready.name).read_text(encoding="utf-8")
    return replace(form, **kept, method=method, content="template", payload=text, format=ready.format)


def by_field(problems: Sequence[Problem], told: Callable[[str], str]) -> dict[str, str]:
    """Return what is wrong by the name of the field where it can be mended; several make lines.

    `told` says it in the reader's language.
    """
    known = {one.name for one in fields(RuleForm)}
    found: dict[str, list[str]] = {}
    for one in problems:
        first, rest = _split(one.place)
        if first == "batch" and rest in _BATCH:
            first, rest = rest, ""
        what = told(one.text)
        text = f"{rest}: {what}" if rest else what
        if first in known:
            found.setdefault(first, []).append(text)
        else:
            found.setdefault("more", []).append(f"{one.place}: {what}" if one.place else what)
    return {name: "\n".join(texts) for name, texts in found.items()}


def _split(place: str) -> tuple[str, str]:
    for at, char in enumerate(place):
        if char in ".[":
            return place[:at], place[at:].lstrip(".")
    return place, ""


def _headers(text: str, problems: list[Problem]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip():
            problems.append(
                Problem("headers", said("line %(number)s: write it as Name: value", number=number))
            )
        elif name.strip() in found:
            problems.append(
                Problem(
                    "headers",
                    said("line %(number)s: %(name)s stands there twice", number=number, name=name.strip()),
                )
            )
        else:
            found[name.strip()] = value.strip()
    return found


def _payload(form: RuleForm, problems: list[Problem]) -> Any:
    match form.content:
        case "template":
            if not form.payload.strip():
                problems.append(Problem("payload", said("write a template, or choose “the whole event”")))
            return form.payload
        case "mapping":
            found = _mapping("payload", form.payload, problems)
            if not found and not problems:
                problems.append(
                    Problem("payload", said("write a mapping (key: value), or choose “the whole event”"))
                )
            return found
    return None


def _mapping(place: str, text: str, problems: list[Problem]) -> dict[str, Any]:
    """Read YAML as the configuration file is read."""
    try:
        return typed_yaml.mapping(text)
    except ValueError as error:
        problems.append(Problem(place, text_of(error)))
        return {}


def _figure(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


def _age(section: Mapping[str, Any]) -> str:
    if "max_event_age" not in section:
        return ""
    value = section["max_event_age"]
    return "none" if value is None else _text(value)


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _yaml(value: object) -> str:
    return yaml_text(value) if value else ""


def _state(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
