"""A ready template, an event and a service become the text of a rule, to be pasted into the file."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from sidecar.settings.gallery import ReadyTemplate

_WIDE = 10_000


def rule_text(
    name: str, events: Sequence[str], service: str, template: ReadyTemplate | None, *, known: bool
) -> str:
    """Return a rule as an entry of the list under `rules:`; without a template it sends the whole event.

    `known`: the file has this service. Without it, and where the template wants more of the file than a rule,
    comments above say what.
    """
    written: dict[str, Any] = {"name": name, "event": events[0] if len(events) == 1 else list(events)}
    written["service"] = service
    if template is not None:
        written |= {**template.rule, "format": template.format, "payload": template.name}
    entry = "\n".join(f"    {key}: {_value(value)}" for key, value in written.items())
    return "\n".join([*_remarks(service, template, known), entry.replace("    ", "  - ", 1)]) + "\n"


def rule_name(template: str | None, event: str, taken: Sequence[str]) -> str:
    """Return a name for a rule: after its template or event, with a number where it is taken."""
    stem = template.rpartition("/")[2].partition(".")[0] if template else event.replace("\\event\\", "-")
    name = re.sub(r"[^a-z0-9]+", "-", f"{stem}-{_kind(template)}".lower()).strip("-") or "rule"
    numbers = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbers) if one not in taken)


def _kind(template: str | None) -> str:
    return template.partition("/")[0] if template and "/" in template else ""


def _remarks(service: str, template: ReadyTemplate | None, known: bool) -> list[str]:
    remarks = [f"  # {template.about}"] if template else []
    if template and template.format == "xapi":
        remarks.append("  # It needs `site_url: https://moodle.example.org` at the top of the file.")
    if not known:
        wanted: Mapping[str, Any] = template.service if template else {"base_url": "https://example.org/api"}
        remarks += [f"  # There is no service {service} in the file yet. Under `services:`, such as:"]
        remarks += [f"  #   {service}: {_value(wanted)}"]
    return remarks


def _value(value: object) -> str:
    """Return a value in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDE)
    return text.removesuffix("\n").removesuffix("\n...")
