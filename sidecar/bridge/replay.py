"""Dead letters go back into the queue, as they were sent or rendered again with today's rules."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DataError, IntegrityError

from sidecar.bridge.harvest import Harvester
from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.errors import said
from sidecar.model import DeadReason, Delivery, DeliveryState, Event
from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings
from sidecar.store import audit, dlq, queue
from sidecar.store.audit import Author
from sidecar.store.engine import Database
from sidecar.store.faults import blame

PIECE = 200

# These letters hold no payload: there is nothing that could be sent as it was.
NEVER_RENDERED = frozenset((DeadReason.RENDER, DeadReason.TOO_LARGE, DeadReason.INVALID))

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = {
    DeliveryState.SENDING: "it is being sent right now",
    DeliveryState.DELIVERED: "it was delivered",
    None: "it is no longer in the queue",
}
_MOVED_ON = said("somebody else replayed or deleted it meanwhile")


class Fate(StrEnum):
    """What became of a dead letter that was to be replayed. All but the first leave it where it is."""

    REPLAYED = "replayed"
    NEVER_RENDERED = "never_rendered"
    UNWANTED = "condition_false"
    ROW_GONE = "row_gone"
    RULE_GONE = "rule_gone"
    STILL_FAILS = "still_fails"
    LEFT_ALONE = "left_alone"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One dead letter and what became of it; `detail` says why it was not replayed."""

    delivery_id: str
    service: str
    fate: Fate
    detail: str | None = None


class Again:
    """Renders dead letters again, from Moodle's log and with the rules in force today."""

    def __init__(self, settings: Settings, book: RuleBook, moodle: Database, log: LogStore) -> None:
        self._settings, self._moodle, self._log = settings, moodle, log
        self._rules = {item.rule.name: item for item in book.rules if not item.rule.shadow}

    def render(self, letters: Sequence[Row[Any]], *, now: datetime) -> dict[str, Delivery | Replayed]:
        """Return by delivery id what each letter is today, or why it is nothing. Writes nothing.

        One look at the log and one per table that a template uses, for each rule. Persons are masked as the
        tail does it. Where the log row is gone, the copy that a never rendered letter holds stands in.
        """
        by_rule: dict[str | None, list[Row[Any]]] = defaultdict(list)
        for letter in letters:
            by_rule[letter.rule].append(letter)
        made: dict[str, Delivery | Replayed] = {}
        with blame(f"moodle.url ({self._moodle.shown})"), self._moodle.read() as conn:
            for name, some in by_rule.items():
                compiled = self._rules.get(name or "")
                made |= self._by(compiled, some, conn, now) if compiled else dict(map(_rule_gone, some))
        return made

    def _by(
        self, compiled: CompiledRule, letters: Sequence[Row[Any]], conn: Connection, now: datetime
    ) -> dict[str, Delivery | Replayed]:
        ours = [letter for letter in letters if self._is_ours(letter)]
        made: dict[str, Delivery | Replayed] = {
            letter.delivery_id: _left(
                letter,
                Fate.ROW_GONE,
                f'it belongs to another site than "{self._settings.site}", or the site was renamed',
            )
            for letter in letters
            if letter not in ours
        }
        events = self._events(conn, ours)
        # Age does not matter here: somebody asked for it. All else is decided as the tail does.
        harvest = Harvester(self._settings, RuleBook([compiled])).gather(
            conn, list(events.values()), newest=_LONG_AGO, now=now
        )
        rendered = {item.delivery_id: item for item in harvest.deliveries}
        errors = {item.delivery.delivery_id: item.error for item in harvest.letters}
        for letter in ours:
            key = letter.delivery_id
            made[key] = rendered.get(key) or _unmade(letter, key in events, errors.get(key))
        return made

    def _is_ours(self, letter: Row[Any]) -> bool:
        number = letter.log_id
        return number is not None and letter.delivery_id == self._settings.delivery_id(letter.rule, number)

    def _events(self, conn: Connection, letters: Sequence[Row[Any]]) -> dict[str, Event]:
        ids = sorted({letter.log_id for letter in letters})
        rows = self._log.rows_in(conn, [(number, number) for number in ids], None, len(ids)).rows
        logged = {row.id: row for row in rows}
        found = {letter.delivery_id: _event(letter, logged.get(letter.log_id)) for letter in letters}
        return {key: event for key, event in found.items() if event is not None}


def replay(
    store: Database,
    letters: Sequence[Row[Any]],
    *,
    now: datetime,
    again: Again | None = None,
    by: Author | None = None,
) -> list[Replayed]:
    """Make the deliveries of dead letters due now, each with its id and all its attempts.

    Without `again` the bytes are those that were sent. At most PIECE letters in a transaction; killed half
    way, what is left are dead letters still.
    """
    fates: list[Replayed] = []
    for start in range(0, len(letters), PIECE):
        piece = letters[start : start + PIECE]
        made = again.render(piece, now=now) if again else {}
        refused = [one for one in made.values() if isinstance(one, Replayed)]
        if not again:
            refused = [_left(one, Fate.NEVER_RENDERED, _NO_PAYLOAD) for one in piece if _is_bare(one)]
        out = {one.delivery_id for one in refused}
        ready = {key: item for key, item in made.items() if isinstance(item, Delivery)}
        whole = [one for one in piece if one.delivery_id not in out]
        fates += refused + _put_back(store, whole, ready, now, by)
    return fates


