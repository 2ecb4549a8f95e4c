"""The machine fails: its clock steps by an hour, its disks are full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.acceptance.sidecar import eventually
from tests.chaos.names import NotHere
from tests.chaos.world import World
from tests.databases import SQLiteFolder

_FAKETIME = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
_HOUR_S = 3600
_FULL = 1024 * 1024
_ROOM = 8 * 1024 * 1024


def clock_stepping(world: World) -> None:
    """The wall clock of the sidecars' machine goes an hour back and forth; stopwatches go on, as they do."""
    stepping = SteppingClock(world.folder)
    world.started(2, env=stepping.environment)
    with world.writing():
        for hours in (-1, 1, 0, 1, -1, 0):
            world.wait(world.chance.uniform(1.5, 3))
            stepping.step(hours * _HOUR_S)
            world.strike()
            if hours:
                victim = world.chance.choice(world.sidecars)  # a fresh process has seen no other time
                victim.terminate()
                victim.start()
        world.wait(2)


class SteppingClock:
    """The wall clock that some processes see: libfaketime shifts theirs, the kernel's is for all."""

    def __init__(self, folder: Path) -> None:
        self._shift = folder / "clock"
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._shift),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Be so far from the true time, within a second."""
        fresh = self._shift.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.chmod(0o644)
        fresh.rename(self._shift)


def _library() -> Path:
    for pattern in _FAKETIME:
        for found in Path("/").glob(pattern[1:]):
            return found
    raise NotHere("libfaketime is not installed")


def store_full(world: World) -> None:
    """The disk of a SQLite store is full, twice: all waits, the reason is said, it goes on by itself."""
    disk = world.keep(_small_disk(world.folder / "store"))
    world.store_apart(SQLiteFolder(disk))
    [sidecar] = world.started()
    with world.writing(number=1):
        for time in range(1, 3):
            world.wait(1.5)
            ballast = _fill(disk)
            eventually(lambda n=time: sidecar.said.count("disk is full") >= n)  # type: ignore[misc]
            world.strike()
            world.wait(1.5)
            ballast.unlink()


def log_full(world: World) -> None:
    """The disk that the sidecar's own log is written to is full."""
    disk = world.keep(_small_disk(world.folder / "logs"))
    world.started(log=disk / "sidecar.log")
    with world.writing():
        world.wait(1)
        ballast = _fill(disk)
        world.strike()
        world.wait(3)
        ballast.unlink()
        world.wait(1)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of a few megabytes: full is what its kernel calls full."""
    folder.mkdir()
    mounted = os.geteuid() == 0 and not _run("mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "none", folder)
    if not mounted:
        raise NotHere("a disk that is full needs root, who may mount one")
    try:
        yield folder
    finally:
        _run("umount", "--lazy", folder)


def _run(*command: str | Path) -> int:
    return subprocess.run(command, check=False, capture_output=True).returncode


def _fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        for size in (_FULL, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return ballast
