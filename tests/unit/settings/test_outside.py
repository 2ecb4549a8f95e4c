"""How a service is reached: what cannot work is told at load, with the remedy and without the secret."""
# ruff: noqa: E501 - one case is one line

from pathlib import Path

import certifi
import pytest

from sidecar.errors import ConfigError
from sidecar.settings import NetworkRules, Settings, load, status_set

HEAD = "site: campus\nmoodle: {url: sqlite:///moodle.sqlite}\n"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLasw"
MAKE_ONE = 'expected whsec_ and base64 of 24 to 64 random bytes; this makes one: echo "whsec_$(openssl rand -base64 32)"'
STATUSES = "expected statuses from 100 to 599 and ranges of them, such as [404, 500-599]"
ESCAPED = "in the user name and the password %40 stands for @, %2F for /, %3A for :"


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "sidecar.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "sidecar.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load(path, {})


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "transfer-encoding", "CONNECTION", "Host", "Expect", "Upgrade", "TE", "Proxy-Authorization"],
)  # fmt: skip
def test_headers_that_frame_the_message_are_refused_everywhere(tmp_path: Path, name: str) -> None:
    text = (
        f"services:\n  crm:\n    base_url: https://x\n    headers: {{{name}: a}}\n    auth: {{type: apikey, key: k, header: {name}}}\n"
        f"rules:\n- name: r\n  event: '*'\n  service: crm\n  headers: {{{name}: b}}\n"
    )

    said = f"{name} is set by the transport, from the body and the URL: take it out"
    assert problems(tmp_path, text) == [
        f"sidecar.yaml:6 services.crm.headers: {said}",
        f"sidecar.yaml:7 services.crm.auth.header: {said}",
        f"sidecar.yaml:12 rules[0].headers: {said}",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("proxy: 'proxy.example.org:3128'", ".proxy: expected http://proxy.example.org:3128; what is sent to https:// is encrypted on its way"),
        ("proxy: 'https://p.example'", ".proxy: expected http://proxy.example.org:3128; what is sent to https:// is encrypted on its way"),
        ("proxy: 'http://u:p4ss/word@p.example'", f".proxy: its host or port cannot be read; {ESCAPED}"),
        ("proxy: 'http://p.example/path'", f".proxy: nothing may follow the port; {ESCAPED}"),
        ("http2: true, base_url: 'http://x'", ".http2: it is agreed upon in the TLS handshake: it needs https:// in base_url"),
        ("signing: {}", ".signing.secret: missing (whsec_ and base64 of 24 to 64 random bytes)"),
        ("signing: {secret: s3cret}", f".signing.secret: {MAKE_ONE}"),
        ("signing: {secret: whsec_c2hvcnQ=}", f".signing.secret: {MAKE_ONE}"),
        ("signing: {secret: 'whsec_not base64 at all, not base64 at all'}", f".signing.secret: {MAKE_ONE}"),
        (f"signing: {{secret: {SECRET}, previous: [x]}}", f".signing.previous[0]: {MAKE_ONE}"),
        ("success_status: [2xx]", f".success_status: {STATUSES}"),
        ("success_status: []", ".success_status: this must not be empty"),
        ("retry_status: [600]", f".retry_status: {STATUSES}"),
        ("retry_status: true", f".retry_status: {STATUSES}"),
        ("retry_status: 599-500", ".retry_status: the range 599-500 is empty: write 500-599"),
        ("connect_timeout: 0", ".connect_timeout: must be more than 0"),
        ("tls: {ca: none.pem}", ".tls.ca: the file cannot be read: No such file or directory"),
        ("tls: {ca: sidecar.yaml}", ".tls.ca: the file holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"),
        ("tls: {cert: sidecar.yaml, key_password: p4ss}", ".tls.cert: certificate and key cannot be used: both have to be PEM and belong together, and an encrypted key needs the right key_password"),
        ("tls: {key: sidecar.yaml}", ".tls.key: a key without its certificate: name that in cert"),
        ("tls: {verify: false}", ".tls.verify: unknown key; there is ca, cert, key and key_password"),
        ("auth: {type: apikey, key: k, query: 'a&b'}", ".auth.query: use letters, digits, dot, dash, underscore and tilde"),
        ("auth: {type: oauth2, token_url: x, client_id: a, client_secret: b}", ".auth.token_url: expected a URL such as https://login.example.org/oauth2/token"),
        ("auth: {type: oauth2, token_url: 'https://u:p4ss@x', client_id: a, client_secret: b}", ".auth.token_url: no user and password here: use auth: {type: basic, username: ..., password: ...}"),
    ],
)  # fmt: skip
def test_a_way_that_cannot_work_is_told_in_plain_words(tmp_path: Path, options: str, expected: str) -> None:
    base = "" if "base_url" in options else "base_url: 'https://x', "

    found = problems(tmp_path, f"services:\n  crm: {{{base}{options}}}\n")

    assert found == [f"sidecar.yaml:4 services.crm{expected}"]
    assert "p4ss" not in found[0]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[10.1.2.3/8]", "network.allow[0]: this has bits beyond its length: write 10.0.0.0/8"),
        ("[campus.example.org]", "network.allow[0]: expected a range of addresses such as 10.20.0.0/16, 192.0.2.7 or fd00:20::/32"),
        ("10.0.0.0/8", "network.allow: expected a list (- item), got text"),
    ],
)  # fmt: skip
def test_a_range_that_is_none_is_mended(tmp_path: Path, written: str, expected: str) -> None:
    assert problems(tmp_path, f"network: {{allow: {written}}}\n") == [f"sidecar.yaml:3 {expected}"]


