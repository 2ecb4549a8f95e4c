"""`mih migrate`: the sidecar's own tables, made or brought up to date."""

import os
from pathlib import Path

import click

from sidecar.cli.desk import is_absent
from sidecar.cli.options import config_option
from sidecar.errors import MigrationsPending
from sidecar.settings import load
from sidecar.store import migrate as migrations
from sidecar.store.engine import Database
from sidecar.store.faults import blame

_DIALECTS = ("mysql", "postgresql", "sqlite")


@click.command()
@config_option
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL for a DBA; change nothing.")
@click.option(
    "--dialect",
    type=click.Choice(_DIALECTS),
    help="With --sql: for which database, from its first table on. Then no connection is needed.",
)
@click.option("--check", is_flag=True, help="Change nothing; exit with 5 if something is pending.")
def migrate(config: Path, as_sql: bool, dialect: str | None, check: bool) -> None:
    """Make the sidecar's tables (mih_...), or bring them up to date. Moodle's tables are never touched."""
    if as_sql and check:
        raise click.UsageError("--sql and --check exclude each other.")
    if dialect and not as_sql:
        raise click.UsageError("--dialect belongs to --sql.")
    if dialect:
        click.echo(migrations.sql(dialect), nl=False)
        return
    store = Database(load(config, os.environ).store_url.get_secret_value(), pool_size=1)
    try:
        with blame(f"store.url ({store.shown})"):
            _act(store, as_sql=as_sql, check=check)
    finally:
        store.close()


def _act(store: Database, *, as_sql: bool, check: bool) -> None:
    if as_sql:
        _print_pending(store)
    elif check:
        _check(store)
    else:
        done = migrations.apply(store)
        click.echo(
            f"Applied to {store.shown}: {', '.join(done)}." if done else f"{store.shown} is up to date."
        )


def _print_pending(store: Database) -> None:
    since = None if is_absent(store) else migrations.current(store)
    if since is not None and not migrations.pending(store):
        click.echo("-- Nothing is pending.")
        return
    click.echo(migrations.sql(store.dialect, since=since), nl=False)


def _check(store: Database) -> None:
    if is_absent(store):
        raise MigrationsPending(f"The sidecar has no tables in {store.shown} yet: run `mih migrate`.")
    migrations.require_current(store)
    click.echo(f"{store.shown} is up to date.")
