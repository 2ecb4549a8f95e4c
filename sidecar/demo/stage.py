"""One demo from its first row to its account: campus, receiver, sidecar and screen, started and ended."""

import logging
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Protocol

from sidecar.clock import Clock, SystemClock
from sidecar.demo import config, home
from sidecar.demo.campus import Campus
from sidecar.demo.cast import Cast
from sidecar.demo.dashboard import Dashboard
from sidecar.demo.ending import Account, all_settled, lines, settle_up
from sidecar.demo.life import Life
from sidecar.demo.plain import Plain
from sidecar.demo.receiver import Receiver
from sidecar.demo.story import Story
from sidecar.demo.tally import Picture, Tally, Try
from sidecar.errors import HubError
from sidecar.hub import Hub, load
from sidecar.scheduler import Scheduler
from sidecar.store import gaps

_log = logging.getLogger("mih.demo")

_LOOK_S = 0.15
_FINISH_S = 6.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; None: until Ctrl-C, a seed by chance, a folder that goes away."""

    for_s: float | None = None
    seed: int | None = None
    keep: Path | None = None
    plain: bool = False


class View(Protocol):
    """Whoever shows what happens."""

    def open(self, place: str) -> None: ...
    def show(self, picture: Picture, tries: Sequence[Try]) -> None: ...
    def close(self) -> None: ...


class CampusFailed(HubError):
    """The campus could not go on; the text says why."""


class Stage:
    """All parts of one demo; `closing` takes them down in the right order, whatever happens."""

    def __init__(self, place: Path, seed: int, view: View, closing: ExitStack) -> None:
        self.clock: Clock = SystemClock()
        self._seed, self._view, self._tally = seed, view, Tally(self.clock)
        story_dice, life_dice, service_dice = (Random(f"{seed}/{part}") for part in range(3))  # noqa: S311 - a play
        self._receiver = Receiver(service_dice, self.clock)
        closing.callback(self._receiver.close)
        self._campus = Campus(place / "moodle.sqlite")
        closing.callback(self._campus.close)
        self._dashboard = Dashboard()
        self.link = self._dashboard.link
        cast = Cast(story_dice)
        self._campus.found(cast, int(self.clock.now().timestamp()))
        self.config = config.write(place, self._receiver.url, self._dashboard.port)
        loaded = load(self.config, {})
        self._hub = Hub(
            loaded.settings,
            loaded.book,
            clock=self.clock,
            settled=self._tally.settled,
            source=loaded.source,
        )
        closing.callback(self._hub.close)
        closing.callback(self._dashboard.stop)
        self._hub.open()
        self._life = Life(
            self._campus, Story(story_dice, cast), life_dice, clock=self.clock, given_up=self._given_up
        )
        self._scheduler = Scheduler(self._hub)
        _log.info("demo.started seed=%d", seed)

    def run(self, end: home.End, for_s: float | None) -> Account:
        """Let it all happen until the end, and let what is in flight finish."""
        stop_life = threading.Event()
        life = threading.Thread(target=self._life.run, args=(stop_life,), name="campus", daemon=True)
        self._scheduler.start()
        self._dashboard.start(self._hub, self._scheduler)
        try:
            life.start()
            self._watch(end.asked, lambda: for_s is not None and self._tally.elapsed_s >= for_s)
            stop_life.set()
            life.join()
            self._finish(end)
        finally:
            stop_life.set()
            self._scheduler.stop()
        self._show()
        return self._account()

    def _watch(self, end: threading.Event, over: Callable[[], bool]) -> None:
        while not over() and self._life.failure is None:
            self._show()
            if end.wait(_LOOK_S):
                return

    def _finish(self, end: home.End) -> None:
        """Give what is owed a few seconds: all services are well from now on."""
        self._receiver.heal()
        until_s = self._tally.elapsed_s + _FINISH_S
        self._watch(end.hurry, lambda: self._tally.elapsed_s >= until_s or all_settled(self._hub))

    def _show(self) -> None:
        tries = self._tally.fresh()
        self._view.show(self._tally.look(self._hub, self._life.rows), tries)

    def _account(self) -> Account:
        if self._life.failure is not None:
            raise CampusFailed(f"The campus could not go on: {self._life.failure}") from self._life.failure
        return settle_up(self._hub, self._receiver, self._life, self._tally, self._seed)

    def _given_up(self, log_id: int) -> datetime | None:
        with self._hub.store.read() as conn:
            closed = gaps.closed(conn, self._hub.settings.site, limit=20)
        return next((one.closed_at for one in closed if one.gap.lacks(log_id)), None)


def play(wishes: Wishes) -> None:
    """Play one demo in this terminal. Raises HubError with a message for people."""
    seed = secrets.randbelow(1_000_000) if wishes.seed is None else wishes.seed
    view, end = _view(wishes.plain), home.End()
    with home.folder(wishes.keep) as place, home.signals(end):
        with home.log_file(place / "sidecar.log"), ExitStack() as closing:
            stage = Stage(place, seed, view, closing)
            closing.callback(view.close)
            view.open(home.look_closer(stage.config, stage.link))
            account = stage.run(end, wishes.for_s)
        for line in lines(account):
            _write(line)
        if wishes.keep is not None:
            _write(f"Everything is kept in {place}")


def _view(plain: bool) -> View:
    if plain or not sys.stdout.isatty():
        return Plain(_write)
    from rich.console import Console  # noqa: PLC0415 - takes a tenth of a second that plain lines need not wait

    from sidecar.demo.screen import Screen  # noqa: PLC0415

    console = Console()
    return Screen(console) if console.is_terminal and not console.is_dumb_terminal else Plain(_write)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
