"""Text with `${NAME}` and `${secret:NAME}` in it becomes text with what these stand for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.errors import said
from sidecar.settings.definitions import Secrets

_VARIABLE = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{secret:(?P<secret>[^\s{}]{1,200})\}"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|(?P<broken>\$\{(?!\{))"  # `${{` is left alone: a placeholder of a template after a dollar sign
)
# Stands where a secret cannot be read; what holds it is never used.
UNREADABLE = "unreadable"
_NOTHING = Secrets()


@dataclass(frozen=True, slots=True)
class Expanded:
    """A resolved text, and where its pieces came from. `text` may be a secret, so it has no repr.

    `unread` says why a secret in it cannot be read: no mistake of the text, the store may have it later.
    """

    text: str
    variables: tuple[str, ...]
    problem: str | None = None
    secrets: tuple[str, ...] = ()
    unread: str | None = None

    @property
    def sources(self) -> str:
        """Where its pieces come from, as it is written."""
        named = [f"${{{name}}}" for name in self.variables] + [secret_text(name) for name in self.secrets]
        return " and ".join(named)

    def __repr__(self) -> str:
        return f"Expanded(variables={self.variables!r}, problem={self.problem!r})"


def expand(text: str, env: Mapping[str, str], secrets: Secrets = _NOTHING) -> Expanded:
    """Replace `${NAME}`, `${NAME:-default}` (used when unset or empty) and `${secret:NAME}`.

    `$${` is a literal `${`.
    """
    found = list(_VARIABLE.finditer(text))
    asked = tuple(dict.fromkeys(match["secret"] for match in found if match["secret"]))
    return Expanded(
        _VARIABLE.sub(lambda match: _value(match, env, secrets), text),
        tuple(dict.fromkeys(match["name"] for match in found if match["name"])),
        _problem(found, env),
        asked,
        next((secrets.why_not(name) for name in asked if name not in secrets.values), None),
    )


def escape(text: str) -> str:
    """Write a text so that `expand` gives it back."""
    return text.replace("${", "$${")


def secret_text(name: str) -> str:
    """Return how a secret is referred to."""
    return f"${{secret:{name}}}"


def secret_names(text: str) -> frozenset[str]:
    """Return the names of all secrets that a text refers to."""
    return frozenset(match["secret"] for match in _VARIABLE.finditer(text) if match["secret"])


def _value(match: re.Match[str], env: Mapping[str, str], secrets: Secrets) -> str:
    if match["secret"]:
        return secrets.values.get(match["secret"], UNREADABLE)
    if not match["name"]:
        return "${"
    return env.get(match["name"]) or match["default"] or ""


def _problem(found: list[re.Match[str]], env: Mapping[str, str]) -> str | None:
    if any(match["broken"] for match in found):
        return said(
            "${ starts a variable, such as ${NAME}, ${NAME:-default} or ${secret:NAME};"
            " a literal ${ is written $${"
        )
    names = dict.fromkeys(
        m["name"] for m in found if m["name"] and m["default"] is None and m["name"] not in env
    )
    if not names:
        return None
    listed = ", ".join(f"${{{name}}}" for name in names)
    if len(names) == 1:
        return said(
            "%(name)s is not set in the environment: set it, or write a default as ${NAME:-default}",
            name=listed,
        )
    return said(
        "%(names)s are not set in the environment: set it, or write a default as ${NAME:-default}",
        names=listed,
    )
