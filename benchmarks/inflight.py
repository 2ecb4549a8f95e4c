"""A receiver that takes 50 ms: how close 64 in flight come to the limit, and what a second process adds."""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import bare, dispatch
from benchmarks.bench import Bench
from benchmarks.measure import Figure, against, alternate, at_least, ratios, told
from benchmarks.receiver import Receiver

_DELAY_S = 0.05
_IN_FLIGHT = 64
_FEW = 16


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield one process against the limit, and two processes against one."""
    requests = bench.pick(1_500, 4_000)
    with Receiver(_DELAY_S) as receiver:
        sent = partial(dispatch.rate, bench, bench.mariadb, receiver)
        contenders: dict[str, Callable[[], float]] = {
            "one": partial(sent, requests, in_flight=_IN_FLIGHT),
            "bare": lambda: bare.rate(receiver, threads=_IN_FLIGHT, requests=requests),
            "two": partial(sent, requests, in_flight=_IN_FLIGHT, processes=2),
            "one of few": partial(sent, requests // 4, in_flight=_FEW),
            "two of few": partial(sent, requests // 2, in_flight=_FEW, processes=2),
        }
        found = alternate(bench.rounds, contenders)
    limit = _IN_FLIGHT / _DELAY_S
    lower = [min(limit, rate) for rate in found["bare"]]
    yield Figure(
        f"50 ms receiver, {_IN_FLIGHT} in flight: against what is possible",
        ratios(found["one"], lower),
        target=at_least(0.9),
        note=f"{told(found['one'])}/s; 64 / 50 ms is {limit:,.0f}/s, the bare loop {told(found['bare'])}/s",
    )
    for one, two, each in (("one", "two", _IN_FLIGHT), ("one of few", "two of few", _FEW)):
        yield Figure(
            f"50 ms receiver, {each} in flight each: two processes against one",
            ratios(found[two], found[one]),
            target=at_least(1.8),
            note=against(found[two], found[one], "one"),
        )
