"""Every page in Spanish is in Spanish: what is typed wrong, what went wrong, what a table keeps of that."""

import json
import re
from collections.abc import Mapping
from html import unescape

import pytest

from sidecar.clock import FakeClock
from sidecar.model import Circuit, CircuitState
from sidecar.settings import Definition, Kind
from sidecar.store import circuits, definitions, dlq, vault
from sidecar.store.vault import Keys, new_key
from sidecar.transports.words import hung_up, no_way, unanswered
from sidecar.web.pages.languages import language
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.receiver import Receiver, answer
from tests.rows import insert_rows, log_row
from tests.web.conftest import Enter, MakeSite, Site

sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

SPANISH = {"Accept": "text/html", "Accept-Language": "es"}
EVENT = r"\core\event\user_created"
RULE = {
    "name": "mine",
    "event": EVENT,
    "service": "crm",
    "state": "on",
    "content": "template",
    "payload": "1",
}
SERVICE = {"name": "erp", "type": "rest", "auth": "none", "base_url": "https://erp.example.org", "do": "save"}
# Words that stand in nearly every English sentence and in no Spanish one.
ENGLISH = re.compile(
    r"\b(the|is|are|was|were|not|no such|cannot|there|this|that|its?|with|which|must|expected|missing"
    r"|unknown|answered|needs?|of an?|to be)\b"
)

# What is typed into the editor of rules, and a part of what the preview says of it.
OF_RULES: tuple[tuple[Mapping[str, str], str], ...] = (
    ({"payload": "{{ usrid }}"}, "no existe «usrid»; ¿quería decir «userid»?"),
    ({"payload": "{{ course.visibl }}"}, "«course» no tiene «visibl»"),
    ({"payload": "{{ userid | uper }}"}, "no existe el filtro «uper»"),
    ({"payload": "{{ userid is odd2 }}"}, "no existe la comprobación «odd2»"),
    ({"payload": "{% foo %}"}, "no existe la etiqueta 'foo'"),
    ({"payload": "{% if userid %}1"}, "la plantilla termina antes de cerrar su bloque 'if'"),
    ({"payload": "{% if userid %}1{% endfor %}"}, "aquí no existe la etiqueta 'endfor'"),
    ({"payload": "{{ $ }}"}, "el carácter '$' no puede ir aquí"),
    ({"payload": "{{ userid userid }}"}, "aquí se espera"),
    ({"payload": '{% include "x" %}'}, "no puede incluir otro archivo"),
    ({"payload": '{"a": "{{ userid }}}'}, "esta comilla no se cierra"),
    ({"payload": '{% if userid %}"{% endif %}'}, "las ramas no coinciden: tras `if` se está entre comillas"),
    ({"payload": '{"a" 1}'}, "esto nunca puede ser JSON válido: falta ':'"),
    ({"payload": "{{ other.nobody }}"}, "falta «nobody»; hay: username"),
    ({"payload": "{{ userid // 0 }}"}, "se divide por cero"),
    ({"payload": "{{ userid < 'x' }}"}, "'<' no se puede usar con 'int' y 'str'"),
    ({"payload": "{{ userid + 'x' }}"}, "+ no puede sumar un número y texto: una los textos con ~"),
    ({"payload": "{% for x in userid %}1{% endfor %}"}, "un bucle necesita una lista y esto es un número"),
    ({"payload": "{{ 2 ** 99999 }}"}, "esto cuesta demasiado: el número tiene más de 4,096 bits"),
    ({"payload": "<a>{{ userid }}</b>", "format": "xml"}, "se cierra una etiqueta que no es la abierta"),
    ({"payload": '{"a": 1}', "format": "xapi"}, "un statement de xAPI necesita actor, verb y object"),
    ({"content": "event", "format": "text"}, "el formato text necesita un texto o un archivo"),
    ({"when": "userid =="}, "la expresión termina antes de tiempo"),
    ({"when": "{{ userid }}"}, "esto ya es una expresión"),
    ({"endpoint": "/{{ other.nobody }}"}, "falta «nobody»"),
    ({"headers": "X-A: {{ x }}"}, "no existe «x»"),
    ({"where": "courseid: [2"}, "línea 1: no es YAML válido: falta una coma o ]"),
    ({"where": "\tcourseid: 2"}, "hay un tabulador: en YAML la sangría se hace con espacios"),
    ({"where": "courseid: *x"}, "un valor que empieza por * necesita comillas"),
    ({"more": "order_by: usrid"}, "no existe «usrid»"),
    ({"more": "timeout: 100"}, "el tiempo de espera (regla mine: 100)"),
)
OF_SERVICES: tuple[tuple[Mapping[str, str], str], ...] = (
    ({"proxy": "socks://x"}, "se esperaba http://proxy.example.org:3128"),
    ({"ca": "none.pem"}, "no se puede leer el archivo"),
    ({"more": "http2: true", "base_url": "http://erp.example.org"}, "se acuerda al negociar TLS"),
    ({"more": "a: 'b"}, "no es YAML válido: una comilla no se cierra"),
    ({"more": "tls: {key: x.pem}"}, "una clave sin su certificado"),
    ({"type": "soap", "more": "gzip: true"}, "esto es solo para servicios de tipo rest"),
    (
        {"auth": "oauth2", "auth_token_url": "x", "auth_client_id": "a"},
        "https://login.example.org/oauth2/token",
    ),
    (
        {"auth": "bearer", "auth_token": "0123456789abcdef"},
        "no hay ninguna clave con la que guardar secretos",
    ),
)
# What a table keeps as it was said, and what pages make of it.
KEPT = {
    no_way("crm:443", "[Errno 111]"): "no se pudo conectar con crm:443: [Errno 111]",
    unanswered("crm:443", 5): "crm:443 no respondió en 5 s",
    hung_up("crm:443", heard=True): "crm:443 cerró la conexión a mitad de su respuesta",
    "answered 503 Service Unavailable": "respondió 503 Service Unavailable",
    'payload, line 1, column 2, {{ other.x }}: "x" is missing; there is a and b': (
        "payload, línea 1, columna 2, {{ other.x }}: falta «x»; hay: a y b"
    ),
    "endpoint, line 1, column 4, {{ other }}: a header takes plain ASCII only: use `| urlencode`": (
        "endpoint, línea 1, columna 4, {{ other }}: una cabecera solo admite ASCII: use `| urlencode`"
    ),
    "the payload has 900 bytes; batch.max_bytes of the rule r is 5": (
        "el contenido tiene 900 bytes; batch.max_bytes de la regla r es 5"
    ),
    "the network rules refuse crm is at 10.0.0.1, which is private: add 10.0.0.1/32 to network.allow to allow"
    " it": (
        "las reglas de red lo impiden: crm está en 10.0.0.1, que es una dirección privada: para permitirla,"
        " añada 10.0.0.1/32 a network.allow"
    ),
    dlq.EXPIRED: "esperó más que el expires_after de su regla",
    "Nur auf Deutsch: geht nicht": "Nur auf Deutsch: geht nicht",
    "sea: unknown": "sea: unknown",
    "": "",
}

