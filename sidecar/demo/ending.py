"""The account at the end: what was owed by the log itself, what arrived, and what has become of the rest."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from sidecar.bridge.harvest import Harvester
from sidecar.demo.life import Life
from sidecar.demo.plain import WIDTH, fit
from sidecar.demo.receiver import Receiver
from sidecar.demo.tally import Fate, Tally
from sidecar.hub import Hub
from sidecar.model import DeliveryState, Event, Held
from sidecar.moodle.decode import decode
from sidecar.store import counts, cursors, deliveries, dlq, gaps

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_PIECE = 1_000
_HELD_STATES = (
    DeliveryState.PENDING,
    DeliveryState.SENDING,
    DeliveryState.DEAD,
    DeliveryState.CANCELLED,
)


_HELD_WORDS = {
    Held.WHERE: "other column values than wanted",
    Held.WHEN: "condition false",
    Held.TOO_OLD: "too old, from a restored course",
}


@dataclass(frozen=True, slots=True)
class Account:
    """All figures of a demo that is over."""

    seed: int
    elapsed_s: float
    rows: int
    late: int
    matched: int
    arrived: int
    retries: int
    probes: int
    dead: tuple[tuple[str, str, int], ...]  # service, reason, how many
    waiting: int
    duplicates: int
    lost: int
    given_up: int
    held: tuple[tuple[str, int], ...]  # reason, how many


def settle_up(hub: Hub, receiver: Receiver, life: Life, tally: Tally, seed: int) -> Account:
    """Compare what the log owed with what arrived.

    What was owed is worked out from the log table once more, from its first row, without a look at the cursor
    or the queue: a row that the tail had missed would show up as lost.
    """
    owed, taken = owed_by(hub, since_s=tally.elapsed_s), receiver.taken()
    with hub.store.read() as conn:
        kept = {state: _ids(conn, state) for state in _HELD_STATES}
        dead = tuple((row.service, row.reason, int(row.n)) for row in dlq.by_reason(conn))
        unread = {item for item, log_id in owed.items() if _unread(conn, hub, log_id)}
        given_up = gaps.missing(conn, hub.settings.site).ids_given_up
        held = _held(conn)
    unsent = kept[DeliveryState.PENDING] | kept[DeliveryState.SENDING] | unread
    return Account(
        seed=seed,
        elapsed_s=tally.elapsed_s,
        rows=life.rows,
        late=life.late,
        matched=len(owed),
        arrived=len(taken),
        retries=tally.count(Fate.RETRY),
        probes=tally.count(Fate.PROBE_OK, Fate.PROBE_BAD),
        dead=dead,
        waiting=len(unsent.difference(taken)),
        duplicates=taken.total() - len(taken),
        lost=len(owed.keys() - taken.keys() - unread - set[str]().union(*kept.values())),
        given_up=given_up,
        held=held,
    )


def all_settled(hub: Hub) -> bool:
    """Tell whether every row of the log has been read, late ones too, and nothing is owed any more."""
    with hub.store.read() as conn, hub.moodle.read() as moodle:
        cursor = cursors.load(conn, hub.settings.site)
        if cursor is None or cursor.position < (hub.log.head(moodle) or 0):
            return False
        waiting = gaps.waiting(conn, hub.settings.site)
        if hub.log.appeared(moodle, waiting, None, 1).ids:
            return False
        return not any(row.pending or row.sending for row in deliveries.totals(conn))


def owed_by(hub: Hub, *, since_s: float) -> dict[str, int]:
    """Return the ids of all deliveries that the rules make of the log as it is, each with its log id."""
    now = hub.clock.now()
    newest = now - timedelta(seconds=since_s)
    harvester, owed = Harvester(hub.settings, hub.book), dict[str, int]()
    with hub.moodle.read() as conn:
        for events in _all_events(conn, hub):
            harvest = harvester.gather(conn, events, newest=newest, now=now)
            made = [*harvest.deliveries, *(letter.delivery for letter in harvest.letters)]
            owed |= {item.delivery_id: item.log_id or 0 for item in made}
    return owed


def lines(account: Account) -> Iterator[str]:
    """Yield the account as text of at most 80 columns."""
    yield f"The demo ran for {account.elapsed_s:.0f} s. The same story again: --seed {account.seed}"
    yield _line("log rows", account.rows, _oddities(account))
    yield _line("matched", account.matched, "deliveries that the rules made of them")
    yield _line("delivered", account.arrived, _efforts(account))
    yield _line("dead letters", sum(n for *_, n in account.dead), _reasons(account.dead))
    yield _line("held back", sum(n for _, n in account.held), _held_words(account.held))
    yield _line("waiting", account.waiting, "would go out later" if account.waiting else "")
    repeated = "came twice after a lost answer, with the same id" if account.duplicates else ""
    yield _line("duplicates", account.duplicates, repeated)
    yield _line("lost", account.lost, "each id that the log owes was looked for")


def _all_events(conn: Connection, hub: Hub) -> Iterator[Sequence[Event]]:
    head, position = hub.log.head(conn) or 0, 0
    while rows := hub.log.rows(conn, position, head, None, _PIECE):
        yield [decode(row) for row in rows]
        position = rows[-1].id


def _unread(conn: Connection, hub: Hub, log_id: int) -> bool:
    """Tell whether the tail has still to read a row: it is ahead of the cursor, or in an open gap."""
    cursor = cursors.load(conn, hub.settings.site)
    if cursor is None or log_id > cursor.position:
        return True
    return any(gap.lacks(log_id) for gap in gaps.waiting(conn, hub.settings.site))


def _ids(conn: Connection, state: DeliveryState) -> set[str]:
    """Return the ids of all deliveries in a state, page by page."""
    found, before = set[str](), None
    while page := deliveries.find(conn, state=state, before=before, limit=_PIECE):
        found.update(row.delivery_id for row in page)
        before = page[-1].id
    return found


def _held(conn: Connection) -> tuple[tuple[str, int], ...]:
    """Return how many rows that a rule names were none of its business, by reason."""
    found: Counter[str] = Counter()
    for _, what, number in counts.totals(conn, since=_EVER):
        if what in set(Held):
            found[what] += number
    return tuple(sorted(found.items()))


def _held_words(held: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{_HELD_WORDS[Held(reason)]}: {number}" for reason, number in held)


def _line(name: str, number: int, words: str) -> str:
    return fit(f"  {name:13}{number:6}  {words}".rstrip(), WIDTH)


def _oddities(account: Account) -> str:
    return f"{account.late} of them late; {account.given_up} ids rolled back and given up"


def _efforts(account: Account) -> str:
    return f"retries: {account.retries}, probes of an ill service: {account.probes}"


def _reasons(dead: Sequence[tuple[str, str, int]]) -> str:
    return ", ".join(f"{reason} by {service}: {n}" for service, reason, n in dead)
