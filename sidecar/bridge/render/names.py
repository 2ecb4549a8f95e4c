"""Which names a template can know: checked when it is compiled, so that a typo never reaches a request."""

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.bridge.render.sandbox import MAPPING_METHODS, TEXT_METHODS, TIME_FIELDS, TIME_METHODS
from sidecar.errors import said
from sidecar.model import EVENT_COLUMNS, Event
from sidecar.settings.wording import did_you_mean


@dataclass(frozen=True, slots=True)
class _Known:
    fields: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    what: str = "fields"


_TEXT = _Known(methods=TEXT_METHODS)
_TEXT_COLUMNS = frozenset(name for name, field in Event.__annotations__.items() if "str" in str(field))


class Names:
    """The names of a scope, with their fields where these are certain."""

    def __init__(self, lookups: Mapping[str, tuple[str, ...]], *, site_url: bool = True) -> None:
        self.lookups = frozenset(lookups)
        self._known: dict[str, _Known | None] = {name: _column(name) for name in EVENT_COLUMNS}
        self._known |= dict.fromkeys(("rule", "service", "site"), _TEXT)
        self._known |= {
            name: _Known((*fields, "exists"), MAPPING_METHODS) for name, fields in lookups.items()
        }
        self._known["event"] = _Known(EVENT_COLUMNS, MAPPING_METHODS)
        self._known["delivery"] = _Known(("id",), MAPPING_METHODS)
        self._known["now"] = _Known(tuple(sorted(TIME_FIELDS)), TIME_METHODS)
        self._known["other"] = None
        if site_url:
            self._known["site_url"] = _TEXT

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def unknown(self, name: str) -> str:
        """Say that there is no such name, and which was probably meant."""
        if name == "site_url":
            return said(
                "site_url is not set: write Moodle's address there, such as https://moodle.example.org"
            )
        hint = did_you_mean(name, sorted(self._known))
        return said('there is no "%(name)s"%(hint)s', name=name, hint=hint)

    def unknown_field(self, name: str, field: str) -> str | None:
        """Return what is wrong with `name.field`, None when nothing is or nobody can know."""
        known = self._known.get(name)
        if known is None or field in known.fields:
            return None
        if field in known.methods:
            return said('"%(name)s" is to be called: write %(name)s()', name=f"{name}.{field}")
        if not known.fields:
            return said('"%(name)s" is a single value, it has no "%(field)s"', name=name, field=field)
        hint = did_you_mean(field, known.fields)
        return said('"%(name)s" has no "%(field)s"%(hint)s', name=name, field=field, hint=hint)

    def unknown_method(self, name: str, method: str) -> str | None:
        """Return what is wrong with `name.method()`, None when nothing is or nobody can know."""
        known = self._known.get(name)
        if known is None or method in known.methods:
            return None
        hint = did_you_mean(method, sorted(known.methods))
        return said('"%(name)s" has no method "%(method)s"%(hint)s', name=name, method=method, hint=hint)


def _column(name: str) -> _Known | None:
    if name == "other":
        return None
    return _TEXT if name in _TEXT_COLUMNS else _Known()
