"""What is said deeper down is shown in the reader's language: refusals, problems of forms, the audit."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from pathlib import Path

import pytest

from sidecar.errors import NotFound, said
from sidecar.web.pages.audit import in_words
from sidecar.web.pages.languages import language
from tests.cli.seeds import Seeds
from tests.web.conftest import Enter, MakeSite, Site

SIDECAR = Path(__file__).parents[2] / "sidecar"
# Rooms whose sentences reach pages, at once or from a table.
ROOMS = ("bridge", "moodle", "settings", "store", "transports", "web", "workshop")
# English all the same: what answers only the API and commands.
NEVER_SHOWN = (
    *(f"web/{name}.py" for name in ("accounts", "access", "asked", "deliveries", "explore", "letters")),
    *("web/once.py", "web/trials.py", "bridge/ids.py", "bridge/planned.py", "transports/asking.py"),
)
# Where in each its sentences stand.
SENTENCES = {
    "AddressRefused": (0,),
    "Attempt": (),
    "BadPayload": (0,),
    "BadYaml": (0,),
    "BrokerUnavailable": (0,),
    "CannotOpen": (0,),
    "Conflict": (0,),
    "Fault": (2, 3),
    "Flaw": (0, 2),
    "HubError": (0,),
    "LeftAlone": (0,),
    "Misfit": (0,),
    "Mistake": (0,),
    "NoEnvelope": (0,),
    "NoKey": (0,),
    "NotFound": (0,),
    "NotPhpData": (0,),
    "Overrun": (0,),
    "PayloadTooLarge": (0,),
    "Problem": (1,),
    "Secrets": (),
    "TemplateError": (0,),
    "Trouble": (0,),
    "TypeError": (0,),
    "Unsent": (0,),
    "ValueError": (0,),
    "WsdlUnavailable": (0,),
}
BY_NAME = ("closed", "error", "problem", "unknown", "other_problem")


def test_whatever_a_page_may_show_is_said_so_that_it_can_be_translated() -> None:
    files = [path for room in ROOMS for path in sorted((SIDECAR / room).rglob("*.py"))]
    shown = [path for path in files if str(path.relative_to(SIDECAR)) not in NEVER_SHOWN]

    assert [where for path in shown for where in bare_sentences(path)] == []


def test_a_sentence_is_found_bare_whatever_leads_to_it() -> None:
    code = """
def one(name):
    text = f"there is no {name}" if name else "there is none"
    raise NotFound(text)

def two(name):
    raise NotFound(_WHY)

def three(name):
    text = said("there is none")
    raise NotFound(text)