def replayed(done: Sequence[Replayed]) -> dict[str, Any]:
    """Return what became of them as scripts read it."""
    left = [one for one in done if one.fate is not Fate.REPLAYED]
    return {
        "replayed": len(done) - len(left),
        "left": [
            {"delivery_id": one.delivery_id, "service": one.service, "why": one.fate, "detail": one.detail}
            for one in left
        ],
    }


def discard(store: Database, letters: Sequence[Row[Any]], *, now: datetime, by: Author | None = None) -> int:
    """Delete dead letters and cancel their deliveries; return how many letters there were.

    A delivery that somebody else replays meanwhile is not cancelled.
    """
    removed = 0
    for start in range(0, len(letters), PIECE):
        piece = letters[start : start + PIECE]
        with store.write() as conn:
            queue.lock(conn, [letter.delivery_id for letter in piece])
            here = dlq.standing(conn, [letter.id for letter in piece])
            ids = sorted(letter.delivery_id for letter in piece if letter.id in here)
            queue.cancel(conn, ids, now=now)
            note_all(conn, by, "dead_letter.delete", ids, now)
            removed += dlq.remove(conn, ids)
    return removed


def _put_back(
    store: Database,
    letters: Sequence[Row[Any]],
    rendered: Mapping[str, Delivery],
    now: datetime,
    by: Author | None,
) -> list[Replayed]:
    try:
        with store.write() as conn:
            return _commit(conn, letters, rendered, now, by)
    except (DataError, IntegrityError, UnicodeError) as error:
        # Something in here cannot be stored: find the one letter, so that the others are replayed.
        if len(letters) == 1:
            return [
                _left(
                    letters[0],
                    Fate.STILL_FAILS,
                    said("it cannot be stored: %(why)s", why=type(error).__name__),
                )
            ]
        return [done for letter in letters for done in _put_back(store, [letter], rendered, now, by)]


def _commit(
    conn: Connection,
    letters: Sequence[Row[Any]],
    rendered: Mapping[str, Delivery],
    now: datetime,
    by: Author | None,
) -> list[Replayed]:
    states = queue.lock(conn, [letter.delivery_id for letter in letters])
    here = dlq.standing(conn, [letter.id for letter in letters])
    stuck = {
        letter.delivery_id: _STATES.get(states.get(letter.delivery_id), _MOVED_ON)
        for letter in letters
        if states.get(letter.delivery_id) in _STATES or letter.id not in here
    }
    ids = [letter.delivery_id for letter in letters if letter.delivery_id not in stuck]
    for key in ids:
        if key in rendered:
            queue.revive(conn, [key], now=now, rendered=rendered[key])
    queue.revive(conn, [key for key in ids if key not in rendered], now=now)
    dlq.remove(conn, ids)
    note_all(conn, by, "dead_letter.replay", ids, now)
    left, moved = Fate.LEFT_ALONE, Fate.REPLAYED
    return [
        _left(letter, left, stuck[letter.delivery_id])
        if letter.delivery_id in stuck
        else Replayed(letter.delivery_id, letter.service, moved)
        for letter in letters
    ]


def note_all(
    conn: Connection, by: Author | None, action: str, ids: Sequence[str], now: datetime, *, how: str = ""
) -> None:
    """Write one line for all of a piece: the first of them by name."""
    if ids:
        more = [f"and {len(ids) - 1} more"] if len(ids) > 1 else []
        detail = ", ".join([*more, *([how] if how else [])])
        audit.note(conn, by, action, f"delivery {ids[0]}", detail or None, now=now)


_NO_PAYLOAD = said("it was never rendered, so there is nothing to send as it was: add --render")


def _is_bare(letter: Row[Any]) -> bool:
    return letter.reason in NEVER_RENDERED


def _left(letter: Row[Any], fate: Fate, detail: str) -> Replayed:
    return Replayed(letter.delivery_id, letter.service, fate, detail)


def _rule_gone(letter: Row[Any]) -> tuple[str, Replayed]:
    detail = (
        said('there is no rule "%(name)s" switched on', name=letter.rule)
        if letter.rule
        else said("no rule made it")
    )
    return letter.delivery_id, _left(letter, Fate.RULE_GONE, detail)


def _unmade(letter: Row[Any], has_event: bool, error: str | None) -> Replayed:
    if not has_event:
        return _left(letter, Fate.ROW_GONE, said("row %(id)s is gone from Moodle's log", id=letter.log_id))
    if error is not None:
        return _left(letter, Fate.STILL_FAILS, error)
    return _left(
        letter, Fate.UNWANTED, said('the rule "%(name)s" does not want this event any more', name=letter.rule)
    )


def _event(letter: Row[Any], logged: Row[Any] | None) -> Event | None:
    """Return the letter's event; a row of another event is another row, in a log that was restored."""
    if logged is not None and logged.eventname == letter.event:
        return decode(logged)
    if letter.event_row is None:
        return None
    kept: dict[str, Any] = json.loads(letter.event_row)
    fields: dict[str, Any] = {name: kept.get(name) for name in Event.__dataclass_fields__}
    return Event(**fields)
