"""Three nodes of RabbitMQ on one machine: each can be killed, hang, and be cut off from the other two."""

import os
import secrets
import shutil
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import permutations
from typing import Self

from tests.acceptance.sidecar import eventually
from tests.broker import RabbitMQ
from tests.transports.brokers import Cable

_SIZE = 3
TICK_S = 4  # a node that says nothing for so long is taken for dead by the others; 60 otherwise


class Node(RabbitMQ):
    """One of a cluster, with a register of names of its own: in it the others are found behind cables."""

    def __init__(self, number: int, cookie: str) -> None:
        super().__init__()
        self._given = None  # whatever a variable names is no cluster
        self._was_up = True  # its ports are known to the others, so it gets no new ones
        self.node = f"mih-test-{os.getpid()}-{number}@localhost"
        self.cables: dict[str, Cable] = {}
        self._cookie = cookie
        self._others: list[socket.socket] = []

    def prepare(self, nodes: Sequence["Node"]) -> None:
        """Make its folder, and tell it where the others are."""
        self._prepare()
        home = self._owned().home
        (home / ".erlang.cookie").write_text(self._cookie)
        (home / ".erlang.cookie").chmod(0o400)
        shutil.chown(home / ".erlang.cookie", home.owner())
        peers = [f"cluster_formation.classic_config.nodes.{n} = {one.node}" for n, one in enumerate(nodes, 1)]
        with (home / "rabbitmq.conf").open("a") as file:
            file.write("cluster_formation.peer_discovery_backend = classic_config\n")
            file.write("cluster_partition_handling = pause_minority\n" + "\n".join(peers) + "\n")
        values = dict(line.split("=", 1) for line in self._environment)
        values["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += f" -kernel net_ticktime {TICK_S}"
        self._environment = [f"{name}={value}" for name, value in values.items()]
        for one in nodes:
            if one is not self:
                cable = self.cables[one.node] = Cable(one.node_port)
                self._others.append(_registered(int(values["ERL_EPMD_PORT"]), one.node, cable.port))

    @property
    def connections(self) -> int:
        """How many clients are connected to it."""
        return int(self.control("eval", "length(rabbit_networking:local_connections())."))

    def hang(self) -> None:
        """Stop at this instruction, as a machine that is suspended."""
        os.kill(self._server_pid(), signal.SIGSTOP)

    def go_on(self) -> None:
        """Go on at the next one."""
        os.kill(self._server_pid(), signal.SIGCONT)

    def close(self) -> None:
        for wire in self._others:
            wire.close()
        super().close()
        for cable in self.cables.values():
            cable.close()

    def _server_pid(self) -> int:
        assert self.pid is not None
        return self.pid


class Cluster:
    """Quorum queues in it have three members: it works as long as two nodes see each other."""

    def __init__(self) -> None:
        cookie = secrets.token_hex(10).upper()
        self.nodes = [Node(number, cookie) for number in range(1, _SIZE + 1)]

    def __enter__(self) -> Self:
        try:
            for one in self.nodes:
                one.prepare(self.nodes)
            for one in self.nodes:
                one._spawn()
            for one in self.nodes:
                one.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing behind."""
        for one in self.nodes:
            one.close()

    @contextmanager
    def without(self, node: Node) -> Iterator[None]:
        """Cut a node off from the other two meanwhile; its clients still reach it."""
        cables = [
            one.cables[other.node] for one, other in permutations(self.nodes, 2) if node in (one, other)
        ]
        for cable in cables:
            cable.hold()
        yield
        for cable in cables:
            cable.heal()

    def is_whole(self) -> bool:
        """Whether each node runs and sees all others."""
        script = "length(rabbit_mnesia:cluster_nodes(running))."
        try:
            return all(one._answers() and int(one.control("eval", script)) == _SIZE for one in self.nodes)
        except (RuntimeError, ValueError):
            return False

    def members(self, queue: str) -> int:
        """Return how many nodes have a member of a quorum queue."""
        name = f'rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)'
        state = f"amqqueue:get_type_state(element(2, rabbit_amqqueue:lookup({name})))"
        return int(self.nodes[0].control("eval", f"length(maps:get(nodes, {state}))."))


def _connected(port: int, wires: list[socket.socket]) -> bool:
    with suppress(OSError):
        wires.append(socket.create_connection(("127.0.0.1", port)))
    return bool(wires)


def _registered(port: int, node: str, leads_to: int) -> socket.socket:
    """Enter a name into a register of Erlang nodes; it stays there as long as the socket is open."""
    name = node.partition("@")[0].encode()
    body = struct.pack("!BHBBHHH", 120, leads_to, 77, 0, 6, 5, len(name)) + name + struct.pack("!H", 0)
    wires: list[socket.socket] = []
    eventually(lambda: _connected(port, wires))
    wire = wires[0]
    wire.sendall(struct.pack("!H", len(body)) + body)
    assert wire.recv(10)[1] == 0, "the name is taken"
    return wire
