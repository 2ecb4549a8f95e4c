"""`mih users`: who may sign in to the dashboard."""

import re
import sys
from pathlib import Path

import click

from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import Desk, desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, yes_option
from sidecar.errors import HubError, NotFound
from sidecar.settings import UserRole
from sidecar.settings.values import PATTERN_WORDS, USER_PATTERN
from sidecar.settings.wording import did_you_mean
from sidecar.store import audit
from sidecar.store import users as table
from sidecar.store.passwords import make_hash, weakness

_COLUMNS = ("name", "role", "where")
_WHERE = {"file": "the configuration", "here": "added here"}

role_option = click.option(
    "--role",
    type=click.Choice(["view", "manage"]),
    default="view",
    show_default=True,
    help="What they may do.",
)


class Refused(HubError):
    """A name or a password cannot be used; the text says why."""


@click.group()
def users() -> None:
    """Who may sign in to the dashboard: those added here, and `web.users` of the configuration."""


@users.command("list")
@config_option
@json_option
def list_users(config: Path, as_json: bool) -> None:
    """List everybody."""
    with desk(config) as at, at.store.read() as conn:
        found = table.all_of(conn, at.settings.web)
    rows = [{"name": one.name, "role": one.role, "where": one.source} for one in found]
    shown = [{**row, "where": _WHERE[row["where"]]} for row in rows]
    empty = "Nobody can sign in yet: `mih users add NAME --role manage`."
    output.show_rows(rows if as_json else shown, _COLUMNS, as_json=as_json, empty=empty)


@users.command("add")
@click.argument("name")
@role_option
@config_option
def add_user(name: str, role: UserRole, config: Path) -> None:
    """Add a user; asks for the password, or reads it from standard input."""
    _check_name(name)
    with desk(config) as at:
        _not_of_file(at, name, "there is already a user of that name")
        with at.store.read() as conn:
            if table.find(conn, at.settings.web, name) is not None:
                raise Refused(_taken(name))
        made = make_hash(_password(name))
        with at.store.write() as conn:
            if not table.add(conn, name, role=role, password_hash=made, now=at.now):
                raise Refused(_taken(name))
            audit.note(conn, author(), "user.add", name, role, now=at.now)
    click.echo(f"{name} can sign in and {role}.")


@users.command("password")
@click.argument("name")
@config_option
def change_password(name: str, config: Path) -> None:
    """Change a password; whoever is signed in under that name has to sign in again."""
    with desk(config) as at:
        _known(at, name)
        made = make_hash(_password(name))
        with at.store.write() as conn:
            table.set_password(conn, name, password_hash=made, now=at.now)
            audit.note(conn, author(), "user.password", name, now=at.now)
    click.echo(f"{name} has a new password; all sessions of {name} have ended.")


@users.command("remove")
@click.argument("name")
@config_option
@yes_option
def remove_user(name: str, config: Path, yes: bool) -> None:
    """Remove a user and end all sessions."""
    with desk(config) as at:
        _known(at, name)
        output.confirm(f"Remove {name}?", yes=yes)
        with at.store.write() as conn:
            table.remove(conn, name)
            audit.note(conn, author(), "user.remove", name, now=at.now)
    click.echo(f"{name} is removed and signed out everywhere.")


@users.command("hash")
@click.argument("name", required=False, default="")
def print_hash(name: str) -> None:
    """Print the hash of a password, for `web.users` of the configuration."""
    click.echo(make_hash(_password(name)))


def _check_name(name: str) -> None:
    if not re.fullmatch(USER_PATTERN, name) or len(name) > 100:
        raise Refused(f'the name "{name[:100]}": {PATTERN_WORDS[USER_PATTERN]}, at most 100 characters')


def _taken(name: str) -> str:
    return f"there is already a user {name}: change the password with `mih users password {name}`"


def _not_of_file(at: Desk, name: str, trouble: str) -> None:
    if table.of_file(at.settings.web, name) is not None:
        raise Refused(f"{name} is in the configuration, web.users: {trouble}. Change it there.")


def _known(at: Desk, name: str) -> None:
    """Raise NotFound unless the table has that user, Refused for one of the configuration."""
    _not_of_file(at, name, "what stands there is not changed from here")
    with at.store.read() as conn:
        there = [one.name for one in table.all_of(conn, at.settings.web)]
    if name not in there:
        raise NotFound(f'There is no user "{name}"{did_you_mean(name, there)}')


def _password(name: str) -> str:
    """Ask twice without showing it; without a terminal read one line. Raises Refused for a weak one."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if problem := weakness(password, name):
        raise Refused(f"the password cannot be used: {problem}. Nothing was changed.")
    return password
