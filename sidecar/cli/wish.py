"""What somebody wants of a new rule is gathered here: from options, from the gallery, by asking."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click

from sidecar.bridge.match import wants
from sidecar.moodle.catalogue import catalogue
from sidecar.settings import ReadyTemplate, event_problem, gallery
from sidecar.settings.wording import suggest
from sidecar.store.find import known

NO_TEMPLATE = "none"


@dataclass(frozen=True, slots=True)
class Wish:
    """A rule that somebody wants; what is None has not been said yet."""

    event: str | None = None
    service: str | None = None
    template: str | None = None

    @property
    def ready(self) -> ReadyTemplate | None:
        """The template of the gallery, None where the whole event is wanted."""
        return next((one for one in gallery() if one.name == self.template), None)

    @property
    def events(self) -> tuple[str, ...]:
        """The events of the rule: those that were named, else those of the template."""
        if self.event:
            return (self.event,)
        return self.ready.events if self.ready else ()


def completed(wish: Wish, services: Sequence[str]) -> Wish:
    """Return the wish with what was missing, asked for where somebody is there to answer.

    Raises UsageError where nobody is, and NotFound for a template that there is not.
    """
    checked = replace(wish, event=_event(wish.event), template=_template(wish.template))
    if checked.template is None:
        checked = replace(checked, template=_asked_template(checked.event))
    if not checked.events:
        checked = replace(
            checked, event=_event(_ask("--event", "Event, such as \\core\\event\\user_created"))
        )
    if checked.service is None:
        there = f" ({', '.join(services)})" if services else ""
        checked = replace(checked, service=_ask("--service", f"Service{there}"))
    return checked


def offered(event: str | None) -> list[ReadyTemplate]:
    """Return the ready templates that fit an event, or all."""
    return [one for one in gallery() if event is None or any(wants(own, event) for own in one.events)]


def _event(event: str | None) -> str | None:
    if event is None:
        return None
    problem = event_problem(event)
    if problem:
        raise click.BadParameter(f'"{event}": {problem}', param_hint="--event")
    meant = None if "*" in event or event in catalogue() else suggest(event, catalogue())
    if meant:
        click.echo(
            f"Moodle 4.5 knows no {event}: right if a plugin writes it. Did you mean {meant}?", err=True
        )
    return event


def _template(name: str | None) -> str | None:
    if name is None or name == NO_TEMPLATE:
        return name
    names = {one.name for one in gallery()}
    full = next((one for one in sorted(names) if one.partition(".")[0] == name), name)
    return known(full, [*names, NO_TEMPLATE], "template")


def _asked_template(event: str | None) -> str | None:
    choices = offered(event)
    if event is not None and not choices:
        return NO_TEMPLATE
    if not _somebody():
        raise _unasked("--template", f"one of `mih rules gallery`, or {NO_TEMPLATE} for the whole event")
    for number, one in enumerate(choices, 1):
        click.echo(f"{number:>3}  {one.name.partition('.')[0]:<40} {one.about}", err=True)
    click.echo("  0  the whole event as JSON", err=True)
    number = click.prompt("Template", type=click.IntRange(0, len(choices)), err=True)
    return choices[number - 1].name if number else NO_TEMPLATE


def _ask(option: str, question: str) -> str:
    if not _somebody():
        raise _unasked(option, question)
    return str(click.prompt(question, err=True))


def _somebody() -> bool:
    return sys.stdin.isatty()


def _unasked(option: str, meaning: str) -> click.UsageError:
    return click.UsageError(f"Nobody can be asked here: add {option} ({meaning}).")
