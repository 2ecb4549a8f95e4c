"""From a rule's templates and a row to a request: JSON-safe by construction, bounded, sandboxed."""

from sidecar.bridge.render.budget import PayloadTooLarge
from sidecar.bridge.render.context import scope
from sidecar.bridge.render.filters import FILTERS
from sidecar.bridge.render.payload import Encoding
from sidecar.bridge.render.rule import Rendered, Template, compile_rule
from sidecar.bridge.render.template import BrokenRule

__all__ = [
    "FILTERS",
    "BrokenRule",
    "Encoding",
    "PayloadTooLarge",
    "Rendered",
    "Template",
    "compile_rule",
    "scope",
]
