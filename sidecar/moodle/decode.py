"""A database row becomes an Event: `other` decoded whatever its format, persons masked where they must be."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from sqlalchemy import Row

from sidecar.errors import said, text_of
from sidecar.model import EVENT_COLUMNS, Event
from sidecar.moodle import php

REDACTED = "[redacted]"
MAX_DEPTH = php.MAX_DEPTH
CONTEXT_USER = 30  # CONTEXT_USER in Moodle's lib/classes/context/user.php: its instance is the person

_OTHER = EVENT_COLUMNS.index("other")
_PHP = re.compile(r".:")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What names a person among the keys that Moodle's events put into `other`: every key with "user" in it
# (userid, relateduserid, useridto, username, originalusername, userenrolment ...), addresses, names, and
# people by role. An anonymous row is rare and a wrong null in it cheap, so the list is rather too wide.
_PERSONAL = re.compile(
    r"user|mail|^(?:first|last|middle|full|alternate|real)name$|^idnumber$|^(?:last)?ip(?:address)?$|^phone\d?$"
    r"|^(?:student|teacher|grader|marker|modifier|author|assessor|reviewer|participant|person|owner|actor)(?:s|ids?)?$"
)


class _Undecodable(ValueError):
    """`other` cannot be decoded; the text says why, without its content."""


def decode(row: Row[Any] | Mapping[str, Any]) -> Event:
    """Return the event of a row of Moodle's log.

    An `other` that cannot be decoded is no exception: the event then has None there and the reason in
    `other_problem`. `sessionid` is redacted at any depth: with it one is logged in as that person.
    """
    # A row of the log has the columns in this order: by name each would be looked up.
    values = row if isinstance(row, Row) else map(row.__getitem__, EVENT_COLUMNS)
    fields: list[Any] = list(values)
    try:
        fields[_OTHER] = _tidy(_parse(fields[_OTHER]), 0)
    except ValueError as error:
        fields[_OTHER] = None
        return replace(
            Event(*fields), other_problem=said("other cannot be decoded: %(why)s", why=text_of(error))
        )
    return Event(*fields)


def _parse(other: str | bytes | None) -> Any:
    # Which format it is, is told as Moodle does: decode_other() in admin/tool/log/classes/helper/reader.php.
    if not other:
        return None
    text = other.decode("utf-8", "replace") if isinstance(other, bytes) else other
    if len(text) > php.MAX_BYTES:
        raise _Undecodable(said("it is longer than %(n)s characters", n=php.MAX_BYTES))
    if text == "N;" or _PHP.match(text):
        return php.loads(text)
    return _json(text)


def _json(text: str) -> Any:
    try:
        return _JSON.decode(text)
    except RecursionError:
        raise _Undecodable(said("nested deeper than %(n)s levels", n=MAX_DEPTH)) from None
    except json.JSONDecodeError as error:
        raise _Undecodable(said("no JSON: %(why)s at character %(n)s", why=error.msg, n=error.pos)) from None


def _no_constant(name: str) -> NoReturn:
    raise _Undecodable(said("no JSON: %(name)s is no number", name=name))


_JSON = json.JSONDecoder(parse_constant=_no_constant, strict=False)


def _tidy(value: Any, depth: int) -> Any:
    """Return `value` fit for JSON and for leaving the house: whole characters, finite numbers, no session."""
    if isinstance(value, str):
        return _whole(value)
    if value is None or type(value) is int:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no word for it
    if not isinstance(value, dict | list):
        return value
    if depth >= MAX_DEPTH:
        raise _Undecodable(said("nested deeper than %(n)s levels", n=MAX_DEPTH))
    if isinstance(value, list):
        return [_tidy(item, depth + 1) for item in value]
    return {
        _whole(key): REDACTED if key.lower() == "sessionid" else _tidy(item, depth + 1)
        for key, item in value.items()
    }


def _whole(text: str) -> str:
    # A lone half of a character can be neither stored nor sent as UTF-8.
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def mask(event: Event) -> Event:
    """Return the event without the persons in it: for rows with `anonymous` = 1.

    Moodle marks an anonymous answer (feedback, blind marking) so, but still stores the real `userid` and `ip`
    in the row, and hides them only when it shows the log. Whoever passes the row on must do the same. The
    object and the context go too where they are the person's own; in `other` the values of keys that name
    people become null. The keys stay, so that a template's `other.userid` is null and not unknown.
    Fetch lookups for the masked event, not for the row.
    """
    own_object = event.objecttable == "user"
    own_context = event.contextlevel == CONTEXT_USER
    return replace(
        event,
        userid=None,
        relateduserid=None,
        realuserid=None,
        ip=None,
        objectid=None if own_object else event.objectid,
        contextid=None if own_context else event.contextid,
        contextinstanceid=None if own_context else event.contextinstanceid,
        other=_without(event.other, lambda key: _PERSONAL.search(key.lower()) is not None),
    )


def _without(value: Any, personal: Callable[[str], bool]) -> Any:
    if isinstance(value, list):
        return [_without(item, personal) for item in value]
    if isinstance(value, dict):
        return {key: None if personal(key) else _without(item, personal) for key, item in value.items()}
    return value
