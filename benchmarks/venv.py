"""An environment of their own for the peers, made when it is first needed: `.cache/bench-venv`."""

import subprocess
import venv
from pathlib import Path

from benchmarks.bench import say

_ROOT = Path(__file__).parent.parent
_WANTED = Path(__file__).parent / "peers.txt"
_PLACE = _ROOT / ".cache" / "bench-venv"


class PeersMissing(Exception):
    """The peers could not be installed."""


def program(name: str) -> str:
    """Return a program of the peers' environment, which is made if it is not as `peers.txt` wants it.

    Raises PeersMissing if that is not possible, as without the network.
    """
    made_of = _PLACE / "made-of.txt"
    if not made_of.exists() or made_of.read_text() != _WANTED.read_text():
        say(f"  installing the peers into {_PLACE}")
        _install()
        made_of.write_text(_WANTED.read_text())
    return str(_PLACE / "bin" / name)


def _install() -> None:
    venv.create(_PLACE, with_pip=True, clear=True)
    pip = [str(_PLACE / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "-r", str(_WANTED)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeersMissing(f"the peers could not be installed: {done.stderr.strip()[-200:]}")


def environment(**variables: str) -> dict[str, str]:
    """Return the variables of a peer's process: it finds its program, and nothing of ours else."""
    return {"PATH": f"{_PLACE / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(_ROOT), **variables}
