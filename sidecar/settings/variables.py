"""Text with `${NAME}` in it becomes text with the environment's values in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLE = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|(?P<broken>\$\{(?!\{))"  # `${{` is left alone: a placeholder of a template after a dollar sign
)


@dataclass(frozen=True, slots=True)
class Expanded:
    """A resolved text, and where its pieces came from. `text` may be a secret, so it has no repr."""

    text: str
    variables: tuple[str, ...]
    problem: str | None = None

    def __repr__(self) -> str:
        return f"Expanded(variables={self.variables!r}, problem={self.problem!r})"


def expand(text: str, env: Mapping[str, str]) -> Expanded:
    """Replace `${NAME}` and `${NAME:-default}` (used when unset or empty); `$${` is a literal `${`."""
    found = list(_VARIABLE.finditer(text))
    variables = tuple(dict.fromkeys(match["name"] for match in found if match["name"]))
    return Expanded(_VARIABLE.sub(lambda match: _value(match, env), text), variables, _problem(found, env))


def escape(text: str) -> str:
    """Write a text so that `expand` gives it back."""
    return text.replace("${", "$${")


def _value(match: re.Match[str], env: Mapping[str, str]) -> str:
    if not match["name"]:
        return "${"
    return env.get(match["name"]) or match["default"] or ""


def _problem(found: list[re.Match[str]], env: Mapping[str, str]) -> str | None:
    if any(match["broken"] for match in found):
        return "${ starts a variable, such as ${NAME} or ${NAME:-default}; a literal ${ is written $${"
    names = dict.fromkeys(
        m["name"] for m in found if m["name"] and m["default"] is None and m["name"] not in env
    )
    if not names:
        return None
    listed = ", ".join(f"${{{name}}}" for name in names)
    verb = "is" if len(names) == 1 else "are"
    return f"{listed} {verb} not set in the environment: set it, or write a default as ${{NAME:-default}}"
