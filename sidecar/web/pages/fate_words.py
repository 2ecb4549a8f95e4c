"""What deliveries and dead letters are called on the pages: states, reasons, advice, what holds them."""

from collections.abc import Mapping

from sidecar.bridge.letters import Advice
from sidecar.bridge.replay import Fate
from sidecar.bridge.story import RuleNow
from sidecar.model import DeadReason, DeliveryState, Outcome
from sidecar.store.overview import Obstacle
from sidecar.web.pages.languages import N_

# A state's badge and its word.
STATES: Mapping[DeliveryState, tuple[str, str]] = {
    DeliveryState.PENDING: ("wait", N_("pending")),
    DeliveryState.SENDING: ("busy", N_("being sent")),
    DeliveryState.DELIVERED: ("ok", N_("delivered")),
    DeliveryState.DEAD: ("bad", N_("dead")),
    DeliveryState.CANCELLED: ("off", N_("cancelled")),
}
PARKED = ("pause", N_("parked"))

OBSTACLES: Mapping[Obstacle, str] = {
    Obstacle.GONE: N_("The service is no longer configured."),
    Obstacle.BROKEN: N_("The service cannot be called: its definition has to be mended."),
    Obstacle.OFF: N_("The service is switched off."),
    Obstacle.PAUSED: N_("The service is paused."),
    Obstacle.CIRCUIT: N_("The circuit of the service is open."),
}

OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    Outcome.DELIVERED: ("ok", N_("accepted")),
    Outcome.BUSY: ("warn", N_("too busy, asked to come later")),
    Outcome.REJECTED: ("bad", N_("refused for good")),
    Outcome.FAILED: ("bad", N_("failed")),
    Outcome.INVALID: ("bad", N_("cannot be sent like this")),
    Outcome.UNSENT: ("warn", N_("not sent, through no fault of the service")),
}

REASONS: Mapping[DeadReason, tuple[str, str]] = {
    DeadReason.EXHAUSTED: (N_("All tries failed"), N_("Every try failed, up to the last one.")),
    DeadReason.REJECTED: (N_("Refused"), N_("The service answered that it will never take it.")),
    DeadReason.RENDER: (
        N_("Template failed"),
        N_("The condition or the template of the rule fails on this row."),
    ),
    DeadReason.TOO_LARGE: (N_("Too large"), N_("The payload is over the limit of the service.")),
    DeadReason.INVALID: (N_("Not sendable"), N_("The rendered request cannot be sent at all.")),
    DeadReason.REMOVED: (
        N_("Removed"),
        N_("Its service or rule was removed, or somebody gave it up, while it waited."),
    ),
    DeadReason.EXPIRED: (N_("Expired"), N_("It waited longer than its rule allows.")),
}

ADVICE: Mapping[Advice, str] = {
    Advice.REACH: N_("Nothing answered. Once the service is up again, replay them as sent."),
    Advice.SERVICE: N_("The service said that it is ill. Ask its people, then replay as sent."),
    Advice.SLOWER: N_(
        "The service was too busy. Set a rate_limit or more tries, then replay at a slow pace."
    ),
    Advice.CREDENTIALS: N_(
        "The service does not accept the credentials. Mend its authentication, then replay as sent."
    ),
    Advice.ADDRESS: N_(
        "The address is wrong. Mend base_url, endpoint or method, then replay rendered again."
    ),
    Advice.GONE: N_("The service wants no more of these. Switch the rule off, then delete them."),
    Advice.CONFLICT: N_("The service probably has it already. Look there, then delete."),
    Advice.SIZE: N_("It is too large. Send less or raise max_payload, then replay rendered again."),
    Advice.PAYLOAD: N_(
        "The service does not like the content. Edit a single payload, or mend the template and replay"
        " rendered again."
    ),
    Advice.TEMPLATE: N_("The rule fails on these rows. Mend its template, then replay rendered again."),
    Advice.REMOVED: N_("What it belonged to is gone. Bring that back and replay, or delete."),
    Advice.LATE: N_("It came too late. Replay what is still worth it, delete the rest."),
    Advice.REQUEST: N_("No such request can be sent. Mend endpoint and headers, then replay rendered again."),
}
# With these the payload of today's rule is what helps.
RENDER_AGAIN = frozenset((Advice.ADDRESS, Advice.SIZE, Advice.PAYLOAD, Advice.TEMPLATE, Advice.REQUEST))

FATES: Mapping[Fate, str] = {
    Fate.REPLAYED: N_("It is in the queue again."),
    Fate.NEVER_RENDERED: N_(
        "It was never rendered, so there is nothing to send as it was: replay it rendered again."
    ),
    Fate.UNWANTED: N_("Its rule does not want this event any more."),
    Fate.ROW_GONE: N_("Its row is gone from Moodle's log, so it cannot be rendered again."),
    Fate.RULE_GONE: N_("Its rule is gone or switched off, so it cannot be rendered again."),
    Fate.STILL_FAILS: N_("It still cannot be rendered."),
    Fate.LEFT_ALONE: N_("It is being sent, was delivered, or is gone meanwhile."),
}

RULE_NOW: Mapping[RuleNow, str] = {
    RuleNow.SAME: N_("The rule is unchanged since."),
    RuleNow.CHANGED: N_("The rule has changed since."),
    RuleNow.GONE: N_("The rule is gone since."),
    RuleNow.NONE: N_("No rule made it: it was called for directly."),
}
