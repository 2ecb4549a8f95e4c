"""Figures as people read them, in a terminal and in an answer."""

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def span(seconds: float) -> str:
    """Return a length of time in the unit that suits it: 42 s, 18 min, 5 h, 3 d."""
    for unit_s, name in _UNITS:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def count(number: int, one: str, many: str = "") -> str:
    """Return `1 delivery` or `2,000 deliveries`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
