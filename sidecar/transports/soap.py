"""SOAP: a JSON payload becomes the envelope of one operation, the answer a verdict.

What an answer says:

- an envelope without a fault (of a one-way operation: any 2xx): delivered.
- a fault that blames the sender (Client, Sender, wsse:...): rejected, unless the HTTP status says busy.
- any other fault: failed.
- no SOAP at all: by its HTTP status, as REST; a 2xx without an envelope where one was due is failed.
- no WSDL, or one that names no usable address: failed. It concerns all messages, so the circuit opens.
- a payload that does not fit the WSDL: invalid. Nothing was sent, and the dead letter says what would fit.
"""

import json
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from xml.sax.saxutils import escape

import httpx
from zeep import Settings as ZeepSettings
from zeep import wsa
from zeep.exceptions import Error as ZeepError
from zeep.helpers import serialize_object
from zeep.loader import parse_xml
from zeep.wsdl.utils import etree_to_string
from zeep.wsse.username import UsernameToken

from sidecar.clock import Clock
from sidecar.errors import said, text_of
from sidecar.model import Attempt, Outcome
from sidecar.settings import Service, WsseAuth, status_set
from sidecar.transports.base import Request
from sidecar.transports.exchange import EXCERPT, LONGEST_ANSWER, Answer, Exchange, Trouble, Verdict
from sidecar.transports.outgoing import Outgoing
from sidecar.transports.soap_answer import Fault, NoEnvelope, read_answer
from sidecar.transports.soap_cache import Wsdl, WsdlUnavailable
from sidecar.transports.soap_fit import arguments
from sidecar.transports.soap_shape import Misfit, Operation, find
from sidecar.transports.soap_wsdl import WsdlReader
from sidecar.transports.status import classify, refusal, retry_after

# The statuses that only say that there is a fault; any other has something of its own to say.
_OF_FAULTS = frozenset({200, 400, 500})
# A payload that does not fit may fit the WSDL of today, which is looked at this often at most.
_WORTH_A_LOOK = timedelta(minutes=1)
_WSA_ID = ".//{http://www.w3.org/2005/08/addressing}MessageID"
_STARS = "********"


class SoapTransport:
    """Calls the operations of a SOAP service; the endpoint is the operation's name."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._exchange = Exchange(service, clock)
        self._outgoing = Outgoing(service, clock)
        self._reader = WsdlReader(service, clock)
        again = status_set(service.retry_status)
        self._classify = partial(classify, success=status_set(service.success_status), again=again)

    def send(self, request: Request) -> Attempt:
        started_at, start = self._clock.now(), self._clock.monotonic()
        self._exchange.start(self._service.timeout)
        try:
            verdict = self._deliver(request)
        except (Misfit, httpx.InvalidURL, ValueError) as error:
            verdict = Verdict(Outcome.INVALID, said("it cannot be sent: %(why)s", why=text_of(error)))
        except WsdlUnavailable as error:
            verdict = Verdict(error.outcome, said("the WSDL cannot be used: %(why)s", why=text_of(error)))
        except Trouble as trouble:
            verdict = Verdict(trouble.outcome, str(trouble))
        return Attempt(
            verdict.outcome,
            started_at,
            (self._clock.monotonic() - start) * 1000,
            verdict.status,
            self._masked(verdict.error),
            self._masked(verdict.response),
            verdict.retry_after_s,
        )

    def close(self) -> None:
        self._exchange.close()
        self._reader.close()

    def _deliver(self, request: Request) -> Verdict:
        operation, envelope, headers = self._fitted(request)
        url = address(self._service, operation)
        message = self._message(request, operation, envelope, headers, url)
        return self._judge(operation, self._exchange.send(message, LONGEST_ANSWER), request.keep_bytes)

    def _fitted(self, request: Request) -> tuple[Operation, Any, dict[str, str]]:
        """Return what to call and with which envelope; by today's WSDL if it does not fit the one at hand."""
        wsdl = self._reader.wsdl(self._exchange.left())
        try:
            return self._build(request, wsdl)
        except Misfit:
            if self._clock.now() - wsdl.read_at < _WORTH_A_LOOK:
                raise
        return self._build(request, self._reader.renew(self._exchange.left()))

    def _build(self, request: Request, wsdl: Wsdl) -> tuple[Operation, Any, dict[str, str]]:
        operation = find(wsdl.document, request.endpoint, self._service.soap)
        try:
            given = arguments(operation, request.body)
            built = operation.message.create(**given)
        except Misfit as error:
            raise _unlike(operation, text_of(error)) from error
        except (ZeepError, TypeError, ValueError, AttributeError, LookupError) as error:
            raise _unlike(operation, _of_zeep(error)) from error
        operation.binding._set_http_headers(built, operation.message)
        return operation, built.content, built.headers

    def _message(
        self, request: Request, operation: Operation, envelope: Any, headers: dict[str, str], url: str
    ) -> httpx.Request:
        """Return the message as it goes out. Raises ValueError or InvalidURL when none can be like that."""
        if operation.message.abstract.wsa_action:
            # Its own id, not a new one with each try, tells a service that it has had this before.
            wsa.WsAddressingPlugin(url).egress(envelope, headers, operation.message, {})
            envelope.find(_WSA_ID).text = f"urn:uuid:{request.delivery_id}"
        if operation.version == "1.2" and not operation.message.soapaction:
            headers["Content-Type"] = "application/soap+xml; charset=utf-8"
        if isinstance(self._service.auth, WsseAuth):
            self._token(self._service.auth).apply(envelope, headers)
        return self._outgoing.message(
            "POST",
            url,
            etree_to_string(envelope),
            request.headers,
            headers,
            delivery_id=request.delivery_id,
        )

    def _token(self, auth: WsseAuth) -> UsernameToken:
        return UsernameToken(
            auth.username,
            auth.password.get_secret_value(),
            use_digest=auth.digest,
            created=self._clock.now(),
            zulu_timestamp=True,
        )

    def _judge(self, operation: Operation, answer: Answer, keep_bytes: int) -> Verdict:
        status = answer.status
        by_status = self._classify(status)
        fault, problem = _fault_in(answer)
        verdict = partial(
            Verdict, status=status, response=answer.text(EXCERPT), retry_after_s=self._wait(answer)
        )
        if fault is not None:
            return verdict(
                _outcome(fault, status, by_status),
                said("%(fault)s (status %(status)s)", fault=fault.sentence, status=status),
            )
        if by_status is not Outcome.DELIVERED:
            return verdict(by_status, refusal(status, answer.headers))
        if problem and operation.answers and not (status == 202 and not answer.body):
            return verdict(
                Outcome.FAILED,
                said("answered %(status)s, but not in SOAP: %(problem)s", status=status, problem=problem),
            )
        kept = _result(operation, answer, keep_bytes) if keep_bytes else None
        return Verdict(Outcome.DELIVERED, status=status, response=kept)

    def _wait(self, answer: Answer) -> float | None:
        return retry_after(answer.headers.get("retry-after"), self._clock.now())

    def _masked(self, text: str | None) -> str | None:
        """Take out the password as XML writes it; in its other forms the gateway takes out all secrets."""
        auth = self._service.auth
        password = auth.password.get_secret_value() if isinstance(auth, WsseAuth) else ""
        written = {escape(password), escape(password, {'"': "&quot;", "'": "&apos;"})} - {password}
        for form in written:
            text = text.replace(form, _STARS) if text else text
        return self._exchange.masked(text)


