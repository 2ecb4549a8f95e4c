"""What goes wrong on the way to a service, in the same sentences whatever the transport."""

from sidecar.errors import said, text_of


def forbidden(refused: Exception) -> str:
    """Say that the network rules refuse an address."""
    return said("the network rules refuse %(address)s", address=text_of(refused))


def unconnected(where: str, seconds: float) -> str:
    """Say that no connection was made in time."""
    return said("no connection to %(where)s within %(n)s s", where=where, n=f"{seconds:g}")


def unanswered(where: str, seconds: float) -> str:
    """Say that nothing was answered in time."""
    return said("no answer from %(where)s within %(n)s s", where=where, n=f"{seconds:g}")


def no_way(where: str, why: str) -> str:
    """Say that there is no connection to be had."""
    return said("could not connect to %(where)s: %(why)s", where=where, why=why)


def hung_up(where: str, *, heard: bool) -> str:
    """Say that the connection was closed; `heard`: something had come already."""
    if heard:
        return said("%(where)s closed the connection in the middle of its answer", where=where)
    return said("%(where)s closed the connection without an answer", where=where)


def broken_off(where: str, why: str) -> str:
    """Say that the connection broke."""
    return said("the connection to %(where)s broke: %(why)s", where=where, why=why)


def declaring(queue: str) -> str:
    """Say what was asked of a broker: to declare a queue."""
    return said("to declare the queue %(name)s", name=queue)


def binding(queue: str) -> str:
    """Say what was asked of a broker: to bind a queue."""
    return said("to bind the queue %(name)s", name=queue)
