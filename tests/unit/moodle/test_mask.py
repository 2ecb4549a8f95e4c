"""Anonymous rows: nobody can be told from what is left of them."""

from typing import Any

import pytest

from sidecar.model import Event
from sidecar.moodle.decode import decode, mask
from tests.rows import log_row


def anonymous(**changes: Any) -> Event:
    return decode(log_row(id=7, anonymous=1, **changes))


def test_persons_and_their_address_are_gone() -> None:
    event = mask(anonymous(userid=5, relateduserid=6, realuserid=2, ip="192.0.2.1"))

    assert (event.userid, event.relateduserid, event.realuserid, event.ip) == (None, None, None, None)


def test_what_is_not_about_a_person_stays() -> None:
    event = anonymous(objecttable="feedback_completed", objectid=9, other='{"cmid":3,"instanceid":1}')

    masked = mask(event)

    assert (masked.id, masked.objectid, masked.contextid, masked.contextinstanceid) == (7, 9, 12, 2)
    assert (masked.courseid, masked.anonymous, masked.other) == (2, 1, {"cmid": 3, "instanceid": 1})


def test_the_object_is_gone_where_it_is_a_user() -> None:
    assert mask(anonymous(objecttable="user", objectid=5)).objectid is None


def test_the_context_is_gone_where_it_is_a_users() -> None:
    event = mask(anonymous(contextlevel=30, contextid=44, contextinstanceid=5))

    assert (event.contextid, event.contextinstanceid) == (None, None)


@pytest.mark.parametrize(
    "key",
    [
        *("userid", "relateduserid", "realuserid", "useridto", "userids", "username", "originalusername"),
        *(
            "loggedinasusername",
            "userenrolment",
            "email",
            "firstname",
            "lastname",
            "idnumber",
            "ip",
            "lastip",
        ),
        *("studentid", "graderid", "modifierid", "authorid", "UserID", "phone1"),
    ],
)
def test_a_key_that_names_a_person_stays_and_its_value_does_not(key: str) -> None:
    masked = mask(anonymous(other=f'{{"{key}":"5","in":[{{"{key}":{{"id":5}}}}]}}'))

    assert masked.other == {key: None, "in": [{key: None}]}


@pytest.mark.parametrize("key", ["cmid", "instanceid", "name", "shortname", "groupid", "description", "tip"])
def test_a_key_about_something_else_keeps_its_value(key: str) -> None:
    assert mask(anonymous(other=f'{{"{key}":"5"}}')).other == {key: "5"}


def test_a_problem_with_other_stays_known() -> None:
    event = anonymous(other="{broken")

    assert mask(event).other_problem == event.other_problem
