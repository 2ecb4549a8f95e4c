"""The demo as a live screen: sums, services with their circuits, and the latest attempts."""

from collections import deque
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sidecar.demo.plain import fit
from sidecar.demo.tally import Fate, Picture, ServiceView, Try
from sidecar.model import CircuitState

_AROUND_FEED = 11  # lines of the screen that are neither the feed nor where to look closer
_MOST = 30
_RATE_S = 3.0

_FATE_STYLE = {
    Fate.DELIVERED: "green",
    Fate.RETRY: "yellow",
    Fate.DEAD: "bold red",
    Fate.PROBE_OK: "bold green",
    Fate.PROBE_BAD: "magenta",
}
_CIRCUIT_STYLE = {
    CircuitState.CLOSED: "green",
    CircuitState.OPEN: "bold red",
    CircuitState.HALF_OPEN: "yellow",
}


class Screen:
    """Draws over the whole terminal until it is closed; what stood there before comes back then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._feed: deque[Try] = deque(maxlen=_MOST)
        self._passed: deque[tuple[float, int, int]] = deque()
        self._place = ""
        self._live = Live(console=console, screen=True, auto_refresh=False, transient=True)

    def open(self, place: str) -> None:
        """Take the screen."""
        self._place = place
        self._live.start()

    def show(self, picture: Picture, tries: Sequence[Try]) -> None:
        """Draw the moment."""
        self._feed.extend(tries)
        self._live.update(self.drawn(picture), refresh=True)

    def close(self) -> None:
        """Give the screen back."""
        self._live.stop()

    def drawn(self, picture: Picture) -> RenderableType:
        """Return all of it."""
        rows_per_s, sent_per_s = self._rates(picture)
        room = max(self._console.height - _AROUND_FEED - len(self._place.splitlines()), 3)
        return Group(
            _title(picture),
            _sums(picture, rows_per_s, sent_per_s),
            Text(),
            _services(picture.services),
            Text(),
            _attempts(list(self._feed)[-room:]),
            Text(),
            *(
                Text(line, style="dim", no_wrap=True, overflow="ellipsis")
                for line in self._place.splitlines()
            ),
        )

    def _rates(self, picture: Picture) -> tuple[float, float]:
        """Return rows and deliveries a second, over the last few seconds."""
        self._passed.append((picture.elapsed_s, picture.rows, picture.delivered))
        while picture.elapsed_s - self._passed[0][0] > _RATE_S:
            self._passed.popleft()
        then, rows, delivered = self._passed[0]
        passed = picture.elapsed_s - then
        if not passed:
            return 0.0, 0.0
        return (picture.rows - rows) / passed, (picture.delivered - delivered) / passed


def _title(picture: Picture) -> Text:
    return Text.assemble(
        ("Moodle Integration Hub", "bold"),
        f" on a demo campus, {picture.elapsed_s:.0f} s   ",
        ("Ctrl-C ends it", "dim"),
    )


def _sums(picture: Picture, rows_per_s: float, sent_per_s: float) -> Text:
    gaps = f"{picture.gaps} missing" if picture.gaps else "none missing"
    return Text(
        f"log rows {picture.rows} ({rows_per_s:.1f}/s)  behind {picture.behind}, {gaps}  "
        f"matched {picture.matched}  delivered {picture.delivered} ({sent_per_s:.1f}/s)",
        no_wrap=True,
        overflow="ellipsis",
    )


def _services(services: Sequence[ServiceView]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("service", no_wrap=True)
    table.add_column("circuit", no_wrap=True)
    for name in ("sent", "retries", "parked", "waiting", "dead", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in services:
        numbers = (one.sent, one.retries, one.parked, one.waiting, one.dead)
        table.add_row(
            one.name,
            Text(one.circuit.replace("_", "-"), style=_CIRCUIT_STYLE[one.circuit]),
            *(str(number) for number in numbers),
            "" if one.latency_ms is None else f"{one.latency_ms:.0f}",
        )
    return table


def _attempts(tries: Sequence[Try]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("UTC", "event", "rule", "service", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("code", "ms", "try"):
        table.add_column(name, justify="right", no_wrap=True)
    for seen in reversed(tries):
        table.add_row(
            f"{seen.at:%H:%M:%S}",
            Text(fit(seen.event, 22)),
            Text(fit(seen.rule, 8)),
            Text(fit(seen.service, 13)),
            Text(seen.fate, style=_FATE_STYLE[seen.fate]),
            "-" if seen.status is None else str(seen.status),
            f"{seen.latency_ms:.0f}",
            str(seen.number),
        )
    return table
