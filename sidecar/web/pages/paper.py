"""Templates become pages: one Jinja environment for each language, everything escaped."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from sidecar import __version__
from sidecar.web.pages import assets
from sidecar.web.pages.formats import filters
from sidecar.web.pages.languages import LANGUAGES, language

_HERE = files("sidecar.web") / "templates"


def render(template: str, code: str, values: dict[str, Any]) -> str:
    """Return the template in that language."""
    return environment(code).get_template(template).render(values)


@lru_cache(maxsize=len(LANGUAGES))
def environment(code: str) -> Environment:
    """Return the environment of one language."""
    made = Environment(
        loader=FunctionLoader(lambda name: (_HERE / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    speaker: Any = made  # the extension adds methods that jinja2's own types do not know
    speaker.install_gettext_translations(language(code).texts, newstyle=True)
    made.filters.update(filters(language(code).locale))
    made.globals.update(asset=assets.address, languages=LANGUAGES, version=__version__)
    return made
