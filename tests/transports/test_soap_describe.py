"""`mih services describe` prints what a SOAP service takes, and what it prints is taken."""

import json
from pathlib import Path

import pytest
import yaml

from sidecar.cli.main import main
from sidecar.clock import FakeClock
from sidecar.model import Outcome
from sidecar.settings import Service
from sidecar.transports import soap_cache
from sidecar.transports.base import open_transport
from tests.receiver import Receiver, hang_up
from tests.transports.conftest import request
from tests.transports.soapserver import SoapServer

ENROL = """\
# SisService.Soap11, SOAP 1.1
endpoint: Enrol
payload:
  student:  # Student
    id: 0  # int
    email: [""]  # string, any number, optional
    born: "2026-03-02"  # date, optional
    active: true  # boolean, optional
    photo: ""  # base64Binary, optional
    address:  # Address, optional
      street: ""  # string
      lines:  # ArrayOfString, optional
        string: [""]  # string, any number, optional
      kind: ""  # string
  course: ""  # string
  since: "2026-03-02T08:00:00Z"  # dateTime, optional
  fee:  # Amount, optional
    _value_1: 0  # decimal
    currency: ""  # string, optional
  note: ""  # string, optional
  unit:  # Unit, optional
    name: ""  # string
    unit: []  # Unit, any number, optional
"""


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    soap_cache.library.forget()


@pytest.fixture
def server(receiver: Receiver, tmp_path: Path) -> SoapServer:
    server = SoapServer(receiver)
    (tmp_path / "sidecar.yaml").write_text(
        "site: campus\nmoodle: {url: 'sqlite:///nowhere.sqlite'}\nservices:\n"
        f"  sis: {{type: soap, base_url: '{server.wsdl_url}'}}\n"
        "  crm: {base_url: 'https://crm.example.org'}\n"
    )
    return server


def run(folder: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["services", "describe", *args, "--config", str(folder / "sidecar.yaml")], FakeClock())
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_operations_are_printed_to_paste(
    server: SoapServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(tmp_path, capsys, "sis")

    assert code == 0
    assert out.startswith("# The WSDL of sis, read 2026-03-02T08:00:00Z\n\n" + ENROL)
    assert "endpoint: SisService.Soap12.Enrol\n" in out


def test_printed_payloads_are_taken_by_the_service(
    server: SoapServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = run(tmp_path, capsys, "sis")[1].split("\n\n")[1:]
    service = Service.model_validate({"type": "soap", "base_url": server.wsdl_url})
    transport = open_transport(service, FakeClock())

    rules = [yaml.safe_load(piece) for piece in pieces]
    sent = [
        transport.send(request(rule["endpoint"], body=json.dumps(rule["payload"]).encode())) for rule in rules
    ]

    transport.close()
    assert [rule["endpoint"] for rule in rules] == [
        "Enrol",
        "Note",
        "SisService.Soap12.Enrol",
        "SisService.Soap12.Note",
    ]
    assert [attempt.outcome for attempt in sent] == [Outcome.DELIVERED] * 4
    assert [call.version for call in server.calls] == ["1.1", "1.1", "1.2", "1.2"]


def test_json_has_arguments_and_payload(
    server: SoapServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(run(tmp_path, capsys, "sis", "--json")[1])

    assert found["stored"] is False
    assert found["offers"][1]["payload"] == {"a": 0}
    assert found["offers"][1]["arguments"] == [
        {"name": "a", "type": "int", "required": False, "repeated": False, "parts": [], "again": False}
    ]


def test_kept_copy_is_described_while_the_host_is_away(
    server: SoapServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, capsys, "sis")
    soap_cache.library.forget()
    for name in server.documents:
        server.receiver.on(f"/{name}", hang_up)

    code, out, _ = run(tmp_path, capsys, "sis", "--refresh")

    assert code == 0
    assert out.startswith("# The WSDL of sis, from the copy that was read 2026-03-02T08:00:00Z\n")


def test_no_wsdl_at_all_is_said(
    server: SoapServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.receiver.on("/sis.wsdl", hang_up)

    code, _, err = run(tmp_path, capsys, "sis")

    assert code == 1
    assert err == (
        f"The WSDL cannot be used: 127.0.0.1:{server.receiver.port} closed the connection without an answer\n"
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("crm", "crm is of type rest: only a SOAP service describes itself.\n"),
        ("sys", 'There is no service "sys", did you mean "sis"?\n'),
    ],
)
def test_other_services_are_not_described(
    server: SoapServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    code, _, err = run(tmp_path, capsys, name)

    assert (code, err) == (1, sentence)
