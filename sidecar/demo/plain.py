"""The demo as lines of text: one for each attempt, one for each change of a circuit, 80 columns at most."""

import unicodedata
from collections.abc import Callable, Sequence

from sidecar.demo.tally import Picture, ServiceView, Try
from sidecar.model import CircuitState

WIDTH = 80
_COLUMNS = f"{'UTC':8} {'event':22} {'rule':8} {'service':13} {'outcome':9} {'code':>4} {'ms':>5} {'try':>3}"


def fit(text: str, width: int) -> str:
    """Return the text in one line of at most `width` columns; control characters become blanks."""
    clean = "".join(" " if unicodedata.category(sign).startswith("C") else sign for sign in text)
    return clean if columns(clean) <= width else _cut(clean, width - 1) + "…"


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(_columns(sign) for sign in text)


def try_line(seen: Try) -> str:
    """Return the line of one attempt."""
    status = str(seen.status) if seen.status is not None else "-"
    return fit(
        f"{seen.at:%H:%M:%S} {fit(seen.event, 22):22} {fit(seen.rule, 8):8} {fit(seen.service, 13):13} "
        f"{seen.fate:9} {status:>4} {seen.latency_ms:5.0f} {seen.number:3}",
        WIDTH,
    )


def circuit_line(picture: Picture, service: ServiceView) -> str:
    """Return the line that says what a circuit has changed to."""
    return fit(f"{picture.at:%H:%M:%S} ** {_circuit_words(service)}", WIDTH)


def status_line(picture: Picture) -> str:
    """Return the sums of the moment in one line."""
    parked = sum(service.parked for service in picture.services)
    return fit(
        f"{picture.at:%H:%M:%S} -- {picture.rows} rows, {picture.matched} matched, "
        f"{picture.delivered} delivered, {parked} parked, {picture.behind} behind",
        WIDTH,
    )


class Plain:
    """Prints what is new."""

    def __init__(self, write: Callable[[str], None], *, status_every_s: float = 5) -> None:
        self._write = write
        self._every_s = self._status_at = status_every_s
        self._circuits: dict[str, CircuitState] = {}

    def open(self, place: str) -> None:
        """Say where things are, and head the columns."""
        self._write(place)
        self._write(fit(_COLUMNS, WIDTH))

    def show(self, picture: Picture, tries: Sequence[Try]) -> None:
        """Print the attempts, the circuits that have changed, and now and then the sums."""
        for seen in tries:
            self._write(try_line(seen))
        for service in picture.services:
            if self._circuits.get(service.name, CircuitState.CLOSED) is not service.circuit:
                self._write(circuit_line(picture, service))
            self._circuits[service.name] = service.circuit
        if picture.elapsed_s >= self._status_at:
            self._status_at = picture.elapsed_s + self._every_s
            self._write(status_line(picture))

    def close(self) -> None:
        """Nothing is left to be done."""


def _circuit_words(service: ServiceView) -> str:
    match service.circuit:
        case CircuitState.OPEN:
            reason = f": {service.error}" if service.error else ""
            return f"circuit of {service.name} open, {service.parked} parked{reason}"
        case CircuitState.HALF_OPEN:
            return f"circuit of {service.name} half-open: one probe is on its way"
        case CircuitState.CLOSED:
            return f"circuit of {service.name} closed: what was parked goes out"


def _columns(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _cut(text: str, width: int) -> str:
    kept, taken = "", 0
    for sign in text:
        taken += _columns(sign)
        if taken > width:
            break
        kept += sign
    return kept
