"""The receiver is down, hangs, resets, dawdles, lies about lengths and never ends; its name is not found."""

from collections.abc import Callable
from contextlib import suppress

from tests.chaos.names import Answer, NameServer, own_names
from tests.chaos.world import World
from tests.receiver import Behaviour, Exchange, drip, endless, hang, hang_up, raw, reset

_LONG_S = 12.0
_SPELL_S = 2.5
_HURRY_S = 1
_NAME = "receiver.test"

# None but the last answers well, however long one waits: so whoever takes one for a success loses a row.
HANGING = hang(then=hang_up)
RESETTING = reset
DAWDLING = drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000)
SHORT = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
ENDLESS = endless


def away(world: World) -> None:
    """Nobody listens for long: the circuit opens, all is parked, nothing becomes a dead letter."""
    world.started()
    with world.writing():
        world.wait(1)
        with world.post.away():
            world.strike()
            world.wait(_LONG_S)
        world.wait(1)


def behaving(behaviour: Behaviour, *, taken: bool = False) -> Callable[[World], None]:
    """Return the fault of a receiver that behaves so for two spells, though it took the row if `taken`."""

    def harm(world: World) -> None:
        world.started(services={"crm": world.service(timeout=_HURRY_S)})

        def misbehave(exchange: Exchange) -> bool:
            world.strike()
            if taken:
                world.post.take(exchange.request)
            return behaviour(exchange)

        with world.writing():
            for _ in range(2):
                world.wait(1)
                with world.post.behaving(misbehave):
                    world.wait(_SPELL_S)

    return harm


def nameless(world: World) -> None:
    """The name server is silent, then broken, then denies the name: each time until it is well again."""
    names = world.keep(NameServer())
    names.knows[_NAME] = "127.0.0.1"
    world.started(
        within=own_names(world.folder, names.address),
        services={"crm": world.service(base_url=f"http://{_NAME}:{world.post.port}")},
    )
    with world.writing():
        for how in (Answer.NONE, Answer.BROKEN, Answer.UNKNOWN):
            world.wait(1.5)
            names.answers = how
            with suppress(AssertionError):
                world.post.hang_up()  # a kept connection needs no name
            world.wait(_SPELL_S)
            names.answers = Answer.TRUE
    world.struck = names.refused
