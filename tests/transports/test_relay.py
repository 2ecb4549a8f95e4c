"""Deliveries carried by a real broker: killed, restarted, cut off, it loses none of them."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.errors import BrokerUnavailable
from sidecar.model import Delivery
from sidecar.settings.broker import read_broker
from sidecar.settings.credentials import TlsSettings
from sidecar.transports.connection import Way
from sidecar.transports.relay.consumer import Arrival, Consumer
from sidecar.transports.relay.door import Door, depths, rehearse
from sidecar.transports.relay.publisher import Publisher
from sidecar.transports.relay.topology import Topology, longest_wait
from tests.acceptance.sidecar import eventually
from tests.broker import RabbitMQ
from tests.deliveries import NOW, delivery
from tests.relaying import door_to, lying_at, remove
from tests.transports.brokers import Cable

Ids = set[str]


class Depot:
    """Publishers and consumers of one site at a broker, or at a cable that leads there."""

    def __init__(self, broker: RabbitMQ, site: str) -> None:
        self.broker, self.topology = broker, Topology(site)
        self._opened: list[Publisher | Consumer] = []
        self.arrived = threading.Event()

    def door(self, port: int | None = None) -> Door:
        """Return the way there; over a cable one that is in a hurry to notice what is wrong."""
        door = self.patient_door(port)
        return door if port is None else replace(door, patience_s=1, heartbeat_s=1)

    def patient_door(self, port: int | None) -> Door:
        door = door_to(self.broker, self.topology.site)
        return door if port is None else replace(door, broker=read_broker(f"amqp://127.0.0.1:{port}"))

    def publisher(self, port: int | None = None, *, patient: bool = False) -> Publisher:
        if port is not None:
            self.publisher().ready()  # what has to be made is made by somebody with patience
        made = Publisher(self.patient_door(port) if patient else self.door(port), SystemClock())
        self._opened.append(made)
        return made

    def consumer(self, port: int | None = None, **wanted: int) -> Consumer:
        made = Consumer(self.door(port), SystemClock(), self.arrived.set)
        made.want(wanted)
        made.start()
        self._opened.append(made)
        return made

    def ready(self) -> int:
        return lying_at(self.door(), ["crm", "lms"])

    def close(self) -> None:
        for one in self._opened:
            one.stop() if isinstance(one, Consumer) else one.close()
        remove(self.broker, self.door(), ["crm", "lms"])


@pytest.fixture
def depot(rabbitmq: RabbitMQ, request: pytest.FixtureRequest) -> Iterator[Depot]:
    made = Depot(rabbitmq, f"t{abs(hash(request.node.name))}")
    yield made
    made.close()


@pytest.fixture
def cable(rabbitmq: RabbitMQ) -> Iterator[Cable]:
    made = Cable(rabbitmq.port)
    yield made
    made.close()


def several(count: int, service: str = "crm", **changes: Any) -> list[Delivery]:
    return [delivery(number, service, **changes) for number in range(1, count + 1)]


def taken(consumer: Consumer, count: int, service: str = "crm") -> list[Arrival]:
    """Take until there are so many."""
    found: list[Arrival] = []

    def enough() -> bool:
        found.extend(consumer.take(service, count - len(found)))
        return len(found) >= count

    eventually(enough)
    return found


def quietly(publish: Callable[[list[Delivery]], None], deliveries: list[Delivery]) -> bool:
    """Tell whether they were published."""
    try:
        publish(deliveries)
    except BrokerUnavailable:
        return False
    return True


def ids(arrivals: list[Arrival]) -> list[str]:
    return [one.delivery.delivery_id for one in arrivals]


def test_what_arrives_is_what_was_sent_whole_and_in_order(depot: Depot) -> None:
    everything = delivery(
        1,
        body='{"name": "Zoë \\ud83d\\ude00 \U0001f600"}',
        headers={"X-Rule": "new-user"},
        event_at=NOW,
        expires_at=NOW + timedelta(days=1),
        rule=None,
    )
    depot.publisher().publish([everything, *several(50)[1:]])

    found = taken(depot.consumer(crm=100), 50)

    assert found[0].delivery == everything
    assert ids(found) == [f"crm-{number}" for number in range(1, 51)]


def test_each_service_has_its_own_queue_and_its_own_limit(depot: Depot) -> None:
    depot.publisher().publish([*several(30), *several(5, "lms")])

    consumer = depot.consumer(crm=10, lms=10)
    crm = taken(consumer, 10)
    lms = taken(consumer, 5, "lms")

    assert consumer.take("crm", 100) == []
    consumer.done(crm[:4])
    assert len(taken(consumer, 4)) == 4
    assert ids(lms) == [f"lms-{number}" for number in range(1, 6)]


def test_a_killed_broker_has_all_that_it_confirmed_and_not_what_was_settled(depot: Depot) -> None:
    publisher = depot.publisher()
    publisher.publish(several(40))
    publisher.publish_later([(delivery(50), 4.9)])
    consumer = depot.consumer(crm=40)
    found = taken(consumer, 40)
    consumer.done(found[:10])
    eventually(lambda: consumer._over == [])
    # A single node that is killed within a second of a queue's making has forgotten where it is.
    made_at = time.monotonic()
    eventually(lambda: time.monotonic() > made_at + 1.5)

    depot.broker.kill()
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        publisher.publish(several(1))
    depot.broker.start()
    eventually(lambda: quietly(publisher.publish, [delivery(41)]))
    again = taken(consumer, 2)  # what is in our hands is not taken twice, though it has come again

    assert sorted(ids(again)) == ["crm-41", "crm-50"]
    consumer.done([*found[10:], *again])
    consumer.stop()
    assert depot.ready() == 0


def test_what_a_lost_connection_held_comes_to_others(depot: Depot, cable: Cable) -> None:
    depot.publisher().publish(several(20))
    first = depot.consumer(cable.port, crm=20)
    taken(first, 20)

    cable.mute()
    cable.cut()
    second = depot.consumer(crm=20)

    assert sorted(ids(taken(second, 20))) == sorted(f"crm-{n}" for n in range(1, 21))
    eventually(lambda: first.problem is not None)


def test_publishing_over_a_wire_that_breaks_loses_nothing(depot: Depot, cable: Cable) -> None:
    publisher = depot.publisher(cable.port, patient=True)
    publisher.ready()
    cable.breaks_after = cable._carried + 20_000

    assert not quietly(publisher.publish, several(200))
    cable.breaks_after = None
    assert quietly(publisher.publish, several(200))

    consumer = depot.consumer(crm=500)
    found: Ids = set()

    def complete() -> bool:
        came = consumer.take("crm", 500)
        consumer.done(came)
        found.update(ids(came))
        return len(found) == 200

    eventually(complete)


@pytest.mark.parametrize("forth", [True, False], ids=["both ways", "only confirms"])
def test_partitioned_while_publishing_it_says_so_in_time_and_all_is_there_afterwards(
    depot: Depot, cable: Cable, forth: bool
) -> None:
    publisher = depot.publisher(cable.port)
    eventually(lambda: quietly(publisher.publish, several(5)))

    publisher.ready()
    cable.hold(forth=forth)
    began = time.monotonic()
    assert _says(lambda: publisher.publish(several(20)), "did not answer within 1 s")
    assert time.monotonic() - began < 2  # a transaction is open meanwhile
    assert _says(publisher.ready, "did not answer within 1 s")
    cable.heal()
    eventually(lambda: quietly(publisher.publish, several(20)))

    copies = depot.ready() - 20
    assert copies >= (5 if forth else 25)  # what was published and not confirmed
    assert set(ids(_all(depot.consumer(crm=100)))) == {f"crm-{n}" for n in range(1, 21)}


def test_a_partition_that_began_unseen_is_found_before_anything_is_published(
    depot: Depot, cable: Cable
) -> None:
    publisher = depot.publisher(cable.port)
    eventually(lambda: quietly(publisher.publish, several(1)))

    cable.hold()
    assert _says(publisher.ready, "did not answer within 1 s")
    cable.heal()
    publisher.ready()

    assert depot.ready() == 1


def test_partitioned_while_consuming_what_was_not_acknowledged_comes_to_others(
    depot: Depot, cable: Cable
) -> None:
    depot.publisher().publish(several(20))
    first = depot.consumer(cable.port, crm=20)
    held = taken(first, 10)

    cable.hold()
    first.done(held[:5])
    eventually(lambda: first.problem)
    assert first.problem
    assert "has said nothing for 1.25 s; is the network well?" in first.problem
    second = depot.consumer(crm=20)
    found = taken(second, 20)
    cable.heal()
    eventually(lambda: first._session == 1 and first.problem is None)
    first.done(held[5:])

    assert sorted(ids(found)) == sorted(f"crm-{n}" for n in range(1, 21))
    second.done(found)
    second.stop()
    assert (first.take("crm", 20), depot.ready()) == ([], 0)


def test_a_partition_shorter_than_all_patience_is_not_noticed(depot: Depot, cable: Cable) -> None:
    depot.publisher().publish(several(20))
    first = depot.consumer(cable.port, crm=20)
    found = taken(first, 20)

    cable.hold()
    first.done(found)
    eventually(lambda: first._over == [])
    cable.heal()
    first.stop()

    assert (depot.ready(), first.problem) == (0, None)


def test_whoever_cannot_work_with_one_node_goes_to_the_next(depot: Depot, cable: Cable) -> None:
    cable.hold()
    door = depot.door(cable.port)
    both = replace(door, broker=read_broker("amqp://127.0.0.1:1"), others=(door.broker, depot.door().broker))
    publisher = Publisher(both, SystemClock())

    assert _says(publisher.ready, "127.0.0.1:1 cannot be reached")
    assert _says(publisher.ready, f"127.0.0.1:{cable.port} did not answer")
    publisher.publish(several(3))
    publisher.close()
    consumer = Consumer(both, SystemClock(), depot.arrived.set)
    consumer.want({"crm": 5})
    consumer.start()
    found = taken(consumer, 3)
    consumer.done(found)
    consumer.stop()

    assert consumer.problem is None
    assert sum(depths(both, ["crm"], SystemClock()).values()) == 0


def test_a_retry_waits_in_the_broker_and_comes_back_by_itself(depot: Depot) -> None:
    depot.publisher().publish_later([(delivery(1), 1.9), (delivery(2), 0.1)])
    assert depot.ready() == 2

    found = taken(depot.consumer(crm=10), 2)

    assert sorted(ids(found)) == ["crm-1", "crm-2"]


def test_no_wait_is_longer_than_it_should_be() -> None:
    assert [longest_wait(wait_s) for wait_s in (0, 0.5, 1, 3.9, 37, 90_000)] == [1, 1, 1, 2, 32, 4096]


def test_what_is_wanted_no_more_is_given_back_but_what_was_taken(depot: Depot) -> None:
    depot.publisher().publish(several(10))
    first = depot.consumer(crm=10)
    kept = taken(first, 3)

    first.want({"crm": 0})
    second = depot.consumer(crm=10)
    others = taken(second, 7)
    first.give_back(kept)

    assert sorted(ids([*others, *taken(second, 3)])) == sorted(f"crm-{n}" for n in range(1, 11))


def test_published_twice_the_second_waits_until_the_first_is_settled(depot: Depot) -> None:
    publisher = depot.publisher()
    publisher.publish(several(1))
    publisher.publish([*several(1), delivery(2)])
    consumer = depot.consumer(crm=10)

    first, other = taken(consumer, 2)

    assert ids([first, other]) == ["crm-1", "crm-2"]
    consumer.done([first])
    assert ids(taken(consumer, 1)) == ["crm-1"]


def test_strange_messages_are_removed_and_the_rest_comes(
    depot: Depot, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = depot.publisher()
    publisher.publish([delivery(1)])
    connection = depot.broker.connect()
    connection.channel().basic_publish(depot.topology.exchange, "crm", b"hello")
    connection.close()
    publisher.publish([delivery(2)])

    consumer = depot.consumer(crm=10)

    assert ids(taken(consumer, 2)) == ["crm-1", "crm-2"]
    assert "relay.unreadable" in caplog.text


def test_a_deleted_queue_is_made_anew(depot: Depot) -> None:
    publisher = depot.publisher()
    publisher.publish([delivery(1)])
    consumer = depot.consumer(crm=10)
    consumer.done(taken(consumer, 1))
    connection = depot.broker.connect()
    connection.channel().queue_delete(depot.topology.queue_of("crm"))
    connection.close()

    eventually(lambda: quietly(publisher.publish, [delivery(2)]))
    assert ids(taken(consumer, 1)) == ["crm-2"]


def test_an_alarmed_broker_is_told_of_and_from_then_on_before_anything_is_sent(depot: Depot) -> None:
    publisher = Publisher(replace(depot.door(), patience_s=0.5), SystemClock())
    publisher.publish([delivery(1)])
    depot.broker.alarm(on=True)
    try:
        assert _says(lambda: publisher.publish([delivery(2)]), "takes no messages just now")
        assert _says(publisher.ready, "takes no messages just now")
    finally:
        depot.broker.alarm(on=False)

    eventually(lambda: quietly(publisher.publish, [delivery(3)]))
    publisher.close()
    assert depot.ready() == 3


def test_tls_and_a_wrong_password(depot: Depot) -> None:
    trusting = Way(tls=TlsSettings(ca=str(depot.broker.authority.file)))
    secure = replace(depot.door(), broker=read_broker(depot.broker.tls_url().replace("guest:guest@", "")))
    publisher = Publisher(replace(secure, way=trusting), SystemClock())
    publisher.publish(several(2))
    publisher.close()

    wrong = Publisher(replace(depot.door(), credentials=("guest", "wrong")), SystemClock())

    assert depot.ready() == 2
    assert _says(wrong.ready, "check user name, password")


def test_a_rehearsal_needs_what_we_need_leaves_nothing_and_says_what_is_refused(depot: Depot) -> None:
    assert rehearse(depot.door(), SystemClock()).startswith(("3.", "4."))

    depot.broker.add_user("narrow", "secret", "^mih\\.other", ".*", ".*")
    try:
        narrow = replace(depot.door(), credentials=("narrow", "secret"))
        assert _says(lambda: rehearse(narrow, SystemClock()), "let the account configure, write and read")
        site = depot.topology.exchange.replace(".", "\\.")
        depot.broker.permit("narrow", *[f"^{site}(\\..*)?$"] * 3)
        rehearse(narrow, SystemClock())
        publisher = Publisher(narrow, SystemClock())
        publisher.publish_later([(delivery(1), 0)])
        publisher.publish([delivery(2)])
        publisher.close()
    finally:
        depot.broker.remove_user("narrow")

    assert len(taken(depot.consumer(crm=5), 2)) == 2


def _all(consumer: Consumer) -> list[Arrival]:
    """Take and end whatever comes, until nothing has come for a moment."""
    found: list[Arrival] = []
    while True:
        came = time.monotonic()
        eventually(lambda: consumer.stock() or time.monotonic() > came + 1)  # noqa: B023
        if not (arrivals := consumer.take("crm", 100)):
            return found
        consumer.done(arrivals)
        found += arrivals


def _says(work: Callable[[], object], text: str) -> bool:
    try:
        work()
    except BrokerUnavailable as error:
        return text in str(error)
    return False
