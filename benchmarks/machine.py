"""What the figures were measured on: a ratio travels from machine to machine, an absolute figure does not."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.servers import ServerMissing, find_program

_LIBRARIES = ("httpx", "pymysql", "psycopg", "sqlalchemy", "pika")
_PROGRAMS = {"mariadb": "mariadbd", "postgresql": "postgres"}


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, memory, system and versions."""

    cores: int
    processor: str
    memory_gb: float
    system: str
    versions: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_gb:.0f} GB, {self.system}; {versions}. "
            "Receiver, databases, broker and clients share these cores."
        )


def look() -> Machine:
    """Describe the machine that this runs on."""
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in _LIBRARIES}
    versions |= {name: found for name, program in _PROGRAMS.items() if (found := _version(program))}
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_first(r"model name\s*: (.*)", Path("/proc/cpuinfo")) or platform.processor(),
        memory_gb=int(_first(r"MemTotal:\s*(\d+)", Path("/proc/meminfo")) or 0) / 1024**2,
        system=_first(r'PRETTY_NAME="(.*)"', Path("/etc/os-release")) or platform.platform(),
        versions=versions,
    )


def _first(pattern: str, file: Path) -> str | None:
    found = re.search(pattern, file.read_text()) if file.exists() else None
    return found[1] if found else None


def _version(program: str) -> str | None:
    try:
        said = subprocess.run(
            [find_program(program), "--version"], capture_output=True, text=True, check=True
        )
    except (ServerMissing, subprocess.CalledProcessError):
        return None
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout)
    return found[0] if found else None
