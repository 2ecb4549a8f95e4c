"""A compiled template and one row's names pass through here; text comes out, or an error that says where."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import generate

from sidecar.bridge.render.budget import Budget, Overrun, PayloadTooLarge
from sidecar.bridge.render.foreign import in_words
from sidecar.bridge.render.jsonsafe import mend
from sidecar.bridge.render.plain import plain
from sidecar.bridge.render.sandbox import ENVIRONMENT, RenderContext
from sidecar.bridge.render.soundness import Flaw, Proof
from sidecar.bridge.render.source import Sources, sentence
from sidecar.errors import TemplateError, said, text_of

_FILENAME = "<payload template>"
_NEAR = 24


class Program:
    """One text, ready to be rendered often and by several threads."""

    def __init__(self, tree: nodes.Template, sources: Sources, max_size: int) -> None:
        code = generate(tree, ENVIRONMENT, None, _FILENAME, optimized=False)
        assert code is not None
        self._template = jinja2.Template.from_code(ENVIRONMENT, compile(code, _FILENAME, "exec"), {})
        self._sources = sources
        self._max_size = max_size
        self._constant = constant_text(tree)
        self._plain = plain(tree.body, max_size)

    @property
    def constant(self) -> str | None:
        """The text of a template without placeholders, None of any other."""
        return self._constant

    def run(self, scope: Mapping[str, Any]) -> str:
        """Return the rendered text, as it can be written in UTF-8. Raises TemplateError and nothing else."""
        if self._constant is not None:
            return self._constant
        text = self._plain.text(scope) if self._plain else None
        return mend(self._run(scope) if text is None else text)

    def _run(self, scope: Mapping[str, Any]) -> str:
        """Return what the compiled template writes."""
        pieces: list[str] = []
        room = self._max_size
        try:
            for piece in self._pieces(scope):
                pieces.append(piece)
                room -= len(piece)
                if room < 0:
                    raise PayloadTooLarge(
                        said("it renders to more than %(n)s characters", n=f"{self._max_size:,}")
                    )
        # A template is other people's code: whatever it runs into is its error, and must not end ours.
        except Exception as error:
            raise self._explained(error) from error
        return "".join(pieces)

    def run_proven(self, scope: Mapping[str, Any], proof: Proof) -> str:
        """Return the rendered text after proving that it is sound."""
        text = self.run(scope)
        try:
            proof.check(text)
        except Flaw as flaw:
            raise TemplateError(self._unsound(scope, text, flaw, proof.name)) from flaw
        return text

    def _pieces(self, scope: Mapping[str, Any]) -> Iterator[str]:
        context = RenderContext(ENVIRONMENT, {**ENVIRONMENT.globals, **scope}, None, {})
        context.budget = Budget(self._max_size)
        return self._template.root_render_func(context)

    def _explained(self, error: Exception) -> TemplateError:
        number = self._template.get_corresponding_lineno(_line_of(error.__traceback__))
        kind = PayloadTooLarge if isinstance(error, PayloadTooLarge) else TemplateError
        return kind(sentence(self._sources.problem(number, _reason(error), whole=True)))

    def _unsound(self, scope: Mapping[str, Any], text: str, flaw: Flaw, name: str) -> str:
        at = flaw.position
        if at is None:
            what = said("the result is no valid %(name)s: %(flaw)s", name=name, flaw=flaw.message)
            return sentence(self._sources.problem(1, what))
        near = f"{text[max(at - _NEAR, 0) : at]}⟶{text[at : at + _NEAR]}"
        what = said(
            "the result is no valid %(name)s: %(flaw)s at line %(line)s, column %(column)s of the result,"
            " near %(near)s",
            name=name,
            flaw=flaw.message,
            line=text.count("\n", 0, at) + 1,
            column=at - text.rfind("\n", 0, at),
            near=" ".join(near.split()),
        )
        return sentence(self._sources.problem(self._origin(scope, at), what, whole=True))

    def _origin(self, scope: Mapping[str, Any], position: int) -> int:
        # Rendered once more, to see at which line of the generated code the piece at that position comes out.
        pieces: Any = self._pieces(scope)
        line = 1
        for piece in pieces:
            line = pieces.gi_frame.f_lineno
            position -= len(piece)
            if position < 0:
                break
        return self._template.get_corresponding_lineno(line)


def constant_text(tree: nodes.Template) -> str | None:
    """Return the text of a template without placeholders, None for any other."""
    parts: list[str] = []
    for node in tree.body:
        for child in getattr(node, "nodes", [None]) if isinstance(node, nodes.Output) else [None]:
            if not isinstance(child, nodes.TemplateData):
                return None
            parts.append(child.data)
    return mend("".join(parts))


def _line_of(trace: TracebackType | None) -> int:
    line = 1
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _reason(error: Exception) -> str:
    if isinstance(error, Overrun):
        return said("this costs too much: %(why)s", why=text_of(error))
    if isinstance(error, RecursionError):
        return said("this calls itself, or is nested, too deeply")
    if isinstance(error, MemoryError):
        return said("this needs too much memory")
    if isinstance(error, OverflowError):
        return said("a number is too large here")
    return in_words(text_of(error)) or type(error).__name__
