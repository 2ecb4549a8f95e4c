"""The kinds of value an option can have: durations, names, secrets, each with its own sentence when wrong."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from sidecar.errors import said
from sidecar.settings.wording import kind, not_text

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
USER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$"
PREFIX_PATTERN = r"^[A-Za-z0-9_]*$"
TABLE_PATTERN = r"^[A-Za-z0-9_]+$"
HEADER_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
QUERY_PATTERN = r"^[A-Za-z0-9._~-]+$"
HOST_PATTERN = r"^[A-Za-z0-9.:%_-]+$"

# How a message is framed and where it goes is decided by its body and its URL (RFC 9110, 7.6.1 and RFC 9112):
# a second opinion splits or hangs the connection.
FRAMING_HEADERS: frozenset[str] = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Methods of requests that carry no body unless somebody says which.
WITHOUT_BODY: frozenset[str] = frozenset({"GET", "HEAD", "DELETE"})
# RFC 3986, as far as a pattern can say: its characters, percent signs only where they encode.
URI_PATTERN = r"^([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*$"
SITE_URL_PATTERN = r"^$|^https?://[A-Za-z0-9._~:\[\]-]+(/[A-Za-z0-9._~-]+)*$"

# What the patterns mean, for people.
PATTERN_WORDS = {
    NAME_PATTERN: said("use letters, digits, dot, dash and underscore, and start with a letter or a digit"),
    USER_PATTERN: said("use letters, digits and . _ @ + -, and start with a letter or a digit"),
    PREFIX_PATTERN: said("use letters, digits and underscore"),
    TABLE_PATTERN: said("use letters, digits and underscore"),
    URI_PATTERN: said("this is no URI: percent-encode what is not ASCII"),
    SITE_URL_PATTERN: said(
        "write Moodle's address without a slash at its end, such as https://moodle.example.org"
    ),
    HEADER_PATTERN: said("this is no header name: use letters, digits and dashes"),
    HOST_PATTERN: said("this is no address: write 127.0.0.1, ::1, 0.0.0.0 or a name"),
    QUERY_PATTERN: said("use letters, digits, dot, dash, underscore and tilde"),
}

_DURATION = re.compile(r"\s*(\d{1,12}(?:\.\d{1,9})?)\s*([smhd]?)\s*")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(value: object) -> object:
    """Return seconds for `"90"`, `"90s"`, `"15m"`, `"7d"`, None for `none`; what is no text unchanged."""
    if isinstance(value, str):
        if value.strip().lower() == "none":
            return None
        found = _DURATION.fullmatch(value)
        if found:
            return float(found[1]) * _UNITS[found[2] or "s"]
        raise ValueError(said("use seconds, or a figure with a unit such as 90s, 15m, 24h, 7d, or none"))
    return value


def _seconds(value: object) -> float:
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        value = float(found[1]) * _UNITS[found[2] or "s"] if found else value
    return _figure(value, said("a number of seconds"), hint=said(": write 5, 90s, 15m or 24h"))


def _days(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*d?\s*", value):
        value = float(value.strip(" \td"))
    return _figure(value, said("a number of days"), hint=said(": write 7 or 0.5"))


def _figure(value: object, wanted: str, *, hint: str = "") -> float:
    # No honest figure is that large, and float() has no room for a larger one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise ValueError(
            said(
                "expected %(wanted)s, got %(kind)s%(hint)s",
                wanted=wanted,
                kind=kind(value),
                hint=hint if isinstance(value, str) else "",
            )
        )
    return float(value)


def _limit(value: object) -> object:
    """Let an optional number be switched off by an environment variable, which can only hold text."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none", "null") else value


def _age(value: object) -> object:
    seconds = parse_duration(value)
    return None if seconds is None else _figure(seconds, said("a number of seconds, 24h, 7d ..., or none"))


def _share(value: object) -> object:
    """Return 0.2 for `20%`."""
    found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,9})?)\s*(%?)\s*", value) if isinstance(value, str) else None
    if isinstance(value, str) and found:
        value = float(found[1]) / (100 if found[2] else 1)
    return _figure(value, said("a share"), hint=said(": write 0.2 or 20%"))


_RATE = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:/\s*(s|m|min|h))?\s*")
_PER_S = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def _rate(value: object) -> object:
    """Return requests per second for `10/s`, `600/min`, `1000/h`; None for `none`."""
    if _limit(value) is None:
        return None
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found:
        value = float(found[1]) / _PER_S[found[2]]
    return _figure(value, said("a rate"), hint=said(": write 10/s, 600/min, 1000/h, or none"))


def _sendable(secret: SecretStr) -> SecretStr:
    """Refuse what no HTTP header can carry: it would fail at every request, long after the start."""
    text = secret.get_secret_value()
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(said("has a line break or another control character"))
    if not text.isascii():
        raise ValueError(said("has a character that a header cannot carry (only ASCII can be sent)"))
    return secret


SHORTEST_TOKEN = 16


def _token(secret: SecretStr) -> SecretStr:
    """Refuse what can be guessed, and what an Authorization header cannot carry (RFC 6750, 2.1)."""
    text = secret.get_secret_value()
    if len(text) < SHORTEST_TOKEN:
        raise ValueError(
            said(
                "is shorter than %(least)s characters and could be guessed;"
                " this makes one: openssl rand -hex 32",
                least=SHORTEST_TOKEN,
            )
        )
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text):
        raise ValueError(said("use letters, digits and - . _ ~ + /; this makes one: openssl rand -hex 32"))
    return secret


