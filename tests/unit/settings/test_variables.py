"""What comes from outside the file gets in, and never out through an error."""

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ConfigError
from sidecar.settings import load, read
from sidecar.settings.variables import escape, expand

HEAD = "site: campus\nmoodle: {url: sqlite:///moodle.sqlite}\n"
SECRET = "Zq7_planted_secret_9vX"

FULL = """
site: {site}
moodle: {{url: {moodle.url}, prefix: {moodle.prefix}}}
store: {{migrate: {store.migrate}}}
tail: {{start: {tail.start}, poll: {tail.poll}}}
dispatch: {{concurrency: {dispatch.concurrency}}}
retention: {{log_rows: {retention.log_rows}}}
services:
  crm:
    type: {services.crm.type}
    base_url: {services.crm.base_url}
    auth: {{type: {services.crm.auth.type}, token: {services.crm.auth.token}}}
    headers: {{X-Key: {services.crm.headers.X-Key}}}
    timeout: {services.crm.timeout}
    enabled: {services.crm.enabled}
rules:
  - name: {rules[0].name}
    event: {rules[0].event}
    service: {rules[0].service}
    endpoint: {rules[0].endpoint}
    method: {rules[0].method}
    where: {{courseid: {rules[0].where.courseid}}}
    max_event_age: {rules[0].max_event_age}
    anonymous: {rules[0].anonymous}
"""
VALID = {
    "site": "campus",
    "moodle.url": "sqlite:///moodle.sqlite",
    "moodle.prefix": "mdl_",
    "store.migrate": "apply",
    "tail.start": "latest",
    "tail.poll": "1",
    "dispatch.concurrency": "64",
    "retention.log_rows": "500",
    "services.crm.type": "rest",
    "services.crm.base_url": "https://crm.example.org",
    "services.crm.auth.type": "bearer",
    "services.crm.auth.token": "t",
    "services.crm.headers.X-Key": "k",
    "services.crm.timeout": "5",
    "services.crm.enabled": "true",
    "rules[0].name": "r",
    "rules[0].event": "*",
    "rules[0].service": "crm",
    "rules[0].endpoint": "/users",
    "rules[0].method": "POST",
    "rules[0].where.courseid": "2",
    "rules[0].max_event_age": "24h",
    "rules[0].anonymous": "mask",
}


def full(folder: Path) -> Path:
    """Write a file in which every value comes from a variable: V0, V1, ..."""
    text = FULL
    for number, place in enumerate(VALID):
        text = text.replace(f"{{{place}}}", f'"${{V{number}}}"')
    path = folder / "sidecar.yaml"
    path.write_text(text.replace("{{", "{").replace("}}", "}"), encoding="utf-8")
    return path


def environment(**changed: str) -> dict[str, str]:
    return {f"V{number}": changed.get(place, value) for number, (place, value) in enumerate(VALID.items())}


def config(folder: Path, text: str) -> Path:
    path = folder / "sidecar.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, env: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, env)
    return [problem.removeprefix(f"{path.parent}/") for problem in caught.value.problems]


def test_every_value_can_come_from_the_environment(tmp_path: Path) -> None:
    settings = load(full(tmp_path), environment())

    assert settings.dispatch.concurrency == 64
    assert settings.retention.log_rows == 500
    assert settings.services["crm"].enabled is True
    assert settings.rules[0].where == {"courseid": 2}


@pytest.mark.parametrize("place", VALID)
@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        f"mysql://u:{SECRET}@h/m",
        f"mysql+pymysql://u:{SECRET}@h@h/m",
        f"https://u:{SECRET}@h/?x",
        f"\\{SECRET}\\x",
        f"{SECRET}/event/x",
        f"file:/nowhere/{SECRET}",
        f"{SECRET}\n",
    ],
)
def test_a_secret_in_the_wrong_place_is_in_no_error(tmp_path: Path, place: str, secret: str) -> None:
    path = full(tmp_path)
    told = ""

    try:
        load(path, environment(**{place: secret}))
    except ConfigError as error:
        told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__)

    assert SECRET not in told
    assert SECRET.lower() not in told.lower()


def test_the_source_and_its_repr_hide_what_came_from_outside(tmp_path: Path) -> None:
    source = read(full(tmp_path), environment(**{"services.crm.auth.token": SECRET}))

    assert SECRET not in repr(source)
    assert SECRET not in repr(expand("${A}", {"A": SECRET}))


