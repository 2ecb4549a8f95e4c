"""Column types that mean the same on SQLite, MySQL, MariaDB and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql

# SQLite numbers rows by itself only in a column of exactly this type.
BigId = BigInteger().with_variant(Integer(), "sqlite")

# MySQL's TEXT ends at 64 KiB, a payload at 1 MiB by default.
LongText = Text().with_variant(mysql.LONGTEXT(), "mysql")

# Not the database's defaults: these may be latin1, or compare names without regard to case.
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

DeliveryId = String(36)
Name = String(100)
Word = String(20)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC with microseconds: aware in Python, readable in plain SQL.

    PostgreSQL keeps `timestamp with time zone`; MySQL, MariaDB and SQLite have no such type that keeps
    microseconds and order, so there it is the UTC wall clock.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
