"""`mih dlq`: deliveries that were given up, to understand, replay or delete."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

from sidecar.bridge.replay import Fate, Replayed, discard, replay, replayed
from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import desk
from sidecar.cli.letters import Choice, choice_option, filters, rendering
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, limit_option, yes_option
from sidecar.errors import ExitCode
from sidecar.store import deliveries, shapes
from sidecar.store.find import find_letter, known_filter
from sidecar.store.words import count

_COLUMNS = ("id", "created_at", "service", "rule", "reason", "status", "error")
_MOST_LEFT_SHOWN = 20
_FATES = {
    Fate.REPLAYED: "replayed: due now",
    Fate.NEVER_RENDERED: "left: never rendered, add --render",
    Fate.UNWANTED: "left: their rule does not want them any more",
    Fate.ROW_GONE: "left: their row is gone from Moodle's log",
    Fate.RULE_GONE: "left: their rule is gone or switched off",
    Fate.STILL_FAILS: "left: they still cannot be rendered",
    Fate.LEFT_ALONE: "left: they are being sent, were delivered, or somebody else replayed or deleted them",
}


@click.group()
def dlq() -> None:
    """The dead letter queue. ID is the delivery's number in the queue or its delivery id."""


@dlq.command("list")
@filters
@limit_option
@config_option
@json_option
def list_letters(choice: Choice, limit: int, config: Path, as_json: bool) -> None:
    """List dead letters, the newest first."""
    with desk(config) as at, at.store.read() as conn:
        found = choice.page(conn, at.now, limit=limit)
        if not found:
            known_filter(conn, at.settings, service=choice.service, rule=choice.rule)
        numbers = deliveries.numbers(conn, [row.delivery_id for row in found])
    rows = [shapes.letter(row, numbers.get(row.delivery_id)) for row in found]
    output.show_rows(rows, _COLUMNS, as_json=as_json, empty="No dead letter matches.")


@dlq.command("show")
@click.argument("key", metavar="ID")
@config_option
@json_option
def show_letter(key: str, config: Path, as_json: bool) -> None:
    """Show one dead letter: why it was given up, what was sent, and what was answered."""
    with desk(config) as at, at.store.read() as conn:
        row = find_letter(conn, key)
        number = deliveries.numbers(conn, [row.delivery_id]).get(row.delivery_id)
    view = {**shapes.letter(row, number), **shapes.request(row), "response": row.response}
    view["event_row"] = json.loads(row.event_row) if row.event_row else None
    output.show_thing(view, as_json=as_json, texts=("error", "payload", "response", "event_row"))


@dlq.command("replay")
@choice_option
@click.option("--render", is_flag=True, help="Render again, from Moodle's log with today's rules.")
@yes_option
@config_option
@json_option
def replay_letters(choice: Choice, render: bool, yes: bool, config: Path, as_json: bool) -> int:
    """Send dead letters again, as they were sent or rendered again; their delivery ids stay."""
    how = "rendered again" if render else "as they were sent"
    done: list[Replayed] = []
    with (
        _interrupted(lambda: click.echo(f"{_replayed(done):,} {_FATES[Fate.REPLAYED]}", err=True)),
        desk(config) as at,
        rendering(config) if render else nullcontext() as again,
    ):
        for piece in choice.pieces(at, "Replay {}, " + how + "?", yes=yes):
            done += replay(at.store, piece, now=at.now, again=again, by=author())
        with at.store.read() as conn:
            numbers = deliveries.numbers(conn, [one.delivery_id for one in done[:_MOST_LEFT_SHOWN]])
    if as_json:
        output.show_json(replayed(done))
    else:
        _tell(done, numbers)
    return ExitCode.OK if all(one.fate is Fate.REPLAYED for one in done) else ExitCode.FAILED


@dlq.command("delete")
@choice_option
@yes_option
@config_option
@json_option
def delete_letters(choice: Choice, yes: bool, config: Path, as_json: bool) -> None:
    """Delete dead letters and cancel their deliveries: they are never sent."""
    removed = 0
    with (
        _interrupted(lambda: click.echo(f"Deleted {count(removed, 'dead letter')}.", err=True)),
        desk(config) as at,
    ):
        for piece in choice.pieces(at, "Delete {} for ever?", yes=yes):
            removed += discard(at.store, piece, now=at.now, by=author())
    if as_json:
        output.show_json({"deleted": removed})
    else:
        click.echo(f"Deleted {count(removed, 'dead letter')}." if removed else "No dead letter matches.")


@contextmanager
def _interrupted(tell: Callable[[], None]) -> Iterator[None]:
    """At Ctrl-C say what is done by then, on standard error."""
    try:
        yield
    except KeyboardInterrupt:
        tell()
        click.echo("Stopped: all others are dead letters still.", err=True)
        raise


def _replayed(done: Sequence[Replayed]) -> int:
    return sum(one.fate is Fate.REPLAYED for one in done)


def _tell(done: Sequence[Replayed], numbers: dict[str, int]) -> None:
    if not done:
        click.echo("No dead letter matches.")
    for fate, number in Counter(one.fate for one in done).most_common():
        click.echo(f"{number:,} {_FATES[fate]}")
    left = [one for one in done if one.fate is not Fate.REPLAYED]
    for one in left[:_MOST_LEFT_SHOWN]:
        click.echo(output.printable(f"  {numbers.get(one.delivery_id, one.delivery_id)}: {one.detail}"))
    if len(left) > _MOST_LEFT_SHOWN:
        click.echo(f"  and {len(left) - _MOST_LEFT_SHOWN:,} more")
