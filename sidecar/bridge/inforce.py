"""Which rules were in force for which rows: noted by the tail, read again by whoever looks back."""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import Connection

from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.bridge.render import BrokenRule, compile_rule
from sidecar.settings import Rule
from sidecar.store import versions
from sidecar.store.versions import Version


class Register:
    """What the tail of one site has noted of its rules; it asks the table only when there may be news."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._book: RuleBook | None = None
        self._noted: RuleBook | None = None

    def judges(self, book: RuleBook) -> None:
        """Say by which rules the rows of this round are judged."""
        self._book = book

    def forget(self) -> None:
        """Compare with the table again: somebody else may have tailed, or moved the cursor."""
        self._noted = None

    def write(self, conn: Connection, *, position: int, late_from: int, now: datetime) -> None:
        """Note the rules by which the rows above `position` are judged, as a part of the tail's transaction.

        `late_from` is the lowest id below that may still appear: it will be judged by them, too.
        """
        book = self._book
        if book is None or book is self._noted:
            return
        wanted = {item.rule.name: (item.version, definition_of(item.rule)) for item in book.rules}
        versions.write(conn, self._site, wanted, position=position, late_from=late_from, now=now)
        self._noted = book  # should the transaction fail, the tail forgets this with all else it knows


def definition_of(rule: Rule) -> str:
    """Return a rule as JSON, without what is left at its default."""
    return json.dumps(rule.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False, sort_keys=True)


class Past:
    """The rules as they were, row by row; they can judge, but not render: their services may be gone."""

    def __init__(self, found: Iterable[Version], rule: str | None = None) -> None:
        self._versions: dict[str, list[Version]] = defaultdict(list)
        for one in found:
            if rule in {None, one.rule}:
                self._versions[one.rule].append(one)
        self._compiled: dict[tuple[str, int], CompiledRule | None] = {}
        self.broken: set[str] = set()

    @property
    def rules(self) -> list[str]:
        """The names of all rules that ever were in force."""
        return sorted(self._versions)

    @property
    def first_id(self) -> int | None:
        """The id after which any rule was in force."""
        return min((some[0].from_id for some in self._versions.values()), default=None)

    @property
    def since(self) -> datetime | None:
        """When the first rule came in force."""
        return min((some[0].since for some in self._versions.values()), default=None)

    @property
    def edges(self) -> list[int]:
        """Ids after which something changes: between two of them all rows are judged alike."""
        every = [one for some in self._versions.values() for one in some]
        return sorted({one.from_id for one in every} | {one.late_from_id - 1 for one in every})

    def after(self, position: int) -> list[Sequence[CompiledRule]]:
        """Return for each rule in force right after `position` the versions that may have judged a row there.

        The first is the one of the row's place. Others came in force while such a row may have been missing:
        had it come late, they judged it.
        """
        found = [self._of(some, position + 1) for some in self._versions.values()]
        return [one for one in found if one]

    def _of(self, some: Sequence[Version], log_id: int) -> list[CompiledRule]:
        at = bisect_left(some, log_id, key=lambda one: one.from_id)
        if at == 0 or some[at - 1].definition is None:
            return []
        late = [one for one in some[at:] if one.late_from_id <= log_id]
        judges = [self._compile(one) for one in (some[at - 1], *late)]
        return [] if any(one is None for one in judges) else [one for one in judges if one is not None]

    def _compile(self, version: Version) -> CompiledRule | None:
        key = (version.rule, version.from_id)
        if key not in self._compiled:
            self._compiled[key] = self._judge(version)
        return self._compiled[key]

    def _judge(self, version: Version) -> CompiledRule | None:
        """Return what judges by this version; None if it wants nothing or cannot be understood any more."""
        if version.definition is None:
            return None
        try:
            rule = Rule.model_validate(json.loads(version.definition))
            bare = rule.model_copy(update={"payload": None, "endpoint": "", "headers": {}, "batch": None})
            return CompiledRule(rule, compile_rule(bare), version.version)
        except (ValidationError, BrokenRule):
            self.broken.add(version.rule)
            return None
