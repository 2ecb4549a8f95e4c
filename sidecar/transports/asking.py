"""One question over HTTP under the network rules, with a connection of its own; the answer is JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpcore
import httpx

from sidecar.clock import Clock
from sidecar.settings import NetworkRules
from sidecar.transports.connection import OneConnection, Way
from sidecar.transports.deadline import Deadline
from sidecar.transports.network import AddressRefused

_LONGEST_S = 10.0
_LONGEST_ANSWER = 1_048_576


class NoAnswer(Exception):
    """There was no answer; the text says why."""


class TooLong(Exception):
    """The answer is longer than any that makes sense."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came back. `json` is None where it is no JSON; `moved` is where a redirect leads."""

    status: int
    json: Any
    moved: str | None


def ask(request: httpx.Request, rules: NetworkRules, clock: Clock) -> Said:
    """Send a request and return what came back; no redirect is followed. Raises NoAnswer and TooLong."""
    deadline = Deadline(clock)
    deadline.start(_LONGEST_S)
    connection = OneConnection(deadline, Way(rules))
    host = request.url.netloc.decode("ascii", "replace")
    try:
        answer = connection.handle_request(request)
        return Said(answer.status_code, _json(_body(answer)), answer.headers.get("location"))
    except AddressRefused as error:
        raise NoAnswer(f"the network rules refuse {error}") from None
    except httpcore.TimeoutException:
        raise NoAnswer(f"no answer from {host} within {_LONGEST_S:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
        raise NoAnswer(f"{host} cannot be asked: {error or type(error).__name__}") from None
    finally:
        connection.close()


def question(
    method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> httpx.Request:
    """Return the request to send. Raises ValueError for what is no address."""
    typed = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    body = urlencode(form).encode() if form is not None else None
    try:
        return httpx.Request(
            method, url, headers={"Accept": "application/json", **typed, **headers}, content=body
        )
    except httpx.InvalidURL as error:
        raise ValueError(f"{url} is no address: {error}") from None


def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    try:
        for piece in answer.iter_raw():
            body += piece
            if len(body) > _LONGEST_ANSWER:
                raise TooLong(f"an answer is longer than {_LONGEST_ANSWER:,} bytes")
    finally:
        answer.close()
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
