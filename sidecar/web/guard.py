"""Every request passes here first: who asks, how large it is, what the answer's headers are, one log line."""

import logging
import time
from collections.abc import Callable, Mapping

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidecar.errors import said
from sidecar.web.access import Visitor, visitor_of
from sidecar.web.desk import Desk
from sidecar.web.fault import Fault, Show, broken
from sidecar.web.governor import Governor
from sidecar.web.proxies import look_behind

_log = logging.getLogger("mih.web")

LARGEST_BODY = 1_048_576
_BODY_WITHIN_S = 30
_API = "/api/v1"
# Plugins, scripts and health checks wait for nobody; files cost nothing.
_NO_PAGES = ("/api", "/static", "/healthz", "/readyz")
_CHANGES_NOTHING = ("GET", "HEAD")
_SAFE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Wraps the application. An error of the program is logged here and answered without a traceback."""

    def __init__(self, app: ASGIApp, desk: Desk, show: Show) -> None:
        self._app, self._desk, self._show = app, desk, show
        self._governor = Governor(lambda: desk.busy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        changes = scope["method"] not in _CHANGES_NOTHING
        answer = _Answer(send, self._desk.owings.forget if changes else None)
        began = time.monotonic()
        try:
            await self._admit(scope, receive, answer)
        except Fault as fault:
            await self._show(Request(scope), fault)(scope, receive, answer)
        except Exception:  # noqa: BLE001 - no request may end without an answer
            _log.exception("web.failed: this should not happen path=%s", _path(scope))
            if answer.status is None:
                await self._show(Request(scope), broken())(scope, receive, answer)
        finally:
            _tell(scope, answer, (time.monotonic() - began) * 1000)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        web = self._desk.settings.web
        look_behind(scope, web.trusted_proxies)
        headers = Headers(scope=scope)
        if scope["path"].startswith(_API):
            scope["visitor"] = visitor_of(headers.get("authorization"), web.tokens)
        body = await _whole_body(headers, receive)
        if body is None:
            return
        (_expect_json if scope["path"].startswith("/api") else _expect_form)(headers, body)
        again = _again(body, receive)
        if scope["path"].startswith(_NO_PAGES):
            await self._app(scope, again, send)
        else:
            async with self._governor.turn():
                await self._app(scope, again, send)


class _Answer:
    """Sends on, with the headers that every answer has, and remembers the status.

    `first` is done before whoever asked can know that something was changed.
    """

    def __init__(self, send: Send, first: Callable[[], None] | None) -> None:
        self._send, self._first = send, first
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._first is not None:
                self._first()
            headers = MutableHeaders(scope=message)
            for name, value in _SAFE.items():
                headers.setdefault(name, value)
        await self._send(message)


async def _whole_body(headers: Headers, receive: Receive) -> bytes | None:
    """Return the body; None if the client went away. Raises Fault for one too large or too slow."""
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:18]) > LARGEST_BODY:
        raise _too_large()
    body = bytearray()
    with anyio.move_on_after(_BODY_WITHIN_S):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > LARGEST_BODY:
                raise _too_large()
            if not message.get("more_body"):
                return bytes(body)
    raise Fault(
        408,
        "too_slow",
        said("The body did not come within %(n)s seconds.", n=_BODY_WITHIN_S),
        said("Try again."),
        _CLOSE,
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then what comes after it."""
    left = [body]

    async def give() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return give


def _expect_json(headers: Headers, body: bytes) -> None:
    if body and _kind(headers) != "application/json":
        raise Fault(
            415,
            "not_json",
            said("The body has to be JSON."),
            said("Send the header `Content-Type: application/json` and a JSON object."),
        )


def _expect_form(headers: Headers, body: bytes) -> None:
    if body and _kind(headers) != "application/x-www-form-urlencoded":
        raise Fault(
            415,
            "not_form",
            said("The body has to be a form of the dashboard."),
            said("The API is at /api/v1."),
        )


def _kind(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


_CLOSE = {"Connection": "close"}


def _too_large() -> Fault:
    return Fault(
        413,
        "too_large",
        said("The body is over %(n)s bytes.", n=f"{LARGEST_BODY:,}"),
        said("Send less at a time."),
        _CLOSE,
    )


def _tell(scope: Scope, answer: _Answer, latency_ms: float) -> None:
    visitor: Visitor | None = scope.get("visitor")
    level = logging.INFO if scope["path"].startswith(_API) else logging.DEBUG
    _log.log(
        level,
        "web.request method=%s path=%s token=%s status=%s latency_ms=%.0f",
        scope["method"][:20],
        _path(scope),
        visitor.name if visitor else "-",
        answer.status or "-",
        latency_ms,
    )


def _path(scope: Scope) -> str:
    """Return the path as it came, percent-encoded, so that nobody writes lines into the log; no query."""
    raw: bytes = scope.get("raw_path") or b""
    return raw.partition(b"?")[0][:200].decode("latin-1").encode("unicode_escape").decode()
