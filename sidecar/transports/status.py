"""An HTTP status becomes an outcome, a sentence and a wait: the same for all that is said over HTTP."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from sidecar.errors import said
from sidecar.model import Outcome
from sidecar.settings import status_set

_LONGEST_TARGET = 300
_DELIVERED = status_set("200-299")
_AGAIN = status_set("408, 425, 429, 500-599")


def classify(status: int, *, success: frozenset[int] = _DELIVERED, again: frozenset[int] = _AGAIN) -> Outcome:
    """Return what an HTTP status says (RFC 9110; 425 is RFC 8470, 429 is RFC 6585)."""
    if status in success:
        return Outcome.DELIVERED
    if status not in again:
        return Outcome.REJECTED
    return Outcome.FAILED if status >= 500 else Outcome.BUSY


def refusal(status: int, headers: httpx.Headers) -> str:
    """Say that the service answered so, and of a redirect what to do about it."""
    if 300 <= status < 400:
        target = headers.get("location", "nowhere")[:_LONGEST_TARGET]
        return said(
            "answered %(status)s, a redirect to %(target)s: not followed; put the final URL into base_url",
            status=status,
            target=target,
        )
    return said("answered %(status)s", status=status_line(status))


def status_line(status: int) -> str:
    """Return a status with its name, as the standard has it."""
    return f"{status} {httpx.codes.get_reason_phrase(status)}".rstrip()


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header (seconds or a date) asks for; None if unreadable."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # An HTTP date is in UTC; some say so with -0000, which Python takes for "zone unknown".
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
