"""Rows and things on their way to the screen: tables for people, JSON for scripts, and one way to ask."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidecar.errors import HubError

_F = TypeVar("_F", bound=Callable[..., Any])
_LONGEST_CELL = 160
_UNBROKEN = 14

json_option: Callable[[_F], _F] = click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
yes_option: Callable[[_F], _F] = click.option("--yes", "-y", is_flag=True, help="Do it without asking.")
limit_option: Callable[[_F], _F] = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows at most."
)

Row = Mapping[str, Any]


def show_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows: as JSON with all their keys, else the named columns as a table, or the sentence `empty`."""
    if as_json:
        show_json(rows)
    elif not rows:
        click.echo(empty)
    else:
        table(rows, columns)


def show_thing(thing: Row, *, as_json: bool, texts: Sequence[str] = ()) -> None:
    """Print one thing: a line for each key; `texts` are long ones that come below, as they are."""
    if as_json:
        show_json(thing)
        return
    short = {key: value for key, value in thing.items() if key not in texts}
    width = max(len(key) for key in short)
    for key, value in short.items():
        click.echo(f"{_title(key):<{width}}  {printable(words(value))}".rstrip())
    for key in texts:
        if thing[key] is not None:
            click.echo(f"\n{_title(key)}:\n{printable(words(thing[key]))}")


def show_json(value: object) -> None:
    """Print JSON; moments are ISO 8601 in UTC."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_as_json))


def table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Print a table that fits the terminal; without one, plain lines that stay in one piece each."""
    titles = [_title(column) for column in columns]
    right = [_is_figures([row[column] for row in rows]) for column in columns]
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        _plain(titles, [[_cell(words(row[column])) for column in columns] for row in rows], right)
        return
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    cells = [[_cell(_brief(row[column])) for column in columns] for row in rows]
    for title, is_right, column in zip(titles, right, zip(*cells, strict=True), strict=True):
        side: Literal["left", "right"] = "right" if is_right else "left"
        grid.add_column(title, justify=side, overflow="fold", no_wrap=max(map(len, column)) <= _UNBROKEN)
    for line in cells:
        grid.add_row(*map(Text, line))
    console.print(grid)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone. Raises HubError unless the answer is yes."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        raise HubError(
            "Nothing was changed: there was no answer. Where nobody can be asked, add --yes."
        ) from None
    if not agreed:
        raise HubError("Nothing was changed.")


def iso(moment: datetime) -> str:
    """Return ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def words(value: object) -> str:
    """Return a value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        case Mapping():
            return json.dumps(value, ensure_ascii=False, default=_as_json)
        case list() | tuple():
            return ", ".join(map(words, value)) or "-"
        case _:
            return str(value)


def printable(text: str) -> str:
    """Return the text without what could steer a terminal: answers of services are shown, too."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _is_figures(column: Sequence[object]) -> bool:
    known = [value for value in column if value is not None]
    return bool(known) and all(isinstance(value, int | float) for value in known)


def _brief(value: object) -> str:
    """Return a value for a narrow table: a moment without its year."""
    return f"{value.astimezone(UTC):%m-%d %H:%M:%S}" if isinstance(value, datetime) else words(value)


def _cell(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST_CELL else line[: _LONGEST_CELL - 1] + "…"


def _plain(titles: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
    for line in (titles, *cells):
        padded = (
            " " * (width - cell_len(text)) + text if is_right else text + " " * (width - cell_len(text))
            for text, width, is_right in zip(line, widths, right, strict=True)
        )
        click.echo("  ".join(padded).rstrip())


def _title(key: str) -> str:
    return key.removesuffix("_at").replace("_", " ")


def _as_json(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