def test_services_of_the_file_get_its_network_rules_and_others_stricter_ones(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "network: {allow: [198.18.0.0/15], deny: [10.0.0.0/8]}\nservices: {crm: {base_url: 'https://x'}}\n",
    )

    service = settings.services["crm"]
    assert service.network == settings.network.rules(private=True)
    assert [str(net) for net in service.network.deny] == ["10.0.0.0/8"]
    assert service.network.private
    strict = service.within(settings.network.rules(private=False))
    assert (strict.network.private, service.network.private) == (False, True)
    # A lane compares services to see whether it has to be made anew.
    assert strict != service
    assert service == service.within(service.network)


def test_a_service_cannot_choose_its_own_network_rules(tmp_path: Path) -> None:
    found = problems(tmp_path, "services: {crm: {base_url: 'https://x', network: {}}}\n")

    assert ["services.crm.network: unknown key" in one for one in found] == [True]
    assert (
        loaded(tmp_path, "services: {crm: {base_url: 'https://x'}}").services["crm"].network == NetworkRules()
    )


def test_names_of_certificate_files_start_at_the_configuration_file(tmp_path: Path) -> None:
    ca = Path(certifi.where())
    (tmp_path / "ca.pem").write_bytes(ca.read_bytes())

    for written in ("ca.pem", tmp_path / "ca.pem"):
        settings = loaded(
            tmp_path, f"services: {{crm: {{base_url: 'https://x', tls: {{ca: '{written}'}}}}}}\n"
        )
        assert settings.services["crm"].tls.ca == str(tmp_path / "ca.pem")


def test_connection_never_gets_more_time_than_the_request(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "services:\n  a: {base_url: 'https://x', timeout: 2}\n  b: {base_url: 'https://x', timeout: 20}\n"
        "  c: {base_url: 'https://x', timeout: 20, connect_timeout: 12s}\n",
    )

    times = {name: service.connect_timeout_s for name, service in settings.services.items()}
    assert times == {"a": 2, "b": 5, "c": 12}


def test_secrets_of_the_way_are_never_printed(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "services:\n  crm:\n    base_url: https://x\n    proxy: http://u:p4ss@p.example:3128\n"
        f"    signing: {{secret: {SECRET}, previous: [{SECRET}]}}\n"
        "    auth: {type: oauth2, token_url: 'https://l/t', client_id: c, client_secret: p4ss}\n",
    )

    shown = f"{settings!r} {settings.services['crm'].model_dump(mode='json')}"
    assert "p4ss" not in shown
    assert SECRET.removeprefix("whsec_") not in shown


def test_statuses_are_figures_and_ranges() -> None:
    assert status_set("200-202, 404") == {200, 201, 202, 404}
    assert status_set("") == frozenset()


def test_a_secret_that_is_not_there_yet_hides_nothing_else(tmp_path: Path) -> None:
    text = (
        "services:\n"
        '  crm:\n    base_url: crm.example.org\n    signing: {secret: "${secret:a}"}\n    proxy: "${secret:b}"\n'
        '  erp:\n    base_url: https://erp.example.org\n    auth: {type: bearer, token: "${secret:c}"}\n    retries: 3\n'
        '  sis:\n    base_url: https://sis.example.org\n    signing: {secret: "${secret:a}"}\n    proxy: "${secret:b}"\n'
    )

    assert problems(tmp_path, text) == [
        "sidecar.yaml:5 services.crm.base_url: expected a URL such as https://crm.example.org/api",
        'sidecar.yaml:11 services.erp.retries: unknown key, did you mean "retry"?',
    ]
