"""Bad input: every problem says where, what and how to mend, all in one report."""
# ruff: noqa: E501 - one case is one line

from pathlib import Path

import pytest

from sidecar.errors import ConfigError
from sidecar.settings import load

HEAD = "site: campus\nmoodle: {url: sqlite:///moodle.sqlite}\nservices: {judgeman: {base_url: 'https://j.example.org'}}\n"
RULE = HEAD + "rules:\n- name: r\n  event: '*'\n  service: judgeman\n"


def problems(folder: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    """Return what is wrong with a file, each line without the folder."""
    path = folder / "sidecar.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, env or {})
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_all_problems_come_in_one_report_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "site: my campus\n"
        "moodle: {url: sqlite:///m.sqlite, prefix: 3}\n"
        "tail:\n"
        "  pol: 1\n"
        "services:\n"
        "  judgeman: {base_url: 'https://j.example.org', timeout: [5]}\n"
        "rules:\n"
        "- name: a\n"
        "  event: \\core\\event\\user_created\n"
        "  service: judgman\n"
        "- name: a\n"
        "  event: core\\event\\user_created\n"
        "  service: judgeman\n"
        "  where: {corseid: 2}\n"
    )

    found = problems(tmp_path, text)

    assert found == [
        "sidecar.yaml:1 site: use letters, digits, dot, dash and underscore, and start with a letter or a digit",
        "sidecar.yaml:2 moodle.prefix: expected text, got a number: put it in quotes",
        'sidecar.yaml:4 tail.pol: unknown key, did you mean "poll"?',
        "sidecar.yaml:6 services.judgeman.timeout: expected a number of seconds, got a list",
        'sidecar.yaml:10 rules[0].service: unknown service "judgman", did you mean "judgeman"?',
        'sidecar.yaml:11 rules[1].name: there is already a rule "a" on line 8; names are unique',
        'sidecar.yaml:12 rules[1].event: did you mean "\\core\\event\\user_created"?',
        'sidecar.yaml:14 rules[1].where.corseid: unknown column, did you mean "courseid"?',
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("extra: 1", "extra: unknown key; there is site, site_url, moodle, store, tail, dispatch, retention, network, web, services and rules"),
        ("dispatch: 4", "dispatch: expected a mapping (key: value), got a number"),
        ("dispatch: {concurrency: many}", "dispatch.concurrency: expected a whole number, got text"),
        ("dispatch: {concurrency: 0}", "dispatch.concurrency: must be at least 1"),
        ("dispatch: {concurrency: 4096}", "dispatch.concurrency: must be at most 1024"),
        ("dispatch: {poll: 0}", "dispatch.poll: must be more than 0"),
        ("dispatch: {poll: .inf}", "dispatch.poll: expected a number of seconds, got text: write 5, 90s, 15m or 24h"),
        ("dispatch: {poll: true}", "dispatch.poll: expected a number of seconds, got true or false"),
        ("store: {migrate: aply}", "store.migrate: expected one of apply, check; did you mean apply?"),
        ("retention: {log_days: -1}", "retention.log_days: must be at least 0"),
        ("rules: {a: b}", "rules: expected a list (- item), got a mapping"),
        ("rules: [a]", "rules[0]: expected a mapping (key: value), got text"),
        ("tail: {start: yesterday}", "tail.start: use latest, beginning, a log id such as 12345, or a time such as 2026-03-01T08:00:00Z"),
        ("tail: {start: -5}", "tail.start: use latest, beginning, a log id such as 12345, or a time such as 2026-03-01T08:00:00Z"),
        ("tail: {start: 2026-13-45}", "tail.start: use latest, beginning, a log id such as 12345, or a time such as 2026-03-01T08:00:00Z"),
        (
            "dispatch: {lease: 20}\nrules: [{name: slow, event: '*', service: judgeman, timeout: 19}]",
            ("dispatch.lease: 20 seconds are too short, it must be more than 20: the timeout of rule slow (19)"
             " and 1 to settle, or another process takes over what is still being sent"),
        ),
        (
            "dispatch: {lease: 6}",
            ("dispatch.lease: 6 seconds are too short, it must be more than 6: the timeout of service judgeman (5)"
            " and 1 to settle, or another process takes over what is still being sent"),
        ),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told_in_plain_words(tmp_path: Path, lines: str, expected: str) -> None:
    found = problems(tmp_path, HEAD + lines)

    assert found == [f"sidecar.yaml:4 {expected}"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("method: post", "method: expected one of GET, POST, PUT, PATCH, DELETE, HEAD; did you mean POST?"),
        ("anonymous: yes", "anonymous: expected one of mask, reveal"),
        ("max_event_age: 1 week", "max_event_age: use seconds, or a figure with a unit such as 90s, 15m, 24h, 7d, or none"),
        ("endpoint: https://x.example.org/y", "endpoint: it is appended to the service's base_url: write the path only, such as /users"),
        ("headers: {a b: c}", 'headers: "a b" is no header name: use letters, digits and dashes'),
        ("where: {other: x}", "where.other: other cannot be looked into here: use when, such as other.auth != 'nologin'"),
        ("where: {courseid: algebra}", "where.courseid: courseid holds whole numbers, got text"),
        ("where: {courseid: 2.5}", "where.courseid: courseid holds whole numbers, got a number with a point"),
        ("where: {anonymous: true}", "where.anonymous: anonymous holds whole numbers, got true or false"),
        ("where: {courseid: {a: 1}}", "where.courseid: courseid holds whole numbers, got a mapping"),
        ("where: {origin: [web, 5]}", "where.origin[1]: origin holds text, got a number: put it in quotes"),
        ("where: {courseid: []}", "where.courseid: an empty list matches nothing"),
        ("where: [courseid]", "where: expected a mapping (key: value), got a list"),
        ("payload: 5", "payload: expected a template, the name of a file, a mapping or a list, got a number"),
        ("payload: ''", "payload: this is empty; to send the whole event leave the key away"),
        ("when: [a]", "when: expected text, got a list"),
        ("max_event_age: -1", "max_event_age: must be more than 0"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_told_in_plain_words(tmp_path: Path, line: str, expected: str) -> None:
    found = problems(tmp_path, f"{RULE}  {line}\n")

    assert found == [f"sidecar.yaml:8 rules[0].{expected}"]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (r"core\event\user_created", r'did you mean "\core\event\user_created"?'),
        (r"\core\user_created", r'did you mean "\core\event\user_created"?'),
        (r"mod_quiz\event\*", r'did you mean "\mod_quiz\event\*"?'),
        ("/core/event/user_created", r'Moodle writes events with backslashes, did you mean "\core\event\user_created"?'),
        (r"\\core\\event\\user_created", r'only inside double quotes a backslash is doubled, did you mean "\core\event\user_created"?'),
        (r'"\assign\event"', "YAML read a backslash as an escape: write it without quotes, or in single quotes"),
        ("user created", r"an event looks like \core\event\user_created, a pattern like \mod_quiz\event\*, and * is all"),
        ("''", r"an event looks like \core\event\user_created, a pattern like \mod_quiz\event\*, and * is all"),
        ("[]", "an empty list matches nothing: name an event, or * for all"),
        ("[5]", "expected text, got a number: put it in quotes in the list"),
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_is_mended(tmp_path: Path, event: str, expected: str) -> None:
    # In YAML \e is the escape character, so the quoted one arrives without its backslashes.
    found = problems(tmp_path, RULE.replace("'*'", event))

    assert found == [f"sidecar.yaml:6 rules[0].event: {expected}"]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("{}", ".base_url: missing (Where the service is; a rule's endpoint is appended)"),
        ("", ": expected a mapping (key: value), got nothing"),
        ("{base_url: ''}", ".base_url: this must not be empty"),
        ("{base_url: crm.example.org}", ".base_url: expected a URL such as https://crm.example.org/api"),
        ("{base_url: 'ftp://x'}", ".base_url: expected a URL such as https://crm.example.org/api"),
        ("{base_url: 'https://u:p4ss@x'}", ".base_url: no user and password here: use auth: {type: basic, username: ..., password: ...}"),
        ("{base_url: 'https://x/?a=1'}", ".base_url: no ? and no # here: a rule's endpoint is appended, and it may hold a query"),
        ("{base_url: 'https://x:port/'}", ".base_url: this is no URL: its host or port cannot be read"),
        ("{base_url: 'https://x y/'}", ".base_url: this is no URL: it holds a blank or a control character, or the port 0"),
        ("{base_url: 'https://x/s?wsdl#a', type: soap}", ".base_url: no # here: this is the URL of the service's WSDL"),
        ("{base_url: 'ftp://x/s.wsdl', type: soap}", ".base_url: expected a URL such as https://crm.example.org/api"),
        ("{base_url: 'https://x/s?wsdl', type: soap, soap: {address: x}}", ".soap.address: expected a URL such as https://crm.example.org/api"),
        ("{base_url: 'https://x', soap: {port: p}}", ".soap: this is for services of type soap only"),
        ("{base_url: 'https://x', auth: {type: wsse, username: u, password: p}}", ".auth: wsse is for services of type soap: use {type: basic, ...} here"),
        ("{base_url: 'https://x', type: soup}", '.type: unknown type "soup"; there is amqp, rest and soap'),
        ("{base_url: 'https://x', auth: bearer}", ".auth: expected a mapping (key: value), got text"),
        ("{base_url: 'https://x', auth: {type: oauth}}", ".auth: unknown type; there is none, bearer, apikey, basic, oauth2 and wsse"),
        ("{base_url: 'https://x', auth: {token: x}}", ".auth: its type is missing; there is none, bearer, apikey, basic, oauth2 and wsse"),
        ("{base_url: 'https://x', auth: {type: bearer, tokn: x}}", '.auth.tokn: unknown key, did you mean "token"?'),
        ("{base_url: 'https://x', auth: {type: bearer, token: 12}}", ".auth.token: expected text, got a number: put it in quotes"),
        ("{base_url: 'https://x', auth: {type: bearer, token: ''}}", ".auth.token: this must not be empty"),
        ('{base_url: "https://x", auth: {type: bearer, token: "a\\nb"}}', ".auth.token: has a line break or another control character"),
        ("{base_url: 'https://x', headers: {X: é}}", ".headers.X: has a character that a header cannot carry (only ASCII can be sent)"),
        ("{base_url: 'https://x', retry: {max_retries: -1}}", ".retry.max_retries: must be at least 0"),
        ("{base_url: 'https://x', retry: {schedule: [5s], max_retries: 3}}", ".retry: schedule has one wait for each retry: leave max_retries away"),
        ("{base_url: 'https://x', retry: {schedule: []}}", ".retry.schedule: an empty list is no schedule: name the waits, such as [5s, 30s, 5m]"),
        ("{base_url: 'https://x', retry: {schedule: [5s, soon]}}", ".retry.schedule[1]: expected a number of seconds, got text: write 5, 90s, 15m or 24h"),
        ("{base_url: 'https://x', retry: {jitter: 200%}}", ".retry.jitter: must be at most 1"),
        ("{base_url: 'https://x', retry: {jitter: some}}", ".retry.jitter: expected a share, got text: write 0.2 or 20%"),
        ("{base_url: 'https://x', rate_limit: 10/day}", ".rate_limit: expected a rate, got text: write 10/s, 600/min, 1000/h, or none"),
        ("{base_url: 'https://x', rate_limit: 0/s}", ".rate_limit: must be more than 0"),
        ("{base_url: 'https://x', capture: {max_bytes: 1000000}}", ".capture.max_bytes: must be at most 16384"),
        ("{base_url: 'https://x', circuit_breaker: {failure_share: 1.5}}", ".circuit_breaker.failure_share: must be at most 1"),
    ],
)  # fmt: skip
def test_a_wrong_service_is_told_in_plain_words(tmp_path: Path, service: str, expected: str) -> None:
    text = f"site: campus\nmoodle: {{url: sqlite:///moodle.sqlite}}\nservices:\n  crm: {service}\n"

    found = problems(tmp_path, text)

    assert found == [f"sidecar.yaml:4 services.crm{expected}"]


def test_a_misspelt_required_key_is_one_problem_not_two(tmp_path: Path) -> None:
    found = problems(tmp_path, RULE.replace("service:", "servce:"))

    assert found == ['sidecar.yaml:7 rules[0].servce: unknown key, did you mean "service"?']


def test_a_key_written_twice_is_a_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, HEAD + "tail: {poll: 1}\ntail: {poll: 2}\n")

    assert found == ["sidecar.yaml:5 tail: this key is here twice, first on line 4"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["sidecar.yaml site: missing (Name of this Moodle; part of every delivery id, so never change it)", "sidecar.yaml moodle: missing"]),
        ("- a", ["sidecar.yaml:1: expected a mapping (key: value), got a list"]),
        ("a: b: c", ['sidecar.yaml:1: a ": " where none can be: check the indentation; a text that holds ": " needs quotes']),
        ("a:\n\t- b", ["sidecar.yaml:2: a tab: YAML is indented with spaces"]),
        ('a: "\\core\\event"', ["sidecar.yaml:1: in double quotes a backslash starts an escape: write the event without quotes, or in single quotes"]),
        ("a: {b: ${C}}", ['sidecar.yaml:1: inside {...} and [...] a variable needs quotes: {token: "${TOKEN}"}']),
        ("a: *s3cret", ["sidecar.yaml:1: a value that starts with * needs quotes (in YAML it names an anchor)"]),
        ("a: &a [*a]", ["sidecar.yaml:1: the YAML is nested too deeply, or an anchor holds itself"]),
        ("{[1]: 2}", ["sidecar.yaml:1: a key has to be a plain word; a value that starts with { or [ needs quotes"]),
        ("a: 1\n---\nb: 2", ["sidecar.yaml:2: there is a second document (a line ---): the configuration is one"]),
        ("a: \x01", ["sidecar.yaml:1: the file holds a control character that YAML does not allow"]),
        ("[" * 2000, ["sidecar.yaml: the YAML is nested too deeply"]),
    ],
)  # fmt: skip
def test_what_is_no_configuration_at_all_is_told_with_its_line(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    assert problems(tmp_path, text) == expected


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", {})

    assert caught.value.problems == [
        f"{tmp_path}/none.yaml: there is no such file; `mih init` writes one to start from"
    ]


def test_a_bomb_of_anchors_is_refused_quickly(tmp_path: Path) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 10))

    found = problems(tmp_path, f"l0: &l0 lol\n{levels}")

    assert [problem.partition(": ")[2] for problem in found] == ["the file holds more than 200000 values"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("''", "this is empty: give the URL of a database, such as mysql+pymysql://user:password@host/moodle"),
        ("mysql://u:p@h/m", "this starts with mysql://, which is not one of our drivers: write mysql+pymysql://"),
        ("postgresql://u:p@h/m", "this starts with postgresql://, which is not one of our drivers: write postgresql+psycopg://"),
        ("oracle://u:p@h/m", "this is no database URL that is known here: it starts with mysql+pymysql://, mariadb+pymysql://, postgresql+psycopg://, sqlite://"),
        ("s3cret", "this is no database URL that is known here: it starts with mysql+pymysql://, mariadb+pymysql://, postgresql+psycopg://, sqlite://"),
        ("mysql+pymysql://u:p@h", "this names no database at its end, as in mysql+pymysql://user:password@host/moodle"),
        ("mysql+pymysql://u:p@/m", "this names no host, as in mysql+pymysql://user:password@host/moodle"),
        ("mysql+pymysql://u:p@h:99999/m", "the port is not between 1 and 65535"),
        ("mysql+pymysql://u:p@ss@h/m", "this cannot be read as mysql+pymysql://user:password@host/moodle; in the user name and the password %40 stands for @, %2F for /, %3A for :"),
        ("mysql+pymysql://u:p@ss/word@h/m", "this cannot be read as mysql+pymysql://user:password@host/moodle; in the user name and the password %40 stands for @, %2F for /, %3A for :"),
        ("mysql+pymysql://u:p@ss/a?b@h/m", "this cannot be read as mysql+pymysql://user:password@host/moodle; in the user name and the password %40 stands for @, %2F for /, %3A for :"),
        ("sqlite://moodle.sqlite", "a file of SQLite is written sqlite:///campus.sqlite, or sqlite:////var/lib/campus.sqlite"),
        ("'sqlite:///:memory:'", "SQLite needs a file here, such as sqlite:///campus.sqlite: one in memory is lost at the end"),
    ],
)  # fmt: skip
def test_a_database_url_that_cannot_work_is_mended(tmp_path: Path, url: str, expected: str) -> None:
    found = problems(tmp_path, f"site: campus\nmoodle:\n  url: {url}\n")

    assert found == [f"sidecar.yaml:3 moodle.url: {expected}"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql://u:p%40ss@db.example.org:3306/moodle?charset=utf8mb4",
        "mysql+pymysql://u@/moodle?unix_socket=/run/mysqld/mysqld.sock",
        "mariadb+pymysql://u:p@[::1]:3306/moodle",
        "postgresql+psycopg:///moodle?host=/var/run/postgresql",
        "sqlite:////var/lib/mih/campus.sqlite",
    ],
)
def test_the_urls_of_all_supported_databases_load(tmp_path: Path, url: str) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(f"site: campus\nmoodle: {{url: '{url}'}}\n", encoding="utf-8")

    assert load(path, {}).moodle.url.get_secret_value() == url


def test_secret_in_a_rules_header_is_refused_since_deliveries_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(
        "site: campus\nmoodle: {url: 'sqlite:////x.sqlite'}\nservices: {crm: {base_url: 'https://crm.example'}}\n"
        "rules: [{name: a, event: '*', service: crm, headers: {X-Key: '${CRM_KEY}'}}]\n",
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as refused:
        load(path, {"CRM_KEY": "planted-secret-9"})

    assert "put secrets into services.crm.headers" in str(refused.value)
    assert "planted-secret-9" not in str(refused.value)
