"""RabbitMQ carries the deliveries and dies, is cut off from the sidecars, loses a node, and falls apart."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.acceptance.sidecar import Sidecar, eventually
from tests.broker import RabbitMQ
from tests.chaos.cluster import TICK_S, Cluster, Node
from tests.chaos.names import NotHere
from tests.chaos.processes import reader
from tests.chaos.world import LEASE_S, TIMEOUT_S, World
from tests.servers import ServerMissing
from tests.transports.brokers import Cable

_QUEUE = "mih.campus.to.crm"
# Shorter than all patience; longer than what is waited for a confirm (10 s); longer than the heartbeats of
# either side last (25 s here, 40 to 60 s at the broker).
_SPELLS_S = (3, 16, 70)
_NODE_AWAY_S = 20


def restarted(world: World) -> None:
    """A broker that stands alone is killed and restarted, and stays away for seconds."""
    broker = world.keep(_broker())
    _started(world, broker.url())
    with world.writing():
        for away_s in (0, 5, 0):
            _until_it_flows(world)
            broker.kill()
            world.strike()
            world.wait(away_s)
            broker.start()
        _until_it_flows(world)


def partitioned(world: World) -> None:
    """The network between the broker and the sidecar that reads is gone; then that of both sidecars."""
    broker = world.keep(_broker())
    cables = [Cable(broker.port), Cable(broker.port)]
    sidecars = _started(world, *(broker.url().replace(str(broker.port), str(one.port)) for one in cables))
    with world.writing(rate=40):
        _until_it_flows(world)
        with _parted(world, [cables[sidecars.index(_reader(world))]]):
            parted_at = time.monotonic()
            _until_it_flows(world)
            world.notes.append(f"the reader cut off: went on after {time.monotonic() - parted_at:.1f} s")
        for seconds in _SPELLS_S:
            _until_it_flows(world)
            with _parted(world, cables):
                world.wait(seconds)
                if seconds == max(_SPELLS_S):
                    _is_told(world)
        _until_it_flows(world)
    assert all("did not answer within" in one.said for one in sidecars), "it did not say what was wrong"
    world.settle()
    for cable in cables:
        cable.close()


def _reader(world: World) -> Sidecar:
    """Return the sidecar that tails, as soon as there is one."""
    eventually(lambda: reader(world))
    found = reader(world)
    assert found is not None
    return found


@contextmanager
def _parted(world: World, cables: list[Cable]) -> Iterator[None]:
    """Let nothing come from the broker meanwhile, and by chance nothing get there either."""
    for cable in cables:
        cable.hold(forth=world.chance.random() < 0.5)
    world.strike()
    yield
    for cable in cables:
        cable.heal()


def nodes_lost(world: World) -> None:
    """The node that most are connected to is lost: killed, hanging, cut off from the two others."""
    cluster = world.keep(_cluster())
    _started(world, *(one.url() for one in cluster.nodes[:2]), nodes=cluster.nodes)
    with world.writing(rate=40):
        _until_it_flows(world)
        assert cluster.members(_QUEUE) == len(cluster.nodes)
        faults = {"killed": _killed, "hanging": _hanging, "cut off": cluster.without}
        for name, fault in faults.items():
            node = max(cluster.nodes, key=lambda one: one.connections)
            with fault(node):
                world.strike()
                gone_at = time.monotonic()
                _until_it_flows(world)
                world.notes.append(f"a node {name}: went on after {time.monotonic() - gone_at:.1f} s")
                world.wait(_NODE_AWAY_S)
                _until_it_flows(world)
            world.wait(2 * TICK_S)  # whoever was away notices only now that it was
            eventually(cluster.is_whole, seconds=120)
            _until_it_flows(world)


def majority_lost(world: World) -> None:
    """Two of three nodes are killed: nothing is confirmed and the tail waits; with one of them it goes on."""
    cluster = world.keep(_cluster())
    [sidecar] = _started(world, cluster.nodes[0].url(), nodes=cluster.nodes)
    with world.writing(rate=40):
        _until_it_flows(world)
        for node in cluster.nodes[1:]:
            node.kill()
        world.strike()
        eventually(lambda: "tail.waiting" in sidecar.said)
        world.wait(_NODE_AWAY_S)
        cluster.nodes[1].start()
        _until_it_flows(world)
        cluster.nodes[2].start()
        _until_it_flows(world)


def _is_told(world: World) -> None:
    """See that status and doctor say in words what is wrong, of the broker that nobody reaches."""
    status, check = world.mih("status").stdout, world.mih("check").stdout
    assert "did not answer within 10 s" in status.splitlines()[0], status
    assert "did not answer within 10 s" in check, check


@contextmanager
def _killed(node: Node) -> Iterator[None]:
    node.kill()
    yield
    node.start()


@contextmanager
def _hanging(node: Node) -> Iterator[None]:
    node.hang()
    yield
    node.go_on()


def _started(world: World, *urls: str, nodes: list[Node] | None = None) -> list[Sidecar]:
    """Start a sidecar for each URL of a broker; all know the nodes of its cluster."""
    made = []
    for url in urls:
        broker: dict[str, Any] = {"url": url, "prefetch": 20}
        if nodes:
            broker["nodes"] = [f"127.0.0.1:{one.port}" for one in nodes]
        dispatch = {"engine": "rabbitmq", "broker": broker, "poll": 0.2, "lease": TIMEOUT_S + LEASE_S}
        made.append(world.sidecar(dispatch=dispatch))
        made[-1].start()
    world.await_said("sidecar.started", *made)
    return made


def _until_it_flows(world: World) -> None:
    """Wait until all that was written by now has arrived, and something that was written later."""
    world.owe()
    owed, newest = set(world.owed), max(world.owed, default=0)

    def flows() -> bool:
        arrived = world.post.arrivals.marks
        return owed <= arrived and max(arrived, default=0) > newest

    eventually(flows, seconds=120)


@contextmanager
def _broker() -> Iterator[RabbitMQ]:
    broker = RabbitMQ()
    try:
        broker._given = None
        broker.start()
        yield broker
    except ServerMissing as missing:
        raise NotHere(str(missing)) from None
    finally:
        broker.close()


@contextmanager
def _cluster() -> Iterator[Cluster]:
    try:
        with Cluster() as cluster:
            yield cluster
    except ServerMissing as missing:
        raise NotHere(str(missing)) from None
