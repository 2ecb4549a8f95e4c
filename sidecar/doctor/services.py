"""The services: reachable, not stopped by hand or by their circuit, and no credential in the open."""

from datetime import timedelta

from sidecar.doctor.case import Case, Memory
from sidecar.doctor.config import is_secret_header
from sidecar.doctor.findings import Findings, note, ok, problem, warning
from sidecar.doctor.reach import Reached, reach_all
from sidecar.model import CircuitState
from sidecar.settings import Service

_SOON = timedelta(days=14)


def services(case: Case, memory: Memory) -> Findings:
    """Yield the findings about every service. Connects to all at once; sends nothing."""
    reached = reach_all(case.settings.services)
    for name, service in case.settings.services.items():
        yield from _reachable(case, name, service, reached[name])
        yield from in_the_open(name, service, reached[name])
        yield from _stopped(name, service, memory)
    if not reached:
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


def _stopped(name: str, service: Service, memory: Memory) -> Findings:
    subject, circuit = f"service {name}", memory.circuits.get(name)
    if not service.enabled:
        yield note(subject, "is disabled in the configuration: its deliveries are queued and wait")
    if name in memory.paused:
        yield warning(subject, "was paused by hand: its deliveries wait", f"mih services resume {name}")
    if circuit is not None and circuit.state is not CircuitState.CLOSED:
        since = f" since {circuit.opened_at:%Y-%m-%d %H:%M} UTC" if circuit.opened_at else ""
        yield warning(
            subject,
            f"its circuit is {circuit.state.replace('_', '-')}{since}, after: {circuit.last_error}",
            f"it closes by itself when the service is well again; to try at once: mih circuits reset {name}",
        )