STANDS_STILL = (
    "the newest row of mdl_logstore_standard_log is 5, but rows up to 9000 were read already: the table was"
    " restored or emptied. Nothing is read until you decide where to go on: `mih cursor set latest`, or"
    " `mih cursor set ID` to read again from that row."
)


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database."""
    return moodle_db


@pytest.fixture
def number(database: Database) -> int:
    """A row of the log."""
    return insert_rows(database.url, [log_row(eventname=EVENT, other='{"username": "ada"}')])[0]


def english(page: str, typed: str = "") -> list[str]:
    """Return what is English of all that a page shows, but for what was typed."""
    bare = re.sub(r"(?s)<(script|style|svg|textarea|datalist).*?</\1>", "", page)
    texts = (" ".join(unescape(one).split()) for one in re.split(r"<[^>]+>", bare))
    return [one for one in texts if ENGLISH.search(one.replace(typed, "") if typed else one)]


@sqlite
@pytest.mark.usefixtures("number")
def test_what_is_typed_wrong_is_said_in_spanish(make_site: MakeSite, enter: Enter) -> None:
    manager = enter(make_site(), "manage")
    part = {**SPANISH, "HX-Request": "true"}

    rules = [(manager.post("/rules/-/preview", {**RULE, **one}, **part), one, told) for one, told in OF_RULES]
    services = [
        (manager.post("/services/-/new", {**SERVICE, **one}, **SPANISH), one, told)
        for one, told in OF_SERVICES
    ]

    shown = [(answer.text, one, told) for answer, one, told in (*rules, *services)]
    assert [(one, told) for page, one, told in shown if told not in unescape(page)] == []
    assert [one for page, one, _ in shown if english(page, one.get("payload", ""))] == []


@sqlite
def test_what_a_try_meets_is_said_in_spanish(make_site: MakeSite, enter: Enter, receiver: Receiver) -> None:
    closed = {"base_url": "http://127.0.0.1:1"}
    soap = {"type": "soap", "base_url": f"{receiver.url}/wsdl"}
    receiver.otherwise(answer(404))
    manager = enter(
        make_site(services={"crm": {"base_url": receiver.url}, "erp": closed, "sis": soap}), "manage"
    )
    part = {**SPANISH, "HX-Request": "true"}

    shown = [
        *(manager.post(f"/services/{name}/test", {}, **part).text for name in ("crm", "erp", "sis")),
        manager.post("/services/-/try", {**SERVICE, "name": "lms", "base_url": receiver.url}, **part).text,
        manager.post("/services/-/operations", {**SERVICE, **soap}, **part).text,
    ]

    wanted = (
        "respondió 404 Not Found",
        "no se pudo conectar con 127.0.0.1:1",
        "respondió 404 Not Found",
        "las reglas de red lo impiden: 127.0.0.1, que es la dirección de la propia máquina (loopback)",
        "El WSDL no se puede usar: las reglas de red lo impiden",
    )
    assert [told for told, page in zip(wanted, shown, strict=True) if told not in unescape(page)] == []
    assert [found for page in shown if (found := english(page))] == []


@pytest.mark.parametrize(("text", "spanish"), KEPT.items())
def test_what_was_kept_as_text_is_recognised(text: str, spanish: str) -> None:
    assert language("es").tell(str(text)) == spanish
    assert language("en").tell(str(text)) == text


def test_a_long_text_of_a_stranger_is_looked_through_at_once() -> None:
    strange = "a, b: c; " * 200

    assert language("es").tell(strange) == strange


@sqlite
def test_no_page_of_what_went_wrong_has_an_english_sentence(
    make_site: MakeSite, enter: Enter, clock: FakeClock, number: int
) -> None:
    site = make_site(
        rules=[{"name": "new-user", "event": EVENT, "service": "crm", "payload": "{{ other.x }}"}]
    )
    letter = went_wrong(site, clock, number)
    manager = enter(site, "manage")

    paths = (
        *("/", "/services", "/services/crm", "/services/erp", "/services/-/new", "/rules", "/rules/mine"),
        *("/rules/new-user", "/rules/-/new", "/deliveries", "/requests", "/dead-letters", "/events"),
        *(f"/events/{number}", f"/dead-letters/{letter}", f"/dead-letters/{letter}/comparison"),
        *(f"/rules/new-user/preview?log_id={number}", f"/deliveries/{letter}", "/dead-letters/bulk"),
        *("/ledger", "/audit", "/settings", "/about"),
    )
    shown = {path: manager.get(path, **SPANISH).text for path in paths}

    assert {path: found for path, page in shown.items() if (found := english(page))} == {}
    assert "crm:443 no respondió en 5 s" in unescape(shown["/services/crm"])
    assert "falta «x»; hay: username" in unescape(shown[f"/dead-letters/{letter}/comparison"])
    assert "no existe «usrid»" in unescape(shown["/rules/mine"])
    assert "no hay ninguna clave configurada" in unescape(shown["/services/erp"])
    assert "la tabla se restauró o se vació" in unescape(shown["/"])


def went_wrong(site: Site, clock: FakeClock, number: int) -> str:
    """Let happen what can; return the id of a dead letter."""
    now, seeds = clock.now(), Seeds(site.store, clock)
    seeds.replica()
    seeds.cursor(9_000, problem=STANDS_STILL)
    seeds.delivery(number + 1)
    seeds.rejected(number + 2)
    letter = seeds.unrendered(number, error=next(one for one in KEPT if one.startswith("payload, ")))
    rule = {"name": "mine", "event": EVENT, "service": "crm", "payload": "{{ usrid }}"}
    token = "${secret:services.erp.auth.token}"
    service = {"base_url": "https://erp.example.org", "auth": {"type": "bearer", "token": token}}
    with site.store.write() as conn:
        for kind, name, section in ((Kind.RULE, "mine", rule), (Kind.SERVICE, "erp", service)):
            definitions.add(conn, Definition(kind, name, json.dumps(section), 1, "ada", now))
        vault.put(conn, Keys(new_key()), "services.erp.auth.token", "t", now=now)
        failed = Circuit("crm", CircuitState.OPEN, 5, now, now, str(unanswered("crm:443", 5)), now)
        circuits.create(conn, ["crm"], now=now)
        circuits.save(conn, failed, now=now)
    site.hub.refresh()
    return letter.delivery_id
