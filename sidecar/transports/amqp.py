"""AMQP: persistent messages to RabbitMQ, one or a group, each delivered when the broker has confirmed it.

What an answer says, by the reply codes of AMQP 0-9-1:

- confirmed: delivered. The broker has it on disk, in every queue that its routing key leads to.
- came back unroutable (312): busy. The broker is well, and once the queue is there the same message fits.
- 311 or 406 on the message (too large): rejected. It will never be taken.
- refused (nack), blocked by an alarm (memory, disk), no such exchange (404), no permission (403), no login,
  and all that breaks: failed. It lies with the broker or with how the service is configured, and concerns
  all messages; so the circuit opens and they wait.
- a proxy on the way that is ill: unsent. The broker is not to blame. An address that the network rules
  refuse: invalid.

A message that was sent and not confirmed in time may have been taken: it is sent again with the same
`message_id`. While an alarm lasts a link that waits for its confirm sends nothing more.

Of a group each message has its own verdict. If the broker closes the channel over one of them it does not say
over which: those not confirmed by then go out once more, one by one, so that none pays for its neighbour.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpcore

from sidecar.clock import Clock
from sidecar.errors import ConfigError, said, text_of
from sidecar.model import Attempt, Outcome
from sidecar.settings import BasicAuth, Service
from sidecar.settings.broker import GUEST, read_broker
from sidecar.transports.amqp_message import message_of
from sidecar.transports.base import Request
from sidecar.transports.connection import way_of
from sidecar.transports.deadline import Deadline
from sidecar.transports.link import BROKEN, Answer, Link, Message, Told
from sidecar.transports.network import AddressRefused
from sidecar.transports.proxy import Unsent
from sidecar.transports.wire import THE_MESSAGE, Dropped, Garbage, Refused
from sidecar.transports.words import broken_off, forbidden, hung_up, no_way, unanswered, unconnected

_NO_ROUTE = 312
_NEVER_TAKEN = frozenset({311, 406})
_LEAVE_TAKING_S = 1.0
_GROUP = 100
# So many single messages in a row over which the broker closes the channel: it is not the messages.
_MOST_BLAMED = 3
# What a link that the broker had closed meanwhile runs into.
_STALE = (Refused, Dropped, httpcore.NetworkError, OSError)


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    error: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the broker has shown: why we were not let in, or what is not there, by its kind."""

    error: str | None = None
    status: int | None = None
    no_exchange: bool = False
    no_queues: tuple[str, ...] = ()


