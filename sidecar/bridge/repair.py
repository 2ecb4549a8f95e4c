"""What a ledger finds missing is queued after all, with the ids it would have had: nothing goes twice."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from sidecar.bridge.account import Missing
from sidecar.bridge.harvest import Harvest, Harvester, unstorable
from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.bridge.sources import Sources
from sidecar.moodle.decode import decode
from sidecar.store import accounted, audit, counts, queue
from sidecar.store.audit import Author
from sidecar.store.faults import UNSTORABLE

_ROWS_AT_ONCE = 200
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was queued, what became a dead letter, and what was left, each with the reason."""

    queued: int
    dead: int
    left: Sequence[tuple[Missing, str]]


def repair(sources: Sources, book: RuleBook, missing: Sequence[Missing], by: Author) -> Repaired:
    """Queue the deliveries of these rows by today's rules, and count them. Safe while the sidecar runs.

    What has been queued meanwhile adds nothing. Killed half way, the ledger names the rest again.
    """
    by_rule: dict[str, list[Missing]] = defaultdict(list)
    for one in missing:
        by_rule[one.rule].append(one)
    done = [
        _repair(sources, book, name, some[start : start + _ROWS_AT_ONCE], by)
        for name, some in sorted(by_rule.items())
        for start in range(0, len(some), _ROWS_AT_ONCE)
    ]
    left = [one for piece in done for one in piece.left]
    return Repaired(sum(piece.queued for piece in done), sum(piece.dead for piece in done), left)


def _repair(sources: Sources, book: RuleBook, name: str, some: Sequence[Missing], by: Author) -> Repaired:
    compiled = next((one for one in book.rules if one.rule.name == name and not one.rule.shadow), None)
    if compiled is None:
        return Repaired(0, 0, [(one, f'there is no rule "{name}" switched on today') for one in some])
    with sources.moodle.read() as conn:
        harvest, there = _harvest(conn, sources, compiled, some)
    queued, dead = _queued(sources, harvest, name, by)
    made = {item.log_id for item in harvest.deliveries} | {item.delivery.log_id for item in harvest.letters}
    why = {True: "today's rule does not want it", False: "it is gone from Moodle's log"}
    return Repaired(queued, dead, [(one, why[one.log_id in there]) for one in some if one.log_id not in made])


def _harvest(
    conn: Connection, sources: Sources, compiled: CompiledRule, some: Sequence[Missing]
) -> tuple[Harvest, set[int]]:
    numbers = sorted(one.log_id for one in some)
    rows = sources.log.rows_in(conn, [(number, number) for number in numbers], None, len(numbers)).rows
    harvester = Harvester(sources.settings, RuleBook([compiled]))
    # When the tail should have read it, its age was right: the ledger has judged that.
    events = [decode(row) for row in rows]
    harvest = harvester.gather(conn, events, newest=_LONG_AGO, now=sources.clock.now())
    return harvest, {event.id for event in events}


def _queued(sources: Sources, harvest: Harvest, rule: str, by: Author) -> tuple[int, int]:
    try:
        return _commit(sources, harvest, rule, by)
    except UNSTORABLE as error:
        parts = [
            *(Harvest(deliveries=[item]) for item in harvest.deliveries),
            *(Harvest(letters=[item]) for item in harvest.letters),
        ]
        if len(parts) == 1:
            return _commit(sources, unstorable(harvest, error), rule, by)
        done = [_queued(sources, part, rule, by) for part in parts]
        return sum(queued for queued, _ in done), sum(dead for _, dead in done)


def _commit(sources: Sources, harvest: Harvest, rule: str, by: Author) -> tuple[int, int]:
    with sources.store.write() as conn:
        now = sources.clock.now()
        keys = [item.delivery_id for item in harvest.deliveries]
        keys += [item.delivery.delivery_id for item in harvest.letters]
        states = accounted.known(conn, keys)
        fresh = [item for item in harvest.deliveries if item.delivery_id not in states]
        letters = [item for item in harvest.letters if item.delivery.delivery_id not in states]
        queue.enqueue(conn, fresh, now=now)
        queue.enqueue_dead(conn, letters, now=now)
        tally = {(rule, counts.QUEUED): len(fresh), (rule, counts.DEAD): len(letters)}
        counts.add(conn, Counter({key: n for key, n in tally.items() if n}), now=now)
        if fresh or letters:
            ids = [item.log_id for item in fresh] + [item.delivery.log_id for item in letters]
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            audit.note(conn, by, "ledger.repair", f"rule {rule}", f"log row {ids[0]}{more}", now=now)
    return len(fresh), len(letters)
