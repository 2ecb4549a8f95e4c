"""Is all as it should be there? Brokers are logged in to, tokens asked for, WSDLs read; nothing is sent."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import httpcore

from sidecar.clock import Clock
from sidecar.doctor.findings import Finding, Findings, Level, note, ok, problem, warning
from sidecar.gateway.line import Line
from sidecar.settings import BasicAuth, OAuth2Auth, Rule, Service
from sidecar.settings.broker import GUEST, Broker, read_broker
from sidecar.transports.connection import way_of
from sidecar.transports.deadline import Deadline
from sidecar.transports.network import AddressRefused
from sidecar.transports.oauth import TokenDesk

_LONGEST_S = 5.0
_MOST_AT_ONCE = 32


def log_in_all(
    services: Mapping[str, Service], rules: Sequence[Rule], clock: Clock, *, reached: Iterable[str]
) -> dict[str, list[Finding]]:
    """Try all credentials at once, those of brokers only where these were reached."""
    known = set(reached)

    def visit(name: str) -> list[Finding]:
        return list(_visited(name, services[name], rules, clock, reached=name in known))

    with ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="doctor") as threads:
        return dict(zip(services, threads.map(visit, services), strict=True))


def exposed(name: str, service: Service) -> Findings:
    """Yield warnings about credentials that anybody on the way can read, or that everybody knows."""
    subject = f"service {name}"
    if service.type == "amqp":
        broker = read_broker(service.base_url)
        if not broker.tls and not _is_here(broker.host):
            yield warning(
                subject,
                "its password and its messages cross the network unencrypted",
                "use amqps:// in base_url",
            )
        if _account(service) == GUEST:
            yield warning(
                subject,
                "it logs in as guest with the password that everybody knows",
                "make an account of its own (rabbitmqctl add_user) and name it in auth; then delete guest",
            )
    if isinstance(service.auth, OAuth2Auth):
        parts = urlsplit(service.auth.token_url)
        if parts.scheme == "http" and not _is_here(parts.hostname or ""):
            yield warning(
                subject,
                "its client_secret and its tokens cross the network unencrypted",
                "use https:// in auth.token_url",
            )


def _visited(name: str, service: Service, rules: Sequence[Rule], clock: Clock, *, reached: bool) -> Findings:
    """Yield what came of it, without secrets; of a service that is disabled nothing is a problem."""
    hasty = service.model_copy(update={"timeout": min(service.timeout, _LONGEST_S)})
    found: Findings = iter(())
    if isinstance(service.auth, OAuth2Auth):
        found = _token(f"service {name}", hasty, service.auth, clock)
    elif service.type == "amqp" and reached:
        found = _broker(f"service {name}", hasty, [rule for rule in rules if rule.service == name], clock)
    elif service.type == "soap" and reached:
        found = _wsdl(name, hasty, [rule for rule in rules if rule.service == name], clock)
    line = Line(service, clock)
    for finding in found:
        calm = finding.level is Level.PROBLEM and not service.enabled
        level = Level.NOTE if calm else finding.level
        yield replace(finding, level=level, text=line.without_secrets(finding.text))


def _token(subject: str, service: Service, auth: OAuth2Auth, clock: Clock) -> Findings:
    deadline = Deadline(clock)
    deadline.start(service.timeout, service.connect_timeout_s)
    try:
        TokenDesk(auth, clock).token(deadline, way_of(service))
    except AddressRefused as error:
        text = f"the network rules refuse the token server: {error}"
        yield problem(subject, text, "see network in the configuration")
    except httpcore.ConnectError as error:
        yield problem(subject, str(error), "check token_url, client_id, client_secret and scope in auth")
    else:
        yield ok(subject, f"{urlsplit(auth.token_url).netloc} gave a token")


def _broker(subject: str, service: Service, rules: Sequence[Rule], clock: Clock) -> Findings:
    # Only with a broker: pika takes long to load.
    from sidecar.transports.amqp import AmqpTransport  # noqa: PLC0415

    broker = read_broker(service.base_url)
    wanted = _queues(broker, rules)
    seen = AmqpTransport(service, clock).look(wanted)
    if seen.error is not None:
        yield problem(subject, seen.error, _REMEDIES.get(seen.status or 0))
        return
    yield ok(subject, f"{broker.address} lets us in")
    if seen.no_exchange:
        text = f"there is no exchange {broker.exchange}: nothing can be delivered"
        yield problem(subject, text, "declare it at the broker, or correct exchange in base_url")
    for queue in seen.no_queues:
        if queue in (broker.queue, broker.dead_letter_queue):
            yield note(subject, f"there is no queue {queue} yet: it is declared before the first message")
        else:
            text = f"there is no queue {queue}, which {wanted[queue]} names: its messages are unroutable"
            yield problem(subject, text, "declare it at the broker, or correct endpoint or base_url")


def _wsdl(name: str, service: Service, rules: Sequence[Rule], clock: Clock) -> Findings:
    # Only with SOAP: zeep takes half a second to load.
    from sidecar.transports.soap_cache import WsdlUnavailable  # noqa: PLC0415
    from sidecar.transports.soap_shape import Misfit, find  # noqa: PLC0415
    from sidecar.transports.soap_wsdl import WsdlReader  # noqa: PLC0415

    subject, reader = f"service {name}", WsdlReader(service, clock)
    try:
        document = reader.wsdl(service.timeout).document
    except WsdlUnavailable as error:
        yield problem(subject, f"the WSDL cannot be used: {error}", "check base_url: it has to be the WSDL's")
        return
    finally:
        reader.close()
    yield ok(subject, "its WSDL can be used")
    for rule in rules:
        if not rule.enabled or "{" in rule.endpoint:
            continue
        try:
            find(document, rule.endpoint, service.soap)
        except Misfit as error:
            remedy = f"`mih services describe {name}` prints every operation"
            yield problem(subject, f"rule {rule.name}: {error}", remedy)


_REMEDIES = {
    403: "check user and password in auth, and what the account may do (rabbitmqctl list_permissions)",
    530: "check the virtual host in base_url, and whether the account may enter it",
}


def _queues(broker: Broker, rules: Sequence[Rule]) -> dict[str, str]:
    """Return the queues that are named in the configuration, and by what.

    On the default exchange a routing key is a queue's name; one with placeholders is nobody's yet.
    """
    found = {name: "base_url" for name in (broker.queue, broker.dead_letter_queue) if name}
    if broker.exchange:
        return found
    for rule in rules:
        key = rule.endpoint.strip() or broker.fallback_key
        if rule.enabled and key and "{" not in key:
            found.setdefault(key, f"rule {rule.name}")
    return found


def _account(service: Service) -> tuple[str, str]:
    auth = service.auth
    if isinstance(auth, BasicAuth):
        return auth.username, auth.password.get_secret_value()
    return GUEST


def _is_here(host: str) -> bool:
    """Tell whether what goes to a host stays in this machine: its name is not looked up."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
