"""Many dead letters, replayed or deleted piece by piece: by any process, and as often as one likes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from sidecar.bridge.paced import Pace, replay_paced
from sidecar.bridge.replay import PIECE, Again, Fate, Replayed, discard, replay
from sidecar.store import audit, pile
from sidecar.store.audit import Author
from sidecar.store.engine import Database
from sidecar.store.pile import Choice

_MOST_EXAMPLES = 5


class Deed(StrEnum):
    """What is done to all of them."""

    AS_SENT = "as_sent"  # replayed: the same bytes
    RENDERED = "rendered"  # replayed: from Moodle's log, with today's rules
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Job:
    """A deed on all letters of a choice with numbers up to `upto`: what dies later is another matter.

    It is all that has to be known. What is done is no letter any more, or is given up anew under a higher
    number: so a job that was broken off, or that two processes do at a time, leaves nothing out and does
    nothing twice. `per_second`: so many are sent at most; else all are due at once. `is_least`: there may be
    more than `total`, all of which are meant.
    """

    deed: Deed
    choice: Choice
    upto: int
    total: int
    per_second: float | None = None
    is_least: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one process has got with a job: all up to the number `after` are done.

    `fates` counts what became of them, `examples` are some of those that were left, `last_due_at` is when the
    last of those goes out that are queued at a pace.
    """

    after: int = 0
    looked_at: int = 0
    deleted: int = 0
    fates: Mapping[Fate, int] = field(default_factory=dict)
    examples: Sequence[Replayed] = ()
    last_due_at: datetime | None = None
    is_over: bool = False

    @property
    def done(self) -> int:
        """How many are no dead letters any more."""
        return self.deleted + self.fates.get(Fate.REPLAYED, 0)

    @property
    def left(self) -> Mapping[Fate, int]:
        """How many were looked at and left where they are, by why."""
        return {fate: n for fate, n in self.fates.items() if fate is not Fate.REPLAYED}


def begin(store: Database, job: Job, *, by: Author, now: datetime) -> None:
    """Write into the audit who has a job done, before anything of it is done."""
    action = "dead_letter.delete" if job.deed is Deed.DELETE else "dead_letter.replay"
    with store.write() as conn:
        many = f"{'≥ ' if job.is_least else ''}{job.total} dead letters"
        audit.note(conn, by, action, many, _in_words(job), now=now)


def go_on(store: Database, job: Job, progress: Progress, *, again: Again | None, now: datetime) -> Progress:
    """Do the next piece, the oldest letters first, and return how far it has got. `again`: for RENDERED."""
    with store.read() as conn:
        piece = pile.oldest(conn, job.choice, after=progress.after, upto=job.upto, limit=PIECE)
    if not piece:
        return replace(progress, is_over=True)
    moved = replace(
        progress,
        after=piece[-1].id,
        looked_at=progress.looked_at + len(piece),
        is_over=len(piece) < PIECE,
    )
    if job.deed is Deed.DELETE:
        return replace(moved, deleted=moved.deleted + discard(store, piece, now=now))
    again = again if job.deed is Deed.RENDERED else None
    if job.per_second is None:
        return _counted(moved, replay(store, piece, now=now, again=again))
    pace = Pace(job.per_second, max(moved.last_due_at or now, now))
    done = replay_paced(store, piece, pace, again=again)
    return replace(_counted(moved, done), last_due_at=pace.after(len(piece)).begins_at)


def _counted(moved: Progress, done: Sequence[Replayed]) -> Progress:
    left = [one for one in done if one.fate is not Fate.REPLAYED]
    fates = Counter(moved.fates) + Counter(one.fate for one in done)
    return replace(moved, fates=fates, examples=[*moved.examples, *left][:_MOST_EXAMPLES])


def _in_words(job: Job) -> str:
    choice = job.choice
    named = [
        f"{name} {getattr(choice, name)}"
        for name in Choice.__dataclass_fields__
        if getattr(choice, name) is not None
    ]
    how = {Deed.AS_SENT: ["as sent"], Deed.RENDERED: ["rendered again"], Deed.DELETE: []}[job.deed]
    pace = [f"{job.per_second:g} a second"] if job.per_second else []
    return ", ".join([*(named or ["all"]), *how, *pace])
