"""About: which program this is, on what it runs, and who works on this store."""

import platform
from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from sidecar import __version__
from sidecar.moodle.site import facts
from sidecar.store import replicas
from sidecar.store.engine import Database
from sidecar.store.faults import explain
from sidecar.web.desk import Desk
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Tab, View

router = APIRouter()

TAB = Tab(N_("About"), "/about", "info")

_VERSION = {
    "sqlite": "SELECT sqlite_version()",
    "mysql": "SELECT version()",
    "postgresql": "SHOW server_version",
}
_NAMES = {"sqlite": "SQLite", "mysql": "MySQL", "postgresql": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Known:
    """A fact, or why it is not known."""

    value: str
    problem: str = ""


@router.get("/about")
def about(page: View) -> Response:
    """Show what is running here."""
    desk = page.desk
    with desk.store.read() as conn:
        processes = replicas.all_rows(conn)
    return page.show(
        "about.html",
        version=__version__,
        python=f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        store=_version(desk.store),
        moodle_database=_version(desk.moodle),
        moodle=_moodle(desk),
        processes=processes,
    )


def _version(database: Database) -> Known:
    try:
        with database.read() as conn:
            said = str(conn.execute(text(_VERSION[database.dialect])).scalar_one())
    except SQLAlchemyError as error:
        return Known("", explain(error, database.shown))
    name = "MariaDB" if "mariadb" in said.lower() else _NAMES[database.dialect]
    return Known(f"{name} {said}")


def _moodle(desk: Desk) -> Known:
    try:
        with desk.moodle.read() as conn:
            release = facts(conn, desk.settings.moodle.prefix).release
    except SQLAlchemyError as error:
        return Known("", explain(error, desk.moodle.shown))
    return Known(release.value or "", release.unknown or "")