# PHC string: parameters, salt and hash, https://github.com/P-H-C/phc-string-format.
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=\d{1,7},t=\d{1,3},p=\d{1,2}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,171}"
)


def _password_hash(secret: SecretStr) -> SecretStr:
    """Refuse what is no hash, most of all a password."""
    if not _ARGON2.fullmatch(secret.get_secret_value()):
        raise ValueError(said("is no hash of argon2id: `mih users hash` asks for a password and prints one"))
    return secret


def _header_names(headers: Mapping[str, object]) -> Mapping[str, object]:
    for name in headers:
        if not re.fullmatch(HEADER_PATTERN, name):
            raise ValueError(said('"%(name)s" is no header name: use letters, digits and dashes', name=name))
        _own_header(name)
    return headers


def _own_header(name: str) -> str:
    """Refuse what would be overruled in silence or break the message."""
    if name.lower() in FRAMING_HEADERS:
        raise ValueError(
            said("%(name)s is set by the transport, from the body and the URL: take it out", name=name)
        )
    return name


def _start(value: object) -> str | int:
    """Return `latest`, `beginning`, a log id, or a time with its offset (UTC where none is given)."""
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("latest", "beginning"):
            return text.lower()
        value = int(text) if re.fullmatch(r"\d{1,19}", text) else _time(text) or value
        if isinstance(value, datetime):
            return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(
        said("use latest, beginning, a log id such as 12345, or a time such as 2026-03-01T08:00:00Z")
    )


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _patterns(value: object) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError(
            said("expected an event class, a pattern or a list of them, got %(kind)s", kind=kind(value))
        )
    wrong = next((item for item in value if not isinstance(item, str)), "")
    if not isinstance(wrong, str):
        raise ValueError(said("%(not_text)s in the list", not_text=not_text(wrong)))
    if not value:
        raise ValueError(said("an empty list matches nothing: name an event, or * for all"))
    return tuple(value)


def _statuses(value: object) -> str:
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    return ", ".join(_status(item) for item in items if not isinstance(item, str) or item.strip())


def _status(item: object) -> str:
    text = "" if isinstance(item, bool) else str(item).replace(" ", "")
    if not re.fullmatch(r"[1-5][0-9]{2}(-[1-5][0-9]{2})?", text):
        raise ValueError(said("expected statuses from 100 to 599 and ranges of them, such as [404, 500-599]"))
    first, _, last = text.partition("-")
    if last and int(last) < int(first):
        raise ValueError(
            said("the range %(text)s is empty: write %(last)s-%(first)s", text=text, last=last, first=first)
        )
    return text


def status_set(text: str) -> frozenset[int]:
    """Return the statuses that `200-299, 404` names."""
    ranges = (part.partition("-") for part in text.split(", ") if part)
    return frozenset(
        status for first, _, last in ranges for status in range(int(first), int(last or first) + 1)
    )


def _signing_secret(secret: SecretStr) -> SecretStr:
    """Accept what Standard Webhooks calls a symmetric secret: whsec_ and base64 of 24 to 64 bytes."""
    prefix, found, encoded = secret.get_secret_value().partition("whsec_")
    try:
        length = len(base64.b64decode(encoded, validate=True)) if found and not prefix else 0
    except binascii.Error:
        length = 0
    if not 24 <= length <= 64:
        raise ValueError(
            said(
                "expected whsec_ and base64 of 24 to 64 random bytes; this makes one:"
                ' echo "whsec_$(openssl rand -base64 32)"'
            )
        )
    return secret


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
Wait = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[
    Annotated[float, Field(ge=0, le=1)], BeforeValidator(_share, json_schema_input_type=float | str)
]
Rate = Annotated[
    Annotated[float, Field(gt=0, le=100_000)] | None,
    BeforeValidator(_rate, json_schema_input_type=float | str | None),
]
Days = Annotated[float, BeforeValidator(_days), Field(ge=0, allow_inf_nan=False)]
Age = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | None,
    BeforeValidator(_age, json_schema_input_type=float | str | None),
]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=100)]
HeaderName = Annotated[str, StringConstraints(pattern=HEADER_PATTERN), AfterValidator(_own_header)]
QueryName = Annotated[str, StringConstraints(pattern=QUERY_PATTERN)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
Statuses = Annotated[str, BeforeValidator(_statuses, json_schema_input_type=str | int | list[int | str])]
Credential = Annotated[SecretStr, AfterValidator(_sendable)]
Token = Annotated[SecretStr, AfterValidator(_token)]
PasswordHash = Annotated[SecretStr, AfterValidator(_password_hash)]
UserName = Annotated[str, StringConstraints(pattern=USER_PATTERN, max_length=100)]
Limit = BeforeValidator(_limit)
Start = Annotated[str | int, BeforeValidator(_start, json_schema_input_type=str | int)]
Events = Annotated[str | tuple[str, ...], BeforeValidator(_patterns, json_schema_input_type=str | list[str])]
HeaderNames = AfterValidator(_header_names)
