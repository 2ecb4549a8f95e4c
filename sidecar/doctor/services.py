"""The services: reachable, let us in, not stopped by hand or by their circuit, no credential in the open."""

from datetime import timedelta

from sidecar.doctor.case import Case, Memory
from sidecar.doctor.config import is_secret_header
from sidecar.doctor.findings import Findings, note, ok, problem, warning
from sidecar.doctor.login import exposed, log_in_all
from sidecar.doctor.reach import Reached, reach_all
from sidecar.model import CircuitState
from sidecar.settings import TRANSPORTS, Service
from sidecar.store.words import count

_SOON = timedelta(days=14)


def services(case: Case, memory: Memory) -> Findings:
    """Yield the findings about every service. Connects and logs in to all at once; sends no payload."""
    settings = case.settings
    sound = {name: one for name, one in settings.services.items() if one.broken is None}
    ours = {name: one for name, one in sound.items() if one.type in TRANSPORTS}
    reached = reach_all(ours)
    good = [name for name, found in reached.items() if found.problem is None]
    let_in = log_in_all(ours, settings.rules, case.clock, reached=good)
    for name, service in sound.items():
        if name in ours:
            yield from _reachable(case, name, service, reached[name])
            yield from let_in[name]
            yield from in_the_open(name, service, reached[name])
            yield from exposed(name, service)
        else:
            yield note(f"service {name}", f"is of type {service.type}: only sending shows whether it works")
        yield from _stopped(name, service, memory)
    yield from _unknown(case, memory)
    if not settings.services:
        yield note("services", "there are none yet", "add one under services:")


def _reachable(case: Case, name: str, service: Service, reached: Reached) -> Findings:
    subject = f"service {name}"
    if reached.problem is None:
        handshake = ", and its certificate is good" if reached.expires_at else ""
        yield ok(subject, f"{reached.address} accepts connections{handshake}")
    elif service.enabled:
        yield problem(subject, reached.problem, reached.remedy)
    else:
        yield note(subject, reached.problem, reached.remedy)
    left = reached.expires_at - case.clock.now() if reached.expires_at else None
    if left is not None and left < _SOON:
        yield warning(subject, f"its certificate expires in {max(left.days, 0)} days", "it has to be renewed")


def in_the_open(name: str, service: Service, reached: Reached) -> Findings:
    """Yield a warning if credentials leave the private network without TLS."""
    credentials = service.auth.type != "none" or any(map(is_secret_header, service.headers))
    if credentials and service.base_url.lower().startswith("http://") and not reached.private:
        yield warning(
            f"service {name}",
            "its credentials and payloads cross a public network unencrypted",
            "use https:// in base_url",
        )


def _unknown(case: Case, memory: Memory) -> Findings:
    """Yield the services that are gone and still owed something."""
    for name, pending in memory.pending.items():
        if pending and name not in case.settings.services:
            waits = count(pending, "delivery waits", "deliveries wait")
            yield warning(f"service {name}", f"is not configured, and {waits} for it", _settled(name))


def _settled(name: str) -> str:
    return f"bring it back, or settle what waits: mih queue cancel --service {name}, or bury"


def _stopped(name: str, service: Service, memory: Memory) -> Findings:
    subject, circuit = f"service {name}", memory.circuits.get(name)
    if not service.enabled:
        pending = memory.pending.get(name, 0)
        now = f", {pending:,} now" if pending else ""
        disabled = f"is disabled in the configuration: its deliveries are queued and wait{now}"
        yield note(subject, disabled, _settled(name) if pending else None)
    if name in memory.paused:
        yield warning(subject, "was paused by hand: its deliveries wait", f"mih services resume {name}")
    if circuit is not None and circuit.state is not CircuitState.CLOSED:
        since = f" since {circuit.opened_at:%Y-%m-%d %H:%M} UTC" if circuit.opened_at else ""
        yield warning(
            subject,
            f"its circuit is {circuit.state.replace('_', '-')}{since}, after: {circuit.last_error}",
            f"it closes by itself when the service is well again; to try at once: mih circuits reset {name}",
        )
