"""What rules, rows and deliveries are said to be, in words to be translated; codes come in from below."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sidecar.bridge.browse import Interest
from sidecar.bridge.history import FAILED, MATCHED
from sidecar.bridge.preview import Preview, Verdict
from sidecar.bridge.shown import Remark
from sidecar.model import DeadReason, Held
from sidecar.store import counts
from sidecar.web.pages.languages import N_

# State of a badge, and its word.
Said = tuple[str, str]

STATES: Mapping[str, Said] = {
    "on": ("ok", N_("on")),
    "shadow": ("wait", N_("shadow")),
    "off": ("off", N_("off")),
    "broken": ("bad", N_("broken")),
    "gone": ("off", N_("gone")),
}

DELIVERIES: Mapping[str, Said] = {
    "pending": ("wait", N_("pending")),
    "sending": ("busy", N_("being sent")),
    "delivered": ("ok", N_("delivered")),
    "dead": ("bad", N_("dead")),
    "cancelled": ("off", N_("cancelled")),
}

# What became of rows that carry a rule's event; the order is that of the bar.
COUNTED: Mapping[str, str] = {
    counts.QUEUED: N_("queued"),
    counts.SHADOW: N_("shadow"),
    counts.DEAD: N_("dead"),
    counts.SHADOW_FAILED: N_("would have failed"),
    Held.WHERE: N_("columns do not fit"),
    Held.WHEN: N_("condition is false"),
    Held.TOO_OLD: N_("too old"),
}

LOOKED: Mapping[str, str] = {
    MATCHED: N_("matched"),
    FAILED: N_("would have failed"),
    Held.WHERE: N_("columns do not fit"),
    Held.WHEN: N_("condition is false"),
}

VERDICTS: Mapping[Verdict, Said] = {
    Verdict.MATCHES: ("ok", N_("It matches")),
    Verdict.OTHER_EVENT: ("off", N_("Another event")),
    Verdict.WHERE: ("off", N_("Columns do not fit")),
    Verdict.WHEN: ("off", N_("The condition is false")),
    Verdict.FAILS: ("bad", N_("It would become a dead letter")),
    Verdict.NO_ROW: ("wait", N_("No row to try it on")),
}

WHY: Mapping[Verdict, str] = {
    Verdict.MATCHES: N_("The request below would go out, exactly as it is shown. Nothing was sent."),
    Verdict.OTHER_EVENT: N_("The event of this row is none of the rule's: choose it above, or another row."),
    Verdict.WHERE: N_("These columns of the row have other values than the rule wants:"),
    Verdict.WHEN: N_("The expression under “When” does not hold for this row: it is filtered, and counted."),
    Verdict.FAILS: N_("The rule matches, but its request cannot be made of this row:"),
    Verdict.NO_ROW: N_(
        "There is none among the newest 200,000 rows of the log, or it was cleaned up. Name another row."
    ),
}

REMARKS: Mapping[Remark, str] = {
    Remark.COMPRESSED: N_("The body leaves compressed; its size is the one before."),
    Remark.ENVELOPE: N_("These are the arguments; the service's WSDL makes a SOAP envelope of them."),
    Remark.LARGE: N_("This is a large body, and every try sends all of it."),
    Remark.MASKED: N_("The row is anonymous: the persons in it are taken out."),
    Remark.RULE_OFF: N_("The rule is off: it matches nothing until it is switched on."),
    Remark.SERVICE_OFF: N_("The service is switched off: its deliveries wait until it is switched on."),
    Remark.SHADOW: N_("The rule is in the shadow: it renders and counts, and sends nothing."),
    Remark.TOO_OLD: N_("A row of this age would be held back (“Largest age of an event”)."),
    Remark.UNSENDABLE: N_(
        "This cannot be sent: its address or a header holds a character that none can have."
    ),
}

REASONS: Mapping[DeadReason, str] = {
    DeadReason.EXHAUSTED: N_("every retry failed"),
    DeadReason.REJECTED: N_("the service refused it"),
    DeadReason.RENDER: N_("the template failed"),
    DeadReason.TOO_LARGE: N_("the body is too large"),
    DeadReason.INVALID: N_("the request cannot be sent"),
    DeadReason.REMOVED: N_("given up by hand"),
    DeadReason.EXPIRED: N_("it waited too long"),
}


def charted(
    words: Mapping[str, str], hours: Mapping[datetime, Mapping[str, int]]
) -> tuple[list[str], list[tuple[datetime, list[int]]]]:
    """Return what a chart shows of these hours: the kinds that there were, those with the most first."""
    sums = {what: sum(tally.get(what, 0) for tally in hours.values()) for what in words}
    # Bars lie upon each other: the small ones have to come last.
    there = sorted((what for what in words if sums[what]), key=lambda what: -sums[what])
    rows = [(hour, [tally.get(what, 0) for what in there]) for hour, tally in hours.items()]
    return [words[what] for what in there], rows


@dataclass(frozen=True, slots=True)
class Opinion:
    """A rule about a row: what became of it, and what the rule makes of it today (None: the rule is gone)."""

    interest: Interest
    preview: Preview | None

    @property
    def today(self) -> Said | None:
        """The verdict as a badge."""
        return VERDICTS[self.preview.verdict] if self.preview else None


def word(words: Mapping[str, Said], code: str) -> Said:
    """Return the badge for a code; one that is new here is not known: it is no text of ours."""
    return words.get(code, ("off", N_("not known")))