_WHY = "it is not there"
"""

    assert list(bare_in(ast.parse(code), "x")) == ["x:4", "x:7"]


def bare_sentences(path: Path) -> Iterator[str]:
    """Yield where a sentence is written as plain text."""
    yield from bare_in(ast.parse(path.read_text("utf-8")), path.name)


def bare_in(tree: ast.Module, name: str) -> Iterator[str]:
    """Yield where a sentence is plain text: as an argument, or under a name that is one."""
    of_module = _assigned(tree.body)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        named = of_module | _assigned(ast.walk(function))
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if any(_is_bare(one, named) for one in _sentences_of(call)):
                yield f"{name}:{call.lineno}"


def _sentences_of(call: ast.Call) -> Iterator[ast.expr]:
    places = SENTENCES.get(call.func.id) if isinstance(call.func, ast.Name) else None
    if places is None:
        return
    yield from (call.args[at] for at in places if len(call.args) > at)
    yield from (one.value for one in call.keywords if one.arg in BY_NAME)


def _assigned(body: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def _is_bare(value: ast.expr, named: Mapping[str, list[ast.expr]]) -> bool:
    match value:
        case ast.Name():
            return any(_is_bare(one, {}) for one in named.get(value.id, ()))
        case ast.IfExp():
            return _is_bare(value.body, named) or _is_bare(value.orelse, named)
        case ast.BoolOp():
            return any(_is_bare(one, named) for one in value.values)
        case ast.Constant():
            return isinstance(value.value, str) and " " in value.value
        case ast.JoinedStr():
            words = "".join(str(one.value) for one in value.values if isinstance(one, ast.Constant))
            return bool(re.search("[a-z]{2} | [a-z]{2}", words))
        case _:
            return False


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    hint = said("; there is %(names)s", names=said("%(names)s and %(last)s", names="crm", last="erp"))
    error = NotFound(said('There is no service "%(name)s"%(hint)s', name="x", hint=hint))

    assert str(error) == 'There is no service "x"; there is crm and erp'
    assert language("es").tell(error.text) == "No hay ningún servicio «x»; hay: crm y erp"
    assert language("es").tell("as it is") == "as it is"


@pytest.mark.parametrize(
    ("text", "spanish"),
    [
        ("timeout, auth.token (secret)", "timeout, auth.token (secreto)"),
        ("3 waiting deliveries: bury", "entregas pendientes: 3, a la cola de errores"),
        ("17 dead letters", "mensajes de la cola de errores: 17"),
        ("service crm, rendered again, 5 a second", "service crm, generado de nuevo, 5 por segundo"),
        ("local, from 127.0.0.1", "local, desde 127.0.0.1"),
        ("from 5 to 90", "de la 5 a la 90"),
        ("log row 5 and 3 more", "fila 5 y 3 más"),
        ("2 secrets sealed anew", "secretos cifrados de nuevo: 2"),
        ("rejected", "rechazada definitivamente"),
        ("something new", "something new"),
        ("", ""),
    ],
)
def test_details_of_the_audit_are_translated_piece_by_piece(text: str, spanish: str) -> None:
    assert in_words(language("es"), text) == spanish


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_pages_in_spanish_refuse_in_spanish(site: Site, seeds: Seeds, enter: Enter) -> None:
    manager, viewer = enter(site, "manage"), enter(site, "view")
    html = {"Accept": "text/html", "Accept-Language": "es"}
    seeds.rejected(1)

    asked = {
        "/services/nobody": "No hay ningún servicio «nobody»",
        "/rules/nobody": "No hay ninguna regla «nobody»",
        "/deliveries/99": "No hay ninguna entrega «99»",
        "/dead-letters/nobody": "No hay ningún mensaje «nobody»",
        "/nowhere": "Ninguna página del panel tiene esta dirección.",
        "/dead-letters/bulk?status=x": "Empiece de nuevo desde la cola de errores.",
        "/services/crm?span=9y": "aquí va uno de los valores conocidos",
        "/log/99999999999999999999": "aquí va un número dentro de sus límites",
    }

    shown = {path: manager.get(path, **html).text for path in asked}
    assert [path for path, words in asked.items() if words not in shown[path]] == []
    assert "tiene el rol view; esto necesita manage" in viewer.get("/audit", **html).text
    unsigned = manager.post("/services/crm/pause", {"csrf": "-"}, **html)
    assert "Esto no vino de un formulario de esta sesión" in unsigned.text


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_forms_in_spanish_say_what_is_wrong_in_spanish(make_site: MakeSite, enter: Enter) -> None:
    manager = enter(make_site(), "manage")
    html = {"Accept": "text/html", "Accept-Language": "es"}
    service = {"name": "erp", "type": "rest", "auth": "none", "do": "save"}
    rule = {"name": "mine", "event": "*", "service": "crm", "state": "on", "content": "event", "do": "save"}

    bad_service = {
        "base_url": "ftp://x",
        "timeout": "0",
        "more": "retrys: {}\nretry: 3\ntls: {verify: maybe}",
    }
    bad_rule = {"event": "user/created", "service": "crn", "endpoint": "https://x", "where": "useridd: 5"}
    shown = unescape(manager.post("/services/-/new", {**service, **bad_service}, **html).text)
    shown += unescape(manager.post("/rules/-/new", {**rule, **bad_rule}, **html).text)

    wanted = (
        "Escriba una URL completa, por ejemplo https://crm.example.org/api",
        "retrys: clave desconocida; ¿quería decir «retry»?",
        "se esperaba un mapa (clave: valor); aquí hay un número",
        "Moodle escribe los eventos con barras invertidas",
        "servicio desconocido",
        "escriba solo la ruta",
        "columna desconocida",
    )
    assert [words for words in wanted if words not in shown] == []
    assert re.findall(r"expected [^<]*|must be [^<]*|unknown [^<]*|did you mean[^<]*", shown) == []
