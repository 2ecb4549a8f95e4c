"""A parsed template passes through here: names are checked, each placeholder gets its escaper."""

from collections.abc import Sequence
from math import isfinite

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from sidecar.bridge.render.filters import FILTERS
from sidecar.bridge.render.formats import BETWEEN, JSON, OUTSIDE, TEXT, Format, Stand
from sidecar.bridge.render.names import Names
from sidecar.bridge.render.sandbox import ENVIRONMENT
from sidecar.errors import said
from sidecar.settings.wording import did_you_mean

_REFUSED = {
    "Include": said("a payload stands alone, it cannot include another file"),
    "Import": said("a payload stands alone, it cannot import"),
    "FromImport": said("a payload stands alone, it cannot import"),
    "Extends": said("a payload stands alone, it cannot extend another"),
    "Block": said("a payload stands alone, blocks have no use here"),
    "CallBlock": said("%(tag)s has no use here: call the macro", tag="{% call %}"),
    "ScopedEvalContextModifier": said(
        "%(tag)s has no use here: everything is escaped already", tag="{% autoescape %}"
    ),
}


class Mistake(Exception):
    """What is wrong with a template, and at which place."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.message = message
        self.number = number or 1  # nodes that the parser makes up have none


class Weaver:
    """Puts escapers into the statements of one text. `problems` gathers everything that is wrong."""

    def __init__(self, names: Names, local: frozenset[str], problems: list[Mistake]) -> None:
        self._expressions = _Expressions(names, local, problems)
        self._problems = problems

    def text(self, body: Sequence[nodes.Node], form: Format) -> list[nodes.Node]:
        """Return the body of a whole text of a format."""
        before = len(self._problems)
        woven, end = self._body(body, form, form.start)
        if end.where == BETWEEN and len(self._problems) == before:
            self._problems.append(Mistake(said("this quote is never closed"), end.since))
        return woven

    def _body(self, body: Sequence[nodes.Node], form: Format, stand: Stand) -> tuple[list[nodes.Node], Stand]:
        woven: list[nodes.Node] = []
        for node in body:
            statements, stand = self._statement(node, form, stand)
            woven += statements
        return woven, stand

    def _statement(self, node: nodes.Node, form: Format, stand: Stand) -> tuple[list[nodes.Node], Stand]:
        match node:
            case nodes.Output(nodes=[nodes.CondExpr() as choice]) if _only_punctuation(choice, form, stand):
                return [self._as_statement(choice, form, stand)], stand
            case nodes.Output(nodes=[_, _, *_]):
                return self._body([nodes.Output([n], lineno=n.lineno) for n in node.nodes], form, stand)
            case nodes.Output():
                stand = self._output(node, form, stand)
            case nodes.If():
                stand = self._if(node, form, stand)
            case nodes.For():
                self._for(node, form, stand)
            case nodes.With():
                node.values = [self._expressions.visit(value) for value in node.values]
                node.body, stand = self._body(node.body, form, stand)
            case nodes.Assign():
                node.node = self._expressions.visit(node.node)
            case nodes.AssignBlock() | nodes.FilterBlock():
                return self._captured(node, form, stand)
            case nodes.Macro():
                node.defaults = [self._expressions.visit(default) for default in node.defaults]
                node.body = self.text(node.body, TEXT)
            case nodes.Scope(body=[nodes.ScopedEvalContextModifier() as inner]):
                return self._statement(inner, form, stand)
            case _:
                kind = type(node).__name__
                why = _REFUSED.get(kind) or said("%(kind)s has no use here", kind=kind)
                self._problems.append(Mistake(why, node.lineno))
        return [node], stand

    def _as_statement(self, node: nodes.CondExpr, form: Format, stand: Stand) -> nodes.If:
        # {{ "," if not loop.last }}, as everybody writes it: the comma is the author's text, no value.
        branches = [
            [nodes.Output([nodes.TemplateData(choice.value, lineno=node.lineno)], lineno=node.lineno)]
            if isinstance(choice, nodes.Const)
            else []
            for choice in (node.expr1, node.expr2)
        ]
        statement = nodes.If(node.test, branches[0], [], branches[1], lineno=node.lineno)
        self._if(statement, form, stand)
        return statement

    def _output(self, node: nodes.Output, form: Format, stand: Stand) -> Stand:
        for index, child in enumerate(node.nodes):
            if isinstance(child, nodes.TemplateData):
                stand = form.after(stand, child.data, child.lineno)
                child.data = form.literal(child.data)
                continue
            refusal = form.refusal(stand)
            if refusal is not None:
                self._problems.append(Mistake(refusal, child.lineno))
            node.nodes[index] = _filtered(self._expressions.visit(child), form.escaper(stand), child.lineno)
        return stand

    def _if(self, node: nodes.If, form: Format, stand: Stand) -> Stand:
        ends = []
        for name, branch in (("if", node), *(("elif", other) for other in node.elif_)):
            branch.test = self._expressions.visit(branch.test)
            branch.body, end = self._body(branch.body, form, stand)
            ends.append((name, branch.lineno, end))
        if node.else_:
            else_line = node.else_[0].lineno
            node.else_, end = self._body(node.else_, form, stand)
            ends.append(("else", else_line, end))
        else:
            ends.append(("no else", node.lineno, stand))
        _, _, first = ends[0]
        for name, number, end in ends[1:]:
            if end.where != first.where:
                how = said(
                    "the branches disagree: after `if` we stand %(first)s, after `%(name)s` %(here)s",
                    first=first.where,
                    name=name,
                    here=end.where,
                )
                self._problems.append(Mistake(how, number))
        return first

    def _for(self, node: nodes.For, form: Format, stand: Stand) -> None:
        if node.recursive:
            self._problems.append(Mistake(said("recursive loops have no use here"), node.lineno))
        weight = sum(len(data.data) for part in node.body for data in part.find_all(nodes.TemplateData))
        node.iter = _filtered(self._expressions.visit(node.iter), "each one", node.iter.lineno, weight)
        if node.test is not None:
            node.test = self._expressions.visit(node.test)
        for name in ("body", "else_"):
            branch: list[nodes.Node] = getattr(node, name)
            woven, end = self._body(branch, form, stand)
            setattr(node, name, woven)
            if end.where != stand.where:
                how = said(
                    "the loop's %(part)s begins %(first)s and ends %(last)s",
                    part=name.rstrip("_"),
                    first=stand.where,
                    last=end.where,
                )
                self._problems.append(Mistake(how, node.lineno))

    def _captured(
        self, node: nodes.AssignBlock | nodes.FilterBlock, form: Format, stand: Stand
    ) -> tuple[list[nodes.Node], Stand]:
        node.body = self.text(node.body, TEXT)
        if node.filter is not None:
            node.filter = self._expressions.visit(node.filter)
        if isinstance(node, nodes.AssignBlock):
            return [node], stand
        # A filter block writes past every escaper; as a set block, its result is a value like any other.
        name = f"_filtered_{node.lineno}"
        kept = nodes.AssignBlock(nodes.Name(name, "store"), node.filter, node.body, lineno=node.lineno)
        shown = _filtered(nodes.Name(name, "load", lineno=node.lineno), form.escaper(stand), node.lineno)
        return [kept, nodes.Output([shown], lineno=node.lineno)], stand


class _Expressions(NodeTransformer):
    """Checks names, filters and tests, and turns into counted filters what would escape the count."""

    def __init__(self, names: Names, local: frozenset[str], problems: list[Mistake]) -> None:
        self._names = names
        self._local = local
        self._problems = problems

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802
        if node.name in {"self", "caller", "varargs", "kwargs"}:
            self._report(said('there is no "%(name)s" in a payload', name=node.name), node)
        return node

    def visit_List(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if all(isinstance(entry, nodes.Const) for entry in node.iter_child_nodes()):
            return node
        return _filtered(node, "a container", node.lineno)

    visit_Tuple = visit_List  # noqa: N815
    visit_Dict = visit_List  # noqa: N815

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802
        if isinstance(node.value, float) and not isfinite(node.value):
            self._report(said("this number is too large"), node)
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        self._check_field(node.node, node.attr, node)
        # As an item: a key of the data goes before a method of the same name, {{ other.items }}.
        key = nodes.Const(node.attr, lineno=node.lineno)
        return nodes.Getitem(self.visit(node.node), key, "load", lineno=node.lineno)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        if isinstance(node.arg, nodes.Slice):
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            args = [self.visit(bound) if bound else nodes.Const(None) for bound in bounds]
            return nodes.Filter(self.visit(node.node), "a slice", args, [], None, None, lineno=node.lineno)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            self._check_field(node.node, node.arg.value, node)
        return self.generic_visit(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        callee = node.node
        if not isinstance(callee, nodes.Getattr):
            return self.generic_visit(node)
        self._check_method(callee)
        callee.node = self.visit(callee.node)
        node.args = [self.visit(value) for value in node.args]
        node.kwargs = [self.visit(value) for value in node.kwargs]
        if callee.attr == "replace" and len(node.args) in {2, 3}:
            return nodes.Filter(callee.node, "replace", node.args, [], None, None, lineno=node.lineno)
        if callee.attr == "join" and len(node.args) == 1:
            return nodes.Filter(node.args[0], "join", [callee.node], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        parts = nodes.List([self.visit(part) for part in node.nodes], lineno=node.lineno)
        return _filtered(parts, "a concatenation", node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        if node.name not in FILTERS:
            hint = did_you_mean(node.name, sorted(FILTERS))
            self._report(said('there is no filter "%(name)s"%(hint)s', name=node.name, hint=hint), node)
        return self.generic_visit(node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802
        tests = sorted(name for name in ENVIRONMENT.tests if name.isalpha())
        if node.name not in ENVIRONMENT.tests:
            hint = did_you_mean(node.name, tests)
            self._report(said('there is no test "%(name)s"%(hint)s', name=node.name, hint=hint), node)
        return self.generic_visit(node)

    def _check_field(self, owner: nodes.Expr, field: str, node: nodes.Node) -> None:
        if isinstance(owner, nodes.Name) and owner.name not in self._local:
            self._report(self._names.unknown_field(owner.name, field), node)
        if field.startswith("_"):
            self._report(said('"%(name)s": names that begin with _ cannot be read', name=field), node)

    def _check_method(self, callee: nodes.Getattr) -> None:
        if isinstance(callee.node, nodes.Name) and callee.node.name not in self._local:
            self._report(self._names.unknown_method(callee.node.name, callee.attr), callee)
        if callee.attr.startswith("_") or callee.attr in {"format", "format_map"}:
            text = said('"%(name)s" cannot be called here: join text with ~', name=callee.attr)
            self._report(text, callee)

    def _report(self, message: str | None, node: nodes.Node) -> None:
        if message:
            self._problems.append(Mistake(message, node.lineno))


def _only_punctuation(node: nodes.CondExpr, form: Format, stand: Stand) -> bool:
    choices = (node.expr1, node.expr2 or nodes.Const(""))
    if form is not JSON or stand.where != OUTSIDE:
        return False
    written = [choice.value for choice in choices if isinstance(choice, nodes.Const)]
    return all(isinstance(text, str) and not text.strip(" ,\n") for text in written) and (
        len(written) == 2 and "," in "".join(written)
    )


def _filtered(node: nodes.Expr, name: str, number: int, *args: object) -> nodes.Filter:
    return nodes.Filter(node, name, [nodes.Const(arg) for arg in args], [], None, None, lineno=number)
