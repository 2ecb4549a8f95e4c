"""Delete a service or rule made here, and decide what becomes of the deliveries that wait for it."""

from dataclasses import dataclass

from sidecar.errors import said
from sidecar.hub import Hub
from sidecar.settings import Kind
from sidecar.settings.secretive import secrets_of
from sidecar.store import audit, definitions, vault
from sidecar.store.audit import Author
from sidecar.workshop.bench import Bench, bench_of, section_of
from sidecar.workshop.refusals import Conflict
from sidecar.workshop.waiting import Waiting, decide, decision


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted, and of how many deliveries that decided."""

    kind: Kind
    name: str
    waiting: int


def remove(
    hub: Hub,
    kind: Kind,
    name: str,
    *,
    by: Author,
    revision: int | None = None,
    waiting: Waiting | None = None,
) -> Removed:
    """Delete a service or rule made here. Raises NotFound, Conflict and StillWaiting.

    Where deliveries wait, `waiting` has to say what becomes of them; what is being sent is finished. Without
    `revision` it is deleted as it is now. What a name of the file shadows can be deleted, too: nothing waits
    for it.
    """
    bench = bench_of(hub)
    shadowed = bench.in_file(kind, name)
    before = (bench.definition(kind, name) if shadowed else None) or bench.made_here(kind, name)
    if kind is Kind.SERVICE and not shadowed:
        _require_unused(bench, name)
    now = hub.clock.now()
    with hub.store.write() as conn:
        there = definitions.lock(conn, kind, name)
        if there is None or there.revision != (before.revision if revision is None else revision):
            raise Conflict(said("%(name)s was changed meanwhile: look at it again.", name=name))
        owed = 0 if shadowed else decide(conn, kind, name, waiting, deleted=True, now=now)
        definitions.remove(conn, kind, name)
        if kind is Kind.SERVICE:
            vault.remove(conn, [f"services.{name}.{place}" for place in secrets_of(section_of(there))])
        detail = decision(owed, waiting)
        audit.note(conn, by, f"{kind}.delete", f"{kind} {name}", detail, now=now)
    hub.refresh()
    hub.dispatcher.wake()
    return Removed(kind, name, owed)


def _require_unused(bench: Bench, name: str) -> None:
    stored = [one for one in bench.source.stored.definitions if one.kind is Kind.RULE]
    users = sorted(one.name for one in stored if section_of(one).get("service") == name)
    if users:
        listed = ", ".join(users[:10]) + (" ..." if len(users) > 10 else "")
        raise Conflict(
            said(
                "The service %(name)s is used by %(rules)s: change or delete these rules first.",
                name=name,
                rules=listed,
            )
        )
