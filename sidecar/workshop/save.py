"""Make and change services and rules: definition, sealed secrets and audit in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from sidecar.errors import said
from sidecar.hub import Hub
from sidecar.settings import Definition, Kind, Problem
from sidecar.settings.secretive import secrets_of
from sidecar.store import audit, definitions, made, vault
from sidecar.store.audit import Author
from sidecar.workshop.bench import Bench, bench_of, section_of
from sidecar.workshop.draft import Draft, draft_rule, draft_service
from sidecar.workshop.refusals import BadDefinition, Conflict
from sidecar.workshop.waiting import Waiting, decide, decision


@dataclass(frozen=True, slots=True)
class Saved:
    """A definition after it was kept. `revision` is what the next change has to name."""

    kind: Kind
    name: str
    revision: int
    created: bool


def save_service(hub: Hub, name: str, values: object, *, by: Author, revision: int | None = None) -> Saved:
    """Make a service, or change the one of this revision; it is in force when this returns.

    `values` is what stands under its name in the file; STARS leave a secret as it is. Raises BadDefinition,
    Conflict and NotFound.
    """
    bench = bench_of(hub)
    before = _before(bench, Kind.SERVICE, name, revision)
    draft = draft_service(bench.source, name, values, before)
    lack = made.keys_of(hub.settings).lack
    if draft.fresh and lack:
        place = next(iter(draft.fresh)).removeprefix(f"services.{name}.")
        raise BadDefinition([Problem(place, lack)])
    return _kept(bench, draft, before, by)


def save_rule(hub: Hub, name: str, values: object, *, by: Author, revision: int | None = None) -> Saved:
    """Make a rule, or change the one of this revision; it is in force when this returns.

    `values` is one item of the file's `rules`. Raises as `save_service` does.
    """
    bench = bench_of(hub)
    before = _before(bench, Kind.RULE, name, revision)
    return _kept(bench, draft_rule(bench.source, hub.settings, name, values), before, by)


def switch(hub: Hub, kind: Kind, name: str, *, on: bool, by: Author, waiting: Waiting | None = None) -> Saved:
    """Enable or disable a service or rule made here. Raises NotFound, Conflict and StillWaiting.

    Where deliveries wait, `waiting` has to say what becomes of them when it is disabled.
    """
    bench = bench_of(hub)
    before = bench.made_here(kind, name)
    section = {key: value for key, value in section_of(before).items() if key != "enabled"}
    if section.get("state") == "off":
        del section["state"]
    if not on:
        section["enabled"] = False
    names = frozenset(f"services.{name}.{place}" for place in secrets_of(section))
    draft = Draft(kind, name, section, kept=names if kind is Kind.SERVICE else frozenset())
    if on:
        return _kept(bench, draft, before, by, action="enable")

    def settle(conn: Connection) -> str | None:
        owed = decide(conn, kind, name, waiting, deleted=False, now=hub.clock.now())
        return decision(owed, waiting)

    return _kept(bench, draft, before, by, action="disable", settle=settle)


def _before(bench: Bench, kind: Kind, name: str, revision: int | None) -> Definition | None:
    """Return what is to be changed, None for what is new. Raises Conflict and NotFound."""
    if revision is not None:
        before = bench.made_here(kind, name)
        if before.revision != revision:
            raise _changed(before)
        return before
    if bench.in_file(kind, name):
        path = bench.source.path
        raise Conflict(
            said("%(name)s is in the file %(path)s already: choose another name.", name=name, path=path)
        )
    if bench.definition(kind, name):
        raise Conflict(said("There is %(name)s already: change it, or choose another name.", name=name))
    return None


def _kept(
    bench: Bench,
    draft: Draft,
    before: Definition | None,
    by: Author,
    *,
    action: str = "",
    settle: Callable[[Connection], str | None] | None = None,
) -> Saved:
    """Keep it in one transaction, with what `settle` does in it and says of it for the audit."""
    hub, now = bench.hub, bench.hub.clock.now()
    revision = before.revision + 1 if before else 1
    made_now = Definition(draft.kind, draft.name, draft.text, revision, by.who, now)
    with hub.store.write() as conn:
        if before is None:
            if not definitions.add(conn, made_now):
                raise Conflict(said("Somebody has just made %(name)s: look at it first.", name=draft.name))
        else:
            there = definitions.lock(conn, draft.kind, draft.name)
            if there is None or there.revision != before.revision:
                raise _changed(there or before)
            definitions.change(conn, made_now)
        if draft.kind is Kind.SERVICE:
            _keep_secrets(conn, bench, draft)
        done = f"{draft.kind}.{action or ('change' if before else 'create')}"
        detail = [_detail(draft, before), settle(conn) if settle else None]
        changes = ", ".join(filter(None, detail)) or None
        audit.note(conn, by, done, f"{draft.kind} {draft.name}", changes, now=now)
    hub.refresh()
    hub.dispatcher.wake()
    return Saved(draft.kind, draft.name, revision, before is None)


def _keep_secrets(conn: Connection, bench: Bench, draft: Draft) -> None:
    """Seal the new secrets, forget those that nothing refers to any more."""
    keys, now = made.keys_of(bench.hub.settings), bench.hub.clock.now()
    for name, value in draft.fresh.items():
        vault.put(conn, keys, name, value, now=now)
    wanted = {*draft.fresh, *draft.kept}
    owned = vault.names_below(conn, f"services.{draft.name}.")
    # A name with a dot may begin like another's: what belongs to that one stays.
    others = [one.name for one in bench.source.stored.definitions if one.kind is Kind.SERVICE]
    longer = tuple(f"services.{name}." for name in others if name.startswith(f"{draft.name}."))
    vault.remove(conn, [name for name in owned if name not in wanted and not name.startswith(longer)])


def _detail(draft: Draft, before: Definition | None) -> str | None:
    """Say which options changed, and of secrets only that they did."""
    old: Mapping[str, Any] = section_of(before) if before else {}
    changed = [key for key in draft.section if before and draft.section[key] != old.get(key)]
    gone = [f"{key} (taken out)" for key in old if key not in draft.section]
    sealed = [f"{name.removeprefix(f'services.{draft.name}.')} (secret)" for name in draft.fresh]
    return ", ".join([*changed, *gone, *sealed]) or None


def _changed(there: Definition) -> Conflict:
    return Conflict(
        said(
            "%(name)s was changed meanwhile, by %(who)s at %(at)s UTC: look at it again, it is revision"
            " %(revision)s now.",
            name=there.name,
            who=there.updated_by,
            at=f"{there.updated_at:%Y-%m-%d %H:%M:%S}",
            revision=there.revision,
        )
    )
