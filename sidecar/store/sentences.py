"""Remarks become words, in English here and, through a Tongue, in any other language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sidecar.model import Level, Watched
from sidecar.store.overview import Overview
from sidecar.store.verdict import Remark, Verdict, judge
from sidecar.store.words import span


@dataclass(frozen=True, slots=True)
class Wording:
    """What is said; `many` where the parameter `n` is not 1. Then how to mend it."""

    one: str
    many: str = ""
    remedy: str = ""


# The English texts are the keys of every translation.
WORDINGS: Mapping[str, Wording] = {
    "all.well": Wording("All is well: {log}, {waiting}, none dead"),
    "log.read": Wording("the log is read to its end"),
    "log.behind": Wording("the log is {n} row behind", "the log is {n} rows behind"),
    "log.unread": Wording("the log is not read yet"),
    "queue.waiting": Wording("{n} delivery on the way", "{n} deliveries on the way"),
    "parked": Wording("{n} delivery parked, oldest {age_s}", "{n} deliveries parked, oldest {age_s}"),
    "parked.none": Wording("nothing parked"),
    "process.none": Wording("No process is running: start `mih run`"),
    "process.silent": Wording("Process {pid} on {host} is ill: it was last seen {silent_s} ago"),
    "process.idle": Wording(
        "Process {pid} on {host} is ill: its {loop} has made no round for {idle_s}: its log says why"
    ),
    "process.stuck": Wording(
        "Process {pid} on {host} is ill: its {loop} has made no round for {idle_s}: {problem}",
        remedy="mend that; it goes on by itself",
    ),
    "process.waiting": Wording(
        "Process {pid} on {host} cannot work: {problem}", remedy="mend that; it goes on by itself"
    ),
    "process.no_tail": Wording("No process reads the log: start `mih run --role tail`"),
    "process.no_dispatch": Wording("No process sends: start `mih run --role dispatch`"),
    "tail.stopped": Wording("The tail stands still: {problem}"),
    "tail.behind": Wording(
        "The log is {n} row behind, and was last read to its end at {since}",
        "The log is {n} rows behind, and was last read to its end at {since}",
        "wait; if it stays, raise tail.batch and tail.window",
    ),
    "service.down": Wording("{service} is down since {since}, {parked}"),
    "service.unknown": Wording("{service} is not configured, {parked}"),
    "service.broken": Wording("{service} cannot be called, {parked}"),
    "service.not_in_force": Wording(
        "Service {name} is not in force: {reason}", remedy="mend or delete it; what is for it waits"
    ),
    "rule.not_in_force": Wording(
        "Rule {name} is not in force: {reason}", remedy="mend or delete it; it makes nothing meanwhile"
    ),
    "service.off": Wording("{service} is switched off, {parked}"),
    "service.paused": Wording("{service} is paused, {parked}"),
    "service.gone": Wording(
        "{service} is paused because it answered 410 Gone, {parked}",
        remedy="mend its address, then resume it",
    ),
    "service.slow": Wording(
        "{service} lags: {n} delivery waits for {age_s}, and nothing is in the way",
        "{service} lags: {n} deliveries wait, the oldest for {age_s}, and nothing is in the way",
        "raise its max_concurrency, or start more replicas",
    ),
    "service.healthy": Wording("{n} other service is healthy", "{n} other services are healthy"),
    "dead.only": Wording(
        "All runs, but {n} dead letter waits for you: `mih dlq list`",
        "All runs, but {n} dead letters wait for you: `mih dlq list`",
    ),
    "dead.waiting": Wording(
        "{n} dead letter waits for you: `mih dlq list`", "{n} dead letters wait for you: `mih dlq list`"
    ),
    "dead.growing": Wording(
        "{n} dead letter waits for you, given up within the last hour: `mih dlq list`",
        "{n} dead letters wait for you, {fresh} given up within the last hour: `mih dlq list`",
    ),
    "moodle.cron_stale": Wording(
        "Moodle's cron has not run since {since}",
        remedy="look at Site administration > Server > Tasks, and at the job that calls cron.php",
    ),
    "moodle.log_silent": Wording(
        "Moodle's log is silent since {since}, at an hour when it never was",
        remedy="is Moodle reachable, and moodle.url the database of the live Moodle?",
    ),
    "moodle.cleanup_overtook": Wording(
        "Moodle deleted rows that were not read: its log begins at row {first}, and rows up to {position}"
        " were read",
        remedy="keep the log longer (Site administration > Plugins > Logging > Standard log), and the"
        " sidecar running",
    ),
    "moodle.cleanup_near": Wording(
        "The next row to read is {age_s} old, and Moodle deletes rows after {days} days",
        remedy="let the sidecar catch up, or keep the log longer",
    ),
    "moodle.clock_differs": Wording(
        "The clock of Moodle's database and that of the sidecar's are {apart_s} apart",
        remedy="set both machines' clocks by the network (chrony, systemd-timesyncd)",
    ),
    "moodle.rows_from_ahead": Wording(
        "Rows of Moodle's log are {ahead_s} ahead of the time",
        remedy="set the clock of Moodle's web server by the network",
    ),
    "moodle.log_store_off": Wording(
        "Moodle's standard log store is switched off: nothing is written that could be read",
        remedy="enable it: Site administration > Plugins > Logging > Manage log stores",
    ),
    "moodle.json_changed": Wording(
        "Moodle writes its log as {format} since {since}",
        remedy="nothing: both formats are read; objects in PHP's are refused",
    ),
    "moodle.unknown": Wording("Not known of Moodle ({subject}): {reason}"),
    "moodle.well": Wording("{subject}: well"),
    "subject.cron": Wording("cron"),
    "subject.silence": Wording("silence of the log"),
    "subject.cleanup": Wording("cleanup of the log"),
    "subject.clock": Wording("clocks"),
    "subject.log_store": Wording("log store"),
    "subject.json_format": Wording("log format"),
}


class Tongue(Protocol):
    """What a language does with texts, numbers, moments and lengths of time."""

    def choose(self, one: str, many: str, n: int) -> str:
        """Return the translated text for this number; without `many` there is one form only."""
        ...

    def number(self, value: int) -> str:
        """Return a number as people write it."""
        ...

    def moment(self, value: datetime, now: datetime) -> str:
        """Return a moment: of today its time alone."""
        ...

    def length(self, seconds: float) -> str:
        """Return a length of time."""
        ...

    def told(self, text: str) -> str:
        """Return why something is so, which was said elsewhere."""
        ...


class English:
    """The language of the commands."""

    def choose(self, one: str, many: str, n: int) -> str:
        """Return the text for this number."""
        return many if many and n != 1 else one

    def number(self, value: int) -> str:
        """Return 2,000."""
        return f"{value:,}"

    def moment(self, value: datetime, now: datetime) -> str:
        """Return 14:02 UTC, or 2026-03-02 14:02 UTC of another day."""
        return f"{value:%H:%M} UTC" if value.date() == now.date() else f"{value:%Y-%m-%d %H:%M} UTC"

    def length(self, seconds: float) -> str:
        """Return 18 min."""
        return span(seconds)

    def told(self, text: str) -> str:
        """Return it as it is."""
        return text


_ENGLISH = English()
_REASONS = ("reason", "problem")


def say(remark: Remark, now: datetime, tongue: Tongue = _ENGLISH) -> str:
    """Return a remark in words, without the full stop."""
    wording, params = WORDINGS[remark.code], remark.params
    text = tongue.choose(wording.one, wording.many, int(params.get("n", 1)))
    spoken = {name: _spoken(name, value, now, tongue) for name, value in params.items()}
    return text.format(**spoken)


def remedy(remark: Remark, tongue: Tongue = _ENGLISH) -> str | None:
    """Return how to mend it, where that can be said."""
    if text := WORDINGS[remark.code].remedy:
        return tongue.choose(text, "", 1)
    given = remark.params.get("remedy")
    return tongue.told(str(given)) if given else None


def sentences(verdict: Verdict, tongue: Tongue = _ENGLISH) -> str:
    """Return all remarks in words."""
    return " ".join(f"{say(remark, verdict.at, tongue)}." for remark in verdict.remarks)


def verdict(found: Overview) -> str:
    """Return how things stand, in English."""
    return sentences(judge(found))


def remark_of(watched: Watched) -> Remark:
    """Return what is to be said of one thing that is watched of Moodle, also where it is well or unknown."""
    params = {**watched.detail, "since": watched.since_at}
    if watched.level.rank <= Level.UNKNOWN.rank:
        params["subject"] = Remark(f"subject.{watched.subject}")
    return Remark(f"moodle.{watched.code}", watched.level, params)


def _spoken(name: str, value: Any, now: datetime, tongue: Tongue) -> str:
    match value:
        case Remark():
            return say(value, now, tongue)
        case datetime():
            return tongue.moment(value, now)
        case str() if name in _REASONS:
            return tongue.told(value).rstrip(".")
        case int() | float() if name.endswith("_s"):
            return tongue.length(value)
        case int() if not isinstance(value, bool):
            return tongue.number(value)
        case _:
            return str(value)
