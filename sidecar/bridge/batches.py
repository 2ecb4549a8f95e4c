"""Which deliveries go out in one request, how they are joined, and how the bad ones are found: all pure."""

from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sidecar.model import Attempt, Delivery, Outcome, Route, Waiting, batch_id
from sidecar.settings import BatchSettings, is_json

T = TypeVar("T")
Send = Callable[[Sequence[T]], Attempt | None]
Fates = Generator[tuple[Sequence[T], Attempt | None], None, Attempt | None]

_EVENT, _EVENTS = "application/cloudevents+json", "application/cloudevents-batch+json"
_TOO_LARGE = 413
# Whose credentials, which method, gone for good: no part of the body would be taken.
_WHATEVER_THE_CONTENT = frozenset({401, 405, 407, 410})


def joins(route: Route) -> bool:
    """Whether the deliveries of a batch rule that go this way can share a request.

    Those that were queued before the rule became one may hold no JSON, or be CloudEvents in binary mode.
    """
    binary = any(name.lower().startswith("ce-") for name, _ in route.headers)
    return is_json(route.content_type) and not binary


def join(deliveries: Sequence[Delivery]) -> Delivery:
    """Return the one request that brings all of them: the array of their payloads, with an id of its own."""
    first = deliveries[0]
    return replace(
        first,
        delivery_id=batch_id(one.delivery_id for one in deliveries),
        body=f"[{','.join(one.body or 'null' for one in deliveries)}]",
        content_type=_EVENTS if first.content_type == _EVENT else first.content_type,
    )


def joined_octets(octets: int, count: int) -> int:
    """Return the bytes of an array of so many payloads that have so many bytes together."""
    return octets + count + 1


@dataclass(slots=True)
class _Portion:
    """What will be one request. It is `closed` when nothing more fits in."""

    items: list[Waiting] = field(default_factory=list)
    octets: int = 0
    closed: bool = False

    def has_room(self, one: Waiting, limits: BatchSettings) -> bool:
        return joined_octets(self.octets + one.octets, len(self.items) + 1) <= limits.max_bytes

    def add(self, one: Waiting, limits: BatchSettings | None) -> None:
        self.items.append(one)
        self.octets += one.octets
        self.closed = limits is not None and len(self.items) >= limits.max_items

    @property
    def goes(self) -> bool:
        """Whether it is time: it is full, or one of its deliveries has lingered long enough."""
        return self.closed or any(one.due for one in self.items)


def portions(waiting: Sequence[Waiting], batches: Mapping[str, BatchSettings]) -> list[list[int]]:
    """Return the numbers of the deliveries that go out now, those of one request together, in their order.

    Of rules without a batch each goes out alone. What lingers and fills no batch is left out, and of an order
    key what does not fit into the request that takes the first of it: that has to be answered before.
    """
    made: list[_Portion] = []
    filling: dict[tuple[str | None, Route], _Portion] = {}
    of_key: dict[str, _Portion] = {}
    for one in _in_line(waiting):
        limits = batches.get(one.rule or "") if joins(one.route) else None
        portion = _open(filling.get((one.rule, one.route)), one, limits)
        home = of_key.get(one.order_key or "")
        if home is not None and portion is not home:
            continue
        if portion is None:
            portion = _Portion()
            made.append(portion)
        portion.add(one, limits)
        if limits is not None:
            filling[one.rule, one.route] = portion
        if one.order_key is not None:
            of_key[one.order_key] = portion
    return [[one.number for one in portion.items] for portion in made if portion.goes]


def _open(portion: _Portion | None, one: Waiting, limits: BatchSettings | None) -> _Portion | None:
    """Return the portion if one more fits in; None: it needs a new one."""
    if portion is None or limits is None:
        return None
    if not portion.closed and not portion.has_room(one, limits):
        portion.closed = True
    return None if portion.closed else portion


def _in_line(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Return them with those of one order key by their log ids, at the places that they have together."""
    lines: dict[str, list[Waiting]] = defaultdict(list)
    for one in sorted(waiting, key=lambda one: one.log_id or 0, reverse=True):
        lines[one.order_key or ""].append(one)
    return [lines[one.order_key].pop() if one.order_key else one for one in waiting]


def deliver(items: Sequence[T], send: Send[T]) -> Fates[T]:
    """Send all in one request; if its content is refused, halves of it, until the bad ones stand alone.

    Yields every item once, in order: those that share a fate with the attempt that decided it, as soon as it
    is known. None: they were not sent. When it turns out on the way that the service is ill, or busy, what is
    left shares that fate. Returns the last attempt.
    """
    return (yield from _delivered(items, send, None))


def concerns_content(attempt: Attempt) -> bool:
    """Whether a refusal may be about one of the payloads only."""
    status = attempt.status or 0
    return attempt.outcome is Outcome.REJECTED and 400 <= status < 500 and status not in _WHATEVER_THE_CONTENT


def _delivered(part: Sequence[T], send: Send[T], refusal: Attempt | None) -> Fates[T]:
    """`refusal` is why something in this part is known to be bad; what stands alone is sent all the same."""
    last = refusal
    if last is None or len(part) == 1:
        last = send(part)
        if len(part) == 1 or last is None or not concerns_content(last):
            yield part, last
            return last
    middle = len(part) // 2
    first = yield from _delivered(part[:middle], send, None)
    if first is None or _ends(first):
        yield part[middle:], first
        return first
    # What the whole was refused for stands in the second half if the first was taken; not so of its size.
    known = first.outcome is Outcome.DELIVERED and last.status != _TOO_LARGE
    second = yield from _delivered(part[middle:], send, last if known else None)
    return second if second is None or _ends(second) else last


def _ends(attempt: Attempt) -> bool:
    return attempt.outcome is not Outcome.DELIVERED and not concerns_content(attempt)
