"""Names and numbers that people type become rows, or a sentence that says what there is."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.errors import NotFound, said
from sidecar.settings import Settings
from sidecar.settings.wording import did_you_mean
from sidecar.store import deliveries, dlq, rules, services


def find_delivery(conn: Connection, key: str) -> Row[Any]:
    """Return a delivery by its number or its delivery id. Raises NotFound."""
    row = deliveries.get(conn, key.strip().lower())
    if row is not None:
        return row
    newest = deliveries.find(conn, limit=1)
    there = (
        said("the newest is %(number)s; `mih queue list` shows them", number=newest[0].id)
        if newest
        else said("the queue is empty")
    )
    raise NotFound(said('There is no delivery "%(key)s": %(there)s.', key=key, there=there))


def find_letter(conn: Connection, key: str) -> Row[Any]:
    """Return a dead letter by its delivery's number or id. Raises NotFound."""
    key = key.strip().lower()
    row = deliveries.get(conn, key)
    letter = dlq.get(conn, row.delivery_id if row is not None else key)
    if letter is not None:
        return letter
    if row is not None:
        raise NotFound(
            said("Delivery %(number)s is %(state)s: it is no dead letter.", number=row.id, state=row.state)
        )
    total = dlq.count(conn)
    there = (
        said("`mih dlq list` shows the %(n)s that there are", n=f"{total:,}")
        if total
        else said("there are none")
    )
    raise NotFound(said('There is no dead letter "%(key)s": %(there)s.', key=key, there=there))


def known_filter(conn: Connection, settings: Settings, *, service: str | None, rule: str | None) -> None:
    """Raise NotFound for a name that nothing has: asked when nothing was found, to tell a typo from none."""
    if service is not None:
        known(service, [*settings.services, *(row.name for row in services.all_rows(conn))], "service")
    if rule is not None:
        names = [*(one.name for one in settings.rules), *(row.name for row in rules.all_rows(conn))]
        known(rule, names, "rule")


def known(name: str, names: Iterable[str], kind: str) -> str:
    """Return the name. Raises NotFound, with what there is, unless it is one of `names`."""
    there = sorted(set(names))
    if name not in there:
        raise NotFound(_unknown(name, kind, did_you_mean(name, there)))
    return name


def _unknown(name: str, kind: str, hint: str) -> str:
    if kind == "service":
        return said('There is no service "%(name)s"%(hint)s', name=name, hint=hint)
    if kind == "rule":
        return said('There is no rule "%(name)s"%(hint)s', name=name, hint=hint)
    return f'There is no {kind} "{name}"{hint}'
