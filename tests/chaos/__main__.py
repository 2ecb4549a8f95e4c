"""`make chaos`: the campaign as one command, with a table and a code that says whether all held."""

import json
import logging
import os
import secrets
import sys
import time
from threading import Lock

import click

from tests.chaos.campaign import Plan, run
from tests.chaos.outcome import Outcome, heading
from tests.chaos.scenarios import SCENARIOS

_DATABASES = ("mariadb", "postgresql", "sqlite")


@click.command()
@click.option("--seed", default=lambda: os.environ.get("SEED") or secrets.token_hex(3), help="Repeats a run.")
@click.option("--only", multiple=True, help="Only faults whose name holds this.")
@click.option("--database", multiple=True, type=click.Choice(_DATABASES), help="Only this one.")
@click.option("--rows", default=10_000, show_default=True, help="Rows of the trial in which nothing fails.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON instead of a table.")
def main(seed: str, only: tuple[str, ...], database: tuple[str, ...], rows: int, as_json: bool) -> None:
    """Harm sidecars, databases and receivers, and count what was lost. Ends with 1 if a promise broke."""
    for name in ("psycopg", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # of the writers, whose connections are cut
    chosen = [one for one in SCENARIOS if not only or any(word in one.name for word in only)]
    lock, began = Lock(), time.monotonic()

    def tell(outcome: Outcome) -> None:
        with lock:
            click.echo(outcome.line, err=as_json)

    click.echo(f"seed {seed}: SEED={seed} make chaos repeats it", err=as_json)
    click.echo(heading(), err=as_json)
    outcomes = run(Plan(chosen, database or _DATABASES, seed, rows), tell)
    broken = [one for one in outcomes if not one.well]
    if as_json:
        click.echo(json.dumps({"seed": seed, "outcomes": [one.view() for one in outcomes]}, indent=2))
    events, lost = sum(one.events for one in outcomes), sum(one.lost for one in outcomes)
    click.echo(
        f"{len(outcomes)} trials, {events:,} events, {lost} lost, {len(broken)} broken promises, "
        f"{time.monotonic() - began:.0f} s",
        err=as_json,
    )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
