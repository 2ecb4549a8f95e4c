"""A rule's texts pass through here once, when the configuration is loaded, and become programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateAssertionError, TemplateSyntaxError, nodes
from jinja2.meta import TrackingCodeGenerator
from jinja2.parser import Parser

from sidecar.bridge.render.foreign import in_words
from sidecar.bridge.render.formats import CONDITION, JSON, STRING, TEXT, Format
from sidecar.bridge.render.jsonsafe import json_value
from sidecar.bridge.render.names import Names
from sidecar.bridge.render.program import Program
from sidecar.bridge.render.sandbox import ENVIRONMENT
from sidecar.bridge.render.soundness import Flaw, Proof
from sidecar.bridge.render.source import Sources, sentence
from sidecar.bridge.render.weave import Mistake, Weaver
from sidecar.errors import TemplateError, said, text_of
from sidecar.settings import Problem

_LONGEST_TEMPLATE = 262_144
_STRAIGHT = (nodes.Output, nodes.Assign, nodes.AssignBlock, nodes.Macro)


class BrokenRule(TemplateError):
    """The templates of a rule cannot be used. Carries all problems found, each at its option of the rule."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> list[str]:
        """The problems as sentences."""
        return [sentence(one) for one in self.problems]


class Compiler:
    """Turns the texts of one rule into programs; gathers what is wrong and which names they read."""

    def __init__(self, names: Names, max_size: int) -> None:
        self._names = names
        self.max_size = max_size
        self.names: frozenset[str] = frozenset()
        self.problems: list[Problem] = []

    def condition(self, label: str, text: str) -> Program | None:
        """Compile an expression; it renders to `true` or to nothing."""
        return self._program(label, lambda work: work.expression(label, text, CONDITION))

    def value(self, label: str, text: str) -> Program | None:
        """Compile an expression, or a text with placeholders; it renders to plain text."""
        if "{{" in text or "{%" in text:
            return self.text(label, text, TEXT)
        return self._program(label, lambda work: work.expression(label, text, TEXT))

    def text(self, label: str, text: str, form: Format) -> Program | None:
        """Compile a text of a format."""
        return self._program(label, lambda work: work.text(label, text, form))

    def proven_text(self, label: str, text: str, form: Format, proof: Proof) -> tuple[Program, bool] | None:
        """Compile text that has to be sound; also tell whether every rendering is, whatever the data."""
        proven = False

        def parse(work: "_Work") -> list[nodes.Node]:
            nonlocal proven
            body = work.text(label, text, form)
            proven = not work.problems and _proven(body, proof)
            return body

        program = self._program(label, parse)
        return (program, proven) if program else None

    def tree(self, label: str, value: object) -> Program | None:
        """Compile a mapping whose leaves are templates; every rendering of it is JSON."""
        return self._program(label, lambda work: list(work.tree(label, value)))

    def _program(self, label: str, parse: Callable[["_Work"], list[nodes.Node]]) -> Program | None:
        work = _Work(self._names)
        try:
            tree = nodes.Template(parse(work), lineno=1)
            tree.set_environment(ENVIRONMENT)
            self.names |= work.names
            if not work.problems:
                return Program(tree, work.sources, self.max_size)
        except Mistake as mistake:
            work.problems.append(mistake)
        except TemplateSyntaxError as error:
            work.problems.append(Mistake(in_words(error.message or "syntax error"), error.lineno))
        except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError) as error:
            why = text_of(error) if isinstance(error, ValueError) else said("it is nested too deeply")
            self.problems.append(Problem(label, said("this cannot be compiled: %(why)s", why=why)))
        self.problems += [
            work.sources.problem(found.number, found.message)
            for found in sorted(work.problems, key=lambda mistake: mistake.number)
        ]
        return None


