"""The dashboard's texts: both catalogues are complete, and nothing in them is left over."""

import importlib.machinery
import importlib.util
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from babel import Locale

from sidecar.web.pages.formats import filters
from sidecar.web.pages.languages import LANGUAGES, language

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 3, 2, 8, 0, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    """The program `scripts/messages`."""
    loader = importlib.machinery.SourceFileLoader("messages", str(ROOT / "scripts" / "messages"))
    spec = importlib.util.spec_from_loader("messages", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("code", LANGUAGES)
def test_nothing_is_missing_fuzzy_or_left_over(messages: ModuleType, code: str) -> None:
    assert messages.problems(code) == []


def test_collecting_finds_templates_code_and_marked_constants(messages: ModuleType) -> None:
    found = {message.id for message in messages.extracted()}

    assert {"Sign in", "You have signed out.", "About", "There is nothing here"} <= found


def test_a_translation_has_the_same_values_in_it(messages: ModuleType) -> None:
    for message in messages.read("es"):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        for said in message.string if isinstance(message.string, tuple) else (message.string,):
            assert set(re.findall(r"%\(\w+\)s", said)) <= set(re.findall(r"%\(\w+\)s", " ".join(ids))), said


def test_numbers_and_plurals_follow_the_language() -> None:
    english, spanish = language("en"), language("es")
    one, many = "With %(n)s default", "With all %(n)s defaults"

    assert (english.say_n(one, many, 1), english.say_n(one, many, 2)) == (
        "With 1 default",
        "With all 2 defaults",
    )
    assert spanish.say_n(one, many, 1) == "Con 1 valor predeterminado"
    assert spanish.say_n(one, many, 2) == "Con los 2 valores predeterminados"


@pytest.mark.parametrize(
    ("code", "name", "value", "said"),
    [
        ("en", "number", 1234567, "1,234,567"),
        ("es", "number", 1234567, "1.234.567"),
        ("en", "number", None, "–"),
        ("en", "percent", 0.9952, "99.5%"),
        ("es", "percent", 0.9952, "99,5 %"),
        ("en", "percent", 1, "100%"),
        ("en", "duration", 42, "42 seconds"),
        ("en", "duration", 4 * 3600, "4 hours"),
        ("es", "duration", 1080, "18 minutos"),
        ("en", "duration", 0.25, "250 ms"),
        ("en", "ms", 84.4, "84 ms"),
        ("en", "ms", 8.44, "8.4 ms"),
        ("es", "ms", 12_340, "12,3 s"),
        ("en", "size", 34_567, "33.8 KiB"),
        ("es", "size", 34_567, "33,8 KiB"),
        ("en", "size", 12, "12 B"),
    ],
)
def test_figures_are_written_as_people_of_the_language_do(
    code: str, name: str, value: float | None, said: str
) -> None:
    assert filters(Locale.parse(code))[name](value).replace("\u00a0", " ") == said


def test_moments_are_in_utc_until_the_browser_makes_them_local() -> None:
    english, spanish = (filters(Locale.parse(code)) for code in ("en", "es"))

    assert english["moment"](AT) == (
        '<time datetime="2026-03-02T08:00:05.000Z" data-time="moment">Mar 2, 2026, 08:00:05 UTC</time>'
    )
    assert "2 mar 2026, 08:00:05 UTC" in spanish["moment"](AT)
    assert ">08:00 UTC<" in english["clock"](AT)


@pytest.mark.parametrize(
    ("passed_s", "said"),
    [
        (180, "3 minutes ago"),
        (0, "1 second ago"),
        (-0.3, "in 1 second"),
        (-7200, "in 2 hours"),
        (3 * 86_400, "3 days ago"),
    ],
)
def test_how_long_ago_is_said_in_words(passed_s: float, said: str) -> None:
    context = {"now": AT + timedelta(seconds=passed_s)}

    assert f">{said}<" in filters(Locale.parse("en"))["ago"](context, AT)
