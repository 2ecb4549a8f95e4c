"""The whole examination: configuration, store, Moodle, rights, rules, services, in that order."""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sidecar.bridge.match import RuleBook
from sidecar.clock import Clock, SystemClock
from sidecar.doctor import moodle, privileges, rules, store
from sidecar.doctor.case import Case, Memory, attempt, missing_file
from sidecar.doctor.config import configuration
from sidecar.doctor.definitions import definitions
from sidecar.doctor.findings import Finding, Findings, Level, Report, Section, note, problem
from sidecar.doctor.relay import relay
from sidecar.doctor.services import services
from sidecar.doctor.signin import signing_in
from sidecar.errors import ConfigError, ExitCode
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings, Source
from sidecar.store.engine import Database
from sidecar.store.faults import explain

Look = Callable[[Connection], Findings]


def examine(settings: Settings, source: Source, book: RuleBook, *, clock: Clock | None = None) -> Report:
    """Look at everything and change nothing. `clock` is this machine's."""
    found = (*configuration(settings, source), *definitions(settings, source))
    configured = Section("Configuration", found)
    case = Case(
        settings,
        source,
        book,
        clock or SystemClock(),
        Database(settings.moodle.url.get_secret_value()),
        Database(settings.store_url.get_secret_value()),
        LogStore(settings.moodle.prefix, settings.moodle.log_table),
    )
    try:
        examination = _Examination(case)
        sections = tuple(examination.sections())
    finally:
        case.moodle.close()
        case.store.close()
    worst = ExitCode.DATABASE if examination.unreachable else ExitCode.OK
    return Report((configured, *sections), worst)


def refused(error: ConfigError) -> Report:
    """Return the report about a configuration that cannot be used."""
    found = [problem("", line) for line in error.problems]
    found.append(note("", "databases and services were not looked at: they are named in that file"))
    return Report((Section("Configuration", tuple(found)),), ExitCode.CONFIG)


class _Examination:
    """One walk through the installation; remembers whether a database could not be reached."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.memory = Memory()
        self.unreachable = False
        self.rules: tuple[Finding, ...] = (note("rules", "were not tried: the log cannot be read"),)

    def sections(self) -> Iterator[Section]:
        """Yield the sections. The store comes first: what it remembers is compared with Moodle's log."""
        case = self.case
        yield Section("Store", tuple(self._store()))
        yield Section("Moodle", tuple(self._connected(case.moodle, "moodle.url", self._moodle)))
        yield Section("Rules", self.rules)
        yield Section("Services", tuple(services(case, self.memory)))
        if found := tuple(relay(case.settings, case.store, case.clock)):
            yield Section("Broker", found)
        if found := tuple(signing_in(case.settings, case.clock)):
            yield Section("Sign-in", found)

    def _connected(self, database: Database, option: str, look: Look) -> Findings:
        """Yield what `look` finds on a connection, or why there is none."""
        path = missing_file(database.url.render_as_string(hide_password=False))
        if path is not None:
            self.unreachable = True
            yield problem(option, f"there is no file {path}", f"check the path in {option}")
            return
        try:
            with database.read() as conn:
                yield from look(conn)
        except SQLAlchemyError as error:
            self.unreachable = True
            yield problem(option, explain(error, database.shown), "nothing else of it was looked at")

    def _store(self) -> Findings:
        case = self.case
        path = missing_file(case.settings.store_url.get_secret_value())
        if path is not None and not case.one_database:
            yield note("store", f"{path} is not there yet: it is made at the first start, or by mih migrate")
            return
        yield from self._connected(case.store, "store.url", self._open_store)

    def _open_store(self, conn: Connection) -> Findings:
        case, where = self.case, self.case.store.shown
        yield from attempt(conn, lambda conn: store.place(conn, case), "store", where)
        kept_out = store.version(conn)
        schema = store.version_denied if kept_out == "denied" else lambda conn: store.schema(conn, case)
        yield from attempt(conn, schema, "migrations", where)
        if kept_out == "absent":
            return
        rights = list(attempt(conn, lambda _: store.rights(case.store), "rights", where))
        yield from rights
        if any(finding.level is Level.PROBLEM for finding in rights) or not store.has_tables(conn):
            yield note("cursor", "cursor, circuits and pauses were not looked at: the tables cannot be read")
            return
        self.memory = store.remember(conn, case)

    def _moodle(self, conn: Connection) -> Findings:
        case, asked = self.case, moodle.ask(conn, self.case)
        yield from moodle.moodle(case, asked)
        yield from self._tried(conn, "rights", lambda conn: privileges.reading(conn, case))
        if not privileges.log_is_readable(conn, case):
            return
        days = asked.site.loglifetime_days.value
        yield from self._tried(conn, "account", lambda conn: privileges.more_than_needed(conn, case))
        yield from self._tried(conn, "log", lambda conn: moodle.log(conn, case, self.memory, days))
        yield from self._tried(conn, "gaps", lambda conn: moodle.proof(conn, case))
        self.rules = tuple(self._tried(conn, "rules", lambda conn: rules.rules(conn, case)))

    def _tried(self, conn: Connection, subject: str, look: Look) -> Findings:
        return attempt(conn, look, subject, self.case.moodle.shown)
