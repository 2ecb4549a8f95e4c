"""What is said deeper down is shown in the reader's language: refusals, problems of forms, the audit."""

import ast
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from sidecar.errors import NotFound, said
from sidecar.web.pages.audit import in_words
from sidecar.web.pages.languages import language
from tests.cli.seeds import Seeds
from tests.web.conftest import Enter, MakeSite, Site

SIDECAR = Path(__file__).parents[2] / "sidecar"
# What answers programs only, in English.
OF_THE_API = ("accounts", "access", "asked", "deliveries", "explore", "letters", "once", "trials")
SHOWN = (
    *(path for path in (SIDECAR / "web").glob("*.py") if path.stem not in OF_THE_API),
    *(SIDECAR / "web" / "pages").glob("*.py"),
    *(SIDECAR / "workshop").glob("*.py"),
    *(SIDECAR / "store" / name for name in ("find.py", "faults.py")),
    *(SIDECAR / "bridge" / name for name in ("byhand.py", "letters.py")),
    # What the forms of services and rules are checked by.
    *(
        SIDECAR / "settings" / f"{name}.py"
        for name in (
            *("batching", "broker", "checks", "networks", "payloads", "policies", "sentences"),
            *("service", "typed_yaml", "values"),
        )
    ),
)
# Where in each its sentences stand.
SENTENCES = {
    "Fault": (2, 3),
    "NotFound": (0,),
    "Conflict": (0,),
    "LeftAlone": (0,),
    "BadPayload": (0,),
    "Problem": (1,),
    "ValueError": (0,),
}


def test_whatever_a_page_may_show_is_said_so_that_it_can_be_translated() -> None:
    bare = [where for path in SHOWN for where in bare_sentences(path)]

    assert bare == []


def bare_sentences(path: Path) -> Iterator[str]:
    """Yield where a sentence is written as plain text."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for at in SENTENCES.get(node.func.id, ()):
                if len(node.args) > at and isinstance(node.args[at], ast.Constant | ast.JoinedStr):
                    yield f"{path.name}:{node.lineno}"


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
        ("3 waiting deliveries: bury", "entregas en espera: 3, a la cola de errores"),
        ("17 dead letters", "mensajes de la cola de errores: 17"),
        ("service crm, rendered again, 5 a second", "service crm, generado de nuevo, 5 por segundo"),
        ("local, from 127.0.0.1", "local, desde 127.0.0.1"),
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
        "/nowhere": "No hay nada en esta dirección.",
        "/dead-letters/bulk?status=x": "Empezar de nuevo desde la cola de errores.",
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
        "Escribir una URL completa, por ejemplo https://crm.example.org/api",
        "retrys: clave desconocida; ¿se refiere a «retry»?",
        "se esperaba un mapa (clave: valor); aquí hay un número",
        "Moodle escribe los eventos con barras invertidas",
        "servicio desconocido",
        "escriba solo la ruta",
        "columna desconocida",
    )
    assert [words for words in wanted if words not in shown] == []
    assert re.findall(r"expected [^<]*|must be [^<]*|unknown [^<]*|did you mean[^<]*", shown) == []
