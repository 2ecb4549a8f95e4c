"""`mih check`: what the doctor finds, as a list for people or as JSON."""

import json
import os
import textwrap
from dataclasses import asdict
from pathlib import Path

import click

from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, printable
from sidecar.doctor import Finding, Level, Report, examine, refused
from sidecar.errors import ConfigError
from sidecar.hub import load

_WIDTH = 80
_MARK_WIDTH = 10
_COLOURS = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command()
@config_option
@json_option
def check(config: Path, as_json: bool) -> None:
    """Look for everything that could keep events from being delivered; change and send nothing.

    Exit code: 0 without problems, 1 with, 3 when the configuration cannot be used, 4 when a database cannot
    be reached.
    """
    try:
        loaded = load(config, os.environ)
        report = examine(loaded.settings, loaded.source, loaded.book)
    except ConfigError as error:
        report = refused(error)
    click.echo(_document(report) if as_json else _page(report))
    click.get_current_context().exit(report.exit_code)


def _document(report: Report) -> str:
    findings = [
        {"section": section.title, **asdict(finding)}
        for section in report.sections
        for finding in section.findings
    ]
    counted = {f"{level}s": report.count(level) for level in (Level.PROBLEM, Level.WARNING, Level.NOTE)}
    document = {"exit_code": int(report.exit_code), **counted, "findings": findings}
    return json.dumps(document, ensure_ascii=False, indent=2)


def _page(report: Report) -> str:
    lines = []
    for section in report.sections:
        lines += [click.style(section.title, bold=True)]
        lines += [line for finding in section.findings for line in _entry(finding)]
        lines += [""]
    return "\n".join([*lines, _summary(report)])


def _entry(finding: Finding) -> list[str]:
    mark = click.style(f"{finding.level:<{_MARK_WIDTH - 2}}", fg=_COLOURS[finding.level])
    said = f"{finding.subject}: {finding.text}" if finding.subject else finding.text
    first, *rest = _wrapped(said)
    remedy = _wrapped(finding.remedy, "-> ") if finding.remedy else []
    indent = " " * _MARK_WIDTH
    return [f"  {mark}{first}", *(indent + line for line in [*rest, *remedy])]


def _wrapped(text: str, start: str = "") -> list[str]:
    # Long words stay whole: a name or a URL is there to be copied.
    return textwrap.wrap(
        printable(" ".join(text.split())),
        _WIDTH - _MARK_WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(report: Report) -> str:
    counted = [
        f"{number} {level}{'' if number == 1 else 's'}"
        for level in (Level.PROBLEM, Level.WARNING, Level.NOTE)
        if (number := report.count(level))
    ]
    return f"{', '.join(counted)}." if counted else "All is well."
