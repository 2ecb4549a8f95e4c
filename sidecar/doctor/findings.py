"""What the doctor has to say: findings in sections, and the exit code that follows from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sidecar.errors import ExitCode


class Level(StrEnum):
    """How much a finding matters. Only a problem changes the exit code."""

    OK = "ok"
    NOTE = "note"  # worth knowing
    WARNING = "warning"  # works, but not as it should
    PROBLEM = "problem"  # something will not be delivered


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was seen, and how to mend it."""

    level: Level
    subject: str
    text: str
    remedy: str | None = None


Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Section:
    """The findings about one part of the installation."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All sections. `worst` is the exit code of what kept the doctor out, if anything did."""

    sections: tuple[Section, ...]
    worst: ExitCode = ExitCode.OK

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the sections."""
        return tuple(finding for section in self.sections for finding in section.findings)

    @property
    def exit_code(self) -> ExitCode:
        """0 without problems; 3 and 4 where the configuration or a database kept us out; else 1."""
        if self.worst is not ExitCode.OK:
            return self.worst
        return ExitCode.FAILED if self.count(Level.PROBLEM) else ExitCode.OK

    def count(self, level: Level) -> int:
        """Return how many findings are of this level."""
        return sum(finding.level is level for finding in self.findings)


def ok(subject: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, subject, text)


def note(subject: str, text: str, remedy: str | None = None) -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(Level.NOTE, subject, text, remedy)


def warning(subject: str, text: str, remedy: str | None = None) -> Finding:
    """Return a finding about something that works, but not as it should."""
    return Finding(Level.WARNING, subject, text, remedy)


def problem(subject: str, text: str, remedy: str | None = None) -> Finding:
    """Return a finding about something that keeps deliveries from being made."""
    return Finding(Level.PROBLEM, subject, text, remedy)


def split_remedy(reason: str) -> tuple[str, str | None]:
    """Return the text and the remedy of a sentence with `Mend: ` in it."""
    text, _, remedy = reason.partition("Mend: ")
    return text.strip(), remedy.strip() or None


def duration(seconds: float) -> str:
    """Return a span of time as people say it: 40 s, 12 min, 5 h, 3 days."""
    for size, unit in ((86_400 * 2, "days"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds / _SECONDS[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


_SECONDS = {"days": 86_400, "h": 3600, "min": 60}
