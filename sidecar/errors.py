"""Every error this product raises on purpose: each says where, what and how to mend, and has an exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; documented in docs/operations.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 3
    DATABASE = 4
    MIGRATIONS = 5
    UNACCOUNTED = 6


class HubError(Exception):
    """Something the user can mend went wrong."""

    exit_code = ExitCode.FAILED


class ConfigError(HubError):
    """The configuration cannot be used. Carries all problems found, one line each."""

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TemplateError(HubError):
    """A template or condition cannot be compiled or rendered; the text says where in it."""


class Misfit(HubError):
    """What a caller wants sent cannot be written in its service's format; the text says why."""


class DatabaseUnavailable(HubError):
    """A database refused, is read-only, lacks a grant or is `away`; the text says which and what to do."""

    exit_code = ExitCode.DATABASE

    def __init__(self, reason: str, *, away: bool = False) -> None:
        super().__init__(reason)
        self.away = away


class BrokerUnavailable(HubError):
    """The broker that carries deliveries is away, ill or refuses us; the text says which and what to do."""


class MigrationsPending(HubError):
    """The tables are older or newer than this program; the text names the command that mends it."""

    exit_code = ExitCode.MIGRATIONS


class LeaseLost(HubError):
    """Another replica has taken over the cursor: nothing of this round was written."""


class NotFound(HubError):
    """Nothing has that name or number; the text lists what there is."""
