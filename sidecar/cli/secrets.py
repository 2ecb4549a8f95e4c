"""`mih secrets`: what the store keeps sealed, and the key that seals it."""

import re
import sys
from pathlib import Path

import click

from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import Desk, desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, yes_option
from sidecar.errors import ExitCode, HubError
from sidecar.settings.overlay import wanted_secrets
from sidecar.store import audit, vault
from sidecar.store.find import known
from sidecar.store.made import keys_of
from sidecar.store.words import count

_COLUMNS = ("name", "key", "updated_at", "wanted", "problem")
_NAME = re.compile(r"[^\s{}]{1,200}")


@click.group()
def secrets() -> None:
    """Secrets that the store keeps sealed: `${secret:NAME}` in the file, and those of services made here."""


@secrets.command("generate-key")
def generate_key() -> None:
    """Print a new key, for MIH_SECRET_KEY or store.secret_key."""
    click.echo(vault.new_key())


@secrets.command("list")
@config_option
@json_option
def list_secrets(config: Path, as_json: bool) -> None:
    """List the secrets, the key of each and whether anything wants it; never their values."""
    with desk(config) as at, at.store.read() as conn:
        found = vault.all_rows(conn)
        sealed = vault.opened(found, keys_of(at.settings)).sealed
        wanted = wanted_secrets(at.source)
    rows = [
        {
            "name": row.name,
            "key": row.key_id,
            "updated_at": row.updated_at,
            "wanted": row.name in wanted,
            "problem": sealed.get(row.name),
        }
        for row in found
    ]
    output.show_rows(rows, _COLUMNS, as_json=as_json, empty="No secret is kept.")


@secrets.command("set")
@click.argument("name")
@config_option
def set_secret(name: str, config: Path) -> None:
    """Keep a secret: asks for it without showing it, or reads it from standard input."""
    if not _NAME.fullmatch(name):
        raise click.BadParameter("use 1 to 200 characters without blanks and braces.", param_hint="NAME")
    with desk(config) as at:
        keys = keys_of(at.settings)
        if keys.lack:
            raise vault.NoKey(f"Nothing was kept: {keys.lack}.")
        value = _value()
        with at.store.write() as conn:
            vault.put(conn, keys, name, value, now=at.now)
            audit.note(conn, author(), "secret.set", f"secret {name}", now=at.now)
    click.echo(
        f"{name} is kept, sealed with the key {keys.ids[0]}. Write ${{secret:{name}}} where it is wanted."
    )


@secrets.command("delete")
@click.argument("name")
@yes_option
@config_option
def delete_secret(name: str, yes: bool, config: Path) -> None:
    """Forget a secret; a service that wants it is broken then, and what is for it waits."""
    with desk(config) as at:
        with at.store.read() as conn:
            known(name, [row.name for row in vault.all_rows(conn)], "secret")
        wanted = (
            " It is wanted by a service, which is broken then." if name in wanted_secrets(at.source) else ""
        )
        output.confirm(f"Forget {name} for ever?{wanted}", yes=yes)
        with at.store.write() as conn:
            vault.remove(conn, [name])
            audit.note(conn, author(), "secret.delete", f"secret {name}", now=at.now)
    click.echo(f"{name} is forgotten.")


@secrets.command("rotate")
@config_option
@json_option
def rotate(config: Path, as_json: bool) -> int:
    """Seal all secrets anew with the first key of MIH_SECRET_KEY or store.secret_key."""
    with desk(config) as at:
        done = _rotated(at)
    if as_json:
        unopened = [{"name": name, "problem": problem} for name, problem in done.unopened]
        old = [] if done.unopened else list(done.old_keys)
        output.show_json(
            {
                "key": done.key_id,
                "sealed": done.sealed,
                "kept": done.kept,
                "unopened": unopened,
                "old_keys": old,
            }
        )
    else:
        _tell(done)
    return ExitCode.FAILED if done.unopened else ExitCode.OK


def _rotated(at: Desk) -> vault.Rotation:
    with at.store.write() as conn:
        done = vault.rotate(conn, keys_of(at.settings), now=at.now)
        if done.sealed:
            detail = f"{count(done.sealed, 'secret')} sealed anew"
            audit.note(conn, author(), "secret.rotate", f"key {done.key_id}", detail, now=at.now)
    return done


def _tell(done: vault.Rotation) -> None:
    click.echo(
        f"{count(done.sealed, 'secret')} sealed anew with the key {done.key_id}, {done.kept:,} were already."
    )
    for name, problem in done.unopened:
        click.echo(output.printable(f"{name} could not be opened: {problem}."))
    if done.unopened:
        click.echo("Keep all old keys until that is mended.")
    elif done.old_keys:
        click.echo(f"Nothing needs the key {' or '.join(done.old_keys)} any more: take it out of the list.")


def _value() -> str:
    """Ask without showing it; without a terminal read all of standard input, without its last line break."""
    if sys.stdin.isatty():
        value: str = click.prompt("Secret", hide_input=True, err=True)
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not value or "\0" in value:
        raise HubError("Nothing was kept: the secret is empty or holds a NUL character.")
    return value