def address(service: Service, operation: Operation) -> str:
    """Return where the operation is called. Raises WsdlUnavailable.

    Many a WSDL names the address that its server has behind a proxy: from another host than the WSDL's own
    it is only taken when the settings name it, as the credentials go there, and never http behind https.
    """
    if service.soap.address:
        return service.soap.address
    given, own = operation.address or "", urlsplit(service.base_url)
    try:
        there = urlsplit(given)
        host = there.hostname
        there.port  # noqa: B018 - raises
    except ValueError:
        there, host = urlsplit(""), None
    if there.scheme not in ("http", "https") or not host or there.username is not None:
        raise WsdlUnavailable(said("it gives no address for %(port)s: set soap.address", port=operation.port))
    if host != own.hostname:
        raise WsdlUnavailable(
            said(
                "it says that %(port)s is at %(there)s, another host than its own:"
                " if that is right, set soap.address to the whole URL",
                port=operation.port,
                there=f"{there.scheme}://{there.netloc}",
            )
        )
    if own.scheme == "https" and there.scheme == "http":
        return urlunsplit(("https", own.netloc, there.path, there.query, ""))
    return given


def _outcome(fault: Fault, status: int, by_status: Outcome) -> Outcome:
    if status not in _OF_FAULTS and by_status is not Outcome.DELIVERED:
        return by_status
    return Outcome.REJECTED if fault.blames_sender else Outcome.FAILED


def _fault_in(answer: Answer) -> tuple[Fault | None, str | None]:
    """Return the fault in an answer, and why it is no SOAP if it is none."""
    try:
        return read_answer(answer.body, answer.headers.get("content-type", "")), None
    except NoEnvelope as error:
        return None, text_of(error)


def _result(operation: Operation, answer: Answer, most: int) -> str:
    """Return the result as JSON for who called; as it came where zeep does not understand it."""
    if answer.whole and operation.answers:
        # The call has succeeded, also where the answer is not as the WSDL says.
        with suppress(
            ZeepError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError
        ):
            settings = ZeepSettings(strict=False, forbid_dtd=True, forbid_entities=True)
            parsed = operation.message.process_reply(parse_xml(answer.body, None, settings=settings))
            return json.dumps(serialize_object(parsed, dict), default=str)[:most]
    return answer.text(most)


def _unlike(operation: Operation, why: str) -> Misfit:
    return Misfit(said("%(why)s. It is %(signature)s", why=why, signature=operation.signature()))


def _of_zeep(error: Exception) -> str:
    """Return what zeep found missing or too much."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    path = ".".join(str(part) for part in getattr(error, "path", None) or () if part)
    return f"{path}: {text}" if path else str(text).partition(" Signature:")[0].rstrip(".")
