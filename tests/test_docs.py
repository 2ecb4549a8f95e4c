"""The pages for people: nothing that the product has is missing from its page, and links lead somewhere."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from sidecar.bridge.render import FILTERS
from sidecar.bridge.render.sandbox import MAPPING_METHODS, TEXT_METHODS, TIME_FIELDS, TIME_METHODS
from sidecar.cli.main import cli
from sidecar.errors import ExitCode
from sidecar.model import EVENT_COLUMNS, CircuitState, DeadReason, DeliveryState, Held, Outcome
from sidecar.moodle.lookups import COLUMNS
from sidecar.settings import TRANSPORTS, NoAuth, Settings, parse_duration
from sidecar.store.tables import metadata
from sidecar.web.app import routes as routes_of_the_api

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "sidecar/README.md")),
    ]
)
# Explained once, above the table of commands.
_SHARED = frozenset(("--config", "--json", "--limit", "--yes", "--help"))


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def names_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def settings(model: type[BaseModel] = Settings, place: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every option with its place; `*` stands for the name of a service and the number of a rule."""
    for name, field in model.model_fields.items():
        inner = list(models(field.annotation))
        if not inner or name == "auth":
            yield place + name, field
        for one in inner:
            star = "*." if get_origin(field.annotation) in (Mapping, tuple) else ""
            yield from settings(one, f"{place}{name}.{star}")


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of the page's tables by the first one, without its backticks."""
    lines = (line for line in text.splitlines() if line.startswith("| `"))
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {cells[0].strip("`"): cells for cells in rows}


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    _, _, rest = text.partition(f"\n{heading}\n")
    assert rest, f"there is no {heading}"
    return re.split(rf"\n#{{1,{len(level)}}} ", rest)[0]


def undocumented(words: Any, text: str) -> list[str]:
    return [str(word) for word in words if f"`{word}`" not in text]


OPTIONS = dict(settings())


def test_the_walk_over_the_settings_finds_the_deepest() -> None:
    assert {"site", "services.*.retry.backoff", "services.*.auth.token", "rules.*.where"} <= set(OPTIONS)


def test_every_option_has_its_row() -> None:
    assert [place for place in OPTIONS if place not in table_rows(page("configuration.md"))] == []


def test_no_row_describes_an_option_that_is_not_there() -> None:
    rows = table_rows(page("configuration.md"))
    first = {place.partition(".")[0] for place in OPTIONS}

    places = [name for name in rows if re.fullmatch(r"[a-z_]+(\.[a-z_*]+)*", name) and "." in name]

    assert [place for place in places if place not in OPTIONS and place.partition(".")[0] in first] == []


@pytest.mark.parametrize("place", [place for place in OPTIONS if not place.endswith("auth.type")])
def test_the_default_of_an_option_is_the_real_one(place: str) -> None:
    written = table_rows(page("configuration.md"))[place][2].strip("`")

    assert is_default(written, OPTIONS[place]), f"{place}: {written}"


def is_default(written: str, field: FieldInfo) -> bool:
    if field.is_required():
        return written == "required"
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, NoAuth):
        return written == "{type: none}"
    if isinstance(value, bool):
        return written == str(value).lower()
    if isinstance(value, int | float):
        return parse_duration(written) == value
    if value == "":
        return written == "empty"
    return written == (value or "none")


def test_every_kind_of_service_is_explained() -> None:
    assert undocumented(TRANSPORTS, table_rows(page("configuration.md"))["services.*.type"][1]) == []


def test_the_spanish_page_has_every_option() -> None:
    assert undocumented(OPTIONS, page("es/configuracion.md")) == []


def commands(command: click.Command = cli, path: str = "mih") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands())


def test_the_walk_over_the_commands_finds_the_deepest() -> None:
    assert {"mih run", "mih dlq replay", "mih gaps list"} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_a_row_with_its_options(path: str) -> None:
    rows = [line for line in page("operations.md").splitlines() if line.startswith("| `mih")]
    mentioned = [row for row in rows if re.search(rf"`{path}[ `]", row)]
    group = path.rpartition(" ")[0]
    around = "\n".join(mentioned + [row for row in rows if f"`{group} list" in row])

    assert mentioned
    assert [option for option in own_options(COMMANDS[path]) if option not in around] == []


def own_options(command: click.Command) -> list[str]:
    options = [item for item in command.params if isinstance(item, click.Option)]
    longest = [max(item.opts, key=len) for item in options]
    return [name for name in longest if name not in _SHARED]


def test_options_that_all_commands_share_are_explained() -> None:
    assert [name for name in _SHARED if name not in page("operations.md")] == []


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_every_column_of_a_table_has_its_row(name: str) -> None:
    rows = table_rows(section(page("database.md"), f"### `{name}`"))

    assert sorted(rows) == sorted(column.name for column in metadata.tables[name].columns)


