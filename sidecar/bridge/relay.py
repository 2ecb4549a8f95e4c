"""All that one process has of the broker that carries deliveries: what brings them and what takes them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sidecar.bridge.courier import Courier, Outlet
from sidecar.bridge.relayed import Relayed
from sidecar.clock import Clock
from sidecar.errors import BrokerUnavailable
from sidecar.store.engine import Database
from sidecar.transports.relay.consumer import Consumer
from sidecar.transports.relay.door import Door
from sidecar.transports.relay.publisher import Publisher


@dataclass(frozen=True, slots=True)
class Relay:
    """The tail has the outlet, the dispatcher the engine, the scheduler the courier: a connection each."""

    outlet: Outlet
    engine: Relayed
    courier: Courier

    @classmethod
    def open(
        cls,
        store: Database,
        door: Door,
        clock: Clock,
        *,
        prefetch: int,
        services: Callable[[], Collection[str]],
        arrived: Callable[[], None],
    ) -> "Relay":
        """Make them; each connects when it is needed."""
        engine = Relayed(
            store,
            Consumer(door, clock, arrived),
            Publisher(door, clock),
            clock,
            prefetch=prefetch,
        )
        return cls(Outlet(Publisher(door, clock)), engine, Courier(store, door, clock, services))

    @property
    def problem(self) -> str | None:
        """Why nothing comes from the broker, in words; None: the connection stands, or is not wanted yet."""
        return self.engine.problem

    def is_clear(self) -> bool:
        """Whether no message is left of deliveries that are over, so far as the broker can be asked."""
        try:
            return self.courier.copies(self.engine.stock()) == 0
        except BrokerUnavailable:
            return True

    def close(self) -> None:
        """Take leave of the broker; the engine has done so when the dispatcher stopped."""
        self.outlet.close()
        self.courier.close()