def test_an_unset_variable_is_named_with_its_place(tmp_path: Path) -> None:
    path = config(tmp_path, "site: campus\nmoodle:\n  url: mysql+pymysql://${USR}:${PWD_}@db/moodle\n")

    assert problems(path, {}) == [
        (
            "sidecar.yaml:3 moodle.url: ${USR}, ${PWD_} are not set in the environment: set it, or write a"
            " default as ${NAME:-default}"
        )
    ]


def test_a_wrong_value_names_the_variable_it_came_from(tmp_path: Path) -> None:
    path = config(tmp_path, HEAD + "dispatch: {concurrency: '${MIH_CONCURRENCY}'}\n")

    assert problems(path, {"MIH_CONCURRENCY": "lots"}) == [
        (
            "sidecar.yaml:3 dispatch.concurrency: expected a whole number, got text"
            " (its value comes from ${MIH_CONCURRENCY})"
        )
    ]


def test_an_empty_moodle_url_is_told_clearly(tmp_path: Path) -> None:
    path = config(tmp_path, "site: campus\nmoodle: {url: '${MOODLE_DB_URL}'}\n")

    assert problems(path, {"MOODLE_DB_URL": ""}) == [
        (
            "sidecar.yaml:2 moodle.url: this is empty: give the URL of a database, such as"
            " mysql+pymysql://user:password@host/moodle (its value comes from ${MOODLE_DB_URL})"
        )
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("<${A}/${A}>", "<one/one>"),
        ("${B:-two}", "two"),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY}", ""),
        ("${B:-}", ""),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("${{ price }}", "${{ price }}"),
        ("$A {A} $", "$A {A} $"),
    ],
)
def test_variables_are_replaced(text: str, expected: str) -> None:
    expanded = expand(text, {"A": "one", "EMPTY": ""})

    assert (expanded.text, expanded.problem) == (expected, None)


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-b}", "${A:?b}", "${A B}"])
def test_a_malformed_variable_is_explained(text: str) -> None:
    assert expand(text, {"A": "one"}).problem == (
        "${ starts a variable, such as ${NAME}, ${NAME:-default} or ${secret:NAME};"
        " a literal ${ is written $${"
    )


@given(st.text(alphabet=st.sampled_from("${}:-aA_ \\é")))
def test_an_escaped_text_comes_back_whatever_it_is(text: str) -> None:
    assert expand(escape(text), {}).text == text


@given(st.text())
def test_a_value_is_put_in_once_and_never_looked_at_again(value: str) -> None:
    assert expand("<${A}>", {"A": value, "B": "no"}).text == f"<{value}>"


def test_templates_keep_what_looks_like_a_variable(tmp_path: Path) -> None:
    templates = "when: \"'${A}' != ''\", payload: {price: '${A}', l: ['file:/x']}"
    rule = f"- {{name: r, event: '*', service: crm, {templates}}}"
    path = config(tmp_path, f"{HEAD}services: {{crm: {{base_url: 'https://x'}}}}\nrules:\n{rule}\n")

    settings = load(path, {})

    assert settings.rules[0].when == "'${A}' != ''"
    assert settings.rules[0].payload == {"price": "${A}", "l": ["file:/x"]}


@pytest.mark.parametrize(
    "written", ["file:{}/token", "file:token", "'${{CRM_TOKEN}}'", "'file:${{DIR}}/token'"]
)
def test_a_secret_file_is_read_without_its_last_line_break(tmp_path: Path, written: str) -> None:
    (tmp_path / "token").write_text("s3cret\n", encoding="utf-8")
    auth = f"{{type: bearer, token: {written.format(tmp_path)}}}"
    path = config(tmp_path, f"{HEAD}services: {{crm: {{base_url: 'https://x', auth: {auth}}}}}\n")

    settings = load(path, {"CRM_TOKEN": f"file:{tmp_path}/token", "DIR": str(tmp_path)})

    assert settings.services["crm"].auth.token.get_secret_value() == "s3cret"  # type: ignore[union-attr]


def test_a_secret_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    auth = "{type: bearer, token: 'file:/run/secrets/none'}"
    path = config(tmp_path, f"{HEAD}services: {{crm: {{base_url: 'https://x', auth: {auth}}}}}\n")

    assert problems(path, {}) == [
        (
            "sidecar.yaml:3 services.crm.auth.token: the file it names cannot be read:"
            " No such file or directory (its value comes from file:/run/secrets/none)"
        )
    ]
