"""The section `web` of the configuration: what is refused at load, and what the doctor says of it."""

from pathlib import Path

import pytest

from sidecar.doctor.config import configuration
from sidecar.errors import ConfigError
from sidecar.settings import Settings, load, parse, read

HEAD = "site: campus\nmoodle: {url: 'sqlite:///m.sqlite'}\n"


def written(folder: Path, web: str) -> Path:
    path = folder / "sidecar.yaml"
    path.write_text(HEAD + f"web: {web}\n", encoding="utf-8")
    return path


def loaded(folder: Path, web: str) -> Settings:
    return load(written(folder, web), {"MIH_TOKEN": "0123456789abcdef"})


@pytest.mark.parametrize(
    ("web", "message"),
    [
        (
            "{tokens: [{name: a, token: 0123456789abcde}]}",
            "tokens[0].token: is shorter than 16 characters",
        ),
        (
            "{tokens: [{name: a, token: 'with a blank in it'}]}",
            "tokens[0].token: use letters, digits and",
        ),
        ("{tokens: [{name: a, token: '${MIH_TOKEN}', role: admin}]}", "expected one of view, call, manage"),
        ("{tokens: [{token: '${MIH_TOKEN}'}]}", "web.tokens[0].name"),
        (
            "{tokens: [{name: a, token: '${MIH_TOKEN}'}, {name: a, token: fedcba9876543210}]}",
            "two tokens have the same name",
        ),
        (
            "{tokens: [{name: a, token: '${MIH_TOKEN}'}, {name: b, token: '${MIH_TOKEN}'}]}",
            "two names have the same token",
        ),
        ("{port: 0}", "web.port: must be at least 1"),
        ("{host: 'http://here'}", "web.host: this is no address"),
    ],
)
def test_what_makes_no_sense_is_refused_at_load(tmp_path: Path, web: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, web)

    assert message in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


def test_a_token_is_stars_wherever_it_is_printed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "{tokens: [{name: a, token: '${MIH_TOKEN}'}]}")

    assert settings.web.tokens[0].token.get_secret_value() == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings) + settings.model_dump_json()


def test_without_a_section_it_listens_on_this_machine_and_lets_nobody_in(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "")

    assert settings.web.place == (True, "127.0.0.1", 8080, None)
    assert settings.web.tokens == ()


def test_the_doctor_warns_of_open_doors(tmp_path: Path) -> None:
    source = read(written(tmp_path, "{host: 0.0.0.0, tokens: [{name: a, token: 0123456789abcdef}]}"), {})

    found = {finding.subject: finding.text for finding in configuration(parse(source), source)}

    assert "listens on 0.0.0.0 without TLS" in found["web.host"]
    assert any("web.tokens[0].token" in subject for subject in found)
