"""Which faults there are: each with the databases that it is tried on and what it may cost."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos import brokers, costs, logtable, machine, processes, receivers, stores
from tests.chaos.world import World

SERVERS = ("mariadb", "postgresql")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault. `crash`: a process or a database dies or sleeps, so a row may be sent twice with its id."""

    name: str
    harm: Callable[[World], None]
    databases: tuple[str, ...] = SERVERS
    crash: bool = False


SCENARIOS = (
    Scenario("none: 16 writers, commits out of order", processes.nothing),
    Scenario("sidecar killed (kill -9)", processes.killed, crash=True),
    Scenario("2 to 8 replicas killed, stopped, started", processes.replicas_at_will, crash=True),
    Scenario("the tailing replica killed: takeover", processes.taken_over, crash=True),
    Scenario("database killed and restarted", stores.restarted, crash=True),
    Scenario("deadlocks, serialization failures", stores.quarrelled),
    Scenario("connections cut by the server", stores.cut),
    Scenario("RabbitMQ killed and restarted", brokers.restarted, databases=("mariadb",), crash=True),
    Scenario("RabbitMQ partitioned from the sidecars", brokers.partitioned, ("postgresql",), crash=True),
    Scenario("RabbitMQ: a node of a cluster lost", brokers.nodes_lost, ("mariadb",), crash=True),
    Scenario("RabbitMQ: majority of a cluster lost", brokers.majority_lost, ("mariadb",), crash=True),
    Scenario("receiver down for long", receivers.away),
    Scenario("receiver hangs", receivers.behaving(receivers.HANGING)),
    Scenario("receiver resets", receivers.behaving(receivers.RESETTING)),
    Scenario("receiver answers byte by byte", receivers.behaving(receivers.DAWDLING)),
    Scenario("receiver lies about Content-Length", receivers.behaving(receivers.SHORT)),
    Scenario("receiver's body is endless", receivers.behaving(receivers.ENDLESS, taken=True)),
    Scenario("DNS silent, broken, denying", receivers.nameless),
    Scenario("clock steps by an hour", machine.clock_stepping),
    Scenario("disk of the store full", machine.store_full, databases=("sqlite",)),
    Scenario("disk of the log full", machine.log_full, databases=("mariadb",)),
    Scenario("log table truncated", logtable.truncated),
    Scenario("log table restored to an older state", logtable.set_back),
    Scenario("log table cleaned up past the cursor", logtable.cleaned_up),
    Scenario("none: what missing ids cost", costs.missing_ids),
    Scenario("all at once", stores.everything, crash=True),
)
