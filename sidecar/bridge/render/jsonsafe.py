"""Values become text here: JSON, the inside of JSON strings, XML, plain text, pieces of URLs and headers."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from json.encoder import encode_basestring  # what the encoder below calls for text
from math import isfinite
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

from jinja2 import Undefined

from sidecar.errors import said

_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_BREAK = re.compile(r"[\r\n\0]")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CDATA_SIGNS = re.compile(r"[\]>]")
_XML_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_XML_ATTRIBUTE = _XML_TEXT | str.maketrans({'"': "&quot;", "'": "&apos;", "\n": "&#10;", "\t": "&#9;"})
_NO_HEADER = re.compile(r"[^\t\x20-\x7e]")


class Json(str):
    """The JSON text of a value that `tojson` has marked. The value goes with it: marking does no harm."""

    __slots__ = ("value",)
    value: Any


def marked(value: Any) -> Json:
    """Return the value's JSON text with the value; marking twice is marking once."""
    if isinstance(value, Json):
        return value
    text = Json(json_value(value))
    text.value = value
    return text


def json_value(value: Any) -> str:
    """Return a whole JSON value. Raises ValueError or TypeError for what JSON cannot say."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int:
        return str(value)
    if value is None:
        return "null"
    if kind is Json:
        return str(value)
    return _dump(value)


def json_string(value: Any) -> str:
    """Return what stands between quotes in JSON: nothing for null, JSON text for lists and objects."""
    if type(value) is int:
        return str(value)
    return encode_basestring(text(value))[1:-1]


def text(value: Any) -> str:
    """Return plain text: nothing for null, true and false, ISO 8601, JSON for lists and objects."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return ""
    if kind is Json:
        return text(value.value)
    if isinstance(value, str | Undefined):
        return str(value)
    return iso(value) if isinstance(value, datetime | date) else _dump(value)


def iso(moment: datetime | date) -> str:
    """Return ISO 8601, in UTC with a Z where there is a time."""
    if not isinstance(moment, datetime):
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def mend(written: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot carry, by U+FFFD."""
    if written.isascii():
        return written
    try:
        written.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", written)
    return written


def path_piece(value: Any) -> str:
    """Return one percent-encoded piece of a URL's path; an empty one would call another address."""
    written = _one_line(text(value))
    if not written:
        raise ValueError(
            said("it is empty here, and the address would be another one: use `| default(..., true)`")
        )
    return quote(mend(written), safe="")


def name_piece(value: Any) -> str:
    """Return a piece of a routing key or of an operation's name, as it is; an empty one would be another."""
    written = text(value)
    if not written:
        raise ValueError(
            said("it is empty here, and the name would be another one: use `| default(..., true)`")
        )
    if _CONTROL.search(written):
        raise ValueError(said("it has a line break or another control character, which must not stand here"))
    return mend(written)


def query_piece(value: Any) -> str:
    """Return one percent-encoded piece of a URL's query."""
    return quote(mend(_one_line(text(value))), safe="")


def form_piece(value: Any) -> str:
    """Return a name or value of application/x-www-form-urlencoded."""
    return quote_plus(mend(text(value)))


def xml_text(value: Any) -> str:
    """Return content of an XML element. What XML cannot carry, such as NUL, becomes U+FFFD."""
    return _for_xml(value).translate(_XML_TEXT)


def xml_attribute(value: Any) -> str:
    """Return content of an XML attribute, between whichever quotes; line breaks survive."""
    return _for_xml(value).translate(_XML_ATTRIBUTE)


def xml_cdata(value: Any) -> str:
    """Return content of a CDATA section, which it cannot end whatever stands before and behind it."""
    signs = {"]": "]]]><![CDATA[", ">": "]]><![CDATA[>"}
    return _CDATA_SIGNS.sub(lambda found: signs[found[0]], _for_xml(value))


def _for_xml(value: Any) -> str:
    return _NO_XML.sub("\ufffd", text(value))


def header_piece(value: Any) -> str:
    """Return text that may stand in a header."""
    written = _one_line(text(value))
    if _NO_HEADER.search(written):
        raise ValueError(said("a header takes plain ASCII only: use `| urlencode`"))
    return written


def _one_line(written: str) -> str:
    if _LINE_BREAK.search(written):
        raise ValueError(said("it has a line break or NUL, which must not stand here"))
    return written


def _default(value: Any) -> Any:
    if isinstance(value, Undefined):
        # Text of what is missing raises; only an if-expression without else has one, which is empty.
        return str(value) or None
    if isinstance(value, datetime | date):
        return iso(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(said("a %(kind)s is no JSON value: is a pair of () missing?", kind=type(value).__name__))


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default)


def _dump(value: Any) -> str:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(said("%(value)s is no JSON number", value=value))
    try:
        return _encoder.encode(value)
    except ValueError as error:
        if "Out of range float" in str(error):
            raise ValueError(said("it holds NaN or Infinity, which are no JSON numbers")) from error
        raise


def refuse_constant(name: str) -> NoReturn:
    """Refuse the NaN and Infinity that Python's parser would let through."""
    raise ValueError(said("%(value)s is no JSON number", value=name))
