"""A rule's payload is compiled here as its format wants it; later it is rendered, proven and wrapped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.bridge.render.envelope import NAMES, binary, form, statement, structured
from sidecar.bridge.render.formats import FORM, JSON, TEXT, XML
from sidecar.bridge.render.program import Program
from sidecar.bridge.render.soundness import JSON_PROOF, XML_PROOF, Proof
from sidecar.bridge.render.template import Compiler
from sidecar.errors import said
from sidecar.gateway.body import CONTENT_TYPES, Parcel
from sidecar.model import EVENT_COLUMNS
from sidecar.settings import Problem
from sidecar.settings.rule import Rule
from sidecar.settings.service import FormatName
from sidecar.settings.values import WITHOUT_BODY

# The payload of a rule that names none. Receivers rely on it: names may be added, never changed.
WHOLE_EVENT: Mapping[str, str] = {
    "delivery_id": "{{ delivery.id }}",
    "site": "{{ site }}",
    "rule": "{{ rule }}",
    **{name: f"{{{{ {name} }}}}" for name in EVENT_COLUMNS},
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """What payloads are written in. `binary` and `source` are of CloudEvents; no source: `/` and the site."""

    format: FormatName = "json"
    binary: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Payload:
    """A compiled payload. `proof` is None where none is needed; `program` is None where there is no body."""

    encoding: Encoding
    program: Program | None = None
    proof: Proof | None = None
    form_size: int | None = None  # a mapping that becomes form fields, of so many characters at most

    @property
    def names(self) -> frozenset[str]:
        """What is read of a scope besides what the template names."""
        return NAMES if self.encoding.format in ("cloudevents", "xapi") else frozenset()

    def body(self, scope: Mapping[str, Any]) -> str | None:
        """Return what the template renders to, proven to be sound; None where the method carries none."""
        if self.program is None:
            return None
        text = self.program.run_proven(scope, self.proof) if self.proof else self.program.run(scope)
        return text if self.form_size is None else form(text, self.form_size)

    def parcel(self, scope: Mapping[str, Any]) -> Parcel:
        """Return what is sent."""
        body, encoding = self.body(scope), self.encoding
        if encoding.format == "cloudevents" and encoding.binary:
            return binary(body, scope, encoding.source)
        if body is None:
            return Parcel(None, None)
        if encoding.format == "cloudevents":
            return structured(body, scope, encoding.source)
        if encoding.format == "xapi":
            return statement(body, scope)
        return Parcel(body, CONTENT_TYPES[encoding.format])


def compile_payload(rule: Rule, encoding: Encoding, compiler: Compiler) -> Payload:
    """Compile the payload of a rule; what is wrong is gathered in the compiler's problems."""
    problem = _misfit(rule, encoding)
    if problem:
        compiler.problems.append(Problem("payload", problem))
        return Payload(encoding)
    if rule.payload is None and rule.method in WITHOUT_BODY:
        return Payload(encoding)
    if not isinstance(rule.payload, str):
        tree = compiler.tree("payload", WHOLE_EVENT if rule.payload is None else rule.payload)
        return Payload(encoding, tree, form_size=compiler.max_size if encoding.format == "form" else None)
    return _of_text(rule.payload, encoding, compiler)


def _of_text(text: str, encoding: Encoding, compiler: Compiler) -> Payload:
    if encoding.format in ("form", "text"):
        return Payload(encoding, compiler.text("payload", text, FORM if encoding.format == "form" else TEXT))
    kind, proof = (XML, XML_PROOF) if encoding.format == "xml" else (JSON, JSON_PROOF)
    program, proven = compiler.proven_text("payload", text, kind, proof) or (None, True)
    return Payload(encoding, program, None if proven else proof)


def _misfit(rule: Rule, encoding: Encoding) -> str | None:
    """Return why this payload cannot be written in this format."""
    bare = rule.payload is None and rule.method in WITHOUT_BODY
    wants: Mapping[str, Callable[[], str | None]] = {
        "xml": lambda: None if bare or isinstance(rule.payload, str) else _text_only("xml"),
        "text": lambda: None if bare or isinstance(rule.payload, str) else _text_only("text"),
        "form": lambda: _NO_LIST if isinstance(rule.payload, list | tuple) else None,
        "xapi": lambda: _NO_STATEMENT if rule.payload is None else None,
        "cloudevents": lambda: _no_body(rule.method) if bare and not encoding.binary else None,
    }
    return wants.get(encoding.format, lambda: None)()


_NO_LIST = said("format form needs a mapping or a text, got a list: its fields have names")
_NO_STATEMENT = said("format xapi needs a statement; `mih rules new` has ready ones")


def _text_only(name: str) -> str:
    return said(
        "format %(name)s needs a text or a file, for a mapping and the whole event are no such thing",
        name=name,
    )


def _no_body(method: str) -> str:
    return said(
        "%(method)s has no body to put a CloudEvent in: use POST, or `cloudevents: binary`", method=method
    )
