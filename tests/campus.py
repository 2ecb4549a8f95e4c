"""A Moodle 4.5 database, as real sites left it: its tables and rows in MariaDB, PostgreSQL and SQLite."""

import json
import re
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, NullPool, column, create_engine, inspect, table, text

DATA = Path(__file__).parent / "data" / "moodle"
# There is no Moodle on SQLite: it gets a translation of MariaDB's.
_SOURCES = {"mysql": "mariadb", "sqlite": "mariadb", "postgresql": "postgresql"}


def load(url: str) -> None:
    """Create Moodle's tables in an empty database and fill them with the rows of a real site."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        folder = DATA / _SOURCES[connection.dialect.name]
        schema = (folder / "schema.sql").read_text()
        for statement in _statements(schema, connection.dialect.name):
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        for rows in sorted(folder.glob("*.jsonl")):
            _fill(connection, f"mdl_{rows.stem}", rows)


def _fill(connection: Connection, name: str, file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    blanks = _blanks(connection, name, rows[0])
    connection.execute(table(name, *map(column, blanks | rows[0])).insert(), [blanks | row for row in rows])
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT setval('{name}_id_seq', {max(row['id'] for row in rows)})"))


def _blanks(connection: Connection, name: str, row: dict[str, Any]) -> dict[str, Any]:
    # What was not exported because it says nothing, or too much (passwords), and still may not be null.
    missing = (
        found
        for found in inspect(connection).get_columns(name)
        if found["name"] not in row and not found["nullable"] and found["default"] is None
    )
    return {found["name"]: "" if found["type"].python_type is str else 0 for found in missing}


def _statements(schema: str, dialect: str) -> list[str]:
    found = [part.strip() for part in re.split(r";\n", schema) if part.strip()]
    return found if dialect != "sqlite" else [line for part in found for line in _for_sqlite(part)]


def _for_sqlite(statement: str) -> list[str]:
    head, *lines, _ = [line.strip().rstrip(",") for line in statement.splitlines()]
    name = head.split("`")[1]
    columns = [_column(line) for line in lines if line.startswith("`")]
    return [
        f"CREATE TABLE {name} ({', '.join(columns)})",
        *filter(None, (_index(line, name) for line in lines)),
    ]


def _column(line: str) -> str:
    if line.startswith("`id` "):
        # AUTOINCREMENT: an id is never given twice, which is what the other two promise.
        return "id INTEGER PRIMARY KEY AUTOINCREMENT"
    line = re.sub(r" (COMMENT '.*'|COLLATE \w+|CHARACTER SET \w+)", "", line)
    return re.sub(r"(?<=` )(\w*int)\(\d+\)", "INTEGER", line).replace("longtext", "TEXT")


def _index(line: str, name: str) -> str | None:
    found = re.match(r"(UNIQUE )?KEY `(\w+)` \((.*)\)", line)
    return f"CREATE {found[1] or ''}INDEX {found[2]} ON {name} ({found[3]})" if found else None
