"""The address of a message broker, `amqp(s)://user:password@host:port/vhost?exchange=...`, taken apart."""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote, urlsplit

from sidecar.errors import said, text_of
from sidecar.settings.wording import did_you_mean

_EXAMPLE = "amqp://broker.example.org/vhost?exchange=moodle"
_PORTS = {"amqp": 5672, "amqps": 5671}
# What RabbitMQ lets in when nobody has configured a user, from its own machine only.
GUEST = ("guest", "guest")
_KEYS = ("exchange", "routing_key", "queue_declare", "dlq")
_LONGEST = 255
_CREDENTIALS = re.compile(
    r"(?P<scheme>amqps?://)(?P<user>[^:/?#]*)(?::(?P<password>[^/?#]*))?@", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where messages go. An empty exchange is the default one: it takes a queue's name as routing key.

    A queue that is to be declared is durable, bound with `routing_key` where there is an exchange, and what
    its consumers refuse goes to `dead_letter_queue` where that is named.
    """

    host: str
    port: int
    tls: bool
    vhost: str = "/"
    exchange: str = ""
    routing_key: str = ""
    queue: str = ""
    dead_letter_queue: str = ""

    @property
    def address(self) -> str:
        """Host and port, for sentences."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def fallback_key(self) -> str:
        """The routing key of a message whose rule names none."""
        return self.routing_key or ("" if self.exchange else self.queue)


@dataclass(frozen=True, slots=True)
class Parted:
    """A broker's URL without user and password, and these two, decoded; None where it held none."""

    url: str
    user: str | None = None
    password: str = ""


def part(url: str) -> Parted:
    """Take user and password out of a URL, so that the rest can be shown and written down."""
    found = _CREDENTIALS.match(url)
    if found is None:
        return Parted(url)
    rest = found["scheme"] + url[found.end() :]
    return Parted(rest, unquote(found["user"]), unquote(found["password"] or ""))


def broker_problem(url: str) -> str | None:
    """Say why no broker can be behind this URL, without repeating it."""
    try:
        read_broker(url)
    except ValueError as error:
        return text_of(error)
    return None


def read_broker(url: str) -> Broker:
    """Return what a URL names, its user and password left out. Raises ValueError with a sentence."""
    rest = part(url).url
    if re.search(r"[\x00-\x20\x7f]", rest):
        raise ValueError(said("this is no URL: it holds a blank or a control character"))
    try:
        parts = urlsplit(rest)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(
            said("this is no URL: its host or port cannot be read; %(escaped)s", escaped=ESCAPED)
        ) from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError(said("expected a URL such as %(example)s, amqps:// with TLS", example=_EXAMPLE))
    if "@" in rest.partition("?")[0]:
        raise ValueError(said("this holds an @ after the host; %(escaped)s", escaped=ESCAPED))
    if port == 0:
        raise ValueError(said("this is no URL: its port is 0"))
    if "#" in rest:
        raise ValueError(said("no # here: in the name of a queue or a routing key it is written %23"))
    names = _names(parts.query)
    return Broker(
        host,
        port or _PORTS[parts.scheme],
        parts.scheme == "amqps",
        _vhost(parts.path),
        names.get("exchange", ""),
        names.get("routing_key", ""),
        names.get("queue_declare", ""),
        names.get("dlq", ""),
    )


def node_beside(broker: Broker, node: str) -> Broker:
    """Return another node of a broker's cluster, written host or host:port. Raises ValueError like above."""
    if any(mark in node for mark in "/?@"):
        raise ValueError(said("expected host or host:port: all else is as in the URL"))
    found = read_broker(f"{'amqps' if broker.tls else 'amqp'}://{node}")
    return replace(broker, host=found.host, port=found.port)


ESCAPED = said("in the user name and the password %40 stands for @, %2F for /, %3A for :")


def _vhost(path: str) -> str:
    if path in ("", "/", "//"):
        return "/"
    if "/" in path[1:]:
        raise ValueError(said("a / within the name of the virtual host is written %2F"))
    return unquote(path[1:])


def _names(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    names = dict(pairs)
    for key, value in pairs:
        if key not in _KEYS:
            raise ValueError(
                said("after the ? there is an unknown key%(hint)s", hint=did_you_mean(key, _KEYS))
            )
        if len(value.encode("utf-8", "replace")) > _LONGEST:
            raise ValueError(said("%(key)s is longer than %(longest)s bytes", key=key, longest=_LONGEST))
    if len(names) < len(pairs):
        raise ValueError(said("after the ? there is a key that is written twice"))
    if names.get("dlq") and not names.get("queue_declare"):
        raise ValueError(said("dlq belongs to a queue that is declared: name it in queue_declare"))
    if names.get("dlq") and names["dlq"] == names["queue_declare"]:
        raise ValueError(said("queue_declare and dlq name the same queue"))
    if names.get("queue_declare") and names.get("exchange") and "routing_key" not in names:
        raise ValueError(
            said(
                "queue_declare with an exchange needs routing_key, the key that binds the queue"
                " (%23 stands for the # that takes all of a topic exchange)"
            )
        )
    return names
