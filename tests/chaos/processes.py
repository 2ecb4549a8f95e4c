"""Sidecars killed, stopped past their leases and started again, one alone and many on one database."""

import signal
import time

from tests.acceptance.sidecar import Sidecar, eventually
from tests.chaos.world import LEASE_S, World

_LEASED_BY = "SELECT leased_by FROM mih_cursors"


def killed(world: World) -> None:
    """One sidecar dies by kill -9 at a random moment, again and again."""
    [sidecar] = world.started()
    with world.writing():
        for _ in range(5):
            world.wait(world.chance.uniform(0.1, 1.5))
            sidecar.kill()
            world.strike()
            sidecar.start()
            eventually(lambda n=world.struck: sidecar.said.count("sidecar.started") > n)  # type: ignore[misc]


def nothing(world: World) -> None:
    """Nothing fails: sixteen writers, commits out of order, one transaction in twenty undone."""
    dispatch = {"concurrency": 64, "lease": 60, "poll": 0.2}
    world.started(dispatch=dispatch, services={"crm": world.service(timeout=20)})
    world.write(world.rows, number=16, rate=1_500)
    world.strike()


def replicas_at_will(world: World) -> None:
    """Two to eight replicas are started, killed and stopped for longer than their leases."""
    world.started(2)
    stopped: dict[Sidecar, float] = {}
    with world.writing():
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            world.wait(world.chance.uniform(0.2, 0.8))
            _wake(stopped)
            alive = [one for one in world.sidecars if one.running and one not in stopped]
            deed = world.chance.choice(("start", "start", "kill", "stop"))
            if len(alive) < 2 or (deed == "start" and len(alive) + len(stopped) < 8):
                _start_one(world)
                continue
            victim = world.chance.choice(alive)
            world.strike()
            if deed == "kill":
                victim.kill()
            else:
                victim.send(signal.SIGSTOP)
                stopped[victim] = time.monotonic() + world.chance.uniform(1, 3) * LEASE_S
    _wake(stopped, now=True)
    world.notes.append(f"{len(world.sidecars)} processes in all")


def taken_over(world: World) -> None:
    """The replica that tails dies by kill -9; another one takes over within the lease and two seconds."""
    world.started(2)
    longest_s = 0.0
    for _ in range(3):
        with world.writing():
            eventually(lambda: reader(world) is not None and world.post.arrivals.marks)
            tailing = reader(world)
            assert tailing is not None
            tailing.kill()
            killed_at = time.monotonic()
            world.strike()
            eventually(lambda dead=tailing: reader(world) not in {None, dead})  # type: ignore[misc]
            longest_s = max(longest_s, time.monotonic() - killed_at)
        tailing.start()
        eventually(lambda one=tailing: one.said.count("sidecar.started") > 1)  # type: ignore[misc]
    world.notes.append(f"the longest takeover took {longest_s:.2f} s of at most {LEASE_S + 2} s")
    assert longest_s < LEASE_S + 2, world.notes[-1]


def reader(world: World) -> Sidecar | None:
    """Return the sidecar whose process holds the cursor's lease."""
    name = world.ask(_LEASED_BY, world.store_url) or ""
    return next((one for one in world.sidecars if one.running and f"-{one.pid}-" in name), None)


def _start_one(world: World) -> None:
    resting = [one for one in world.sidecars if not one.running]
    (world.chance.choice(resting) if resting else world.sidecar()).start()


def _wake(stopped: dict[Sidecar, float], *, now: bool = False) -> None:
    for one in [one for one, until in stopped.items() if now or time.monotonic() >= until]:
        one.send(signal.SIGCONT)
        del stopped[one]
