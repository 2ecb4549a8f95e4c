"""`mih cursor`: how far the log is read, and where to go on after the log table was restored."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from sidecar.bridge.move import destination, move
from sidecar.bridge.reused import Reused, reused
from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import Desk, desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, words, yes_option
from sidecar.errors import ExitCode, HubError, NotFound
from sidecar.model import Cursor
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings
from sidecar.store import audit, cursors, gaps, shapes
from sidecar.store.engine import Database
from sidecar.store.faults import blame
from sidecar.store.words import count


@click.group()
def cursor() -> None:
    """The place up to which Moodle's log is read."""


@cursor.command("show")
@config_option
@json_option
def show_cursor(config: Path, as_json: bool) -> None:
    """Show how far the log is read, by whom, and what is in the way."""
    with desk(config) as at, at.store.read() as conn:
        found = _load(at)
        missing = gaps.missing(conn, at.settings.site)
    view = {**shapes.cursor(found), "missing_ids": missing.ids_open, "given_up_ids": missing.ids_given_up}
    output.show_thing(view, as_json=as_json)


@cursor.command("set")
@click.argument("target", metavar="latest|ID")
@click.option(
    "--same-rows", is_flag=True, help="The ids have the rows that they had, whatever it looks like."
)
@yes_option
@config_option
def set_cursor(target: str, same_rows: bool, yes: bool, config: Path) -> None:
    """Go on reading at the log's end, or with row ID: it is the first one that is read again.

    For a log table that was restored or emptied. Rows that are read again and were queued before add
    nothing; rows that are skipped are never read. Where ids have come again with other rows it says so first.
    """
    if target != "latest" and not (target.isascii() and target.isdecimal() and 0 < int(target) < 2**63):
        raise click.BadParameter(f'"{target}" is neither latest nor a row\'s id.', param_hint="latest|ID")
    with desk(config) as at, _moodle(at) as moodle:
        before = _load(at)
        log = LogStore(at.settings.moodle.prefix, at.settings.moodle.log_table)
        position, holes = destination(moodle, log, target)
        if not same_rows and (found := reused(moodle, at.store, log, at.settings, position)):
            raise IdsAgain(_unlike(found, at.settings, position))
        with moodle.read() as conn:
            newest = log.head(conn) or 0
        output.confirm(_question(before, position, newest), yes=yes)
        with at.store.write() as conn:
            move(conn, at.settings.site, position, holes, now=at.now)
            detail = f"from {before.position} to {position}"
            audit.note(conn, author(), "cursor.set", f"site {at.settings.site}", detail, now=at.now)
    click.echo(f"The next row read is the first one after {position:,}.")


def _load(at: Desk) -> Cursor:
    with at.store.read() as conn:
        found = cursors.load(conn, at.settings.site)
        others = cursors.sites(conn)
    if found is None:
        hint = f" There is one of {', '.join(others)}." if others else ""
        raise NotFound(
            f"The site {at.settings.site} has no cursor yet: the first start of `mih run` puts it where "
            f"tail.start says ({at.settings.tail.start}).{hint}"
        )
    return found


@contextmanager
def _moodle(at: Desk) -> Iterator[Database]:
    moodle = Database(at.settings.moodle.url.get_secret_value(), pool_size=1)
    try:
        with blame(f"moodle.url ({moodle.shown})"):
            yield moodle
    finally:
        moodle.close()


def _unlike(found: Reused, settings: Settings, position: int) -> str:
    known = [*settings.moodle.ids_again_from, position + 1]
    return (
        f"Ids come again with other rows: under {found.log_id} an event {found.event} of {words(found.at)}"
        " UTC was queued, and that is not the row that it has, or will have. Such rows would be taken for"
        f" known and never be sent. Write `ids_again_from: {known}` below `moodle` in the configuration: then"
        " they get delivery ids of their own. Running processes take that over within seconds; then run this"
        " command again. If you are sure that the rows are the same: `--same-rows`."
    )


class IdsAgain(HubError):
    """Ids of the log have other rows than before; the text says what to do."""

    exit_code = ExitCode.FAILED


def _question(before: Cursor, position: int, newest: int) -> str:
    where = f"Move the cursor of {before.site} from {before.position:,} to {position:,}"
    if position > newest:
        where += f", beyond the newest row, {newest:,}: what Moodle writes up to there is never read"
    if position < before.position:
        return f"{where}, to read {count(before.position - position, 'id')} again?"
    return f"{where}, to skip {count(position - before.position, 'id')} for ever?"
