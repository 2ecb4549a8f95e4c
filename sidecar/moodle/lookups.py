"""The people, courses and places that events name: fetched for a whole batch, one query per table."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from sqlalchemy import Connection, column, select, table

from sidecar.errors import said
from sidecar.model import Event

_USER = (
    *("id", "username", "idnumber", "firstname", "lastname", "email", "institution", "department", "city"),
    *("country", "lang", "timezone", "auth", "confirmed", "suspended", "deleted", "timecreated"),
)
_COURSE = (
    *("id", "category", "shortname", "fullname", "idnumber", "visible", "format", "lang", "startdate"),
    "enddate",
)

# Only these columns are ever selected. `password` and `secret` must never be among them.
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "user": _USER,
        "relateduser": _USER,
        "realuser": _USER,
        "course": _COURSE,
        "category": ("id", "name", "idnumber", "parent", "path", "visible"),
        "context": ("id", "contextlevel", "instanceid", "path", "depth"),
    }
)

_EVENT_COLUMN = {
    "user": "userid",
    "relateduser": "relateduserid",
    "realuser": "realuserid",
    "course": "courseid",
    "context": "contextid",
}
_PEOPLE = ("user", "relateduser", "realuser")
_CHUNK = 1000


class Record(dict[str, Any]):
    """One looked-up row, or the lack of one: then `exists` is False and every field None. Frozen.

    A dict, so that it is JSON as it stands; its fields can be read as attributes too.
    """

    __slots__ = ("exists",)
    exists: bool

    def __init__(self, fields: Mapping[str, Any], *, exists: bool = True) -> None:
        super().__init__(fields)
        object.__setattr__(self, "exists", exists)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are {', '.join(self)}") from None

    def _frozen(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(said("a record cannot be changed"))

    __setattr__ = __setitem__ = __delattr__ = __delitem__ = __ior__ = _frozen
    update = setdefault = pop = popitem = clear = _frozen

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (dict(self), self.exists)


def _restored(fields: Mapping[str, Any], exists: bool) -> Record:
    return Record(fields, exists=exists)


def missing(need: str) -> Record:
    """Return the record of a `need` that there is no row for."""
    return Record(dict.fromkeys(COLUMNS[need]), exists=False)


def fetch(
    conn: Connection, events: Sequence[Event], needs: Collection[str], prefix: str
) -> list[Mapping[str, Record]]:
    """Return for each event, in order, the records of `needs` (keys of COLUMNS).

    One query per table and thousand ids, by primary key; no lock. user, relateduser and realuser share one;
    the category is reached through the course. A row that is not there is a record with `exists` False.
    Hand in masked events where persons must stay unknown.
    """
    tables = _Tables(conn, prefix)
    found: dict[str, dict[int, Record]] = {}
    people = [need for need in _PEOPLE if need in needs]
    if people:
        users = tables.by_id("user", "user", _ids(events, people))
        found |= dict.fromkeys(people, users)
    if "course" in needs or "category" in needs:
        found["course"] = tables.by_id("course", "course", _ids(events, ["course"]))
    if "category" in needs:
        categories = {course["category"] for course in found["course"].values()}
        found["category"] = tables.by_id("course_categories", "category", categories)
    if "context" in needs:
        found["context"] = tables.by_id("context", "context", _ids(events, ["context"]))
    absent = {need: missing(need) for need in needs}
    return [{need: _of(event, need, found) or absent[need] for need in needs} for event in events]


def _of(event: Event, need: str, found: Mapping[str, Mapping[int, Record]]) -> Record | None:
    if need == "category":
        course = found["course"].get(event.courseid or 0)
        return found["category"].get(course["category"]) if course else None
    return found[need].get(getattr(event, _EVENT_COLUMN[need]) or 0)


def _ids(events: Iterable[Event], needs: Iterable[str]) -> set[int]:
    columns = [_EVENT_COLUMN[need] for need in needs]
    return {getattr(event, name) or 0 for event in events for name in columns}


class _Tables:
    """Moodle's tables under one prefix."""

    def __init__(self, conn: Connection, prefix: str) -> None:
        self._conn = conn
        self._prefix = prefix

    def by_id(self, name: str, need: str, ids: Iterable[int]) -> dict[int, Record]:
        source = table(self._prefix + name, *(column(field) for field in COLUMNS[need]))
        records: dict[int, Record] = {}
        for chunk in _chunks(sorted(number for number in ids if number > 0)):
            rows = self._conn.execute(select(source).where(source.c.id.in_(chunk)))
            records |= {row.id: Record(dict(zip(COLUMNS[need], row, strict=True))) for row in rows}
        return records


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
