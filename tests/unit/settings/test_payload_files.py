"""Payload files are read at load, problems point into them, and a change of any file is seen."""

import os
from pathlib import Path

import pytest

from sidecar.errors import ConfigError
from sidecar.settings import Problem, Watcher, load, parse, read, report

TEXT = """\
site: campus
moodle: {url: sqlite:///moodle.sqlite}
services:
  crm: {base_url: 'https://crm.example.org', auth: {type: bearer, token: file:token}}
rules:
  - name: r
    event: \\core\\event\\user_created
    service: crm
    payload: user.json.j2
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "payloads").mkdir()
    (tmp_path / "payloads" / "user.json.j2").write_text('{"id": {{ objectid }}}\n', encoding="utf-8")
    (tmp_path / "token").write_text("s3cret\n", encoding="utf-8")
    path = tmp_path / "sidecar.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["user.json.j2", "file:user.json.j2", "payloads/user.json.j2", "'file: payloads/user.json.j2'"]
)
def test_a_payload_may_name_a_file(config: Path, name: str) -> None:
    config.write_text(TEXT.replace("user.json.j2", name), encoding="utf-8")

    settings = load(config, {})

    assert settings.rules[0].payload == '{"id": {{ objectid }}}\n'


@pytest.mark.parametrize("payload", ["'{{ user.name }}.j2'", "|\n      a\n      b.j2\n", "'{}'"])
def test_a_text_that_only_looks_like_a_file_is_a_template(config: Path, payload: str) -> None:
    config.write_text(TEXT.replace("user.json.j2", payload), encoding="utf-8")

    settings = load(config, {})

    assert settings.rules[0].payload in ("{{ user.name }}.j2", "a\nb.j2\n", "{}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("usr.json.j2", 'there is no file "usr.json.j2" in {}, did you mean "user.json.j2"?'),
        ("nothing.j2", 'there is no file "nothing.j2" in {}; there is user.json.j2'),
        ("../token.j2", 'a payload file has to be inside {}, "../token.j2" is not'),
        ("file:../token", 'a payload file has to be inside {}, "../token" is not'),
        ("file:/etc/hostname", 'a payload file has to be inside {}, "/etc/hostname" is not'),
        ("link.j2", 'a payload file has to be inside {}, "link.j2" is not'),
        ("file:binary", 'the payload file "binary" is not UTF-8'),
        ("empty.j2", 'the payload file "empty.j2" is empty'),
        ("folder.j2", 'the payload file "folder.j2" cannot be read: Is a directory'),
    ],
)
def test_a_payload_file_that_cannot_be_used_is_told(config: Path, name: str, expected: str) -> None:
    folder = config.parent / "payloads"
    config.write_text(TEXT.replace("user.json.j2", name), encoding="utf-8")
    if name == "link.j2":
        (folder / name).symlink_to("/etc/hostname")
    if name == "folder.j2":
        (folder / name).mkdir()
    if name == "empty.j2":
        (folder / name).touch()
    (folder / "binary").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError) as caught:
        load(config, {})

    assert caught.value.problems == [f"{config}:9 rules[0].payload: {expected.format(folder)}"]


def test_a_place_is_shown_with_its_line_in_the_file_where_its_text_stands(config: Path) -> None:
    config.write_text(TEXT + "  - name: s\n    payload: |\n      {\n      }\n", encoding="utf-8")

    source = read(config, {})

    assert source.where("rules[0].payload") == f"{config}:9 rules[0].payload"
    assert source.where("rules[0].payload", 1) == f"{config.parent}/payloads/user.json.j2:1 rules[0].payload"
    assert source.where("rules[1].payload", 2) == f"{config}:13 rules[1].payload"
    assert source.where("rules[1].event") == f"{config}:10 rules[1].event"
    assert source.where("") == f"{config}:1"


def test_other_rooms_report_their_problems_in_the_same_words(config: Path) -> None:
    source = read(config, {})
    parse(source)

    lines = report(
        source,
        [Problem("rules[0].payload", "unknown name", text_line=1), Problem("services.crm", "unreachable")],
    )

    assert lines == [
        f"{config}:4 services.crm: unreachable",
        f"{config.parent}/payloads/user.json.j2:1 rules[0].payload: unknown name",
    ]


@pytest.mark.parametrize("name", ["sidecar.yaml", "payloads/user.json.j2", "token"])
def test_a_change_of_any_file_is_seen(config: Path, name: str) -> None:
    source = read(config, {})
    watcher = Watcher(source.looks)
    before = watcher.changed()

    path = config.parent / name
    path.write_text(path.read_text(encoding="utf-8") + "\n# more\n", encoding="utf-8")

    assert before is False
    assert watcher.changed() is True
    assert read(config, {}).fingerprint != source.fingerprint


def test_a_file_that_was_only_touched_is_not_changed(config: Path) -> None:
    source = read(config, {})
    watcher = Watcher(source.looks)

    os.utime(config, (1, 1))

    assert watcher.changed() is False
    assert read(config, {}).fingerprint == source.fingerprint


def test_a_missing_file_that_appears_is_a_change(config: Path) -> None:
    (config.parent / "token").unlink()
    watcher = Watcher(read(config, {}).looks)
    before = watcher.changed()

    (config.parent / "token").write_text("new", encoding="utf-8")

    assert before is False
    assert watcher.changed() is True


def test_a_file_that_disappears_is_a_change(config: Path) -> None:
    watcher = Watcher(read(config, {}).looks)

    config.unlink()

    assert watcher.changed() is True
    assert Watcher(read(config, {}).looks).changed() is False
