"""The arithmetic of the benchmarks: nothing is measured here."""

from collections.abc import Callable

from benchmarks.growth import Point, told_of
from benchmarks.measure import Figure, Verdict, alternate, at_least, at_most, ratios, told
from benchmarks.table import table


def test_contenders_take_turns_and_the_ratio_is_made_round_by_round() -> None:
    turns: list[str] = []
    measured = {"ours": iter([300.0, 400.0]), "theirs": iter([100.0, 200.0])}

    def contender(name: str) -> Callable[[], float]:
        return lambda: turns.append(name) or next(measured[name])  # type: ignore[func-returns-value]

    found = alternate(2, {"ours": contender("ours"), "theirs": contender("theirs")})

    assert turns == ["ours", "theirs", "ours", "theirs"]
    assert ratios(found["ours"], found["theirs"]) == (3.0, 2.0)


def test_the_median_is_judged_not_the_best_run() -> None:
    runs = (1.6, 1.4, 1.2)

    assert Figure("dispatch", runs, target=at_least(1.5)).verdict is Verdict.MISSED
    assert Figure("dispatch", runs, target=at_least(1.4)).verdict is Verdict.REACHED
    assert Figure("latency", runs, target=at_most(1.4)).verdict is Verdict.REACHED
    assert Figure("latency", runs, target=at_most(1.3)).verdict is Verdict.MISSED
    assert Figure("memory", runs).verdict is Verdict.TOLD


def test_what_could_not_be_measured_is_never_taken_for_reached() -> None:
    assert Figure("dispatch", (), target=at_most(5)).verdict is Verdict.FAILED


def test_the_table_shows_median_spread_target_and_verdict() -> None:
    figures = [
        Figure("tail", (5.0, 6.25, 5.5), target=at_least(5), note="against a scan"),
        Figure("idle", (0.7,), unit="%", target=at_most(1)),
        Figure("peers", (), note="not installed"),
    ]

    assert table(figures).splitlines() == [
        "| figure | median (min-max) | target | verdict | measured |",
        "|--------|------------------|--------|---------|---|",
        "| tail   | 5.5 (5-6.25) x   | >= 5 x | reached | against a scan |",
        "| idle   | 0.7 %            | <= 1 % | reached |  |",
        "| peers  | -                | -      | FAILED  | not installed |",
    ]


def test_figures_have_as_many_digits_as_mean_something() -> None:
    assert told([1234567.8]) == "1,234,568"
    assert told([0.01234, 0.02, 0.5]) == "0.02 (0.0123-0.5)"


def test_growth_is_the_worst_step_against_the_best_whatever_their_order() -> None:
    points = {10: Point(90.0, 100.0), 100: Point(120.0, 112.0), 1_000: Point(102.0, 109.0)}

    rate, memory = told_of("rules", points)

    assert (rate.what, rate.runs, rate.verdict) == ("growth of rules: rate within", (25.0,), Verdict.MISSED)
    assert rate.note == "10: 90.0/s, 100 MB; 100: 120/s, 112 MB; 1,000: 102/s, 109 MB"
    assert (memory.runs, memory.verdict) == ((12.0,), Verdict.REACHED)
