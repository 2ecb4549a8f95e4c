"""Names and passwords at Moodle's token service: who may come in, and what each refusal means."""

import pytest

from sidecar.clock import FakeClock
from sidecar.identity.asking import Asker
from sidecar.identity.moodle import MoodleLogin
from sidecar.identity.person import NotLetIn, Person, Trouble
from sidecar.settings import MoodleLoginSettings, NetworkRules
from tests.identity.standins import Moodle
from tests.receiver import Behaviour, Receiver, answer, endless, hang_up, raw, reset

LISTED = MoodleLoginSettings(manage=("eva",), view=("Ana",))


def login(moodle: Moodle, asker: Asker, settings: MoodleLoginSettings = LISTED) -> MoodleLogin:
    return MoodleLogin(f"{moodle.url}/", settings, asker)


@pytest.mark.parametrize(
    ("name", "password", "person"),
    [
        ("boss", "Secret-2", Person("moodle:boss", "manage")),
        ("ana", "Secret-1", Person("moodle:ana", "view")),
        ("Eva", "Secret-3", Person("moodle:eva", "manage")),
    ],
)
def test_administrators_manage_and_listed_people_have_their_role(
    moodle: Moodle, asker: Asker, name: str, password: str, person: Person
) -> None:
    assert login(moodle, asker).recognise(name, password) == person


def test_an_administrator_of_a_moodle_that_does_not_say_so_needs_a_line(moodle: Moodle, asker: Asker) -> None:
    moodle.names_admins = False

    with pytest.raises(NotLetIn) as refused:
        login(moodle, asker).recognise("boss", "Secret-2")

    assert (refused.value.trouble, refused.value.name) == (Trouble.NOT_LISTED, "moodle:boss")


def test_password_and_token_are_in_bodies_and_never_in_an_address(moodle: Moodle, asker: Asker) -> None:
    login(moodle, asker).recognise("ana", "Secret-1")

    first, second = moodle.receiver.requests
    assert [(one.method, one.target) for one in (first, second)] == [
        ("POST", "/login/token.php"),
        ("POST", "/webservice/rest/server.php"),
    ]
    assert first.body == b"username=ana&password=Secret-1&service=moodle_mobile_app"
    assert b"wstoken=token-of-ana&wsfunction=core_webservice_get_site_info" in second.body


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("invalidlogin", Trouble.WRONG_PASSWORD),
        ("enablewsdescription", Trouble.WEB_SERVICES_OFF),
        ("servicenotavailable", Trouble.SERVICE_OFF),
        ("cannotcreatetoken", Trouble.NO_TOKEN),
        ("passwordisexpired", Trouble.ACCOUNT),
        ("sitemaintenance", Trouble.MAINTENANCE),
        ("noguest", Trouble.NOT_LISTED),
        ("somethingnew", Trouble.ODD_ANSWER),
    ],
)
def test_what_moodle_says_is_told_apart(moodle: Moodle, asker: Asker, code: str, trouble: Trouble) -> None:
    moodle.errorcode = code

    with pytest.raises(NotLetIn) as refused:
        login(moodle, asker).recognise("ana", "Secret-1")

    assert (refused.value.trouble, refused.value.detail) == (trouble, f"Moodle says {code}")


@pytest.mark.parametrize(
    ("behaviour", "trouble", "detail"),
    [
        (answer(503, b"<html>"), Trouble.MAINTENANCE, "answered 503"),
        (answer(303, location="https://sso.example.org/"), Trouble.ODD_ANSWER, "https://sso.example.org/"),
        (answer(200, b"<html>"), Trouble.ODD_ANSWER, "no JSON"),
        (answer(200, b"[]"), Trouble.ODD_ANSWER, "no JSON"),
        (answer(200, b'{"token": 7}'), Trouble.ODD_ANSWER, "without a token"),
        (answer(200, b"[" * 100_000), Trouble.ODD_ANSWER, "no JSON"),
        (endless, Trouble.ODD_ANSWER, "longer than"),
        (hang_up, Trouble.UNREACHABLE, "cannot be asked"),
        (reset, Trouble.UNREACHABLE, "cannot be asked"),
        (raw(b"SSH-2.0\r\n\r\n"), Trouble.UNREACHABLE, "cannot be asked"),
    ],
)
def test_whatever_comes_back_is_a_refusal_in_words(
    moodle: Moodle, asker: Asker, behaviour: Behaviour, trouble: Trouble, detail: str
) -> None:
    moodle.receiver.on("/login/token.php", behaviour)

    with pytest.raises(NotLetIn) as refused:
        login(moodle, asker).recognise("ana", "Secret-1")

    assert refused.value.trouble is trouble
    assert detail in refused.value.detail
    assert "Secret-1" not in str(refused.value)


def test_where_rest_is_switched_off_the_token_is_of_no_use(
    moodle: Moodle, asker: Asker, receiver: Receiver
) -> None:
    receiver.on("/webservice/rest/server.php", answer(403, b"<html>"))

    with pytest.raises(NotLetIn) as refused:
        login(moodle, asker).recognise("ana", "Secret-1")

    assert refused.value.trouble is Trouble.WEB_SERVICES_OFF
    assert "token-of-ana" not in str(refused.value)


def test_the_network_rules_hold_for_moodle_too(moodle: Moodle, clock: FakeClock) -> None:
    asker = Asker(NetworkRules(private=False), clock)

    with pytest.raises(NotLetIn) as refused:
        login(moodle, asker).recognise("ana", "Secret-1")

    assert "the network rules refuse 127.0.0.1" in refused.value.detail
    assert moodle.receiver.requests == []


@pytest.mark.parametrize("said", [b'{"appsitecheck":"ok"}', b'{"error":"x","errorcode":"missingparam"}'])
def test_a_token_service_that_would_answer_is_told_without_credentials(
    moodle: Moodle, asker: Asker, receiver: Receiver, said: bytes
) -> None:
    receiver.on("/login/token.php", answer(200, said))

    login(moodle, asker).is_served()

    assert receiver.requests[0].body == b"appsitecheck=1&service=moodle_mobile_app"
