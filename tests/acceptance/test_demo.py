"""The demo as a stranger meets it: the real process, as lines, on a terminal, and interrupted."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_COMMAND = (sys.executable, "-m", "sidecar", "demo")
# The promise is five seconds; a machine that runs other tests beside is given more.
_FIRST_DELIVERY_S = 15.0 if os.environ.get("CI") else 5.0
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SUMMARY = {"log rows", "matched", "delivered", "dead letters", "held back", "waiting", "duplicates", "lost"}


class _Run:
    """One demo with its output as it comes, and where it keeps its folder."""

    def __init__(self, temporary: Path, *options: str, output: int | None = None) -> None:
        self.started_at = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            [*_COMMAND, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.STDOUT if output is None else output,
            env={**os.environ, "TMPDIR": str(temporary), "TERM": "xterm-256color"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        if output is None:
            self._reader.start()

    def wait(self, seconds: float = 40) -> int:
        code = self.process.wait(seconds)
        if self.process.stdout is not None:
            self._reader.join()
        return code

    def await_line(self, text: str, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while not any(text in line for _, line in list(self.lines)):
            assert time.monotonic() < until, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.05)

    def first(self, pattern: str) -> float:
        """Return when a line was first there that matches, in seconds since the start."""
        return next(at for at, line in self.lines if re.search(pattern, line))

    @property
    def said(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic() - self.started_at, line.decode().rstrip("\n")))
        self.process.stdout.close()


@contextmanager
def _demo(temporary: Path, *options: str, output: int | None = None) -> Iterator[_Run]:
    run = _Run(temporary, *options, output=output)
    try:
        yield run
    finally:
        run.process.kill()
        run.wait()


def _account(said: str) -> dict[str, int]:
    found = re.findall(r"^  (\w+(?: \w+)?) +(\d+)(?:  |$)", said, re.MULTILINE)
    return {name: int(number) for name, number in found}


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo makes its folder; a short path, that its lines may stay short."""
    return tmp_path_factory.mktemp("t")


def test_a_stranger_sees_deliveries_a_retry_an_open_circuit_and_a_dead_letter(temporary: Path) -> None:
    with _demo(temporary, "--for", "12", "--plain", "--seed", "1") as run:
        code = run.wait()

    assert code == 0, run.said
    assert run.first(r" delivered +201 ") < _FIRST_DELIVERY_S
    for pattern in (
        r"user_graded +grade +flaky +retry +(503|-) ",
        r"\*\* circuit of flaky open, \d+ parked",
        r"flaky +probe (ok|bad) ",
        r"\*\* circuit of flaky closed",
        r"grade_deleted +grade +flaky +dead +422 ",
    ):
        assert re.search(pattern, run.said), pattern
    assert max(len(line) for _, line in run.lines if "sidecar.yaml" not in line) <= 80
    assert "Traceback" not in run.said
    account = _account(run.said)
    assert account.keys() == _SUMMARY
    assert account["lost"] == 0
    assert account["matched"] == account["delivered"] + account["dead letters"] + account["waiting"]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_an_account_and_exit_code_0(temporary: Path, number: signal.Signals) -> None:
    with _demo(temporary, "--plain") as run:
        run.await_line(" delivered  201 ")
        run.process.send_signal(number)
        code = run.wait()

    assert code == 0, run.said
    assert _account(run.said)["lost"] == 0
    assert "Traceback" not in run.said
    assert list(temporary.iterdir()) == []


def test_on_a_terminal_a_live_screen_is_drawn_within_80_columns(temporary: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    drawn: list[bytes] = []
    with _demo(temporary, "--for", "4", output=theirs) as run:
        os.close(theirs)
        with suppress(OSError):  # what a terminal says when its last program has gone
            while piece := os.read(ours, 65_536):
                drawn.append(piece)
        code = run.wait()
    os.close(ours)

    said = b"".join(drawn).decode()
    assert code == 0, said
    frames, account = said.split("\x1b[?1049l")
    last = _ESCAPE.sub("", frames.rpartition("\x1b[H")[2]).split("\r\n")
    assert len(last) <= 24
    assert max(map(len, last)) <= 80
    assert any(re.match(r"flaky +(open|closed|half-open) ", line) for line in last)
    assert any(re.search(r" delivered +201 ", line) for line in last)
    assert _account(account.replace("\r", ""))["lost"] == 0


def test_what_is_kept_can_be_asked_with_the_other_commands(temporary: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with _demo(temporary, "--for", "3", "--plain", "--keep", str(kept)) as run:
        assert run.wait() == 0, run.said

    status = subprocess.run(
        [sys.executable, "-m", "sidecar", "status", "--json", "-c", kept / "sidecar.yaml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert sorted(
        path.name for path in kept.iterdir() if path.suffix not in {".sqlite-shm", ".sqlite-wal"}
    ) == [
        *("moodle.sqlite", "sidecar.log", "sidecar.yaml", "store.sqlite"),
    ]
    assert status.returncode == 0, status.stderr
    assert '"flaky"' in status.stdout


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_senseless_length_is_refused_in_words(temporary: Path, value: str) -> None:
    with _demo(temporary, f"--for={value}") as run:
        code = run.wait()

    assert code == 2
    assert "give a number of seconds above 0, such as 20" in run.said
