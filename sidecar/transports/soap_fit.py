"""A JSON payload becomes the arguments of a SOAP operation, or a sentence that says where it does not fit.

zeep itself takes `maybe` for a boolean and `soon` for a date: what it lets through is looked at here.
"""

import binascii
import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from zeep.xsd.types import AnySimpleType, ComplexType, ListType, UnionType, builtins

from sidecar.errors import said, text_of
from sidecar.settings import wording
from sidecar.settings.wording import did_you_mean, listing
from sidecar.transports.soap_shape import Misfit, Operation, array_of, fields

# What XML 1.0 can hold in no way, not even escaped.
_UNSENDABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOMENTS: dict[type, str] = {
    builtins.DateTime: said("a time such as 2026-03-02T08:00:00Z"),
    builtins.Date: said("a date such as 2026-03-02"),
    builtins.Time: said("a time of day such as 08:00:00"),
    builtins.Duration: said("a duration such as PT90M"),
}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def arguments(operation: Operation, body: bytes | None) -> dict[str, Any]:
    """Return the arguments for an operation of zeep's. Raises Misfit."""
    payload = _payload(body)
    headers = payload.pop("_soapheaders", None)
    takes = operation.takes
    if takes is None and payload:
        raise Misfit(
            said("%(name)s takes no arguments, got %(names)s", name=operation.name, names=listing(payload))
        )
    if isinstance(takes, ComplexType):
        fitted = _object(takes, payload, "")
    else:
        fitted = {name: _value(takes, value, name) for name, value in payload.items()}
    if headers is not None:
        fitted["_soapheaders"] = _value(operation.message.input.header.type, headers, "_soapheaders")
    return fitted


def _payload(body: bytes | None) -> dict[str, Any]:
    if not body:
        return {}
    try:
        payload = json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Misfit(said("the payload is no JSON: %(why)s", why=text_of(error))) from None
    if not isinstance(payload, dict):
        raise Misfit(
            said(
                "the payload has to be an object with the arguments by name, got %(kind)s",
                kind=_kind(payload),
            )
        )
    return payload


def _refuse(constant: str) -> None:
    raise ValueError(said("%(value)s is no JSON number", value=constant))


def _value(of: Any, value: Any, place: str) -> Any:
    match of:
        case ComplexType() if of._array_type:
            return value
        case ComplexType():
            return _complex(of, value, place)
        case AnySimpleType():
            return _simple(of, value, place)
        case _:
            return value


def _complex(of: Any, value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        return _object(of, value, place)
    known = fields(of)
    array = array_of(of)
    if isinstance(value, list) and array is not None:
        return {array[0]: _element(array[1], value, f"{place}.{array[0]}")}
    if "_value_1" in known and not isinstance(value, list):
        return {"_value_1": _value(known["_value_1"].type, value, place)}
    raise _unwanted(place, said("an object with %(names)s", names=listing(known)), _kind(value))


def _object(of: Any, value: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the fields of a complex type; null is the same as not there."""
    known, fitted = fields(of), {}
    for name, one in value.items():
        inner = f"{place}.{name}" if place else name
        if name not in known and not re.fullmatch(r"_value_\d+", name):
            raise Misfit(
                said(
                    "%(place)s: there is no such argument%(hint)s",
                    place=inner,
                    hint=did_you_mean(name, list(known)),
                )
            )
        if one is not None:
            fitted[name] = _element(known[name], one, inner) if name in known else one
    return fitted


def _element(element: Any, value: Any, place: str) -> Any:
    repeated = not hasattr(element, "required") and element.accepts_multiple
    if repeated:
        many = value if isinstance(value, list) else [value]
        return [_value(element.type, one, f"{place}[{number}]") for number, one in enumerate(many)]
    return _value(element.type, value, place)


def _simple(of: Any, value: Any, place: str) -> Any:
    if isinstance(of, ListType):
        many = value if isinstance(value, list) else [value]
        return [_simple(of.item_type, one, f"{place}[{number}]") for number, one in enumerate(many)]
    if isinstance(value, list | dict) or value is None:
        raise _unwanted(place, said("one value"), _kind(value))
    if isinstance(value, str) and (found := _UNSENDABLE.search(value)):
        raise Misfit(
            said(
                "%(place)s: XML cannot hold the character %(character)s at %(n)s",
                place=place,
                character=f"U+{ord(found[0]):04X}",
                n=found.start() + 1,
            )
        )
    if isinstance(of, UnionType):
        return value
    if isinstance(of, builtins.Boolean):
        return _truth(value, place)
    if isinstance(of, builtins.Decimal | builtins.Float | builtins.Double):
        return _number(of, value, place)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _bytes(text, place) if isinstance(of, builtins.Base64Binary) else _moment(of, text, place)


def _truth(value: Any, place: str) -> bool:
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(str(value).strip().lower())
    if found is None:
        raise _unwanted(place, said("true or false"), _kind(value))
    return found


def _number(of: Any, value: Any, place: str) -> str:
    """Return a number as XML writes it; empty text or another word is none."""
    whole = isinstance(of, builtins.Integer)
    try:
        if isinstance(value, bool):
            raise ValueError
        number = Decimal(str(value).strip())
        if not number.is_finite() or (whole and number != number.to_integral_value()):
            raise ValueError
    except (ValueError, InvalidOperation):
        wanted = said("a whole number") if whole else said("a number")
        raise _unwanted(place, wanted, _kind(value)) from None
    return f"{number.to_integral_value() if whole else number:f}"


def _moment(of: Any, text: str, place: str) -> str:
    example = next((example for moment, example in _MOMENTS.items() if isinstance(of, moment)), None)
    if example is None:
        return text
    try:
        return str(of.xmlvalue(of.pythonvalue(text.strip())))
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise _unwanted(place, example, said("other text")) from None


def _bytes(text: str, place: str) -> str:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise _unwanted(place, "Base64", said("other text")) from None
    return text


def _unwanted(place: str, wanted: str, kind: str) -> Misfit:
    return Misfit(said("%(place)s: expected %(wanted)s, got %(kind)s", place=place, wanted=wanted, kind=kind))


def _kind(value: object) -> str:
    return wording.kind(float(value) if isinstance(value, Decimal) else value)
