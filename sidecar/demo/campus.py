"""Moodle's own tables in one SQLite file, and what Moodle would write into them."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from importlib.resources import files
from pathlib import Path

from sidecar.demo.cast import Cast, Course, Person
from sidecar.demo.kinds import LogRow
from sidecar.demo.story import Act

LOG = "mdl_logstore_standard_log"
_COLUMNS = ("id", *(field.name for field in fields(LogRow)))
_INSERT = f"INSERT INTO {LOG} ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - constants

_SETTINGS = (("version", "2024100706"), ("release", "4.5.6 (Build: 20250811)"))
_PLUGIN_SETTINGS = (
    ("tool_log", "enabled_stores", "logstore_standard"),
    ("logstore_standard", "jsonformat", "1"),
    ("logstore_standard", "loglifetime", "0"),
)
_CONTEXTS = ((1, 10, 0, "/1", 1), (2, 40, 1, "/1/2", 2))
_USERS = ((1, "guest", "Guest user", " "), (2, "admin", "Admin", "User"))


class Campus:
    """The writing half of a small Moodle. One thread uses it at a time."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")

    def found(self, cast: Cast, now: int) -> None:
        """Make the tables, Moodle's settings, and everybody who is there from the first day."""
        # executescript ends an open transaction, so it begins its own: one sync to disk instead of fifty.
        schema = files(__package__).joinpath("moodle.sql").read_text(encoding="utf-8")
        self._db.executescript(f"BEGIN;\n{schema}\nCOMMIT;")
        with self._transaction():
            self._settle_in()
            for course in cast.courses:
                self._open(course, now)
            for person in cast.people:
                self._admit(person, now)

    def commit(self, act: Act) -> range:
        """Write an act; return the ids of its rows."""
        with self._transaction():
            ids = self._draw(len(act.rows))
            self._write(ids, act)
        return ids

    def draw(self, number: int) -> range:
        """Take ids for rows that come later or never, as an open transaction does on a real server.

        On MySQL and PostgreSQL a transaction has its ids before it commits; if it is rolled back they are
        lost. SQLite has one writer, so that this never happens there: here it is imitated, by counting the
        sequence up and writing rows with these lower ids later (`commit_late`), or not at all.
        """
        with self._transaction():
            return self._draw(number)

    def commit_late(self, ids: range, act: Act, in_time: Callable[[], bool]) -> bool:
        """Write an act with ids that were drawn before, if it is still `in_time` when its turn has come."""
        with self._transaction():
            if not in_time():
                return False
            self._write(ids, act)
        return True

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.rollback()
            raise
        self._db.execute("COMMIT")

    def _draw(self, number: int) -> range:
        self._db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", (number, LOG))
        (last,) = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (LOG,)).fetchone()
        return range(last - number + 1, last + 1)

    def _write(self, ids: Sequence[int], act: Act) -> None:
        at = max(row.timecreated for row in act.rows)
        if act.founded:
            self._open(act.founded, at)
        if act.joined:
            self._admit(act.joined, at)
        if act.left:
            self._db.execute("UPDATE mdl_user SET deleted = 1 WHERE id = ?", (act.left.id,))
        values = [(number, *astuple(row)) for number, row in zip(ids, act.rows, strict=True)]
        self._db.executemany(_INSERT, values)
        self.rows += len(values)

    def _settle_in(self) -> None:
        db = self._db
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, 0)", (LOG,))
        db.executemany("INSERT INTO mdl_config (name, value) VALUES (?, ?)", _SETTINGS)
        db.executemany(
            "INSERT INTO mdl_config_plugins (plugin, name, value) VALUES (?, ?, ?)", _PLUGIN_SETTINGS
        )
        db.execute(
            "INSERT INTO mdl_course_categories (id, name, path, depth)"
            " VALUES (1, 'Facultad “A” & B', '/1', 1)"
        )
        db.execute("INSERT INTO mdl_course (id, category, fullname, format) VALUES (1, 0, 'Campus', 'site')")
        db.executemany(
            "INSERT INTO mdl_user (id, username, firstname, lastname, confirmed) VALUES (?, ?, ?, ?, 1)",
            _USERS,
        )
        self._add_contexts(*_CONTEXTS)

    def _admit(self, person: Person, at: int) -> None:
        self._db.execute(
            "INSERT INTO mdl_user (id, username, firstname, lastname, email, city, country, confirmed,"
            " mnethostid, timecreated, timemodified) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 1, ?, ?)",
            (
                *(person.id, person.username, person.firstname, person.lastname, person.email),
                *(person.city, person.country, at, at),
            ),
        )
        self._add_contexts((person.contextid, 30, person.id, f"/1/{person.contextid}", 2))

    def _open(self, course: Course, at: int) -> None:
        self._db.execute(
            "INSERT INTO mdl_course (id, category, fullname, shortname, startdate, timecreated, timemodified)"
            " VALUES (?, 1, ?, ?, ?, ?, ?)",
            (course.id, course.fullname, course.shortname, at, at, at),
        )
        path = f"/1/2/{course.contextid}"
        self._add_contexts(
            (course.contextid, 50, course.id, path, 3),
            (course.forum_contextid, 70, course.forum, f"{path}/{course.forum_contextid}", 4),
        )

    def _add_contexts(self, *contexts: tuple[int, int, int, str, int]) -> None:
        self._db.executemany(
            "INSERT INTO mdl_context (id, contextlevel, instanceid, path, depth) VALUES (?, ?, ?, ?, ?)",
            contexts,
        )
