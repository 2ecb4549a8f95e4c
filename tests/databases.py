"""Where the databases of tests are made: a folder of SQLite files here, servers in servers.py."""

import itertools
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh database of one test. `dialect` is SQLAlchemy's name: sqlite, mysql or postgresql."""

    url: str
    dialect: str
    name: str


class Databases(ABC):
    """Where databases are made: a server, or a folder of SQLite files."""

    dialect: ClassVar[str]

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}

    def fresh_name(self, stem: str = "test") -> str:
        """Return a name that no other test, and no other session on a shared server, uses."""
        return f"mih_{stem}_{os.getpid()}_{next(self._numbers)}"

    def describe(self, name: str) -> Database:
        """Return the database of that name as tests see it."""
        return Database(self.url(name), self.dialect, name)

    def template(self, kind: str, *fill: Callable[[str], object]) -> str:
        """Return the database to copy for a fresh one of this kind, filled once per session."""
        if kind not in self._templates:
            name = self.fresh_name(kind)
            self.create_database(name)
            for step in fill:
                step(self.url(name))
            self._templates[kind] = name
        return self._templates[kind]

    @abstractmethod
    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database, password included."""

    @abstractmethod
    def create_database(self, name: str, copy_of: str | None = None) -> None:
        """Create an empty database, or a copy of one that nobody is connected to."""

    @abstractmethod
    def drop_database(self, name: str) -> None:
        """Drop a database, throwing out whoever is still connected."""


class SQLiteFolder(Databases):
    """SQLite files in one folder, made and dropped like the databases of a server."""

    dialect = "sqlite"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def url(self, database: str) -> str:
        return f"sqlite:///{self._path(database)}"

    def create_database(self, name: str, copy_of: str | None = None) -> None:
        if copy_of:
            shutil.copyfile(self._path(copy_of), self._path(name))
        else:
            self._path(name).touch(exist_ok=False)

    def drop_database(self, name: str) -> None:
        for left in self._folder.glob(f"{name}.sqlite*"):
            left.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite"
