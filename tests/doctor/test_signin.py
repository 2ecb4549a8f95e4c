"""Whether people can sign in by others, as the doctor sees it: real answers, no credential shown."""

from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.doctor.signin import signing_in
from sidecar.settings import Settings
from tests.identity.standins import Issuer, Moodle
from tests.receiver import Receiver

Said = list[tuple[str, str, str, str | None]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def found(clock: FakeClock, site_url: str = "", **web: Any) -> Said:
    text = {"site": "campus", "site_url": site_url, "moodle": {"url": "sqlite:///x"}, "web": web}
    findings = signing_in(Settings.model_validate(text), clock)
    return [(one.level.value, one.subject, one.text, one.remedy) for one in findings]


def oidc(issuer: Issuer, suffix: str = "") -> dict[str, Any]:
    return {"issuer": f"{issuer.url}{suffix}", "client_id": "hub", "view": ["staff"]}


def test_nothing_is_said_where_only_our_own_users_may(clock: FakeClock) -> None:
    assert found(clock) == []
    assert found(clock, enabled=False, oidc={"issuer": "https://x", "client_id": "x"}) == []


def test_moodle_and_provider_that_answer_are_well(receiver: Receiver, clock: FakeClock) -> None:
    moodle, issuer = Moodle(receiver), Issuer(receiver, clock)

    said = found(clock, moodle.url, moodle_login={}, oidc=oidc(issuer))

    assert said == [
        ("ok", "web.moodle_login", f"the token service of {moodle.url} answers", None),
        ("ok", "web.oidc", f"{issuer.url} says where to sign in, and has keys", None),
    ]


def test_a_token_service_that_is_switched_off_is_a_problem_with_its_place(
    receiver: Receiver, clock: FakeClock
) -> None:
    moodle = Moodle(receiver)
    moodle.errorcode = "enablewsdescription"

    [(level, subject, text, remedy)] = found(clock, moodle.url, moodle_login={})

    assert (level, subject) == ("problem", "web.moodle_login")
    assert text == "nobody can sign in by Moodle: Moodle says enablewsdescription"
    assert remedy == "Moodle: Site administration > Advanced features: enable web services"


def test_a_provider_of_another_name_is_a_problem(receiver: Receiver, clock: FakeClock) -> None:
    issuer = Issuer(receiver, clock)

    [(level, _, text, remedy)] = found(clock, oidc=oidc(issuer, "/"))

    assert level == "problem"
    assert f"it names itself '{issuer.url}'; web.oidc.issuer has to be the same" in text
    assert remedy == f"open {issuer.url}/.well-known/openid-configuration and compare"


def test_a_provider_that_is_away_is_a_problem_and_without_local_users_nobody_gets_in(
    receiver: Receiver, clock: FakeClock
) -> None:
    issuer = Issuer(receiver, clock)
    receiver.close()

    away, shut = found(clock, local_login=False, oidc=oidc(issuer))

    assert away[:2] == ("problem", "web.oidc")
    assert "cannot be asked" in away[2]
    assert shut[:3] == (
        "note",
        "web.local_login",
        "users of the sidecar itself may not sign in: if the others fail, nobody can",
    )
