"""Figures and moments as people of one language read them: the filters of the templates."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from babel import Locale, dates, numbers, units
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

_SIZES = ((1_073_741_824, "GiB"), (1_048_576, "MiB"), (1_024, "KiB"))
# Writing a figure takes Babel long, and a page of charts has a thousand that are mostly alike.
_REMEMBERED = 8_192


def filters(locale: Locale) -> Mapping[str, Callable[..., Any]]:
    """Return the filters for one language. None becomes a dash everywhere."""
    shapes = _Shapes(locale)
    return {
        "number": shapes.number,
        "percent": shapes.percent,
        "moment": shapes.moment,
        "clock": shapes.clock,
        "duration": shapes.duration,
        "ago": shapes.ago,
        "size": shapes.size,
        "ms": shapes.ms,
    }


class _Shapes:
    def __init__(self, locale: Locale) -> None:
        self._locale = locale

    def number(self, value: float | None, digits: int = 0) -> str:
        """Return 12,345 or 12.345; `digits` after the point at most."""
        if value is None:
            return "–"
        pattern = "#,##0" + ("." + "#" * digits if digits else "")
        return _decimal(value, pattern, self._locale)

    def percent(self, share: float | None, digits: int = 1) -> str:
        """Return 99.5% of 0.995."""
        if share is None:
            return "–"
        # The language's own pattern, for the blank that some have before the sign.
        pattern = str(self._locale.percent_formats[None].pattern)
        wanted = pattern.replace("0", "0." + "#" * digits, 1) if digits else pattern
        return _percent(share, wanted, self._locale)

    def moment(self, at: datetime | None) -> Markup | str:
        """Return a <time> in UTC, which the page's script turns into the reader's own time."""
        return "–" if at is None else _moment(at, self._locale)

    def clock(self, at: datetime | None) -> Markup | str:
        """Return a <time> with hours and minutes only, for what is recent."""
        return "–" if at is None else _time(at, f"{at.astimezone(UTC):%H:%M} UTC", "clock")

    def duration(self, seconds: float | None) -> str:
        """Return 42 seconds, 18 minutes, 5 hours; half seconds and less as milliseconds."""
        if seconds is None:
            return "–"
        if 0 < abs(seconds) < 1:
            return self.ms(seconds * 1000)
        return _length(math.floor(seconds), self._locale, directed=False)

    @pass_context
    def ago(self, context: Context, at: datetime | None) -> Markup | str:
        """Return a <time> that says how long ago that was, or how soon it will be."""
        if at is None:
            return "–"
        passed = at - context["now"]
        if abs(passed) < timedelta(seconds=1):
            passed = timedelta(seconds=1 if passed > timedelta(0) else -1)  # nobody says "in 0 seconds"
        return _time(at, _length(math.floor(passed.total_seconds()), self._locale, directed=True), "ago")

    def size(self, count: int | None) -> str:
        """Return 12 B, 3.4 KiB, 1 MiB."""
        if count is None:
            return "–"
        for unit, name in _SIZES:
            if count >= unit:
                return f"{self.number(count / unit, 1)} {name}"
        return f"{self.number(count)} B"

    def ms(self, value: float | None) -> str:
        """Return milliseconds, from ten seconds on as seconds."""
        if value is None:
            return "–"
        seconds, figure = (True, value / 1000) if value >= 10_000 else (False, value)
        unit = "duration-second" if seconds else "duration-millisecond"
        digits = 1 if seconds or value < 10 else 0
        return _unit(round(figure, digits), unit, self._locale)


@lru_cache(_REMEMBERED)
def _decimal(value: float, pattern: str, locale: Locale) -> str:
    return numbers.format_decimal(value, format=pattern, locale=locale)


@lru_cache(_REMEMBERED)
def _percent(share: float, pattern: str, locale: Locale) -> str:
    return numbers.format_percent(share, format=pattern, locale=locale)


@lru_cache(_REMEMBERED)
def _unit(figure: float, unit: str, locale: Locale) -> str:
    return str(units.format_unit(figure, unit, length="short", locale=locale))


@lru_cache(_REMEMBERED)
def _length(seconds: int, locale: Locale, *, directed: bool) -> str:
    passed = timedelta(seconds=seconds)
    return dates.format_timedelta(passed, add_direction=directed, threshold=1.5, locale=locale)


@lru_cache(_REMEMBERED)
def _moment(at: datetime, locale: Locale) -> Markup:
    return _time(at, f"{_day(at.astimezone(UTC).date(), locale)}, {at.astimezone(UTC):%H:%M:%S} UTC")


@lru_cache(_REMEMBERED)
def _day(day: date, locale: Locale) -> str:
    return dates.format_date(day, format="medium", locale=locale)


def _time(at: datetime, text: str, kind: str = "moment") -> Markup:
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-time="{}">{}</time>').format(stamp, kind, text)
