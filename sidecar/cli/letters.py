"""Which dead letters a command is about: one by its id, or all that its options name."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection, Row

from sidecar.bridge.replay import PIECE, Again
from sidecar.cli.desk import Desk, moment
from sidecar.cli.output import confirm
from sidecar.hub import load
from sidecar.model import DeadReason
from sidecar.moodle.logstore import LogStore
from sidecar.store import dlq, pile
from sidecar.store.engine import Database
from sidecar.store.find import find_letter, known_filter
from sidecar.store.words import count

_REASONS = [str(reason) for reason in DeadReason]


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody has chosen; `since` is as it was typed."""

    service: str | None = None
    rule: str | None = None
    reason: DeadReason | None = None
    since: str | None = None
    key: str | None = None

    def count(self, conn: Connection, now: datetime) -> int:
        """Return how many dead letters match the options."""
        since = moment(self.since, now)
        return dlq.count(conn, service=self.service, rule=self.rule, reason=self.reason, since=since)

    def page(
        self, conn: Connection, now: datetime, *, limit: int, before: int | None = None
    ) -> Sequence[Row[Any]]:
        """Return some of them, the newest first, below the number `before`."""
        wanted = pile.Choice(self.service, self.rule, self.reason, since=moment(self.since, now))
        return pile.search(conn, wanted, before=before, limit=limit).rows

    def pieces(self, at: Desk, question: str, *, yes: bool) -> Iterator[Sequence[Row[Any]]]:
        """Yield the chosen letters in pieces; more than one by name are counted and asked about before.

        What becomes a dead letter meanwhile is not among them.
        """
        if self.key is not None:
            yield [self._one(at, self.key)]
            return
        with at.store.read() as conn:
            total = self.count(conn, at.now)
            if not total:
                known_filter(conn, at.settings, service=self.service, rule=self.rule)
                return
        confirm(question.format(count(total, "dead letter")), yes=yes)
        before = None
        while piece := self._next(at, before):
            before = piece[-1].id
            yield piece

    def _one(self, at: Desk, key: str) -> Row[Any]:
        with at.store.read() as conn:
            return find_letter(conn, key)

    def _next(self, at: Desk, before: int | None) -> Sequence[Row[Any]]:
        with at.store.read() as conn:
            return self.page(conn, at.now, limit=PIECE, before=before)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `choice` from --service, --rule, --reason and --since."""

    @wraps(command)
    def chosen(
        service: str | None, rule: str | None, reason: str | None, since: str | None, **others: Any
    ) -> Any:
        choice = Choice(service, rule, DeadReason(reason) if reason else None, since)
        return command(choice=choice, **others)

    given: Callable[..., Any] = chosen
    for option in (
        click.option("--since", metavar="WHEN", help="Only those given up since then: 2h, 7d, a time."),
        click.option("--reason", type=click.Choice(_REASONS), help="Only those given up for this reason."),
        click.option("--rule", help="Only those of this rule."),
        click.option("--service", help="Only those to this service."),
    ):
        given = option(given)
    return given


def choice_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `choice` from an ID, or --all, or at least one of the filters."""

    @wraps(command)
    def chosen(choice: Choice, key: str | None, every: bool, **others: Any) -> Any:
        filtered = choice != Choice()
        if (key is not None) + (every or filtered) != 1:
            raise click.UsageError(
                "Give the ID of one, or --all, or which: --service, --rule, --reason, --since."
            )
        picked = Choice(choice.service, choice.rule, choice.reason, choice.since, key)
        return command(choice=picked, **others)

    given = click.option("--all", "every", is_flag=True, help="All of them.")(filters(chosen))
    return click.argument("key", metavar="[ID]", required=False)(given)


@contextmanager
def rendering(config: Path) -> Iterator[Again]:
    """Yield what renders letters again. Raises ConfigError if a template is broken."""
    loaded = load(config, os.environ)
    moodle = Database(loaded.settings.moodle.url.get_secret_value(), pool_size=1)
    log = LogStore(loaded.settings.moodle.prefix, loaded.settings.moodle.log_table)
    try:
        yield Again(loaded.settings, loaded.book, moodle, log)
    finally:
        moodle.close()