class AmqpTransport:
    """Publishes to a RabbitMQ exchange; the endpoint is the routing key."""

    at_once = _GROUP

    def __init__(self, service: Service, clock: Clock) -> None:
        """Connect to nothing yet. Raises ConfigError when base_url cannot be read."""
        try:
            self._broker = read_broker(service.base_url)
        except ValueError as error:
            raise ConfigError([f"base_url: {error}"]) from None
        self._service = service
        self._clock = clock
        self._deadline = Deadline(clock)
        self._way = way_of(service)
        self._link: Link | None = None
        self._headers = {name: value.get_secret_value() for name, value in service.headers.items()}

    def send(self, request: Request) -> Attempt:
        return self.send_many([request])[0]

    def send_many(self, requests: Sequence[Request]) -> list[Attempt]:
        """Send a group and wait for all its confirms together. The attempts are in the requests' order.

        It ends within the service's timeout, which the group has as a whole.
        """
        started_at, start = self._clock.now(), self._clock.monotonic()
        self._deadline.start(self._service.timeout, self._service.connect_timeout_s)
        verdicts = self._deliver(requests)
        latency_ms = (self._clock.monotonic() - start) * 1000
        return [Attempt(one.outcome, started_at, latency_ms, one.status, one.error) for one in verdicts]

    def look(self, queues: Iterable[str] = ()) -> Seen:
        """Log in and look for the exchange and for these queues. Nothing is made, nothing is sent."""
        self._deadline.start(self._service.timeout, self._service.connect_timeout_s)
        self._take_leave()
        try:
            link = self._link = self._new_link(declares=False)
            exchange = self._broker.exchange
            no_exchange = bool(exchange) and not link.is_there(exchange=exchange)
            missing = tuple(queue for queue in queues if not link.is_there(queue=queue))
        except BROKEN as error:
            verdict = self._failed(error)
            return Seen(verdict.error, verdict.status)
        self.close()
        return Seen(no_exchange=no_exchange, no_queues=missing)

    def close(self) -> None:
        self._deadline.start(_LEAVE_TAKING_S)
        self._take_leave()

    def _deliver(self, requests: Sequence[Request]) -> list[_Verdict]:
        made = [self._made(request) for request in requests]
        sent = iter(self._sent([one for one in made if isinstance(one, Message)]))
        return [next(sent) if isinstance(one, Message) else one for one in made]

    def _made(self, request: Request) -> Message | _Verdict:
        try:
            return message_of(request, self._broker, self._headers, self._clock.now())
        except ValueError as error:
            return _Verdict(Outcome.INVALID, said("it cannot be sent: %(why)s", why=text_of(error)))

    def _sent(self, messages: Sequence[Message]) -> list[_Verdict]:
        if not messages:
            return []
        told = self._publish(messages)
        pairs = list(zip(messages, told.answers, strict=True))
        known = [self._answered(answer, message) if answer else None for message, answer in pairs]
        if told.broke is None:
            return [one for one in known if one]
        unsure = [message for message, answer in pairs if answer is None]
        later = iter(self._unanswered(told.broke, unsure, alone=len(messages) == 1))
        return [one or next(later) for one in known]

    def _unanswered(self, broke: Exception, messages: Sequence[Message], *, alone: bool) -> list[_Verdict]:
        verdict = self._failed(broke)
        if isinstance(broke, Refused) and broke.doing == THE_MESSAGE and not alone:
            return self._one_by_one(messages)
        return [verdict] * len(messages)

    def _one_by_one(self, messages: Sequence[Message]) -> list[_Verdict]:
        """Find out whose fault it was. Where that takes too long the rest waits, free of charge."""
        verdicts: list[_Verdict] = []
        blamed = 0
        for message in messages:
            if blamed == _MOST_BLAMED:
                verdicts.append(verdicts[-1])
                continue
            verdicts += [self._unsent()] if self._late() else self._sent([message])
            lost = self._link is None and verdicts[-1].outcome is Outcome.FAILED
            blamed = blamed + 1 if lost else 0
        return verdicts

    def _late(self) -> bool:
        try:
            self._deadline.left()
        except httpcore.TimeoutException:
            return True
        return False

    def _unsent(self) -> _Verdict:
        text = said(
            "%(where)s refused a message that was sent together with this one, and no time was left to send"
            " this one again",
            where=self._broker.address,
        )
        return _Verdict(Outcome.UNSENT, text)

    def _failed(self, error: Exception) -> _Verdict:
        match error:
            case httpcore.ConnectTimeout():
                return _Verdict(Outcome.FAILED, self._unconnected())
            case httpcore.TimeoutException():
                return self._too_late()
            case _:
                return self._blamed(error)

    def _publish(self, messages: Sequence[Message]) -> Told:
        """Publish on the kept link; on a new one if the broker had closed that meanwhile."""
        if self._link is not None:
            told = self._link.publish(messages)
            answered = self._deadline.heard or any(told.answers)
            if answered or not isinstance(told.broke, _STALE):
                return told
            self._drop()
        try:
            self._link = self._new_link()
        except BROKEN as error:
            return Told((None,) * len(messages), error)
        return self._link.publish(messages)

    def _new_link(self, *, declares: bool = True) -> Link:
        return Link(self._broker, self._credentials(), self._deadline, self._way, declares=declares)

    def _answered(self, answer: Answer, message: Message) -> _Verdict:
        if answer.taken:
            return _Verdict(Outcome.DELIVERED)
        if not answer.returned:
            text = said(
                "%(where)s did not take the message (nack); is its queue full?", where=self._broker.address
            )
            return _Verdict(Outcome.FAILED, text)
        if self._broker.queue:
            # Somebody may have deleted our queue: a new link declares it again.
            self._take_leave()
        exchange = (
            said("the exchange %(name)s", name=message.exchange)
            if message.exchange
            else said("the default exchange")
        )
        text = said(
            'unroutable: %(exchange)s leads "%(key)s" to no queue; declare or bind one',
            exchange=exchange,
            key=message.routing_key,
        )
        return _Verdict(Outcome.BUSY, text, _NO_ROUTE)

    def _unconnected(self) -> str:
        limit = self._service.connect_timeout_s
        where = self._broker.address
        return unconnected(where, limit) if limit < self._service.timeout else unanswered(where, limit)

    def _too_late(self) -> _Verdict:
        where, link = self._broker.address, self._link
        alarm = _alarm(link) if link else None
        # A message that was sent whole may still be confirmed, and meanwhile a new link would send it again.
        if alarm is None or not (link and link.whole):
            self._drop()
        if alarm is not None:
            text: str = said("%(where)s takes no messages just now: %(alarm)s", where=where, alarm=alarm)
        elif link is not None:
            text = said(
                "%(where)s did not confirm the message within %(n)s s",
                where=where,
                n=f"{self._service.timeout:g}",
            )
        else:
            text = unanswered(where, self._service.timeout)
        return _Verdict(Outcome.FAILED, text)

    def _blamed(self, error: Exception) -> _Verdict:
        """Say whose fault it is that the message was not taken, and give the link up."""
        match error:
            case Refused():
                self._take_leave()
                outcome = classify(error.code, of_message=error.doing == THE_MESSAGE)
                text = said(
                    "%(where)s refused %(doing)s: %(text)s (%(code)s)",
                    where=self._broker.address,
                    doing=error.doing,
                    text=error.text,
                    code=error.code,
                )
                return _Verdict(outcome, text, error.code)
            case AddressRefused():
                return _Verdict(Outcome.INVALID, forbidden(error))
            case Unsent():
                return _Verdict(Outcome.UNSENT, text_of(error))
            case _:
                self._drop()
                return _Verdict(Outcome.FAILED, self._broken(error))

    def _broken(self, error: Exception) -> str:
        where, why = self._broker.address, text_of(error) or type(error).__name__
        match error:
            case httpcore.ConnectError():
                return no_way(where, why)
            case Dropped():
                return hung_up(where, heard=self._deadline.heard)
            case Garbage():
                return said("%(where)s did not answer in AMQP: %(why)s", where=where, why=why)
            case _:
                return broken_off(where, why)

    def _take_leave(self) -> None:
        """Close the link in good order, within what is left of the deadline."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.drop()

    def _credentials(self) -> tuple[str, str]:
        auth = self._service.auth
        if isinstance(auth, BasicAuth):
            return auth.username, auth.password.get_secret_value()
        return GUEST


def classify(code: int, *, of_message: bool) -> Outcome:
    """Return what a reply code says with which the broker closed the channel or the connection."""
    return Outcome.REJECTED if of_message and code in _NEVER_TAKEN else Outcome.FAILED


def _alarm(link: Link) -> str | None:
    """Return why the broker blocks us; while we were writing nobody read what it said."""
    with suppress(Refused, Dropped, Garbage, OSError):
        link.catch_up()
    return link.blocked