def test_every_view_grant_and_report_is_listed() -> None:
    views = {
        name
        for file in (ROOT / "sql" / "views").glob("*.sql")
        for name in re.findall(r"CREATE VIEW (\w+)", file.read_text())
    }
    reports = {file.name for file in (ROOT / "sql" / "reports").iterdir()}
    text = page("database.md")

    assert views
    assert undocumented(views, text) == []
    assert [name for name in reports if f"(../sql/reports/{name})" not in text] == []


def test_every_name_of_a_template_is_explained() -> None:
    text = page("templates.md")
    names = section(text, "## Names")

    assert (
        undocumented([*EVENT_COLUMNS, "event", "rule", "service", "delivery.id", "site", "now"], names) == []
    )
    assert undocumented(TEXT_METHODS | MAPPING_METHODS | TIME_FIELDS, names) == []
    assert [name for name in TIME_METHODS if f"`{name}()`" not in names] == []


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_of_a_lookup_is_listed(name: str) -> None:
    rows = table_rows(section(page("templates.md"), "### Lookups"))
    listed = rows["user" if rows[name][2] == "as `user`" else name][2]

    assert tuple(re.findall(r"`(\w+)`", listed)) == COLUMNS[name]


def test_filters_are_explained_as_the_code_does() -> None:
    rows = table_rows(section(page("templates.md"), "## Filters"))

    assert {name: cells[1] for name, cells in rows.items()} == dict(FILTERS)


def test_every_fate_of_a_delivery_is_explained() -> None:
    text = page("resilience.md")
    letters = table_rows(section(text, "## Dead letters"))

    assert sorted(letters) == sorted(DeadReason)
    assert sorted(table_rows(section(text, "## Held back"))) == sorted(Held)
    assert undocumented([*Outcome, *CircuitState, *DeliveryState], text) == []


def test_spanish_advice_covers_every_reason() -> None:
    assert undocumented(DeadReason, page("es/operacion.md")) == []


def test_every_line_of_the_log_is_explained() -> None:
    sources = (
        path.read_text(encoding="utf-8")
        for path in (ROOT / "sidecar").rglob("*.py")
        if "demo" not in path.parts
    )
    events = {name for text in sources for name in re.findall(r'\.\w+\(\s*"([a-z]+\.[a-z_]+)[: ]', text)}

    assert {"sidecar.started", "delivery.attempted", "tail.stopped"} <= events
    assert [name for name in sorted(events) if name not in page("operations.md")] == []


def routes() -> set[str]:
    """Return all routes of the HTTP API as `METHOD /path`."""
    paths = routes_of_the_api().openapi()["paths"]
    return {f"{method.upper()} {path}" for path in paths for method in paths[path]}


def test_every_route_of_the_api_has_its_row() -> None:
    assert set(table_rows(section(page("api.md"), "## Routes"))) == routes()


def test_the_spanish_page_has_every_route() -> None:
    assert undocumented(routes(), page("es/operacion.md")) == []


def test_every_error_code_of_the_api_is_listed() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "sidecar" / "web").glob("*.py")]
    codes = {code for text in sources for code in re.findall(r'Fault\(\s*\d{3},\s*"(\w+)"', text)}

    assert {"unauthorized", "key_reused"} <= codes
    assert undocumented(codes, section(page("api.md"), "## Errors")) == []


def test_exit_codes_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page("operations.md"), re.MULTILINE)

    assert {name: int(number) for number, name in rows} == {code.name: code.value for code in ExitCode}


@pytest.mark.parametrize("path", PAGES, ids=names_of)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)

    assert [link for link in links if not link.startswith("https://") and not resolves(path, link)] == []


def resolves(path: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (path.parent / name) if name else path
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=names_of)
def test_a_page_is_finished_and_speaks_of_the_product_alone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert re.findall(r"\b(?:TODO|FIXME|TBD|XXX|lorem)\b", text) == []
    assert re.findall(r"(?<![\w&])#\d+\b|\bissues? \d|/work/|/root/|/home/", text) == []


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("../README.md", "es/README.md"),
        ("configuration.md", "es/configuracion.md"),
        ("templates.md", "es/plantillas.md"),
        ("operations.md", "es/operacion.md"),
        ("dashboard.md", "es/panel.md"),
    ],
)
def test_a_page_for_users_is_there_in_both_languages(english: str, spanish: str) -> None:
    top_english, top_spanish = (page(name)[:600] for name in (english, spanish))

    assert Path(spanish).name in top_english
    assert Path(english).name in top_spanish
    assert resolves(DOCS / spanish, f"../{english}")


def test_the_first_page_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_picture_stands_alone() -> None:
    picture = (DOCS / "images" / "demo.svg").read_text(encoding="utf-8")

    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "lms-analytics" in picture
