"""Sign-in by others in the configuration: what would let nobody in, or passwords be read, is told at load."""
# ruff: noqa: E501 - one case is one line

from pathlib import Path

import pytest

from sidecar.errors import ConfigError
from sidecar.settings import MoodleLoginSettings, Settings, load

HEAD = "site: campus\nmoodle: {url: sqlite:///moodle.sqlite}\n"
OIDC = "issuer: https://id.example.org, client_id: hub, view: [staff]"
NEEDED = "expected an address that begins with https://, such as https://id.example.org"


def loaded(folder: Path, text: str, env: dict[str, str] | None = None) -> Settings:
    path = folder / "sidecar.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load(path, env or {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web: {moodle_login: {}}", "web.moodle_login: where Moodle is has to be known: set site_url, such as https://moodle.example.org"),
        ("site_url: http://moodle.example.org\nweb: {moodle_login: {}}", "web.moodle_login: passwords would travel unencrypted: site_url has to begin with https://"),
        ("web: {local_login: false}", "web.local_login: nobody could sign in: configure web.moodle_login or web.oidc, or take this away"),
        ("web: {oidc: {issuer: 'http://id.example.org', client_id: hub, view: [a]}}", f"web.oidc.issuer: {NEEDED}"),
        ("web: {oidc: {issuer: 'https://[', client_id: hub, view: [a]}}", f"web.oidc.issuer: {NEEDED}"),
        ("web: {oidc: {issuer: 'https://id.example.org?x=1', client_id: hub, view: [a]}}", "web.oidc.issuer: no ? and no # here: this is the address by which the provider names itself"),
        ("web: {oidc: {issuer: https://id.example.org, client_id: hub}}", "web.oidc: nobody could sign in: list under manage or view the values of the claim that may"),
        (f"web: {{oidc: {{{OIDC}, scopes: profile}}}}", "web.oidc.scopes: openid has to be among them"),
        (f"web: {{oidc: {{{OIDC}, client_ids: x}}}}", 'web.oidc.client_ids: unknown key, did you mean "client_id"?'),
        ("web: {oidc: {client_id: hub, view: [a]}}", "web.oidc.issuer: missing (Address of the provider, exactly as it names itself)"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_at_load(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)

    [problem] = caught.value.problems
    assert problem.partition(" ")[2] == said


@pytest.mark.parametrize(
    "issuer", ["https://id.example.org/realms/a", "http://127.0.0.1:8081", "http://localhost"]
)
def test_a_provider_is_encrypted_or_on_this_machine(tmp_path: Path, issuer: str) -> None:
    settings = loaded(
        tmp_path, f"web: {{local_login: false, oidc: {{issuer: '{issuer}', client_id: hub, manage: [a]}}}}"
    )

    assert settings.web.oidc is not None
    assert (settings.web.oidc.issuer, settings.web.local_login) == (issuer, False)


def test_moodle_alone_lets_its_administrators_in(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "site_url: https://moodle.example.org\nweb: {moodle_login: {}}")

    assert settings.web.moodle_login == MoodleLoginSettings(service="moodle_mobile_app", manage=(), view=())


def test_the_clients_secret_comes_from_a_variable_and_is_not_shown(tmp_path: Path) -> None:
    settings = loaded(tmp_path, f"web: {{oidc: {{{OIDC}, client_secret: '${{S}}'}}}}", {"S": "tell-nobody"})

    assert settings.web.oidc is not None
    assert settings.web.oidc.client_secret.get_secret_value() == "tell-nobody"
    assert "tell-nobody" not in repr(settings)
