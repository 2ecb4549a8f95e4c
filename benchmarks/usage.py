"""What processes take of the machine, as the kernel counts it."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1024**2


@dataclass(frozen=True, slots=True)
class Taken:
    """Over some time: the share of a core in percent, of each process by its name, and anything counted."""

    share: dict[str, float]
    counted: float


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that a process has used, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _all_cpu_s(pids: Iterable[int]) -> dict[int, float]:
    """Return what each of these has used; a server's helper may have ended meanwhile."""
    found = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found[pid] = cpu_s(pid)
    return found


def resident_mb(pid: int) -> float:
    """Return the memory of a process that is not swapped out, shared libraries included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB


def most_mb(pid: int) -> float:
    """Return the most resident memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def proportional_mb(pid: int) -> float:
    """Return the memory of a process and its descendants; what they share is counted once."""
    pss = [
        int(line.split()[1])
        for one in family(pid)
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    ]
    return sum(pss) / 1024


def over(seconds: float, pids: dict[str, list[int]], counter: Callable[[], float]) -> Taken:
    """Watch processes for a while; `counter` is read at both ends, too, and its rate a second returned."""
    before = {name: _all_cpu_s(some) for name, some in pids.items()}
    counted, began = counter(), time.monotonic()
    time.sleep(seconds)
    took, rise = time.monotonic() - began, counter() - counted
    after = {name: _all_cpu_s(some) for name, some in pids.items()}
    used = {
        name: sum(spent - before[name].get(pid, spent) for pid, spent in now.items())
        for name, now in after.items()
    }
    return Taken({name: spent / took * 100 for name, spent in used.items()}, rise / took)
