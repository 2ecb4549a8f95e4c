"""The figures as a table for people and as JSON for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.machine import Machine
from benchmarks.measure import Figure, told

_HEADS = ("figure", "median (min-max)", "target", "verdict", "measured")


def table(figures: Iterable[Figure]) -> str:
    """Return the table, as Markdown that also reads well as it is."""
    rows = [_HEADS, *(_row(one) for one in figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADS) - 1)]
    lines = [_line(row, widths) for row in rows]
    rule = "|".join(["", *("-" * (width + 2) for width in widths), "---", ""])
    return "\n".join([lines[0], rule, *lines[1:]])


def document(figures: Iterable[Figure], machine: Machine, **more: Any) -> dict[str, Any]:
    """Return what the JSON file holds: the machine, and each figure with all its runs."""
    told_of = [asdict(one) | {"median": one.median, "verdict": one.verdict} for one in figures]
    return {"machine": asdict(machine), **more, "figures": told_of}


def _row(one: Figure) -> tuple[str, ...]:
    unit = "" if one.unit == "" else f" {one.unit}"
    median = f"{told(one.runs)}{unit}" if one.runs else "-"
    target = f"{one.target}{unit}" if one.target else "-"
    return one.what, median, target, one.verdict, one.note


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return f"| {' | '.join([*cells, row[-1]])} |"
