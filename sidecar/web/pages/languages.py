"""The languages of the pages: which one a browser gets, and its catalogue, read from the .po files."""

import io
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from starlette.requests import Request

from sidecar.errors import Said
from sidecar.web.pages.recall import Patterns, patterns_of, recalled

LANGUAGES = {"en": "English", "es": "Español"}
COOKIE = "mih_lang"
_AS_KEPT = "en"

_HERE = files("sidecar.web") / "locale"


def N_(text: str) -> str:  # noqa: N802 - the name that gettext's tools know
    """Mark a text for the catalogues; it is translated where it is shown."""
    return text


@dataclass(frozen=True, slots=True)
class Language:
    """A language with its texts, and what of these may stand in tables; nothing in English, as they do."""

    code: str
    locale: Locale
    texts: Translations
    kept: Patterns | None = None

    def say(self, text: str, /, **values: object) -> str:
        """Return the text in this language; `%(name)s` in it stands for a value."""
        said = self.texts.gettext(text)
        return said % values if values else said

    def tell(self, text: str) -> str:
        """Return in this language what was said deeper down, also long ago, and kept as text in a table.

        What somebody else has said, as a receiver does in its answers, stays as it is.
        """
        found = text if isinstance(text, Said) or self.kept is None else _recalled(self.code, text)
        return self._told(found) if isinstance(found, Said) else found

    def _told(self, text: Said) -> str:
        values = {
            name: self._told(one) if isinstance(one, Said) else one for name, one in text.values.items()
        }
        return self.say(text.pattern, **values)

    def say_n(self, one: str, many: str, n: int, **values: object) -> str:
        """Return the text for that number; `%(n)s` stands for it."""
        return self.texts.ngettext(one, many, n) % {"n": n, **values}


@lru_cache(maxsize=len(LANGUAGES))
def language(code: str) -> Language:
    """Return one of LANGUAGES. The .po file is compiled here: nothing to build, nothing stale."""
    with (_HERE / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    kept = None if code == _AS_KEPT else patterns_of(catalogue)
    return Language(code, Locale.parse(code), Translations(compiled), kept)


@lru_cache(maxsize=1_000)
def _recalled(code: str, text: str) -> str:
    kept = language(code).kept
    return recalled(kept, text) if kept else text


def language_of(request: Request) -> Language:
    """Return the language for a request: of `?lang=`, else of the cookie, else what the browser prefers."""
    asked = wanted(request) or request.cookies.get(COOKIE, "")
    return language(asked if asked in LANGUAGES else _preferred(request.headers.get("accept-language", "")))


def wanted(request: Request) -> str | None:
    """Return the language that this very request asks for."""
    asked = request.query_params.get("lang", "")
    return asked if asked in LANGUAGES else None


def _preferred(accepted: str) -> str:
    """Return the best of an Accept-Language header (RFC 9110, 12.5.4); English where none is ours."""
    weights: dict[str, float] = {}
    for part in accepted.lower().split(",")[:20]:
        found = re.fullmatch(r"\s*([a-z]{2,3})(?:-[a-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*", part)
        if found:
            weights[found[1]] = max(float(found[2] or 1), weights.get(found[1], 0))
    ours = {code: weight for code, weight in weights.items() if code in LANGUAGES and weight > 0}
    return max(ours, key=lambda code: ours[code], default="en")
