"""`mih run` as a child process that a test can stop, kill and read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.exc import SQLAlchemyError

from sidecar.store import cursors
from sidecar.store.engine import Database as Store

_LONGEST_WAIT_S = 60.0


class Sidecar:
    """One sidecar: started with a configuration, killed at will, gone at the end of the test."""

    def __init__(
        self,
        config: Path,
        *,
        env: dict[str, str] | None = None,
        log: Path | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.log = log or config.with_suffix(".log")
        self._within = within  # a command that runs another one, such as `unshare --mount`
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start `mih run` with these options; returns at once."""
        mih = [sys.executable, "-m", "sidecar", "run", "--config", str(self.config)]
        command = [*self._within, *mih, *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env
            )

    def run(self, *options: str) -> int:
        """Run to its end and return the exit code."""
        self.start(*options)
        return self.wait()

    def wait(self, seconds: float = _LONGEST_WAIT_S) -> int:
        """Wait for the end and return the exit code."""
        assert self._process is not None
        code = self._process.wait(seconds)
        self._process = None
        return code

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, SIGSTOP and SIGCONT for example."""
        assert self._process is not None
        self._process.send_signal(number)

    def terminate(self) -> int:
        """Ask it to end, as a container does, and return the exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        """All that it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @property
    def has_begun(self) -> bool:
        """Whether its cursor is placed: what comes into the log from then on is new to it."""
        config = yaml.safe_load(self.config.read_text())
        store = Store(config["moodle"]["url"], pool_size=1)
        try:
            with store.read() as conn:
                return cursors.load(conn, config["site"]) is not None
        except SQLAlchemyError:
            return False  # there are no tables yet
        finally:
            store.close()

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process is not None:
            self.kill()


def write_config(path: Path, **sections: Any) -> Path:
    """Write a configuration file and return its path."""
    path.write_text(yaml.safe_dump(sections, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def eventually(holds: Callable[[], object], *, seconds: float = _LONGEST_WAIT_S) -> None:
    """Wait until `holds` is true; other processes keep no fake clock. Fails with the last value."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, f"still {found!r} after {seconds:g} s"
        time.sleep(0.02)
