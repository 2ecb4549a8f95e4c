"""Everything measured in one run: `python -m benchmarks [--quick] [--only tail,dispatch] [--json FILE]`."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    beyond,
    cost,
    dispatch,
    growth,
    hammer,
    inflight,
    latency,
    machine,
    pages,
    peers_sending,
    peers_tailing,
    tail,
)
from benchmarks.bench import Bench, say
from benchmarks.measure import Figure, Verdict
from benchmarks.servers import on_disk
from benchmarks.table import document, table

Measure = Callable[[Bench], Iterator[Figure]]

MEASURES: dict[str, Measure] = {
    "tail": tail.measure,
    "dispatch": dispatch.measure,
    "peers": peers_sending.measure,
    "inflight": inflight.measure,
    "latency": latency.measure,
    "cost": cost.measure,
    "writer": cost.beside_a_writer,
    "followers": peers_tailing.measure,
    "beyond": beyond.measure,
    "growth": growth.measure,
    "growth-whole": growth.measure_whole,
    "pages": pages.measure,
    "hammer": hammer.measure,
}
# Left out unless asked for: what takes long by itself, and of a quick run all that is long.
_LONG = {"growth-whole", "beyond", "pages", "hammer"}
_NOT_QUICK = _LONG | {"writer", "followers", "growth"}


def main() -> int:
    """Measure what is asked for, print one table, write JSON where asked; 1 if anything broke."""
    wanted = _arguments()
    on_disk()
    began = time.monotonic()
    found: list[Figure] = []
    with Bench(quick=wanted.quick).closing() as bench:
        for name in wanted.only or _usual(quick=wanted.quick):
            found += _one(bench, name)
        _tell(wanted, found, seconds=round(time.monotonic() - began))
    return int(any(one.verdict is Verdict.FAILED for one in found))


def _tell(wanted: argparse.Namespace, found: list[Figure], *, seconds: int) -> None:
    here = machine.look()
    print(f"{table(found)}\n\n{here}\n{'Quick, so rough. ' if wanted.quick else ''}It took {seconds} s.")
    if wanted.json:
        told = document(found, here, quick=wanted.quick, seconds=seconds)
        wanted.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _one(bench: Bench, name: str) -> list[Figure]:
    """Measure one thing; if it breaks the others are measured all the same."""
    began, found = time.monotonic(), list[Figure]()
    say(f"{name} ...")
    try:
        for one in MEASURES[name](bench):
            found.append(one)
            say(table([one]).splitlines()[-1])
    except Exception as error:  # noqa: BLE001 - whatever breaks in one figure
        found.append(Figure(name, (), note=f"{type(error).__name__}: {error}".replace("\n", " ")[:300]))
        say(f"  {found[-1].note}")
    say(f"{name} took {time.monotonic() - began:.0f} s")
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer rounds: under 3 minutes")
    parser.add_argument("--only", type=_names, help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--json", type=Path, help="write all figures and runs there")
    return parser.parse_args()


def _usual(*, quick: bool) -> list[str]:
    left_out = _NOT_QUICK if quick else _LONG
    return [name for name in MEASURES if name not in left_out]


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in MEASURES]:
        there = ", ".join(MEASURES)
        raise argparse.ArgumentTypeError(f"no such figure: {', '.join(unknown)}; there are {there}")
    return names


if __name__ == "__main__":
    sys.exit(main())
