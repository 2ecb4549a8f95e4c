"""The rules in force: `mih_rules`, written from the configuration."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from sidecar.settings import Rule
from sidecar.store.dialect import upsert
from sidecar.store.tables import rules

_FROM_FILE, _MADE_HERE = "file", "here"


def sync(
    conn: Connection, wanted: Sequence[tuple[Rule, str]], *, now: datetime, made: Collection[str] = ()
) -> None:
    """Make the table say what is in force: each rule with its version; what is gone is removed.

    Those in `made` were made here, the others stand in the file.
    """
    rows = [_values(rule, version, now, made) for rule, version in wanted]
    changed = [
        "event",
        "service",
        "method",
        "endpoint",
        "enabled",
        "version",
        "definition",
        "source",
        "updated_at",
    ]
    upsert(conn, rules, rows, {name: name for name in changed})
    names = [rule.name for rule, _ in wanted]
    conn.execute(rules.delete().where(rules.c.name.not_in(names)))


def all_rows(conn: Connection) -> Sequence[Row[Any]]:
    """Return all rules by name."""
    return conn.execute(select(rules).order_by(rules.c.name)).all()


def of_file(conn: Connection) -> frozenset[str]:
    """Return the names of the rules of the file that was written down last, whichever process did it."""
    return frozenset(conn.execute(select(rules.c.name).where(rules.c.source == _FROM_FILE)).scalars())


def _values(rule: Rule, version: str, now: datetime, made: Collection[str]) -> dict[str, Any]:
    return {
        "name": rule.name,
        "event": ", ".join(rule.events),
        "service": rule.service,
        "method": rule.method,
        "endpoint": rule.endpoint,
        "enabled": rule.enabled,
        "version": version,
        "definition": json.dumps(rule.model_dump(mode="json"), ensure_ascii=False, sort_keys=True),
        "source": _MADE_HERE if rule.name in made else _FROM_FILE,
        "updated_at": now,
    }