class _Work:
    """One program being made."""

    def __init__(self, names: Names) -> None:
        self.sources = Sources()
        self.problems: list[Mistake] = []
        self.names: frozenset[str] = frozenset()
        self._names = names

    def text(self, label: str, text: str, form: Format) -> list[nodes.Node]:
        return self._woven(self._parsed(label, text), form)

    def expression(self, label: str, text: str, form: Format) -> list[nodes.Node]:
        parser = self._parser(label, text, "variable")
        if text.lstrip().startswith(("{{", "{%")):
            raise Mistake(said("this is an expression already: write it without {{ }}"), 1)
        node = parser.parse_expression()
        if not parser.stream.eos:
            raise Mistake(said("the expression should end before this"), parser.stream.current.lineno)
        return self._woven([nodes.Output([node], lineno=1)], form)

    def tree(self, label: str, value: object) -> Iterator[nodes.Node]:
        """Write the mapping as a JSON text: its leaves are then placeholders like any other."""
        match value:
            case str():
                yield nodes.Scope(self._leaf(label, value), lineno=1)
            case Mapping():
                yield from self._mapping(label, value)
            case list() | tuple():
                for index, entry in enumerate(value):
                    yield _literal("," if index else "[")
                    yield from self.tree(f"{label}[{index}]", entry)
                yield _literal("]" if value else "[]")
            case _:
                yield _literal(self._constant(label, value))

    def _mapping(self, label: str, value: Mapping[Any, Any]) -> Iterator[nodes.Node]:
        for index, (key, entry) in enumerate(value.items()):
            written = key if isinstance(key, str) else json_value(key)
            yield _literal(("," if index else "{") + json_value(written) + ":")
            yield from self.tree(f"{label}.{written}", entry)
        yield _literal("}" if value else "{}")

    def _leaf(self, label: str, text: str) -> list[nodes.Node]:
        body = self._parsed(label, text)
        match body:
            case [nodes.Output(nodes=[placeholder])] if not isinstance(placeholder, nodes.TemplateData):
                return self._woven(body, JSON)
        return [_literal('"'), *self._woven(body, STRING), _literal('"')]

    def _constant(self, label: str, value: object) -> str:
        try:
            return json_value(value)
        except (TypeError, ValueError) as error:
            number = self._parser(label, str(value)).stream.current.lineno
            raise Mistake(in_words(text_of(error)), number) from error

    def _parsed(self, label: str, text: str) -> list[nodes.Node]:
        return self._parser(label, text).parse().body

    def _parser(self, label: str, text: str, state: str | None = None) -> Parser:
        if len(text) > _LONGEST_TEMPLATE:
            raise ValueError(said("it is longer than %(n)s characters", n=f"{_LONGEST_TEMPLATE:,}"))
        parser = Parser(ENVIRONMENT, "")
        parser.stream = self.sources.tokens(ENVIRONMENT, label, text, state)
        return parser

    def _woven(self, body: list[nodes.Node], form: Format) -> list[nodes.Node]:
        tree = nodes.Template(body, lineno=1)
        local = frozenset(name.name for name in tree.find_all(nodes.Name) if name.ctx != "load")
        tree.body = Weaver(self._names, local, self.problems).text(body, form)
        tree.set_environment(ENVIRONMENT)
        self._check_names(tree)
        return tree.body

    def _check_names(self, tree: nodes.Template) -> None:
        try:
            used = _names_read(tree)
        except TemplateAssertionError:
            if self.problems:  # it found a filter or test that was reported already
                return
            raise
        for name in used:
            if name not in self._names:
                found = (node for node in tree.find_all(nodes.Name) if node.name == name)
                number = min((node.lineno for node in found if node.ctx == "load"), default=1)
                self.problems.append(Mistake(self._names.unknown(name), number))
        self.names |= used


def _names_read(tree: nodes.Template) -> set[str]:
    # jinja2.meta.find_undeclared_variables without its optimizer, which computes constants and may fail.
    generator = TrackingCodeGenerator(ENVIRONMENT)
    generator.optimizer = None
    generator.visit(tree)
    return generator.undeclared_identifiers


def _literal(text: str) -> nodes.Output:
    return nodes.Output([nodes.TemplateData(text, lineno=1)], lineno=1)


def _proven(body: Sequence[nodes.Node], proof: Proof) -> bool:
    """Tell whether a text is sound whatever its placeholders hold. Raises Mistake where it never can be.

    Without branches its shape is known now.
    """
    if not all(isinstance(node, _STRAIGHT) for node in body):
        return False
    parts = [part for node in body if isinstance(node, nodes.Output) for part in node.nodes]
    flaws = [(_flaw(parts, value, proof), value) for value in proof.stand_ins]
    if flaws[0][0] is None:
        return True
    flaw, value = flaws[-1]
    if flaw is not None:
        number = _number_at(parts, flaw.position or 0, value)
        text = said("this can never be valid %(name)s: %(flaw)s", name=proof.name, flaw=flaw.message)
        raise Mistake(text, number)
    return False


def _stand_in(part: nodes.Expr, value: str) -> str:
    if isinstance(part, nodes.TemplateData):
        return part.data
    return value if isinstance(part, nodes.Filter) and part.name == "json value" else ""


def _flaw(parts: Sequence[nodes.Expr], value: str, proof: Proof) -> Flaw | None:
    try:
        proof.check("".join(_stand_in(part, value) for part in parts))
    except Flaw as flaw:
        return flaw
    return None


def _number_at(parts: Sequence[nodes.Expr], position: int, value: str) -> int:
    for part in parts:
        length = len(_stand_in(part, value))
        if position < length:
            return part.lineno + (position if isinstance(part, nodes.TemplateData) else 0)
        position -= length
    return parts[-1].lineno if parts else 1
