"""Where a demo lives while it runs: its folder, its log file, and the signals that end it."""

import logging
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sidecar.errors import HubError

_log = logging.getLogger("mih.demo")

# The last is the terminal's that was closed; Windows has none.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class FolderRefused(HubError):
    """The demo's folder cannot be used; the text says why."""


class End:
    """Asked once: the demo ends in good order. Asked again: it waits for nothing."""

    def __init__(self) -> None:
        self.asked, self.hurry = threading.Event(), threading.Event()

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """End; also a handler of signals."""
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()


@contextmanager
def signals(end: End) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM ask for the end."""
    before = [(number, signal.signal(number, end.ask)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Yield a folder that is removed at the end, or `keep`, which stays. Raises FolderRefused."""
    if keep is not None:
        yield _own(keep)
        return
    try:
        made = Path(tempfile.mkdtemp(prefix="mih-demo-"))
    except OSError as error:
        raise FolderRefused(f"no temporary folder can be made: {error}. Name one: --keep DIR") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Have everything that is logged, warned of, or thrown in a thread written to a file, not the screen."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    root, hook = logging.getLogger(), threading.excepthook
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = _log_thrown
    try:
        yield
    finally:
        threading.excepthook = hook
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def look_closer(config: Path, dashboard: str | None = None) -> str:
    """Return where to see more: the dashboard, and a command in lines that a shell takes as they are."""
    command = f"  {_program()} status"
    one_line = f"{command} -c {config}"
    text = one_line if len(one_line) <= 80 else f"{command} \\\n    -c {config}"
    link = f"dashboard  {dashboard}\n" if dashboard else ""
    return f"{link}Look closer from another terminal:\n{text}"


def _own(keep: Path) -> Path:
    place = keep.absolute()
    if not str(place).isprintable() or "?" in str(place):
        raise FolderRefused(f"--keep {str(keep)!r}: a database URL cannot name it; leave ? and such out")
    try:
        place.mkdir(parents=True, exist_ok=True)
        taken = any(place.iterdir())
    except OSError as error:
        raise FolderRefused(f"--keep {keep}: {error.strerror or error}; name a folder to write to") from error
    if taken:
        raise FolderRefused(f"--keep {keep}: the folder is not empty; name a new one")
    return place


def _program() -> str:
    if shutil.which("mih"):
        return "mih"
    return sys.argv[0] if Path(sys.argv[0]).name == "mih" else f"{sys.executable} -m sidecar"


def _log_thrown(thrown: threading.ExceptHookArgs) -> None:
    name = thrown.thread.name if thrown.thread else "?"
    _log.error("thread.died name=%s", name, exc_info=thrown.exc_value)
