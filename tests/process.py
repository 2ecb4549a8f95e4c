"""A server program as a child process: a folder of its own, a free port, gone when the tests are gone."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

STOP_LIMIT_S = 30.0
PREFIX = "mih-test-"
MEMORY_WANTED = 2 * 1024**3


class ChildProcess:
    """A long-running program that outlives neither the session nor the session's sudden death.

    `account` is who it runs as when we are root: some servers refuse root. `death_signal` is what the kernel
    sends it when our own process is killed outright.
    """

    def __init__(self, account: str | None = None, death_signal: str = "KILL") -> None:
        self._account = account if os.geteuid() == 0 else None
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        _sweep()
        self.home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_place()))
        if self._account:
            shutil.chown(self.home, self._account)

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its number, while it has been started and not ended."""
        return self._process.pid if self._process else None

    @property
    def log_tail(self) -> str:
        """The end of what it has printed, for the message of a failed start."""
        log = self.home / "server.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else "(it printed nothing)"

    def run(self, *command: str | Path) -> str:
        """Run a preparing command to its end, as the same account; return what it printed."""
        done = subprocess.run(
            self._leashed(command), cwd=self.home, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def spawn(self, *command: str | Path) -> None:
        """Start the program; it prints into `home/server.log`."""
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._leashed(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                # Ctrl-C in the terminal is meant for pytest, which then stops us in good order.
                start_new_session=True,
            )

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait; a process that ignores it for too long is killed."""
        if self._process is None:
            return
        self._process.send_signal(by)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """End the process if it runs and delete its folder."""
        self.end()
        shutil.rmtree(self.home, ignore_errors=True)

    def _leashed(self, command: tuple[str | Path, ...]) -> list[str | Path]:
        setpriv = shutil.which("setpriv")
        if not setpriv:
            # Not Linux: then only an orderly end of the session takes the server down.
            return list(command)
        leash = [setpriv, "--pdeathsig", self._death_signal]
        if self._account:
            leash += ["--reuid", self._account, "--regid", self._account, "--init-groups"]
        return [*leash, "--", *command]


def _place() -> Path:
    # Creating a database copies files: in memory this takes a tenth of the time.
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_WANTED
    return memory if roomy and "TMPDIR" not in os.environ else Path(tempfile.gettempdir())


def _sweep() -> None:
    # A session that was killed outright could not remove its folders.
    for left in _place().glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
