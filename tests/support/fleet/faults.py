"""Faults of a fleet, each with its end: bounded in time, and drawn from a seed."""

from __future__ import annotations

import os
import resource
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from support.fleet.running import FULL
from support.planes import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from random import Random

    from support.fleet.members import Member
    from support.fleet.running import RunningFleet

DAY_S = 86_400
DROPPED = "callgate_audit_dropped_total"
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Disturbance:
    """A fleet, the choices of a fault, and the moments that its checker must know."""

    def __init__(self, fleet: RunningFleet, choose: Random, steps: list[float]) -> None:
        self.fleet = fleet
        self.choose = choose
        self.steps = steps
        """Moments at which the clock of Redis was set forward."""
        self.redis_shift_s = 0

    def wait(self, shortest: float, longest: float) -> None:
        """Lets a fault last."""
        time.sleep(self.choose.uniform(shortest, longest))

    def member(self) -> Member:
        """Any callgate."""
        return self.choose.choice(self.fleet.members)


def kill_callgate(at: Disturbance) -> None:
    """A callgate is killed, and started again."""
    member = at.member()
    member.node.kill()
    member.close()
    at.wait(0, 3)
    member.start()


def stop_callgate(at: Disturbance) -> None:
    """A callgate is stopped as an operator does, and started again."""
    member = at.member()
    member.stop()
    at.wait(0, 1)
    member.start()


def pause_callgate(at: Disturbance) -> None:
    """A callgate stands still, sometimes for longer than its lease."""
    member = at.member()
    member.node.pause()
    at.wait(0.2, 5)
    member.node.resume()


def pause_redis(at: Disturbance) -> None:
    """The master stands still for less than its Sentinels wait."""
    master = at.fleet.redis.master
    master.pause()
    at.wait(0.1, 0.8)
    master.resume()


def pause_master_until_failover(at: Disturbance) -> None:
    """The master stands still until another one is chosen, and goes on as if it still were one."""
    pair = at.fleet.redis
    master = pair.master
    master.pause()
    pair.wait_for_other_master(master)
    at.wait(0, 4)
    master.resume()


def pause_replica(at: Disturbance) -> None:
    """The master loses its replica, and accepts no writes."""
    replica = at.fleet.redis.other
    replica.pause()
    at.wait(1, 4)
    replica.resume()


def slow_way(at: Disturbance) -> None:
    """Redis answers a callgate late, partly after the budget."""
    with at.choose.choice(at.fleet.ways).slow(at.choose.uniform(0.005, 0.2)):
        at.wait(1, 4)


def lost_answers(at: Disturbance) -> None:
    """Requests of a callgate arrive at Redis, and the answers are lost with their connections."""
    way = at.choose.choice(at.fleet.ways)
    for _ in range(at.choose.randint(2, 8)):
        way.lose_answers(at.choose.uniform(0.01, 0.3))
        at.wait(0, 0.3)


def partition(at: Disturbance) -> None:
    """A callgate reaches neither Redis nor Sentinels."""
    way = at.choose.choice(at.fleet.ways)
    with at.choose.choice((way.closed, way.silent))():
        at.wait(0.3, 6)


def full_state_folder(at: Disturbance) -> None:
    """A callgate can write nothing more into its state folder, where its decision log is."""
    node = at.fleet.members[FULL].node
    before = node.metric(DROPPED)
    with _full(at.fleet.full_state, node.running.process):
        at.wait(1, 4)
        wait_until(lambda: node.metric(DROPPED) > before)


@contextmanager
def _full(folder: Path | None, process: subprocess.Popen[str]) -> Iterator[None]:
    if folder is None:
        # Without a file system of its own, its files cannot grow.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        yield
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, UNLIMITED)
        return
    filler = folder / "filler"
    free = os.statvfs(folder)
    # The callgate may take some of it first.
    with suppress(OSError):
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize))
    yield
    filler.unlink()


def little_memory(at: Disturbance) -> None:
    """A callgate gets hardly any more memory. If it ends because of it, it is started again."""
    member = at.member()
    process = member.node.running.process
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + at.choose.randint(0, 4 << 20)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    at.wait(2, 5)
    if process.poll() is None:
        resource.prlimit(process.pid, resource.RLIMIT_AS, UNLIMITED)
    else:
        member.close()
        member.start()


def full_redis(at: Disturbance) -> None:
    """Redis has no memory for further counts, and forgets none."""
    master = at.fleet.redis.master
    master.ask("CONFIG", "SET", "maxmemory", "1")
    at.wait(1, 4)
    master.ask("CONFIG", "SET", "maxmemory", "0")


def step_clock_of_callgate(at: Disturbance) -> None:
    """The time of day of a callgate jumps by up to a day, and back."""
    at.fleet.member_clock.shift(at.choose.choice((-DAY_S, -60, -2, 2, 60, DAY_S)))
    at.wait(1, 4)
    at.fleet.member_clock.shift(0)


def set_clock_of_redis_back(at: Disturbance) -> None:
    """The time of day of Redis jumps back."""
    _shift_redis(at, -at.choose.randint(1, 4))
    at.wait(1, 4)


def set_clock_of_redis_forward(at: Disturbance) -> None:
    """The time of day of Redis jumps forward: strict limits may begin anew, leased ones may not."""
    at.steps.append(time.monotonic())
    _shift_redis(at, at.choose.randint(1, 20))
    at.wait(1, 4)


def _shift_redis(at: Disturbance, seconds: int) -> None:
    at.redis_shift_s += seconds
    at.fleet.redis_clock.shift(at.redis_shift_s)


def fail_over(at: Disturbance) -> None:
    """An operator makes the replica the master."""
    at.fleet.redis.fail_over()


def kill_master(at: Disturbance) -> None:
    """The master ends at once; the replica takes its place, and the old one comes back as a replica."""
    pair = at.fleet.redis
    master = pair.master
    master.kill()
    pair.wait_for_other_master(master)
    at.wait(0, 2)
    master.start()


def restart_master(at: Disturbance) -> None:
    """The master restarts without its data, and empties its replica."""
    master = at.fleet.redis.master
    master.kill()
    master.start()


def restart_both(at: Disturbance) -> None:
    """Both servers are killed, and come back without their data."""
    pair = at.fleet.redis
    both = (pair.master, pair.other)
    for server in both:
        server.kill()
    at.wait(0, 0.5)
    for server in both:
        server.start()


def flush(at: Disturbance) -> None:
    """Redis loses its data, sometimes twice, and its scripts."""
    master = at.fleet.redis.master
    for _ in range(at.choose.randint(1, 3)):
        master.ask("FLUSHALL")
        if at.choose.random() < 0.5:
            master.ask("SCRIPT", "FLUSH")
        at.wait(0, 2)


def slow_script(at: Disturbance) -> None:
    """Redis answers nobody while it runs something long."""
    master = at.fleet.redis.master
    if at.choose.random() < 0.5:
        master.ask("DEBUG", "SLEEP", f"{at.choose.uniform(0.1, 2.5):.3f}")
        return
    master.ask("CONFIG", "SET", "busy-reply-threshold", 100)
    # A Sentinel ends scripts of a master that is busy for too long.
    with suppress(redis.ResponseError):
        master.ask("EVAL", f"for i = 1, {at.choose.randint(10, 200)} * 1000000 do end", 0)
    master.ask("CONFIG", "SET", "busy-reply-threshold", 5_000)


def cut_store(at: Disturbance) -> None:
    """PostgreSQL ends every session."""
    for _ in range(at.choose.randint(1, 3)):
        at.fleet.postgres.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        )
        at.wait(0, 1)


def kill_callgate_while_redis_forgets(at: Disturbance) -> None:
    """A callgate ends with what it knew while Redis loses its data."""
    member = at.member()
    member.node.kill()
    member.close()
    at.wait(0, 0.5)
    flush(at)
    member.start()


def partition_and_failover(at: Disturbance) -> None:
    """A callgate is cut off while the others go on at another master."""
    with at.choose.choice(at.fleet.ways).closed():
        at.fleet.redis.fail_over()
        at.wait(0, 4)


def pause_callgate_over_a_failover(at: Disturbance) -> None:
    """A callgate stands still while Redis fails over, and goes on with what it had."""
    member = at.member()
    member.node.pause()
    at.fleet.redis.fail_over()
    at.wait(0, 3)
    member.node.resume()


FAULTS: tuple[Callable[[Disturbance], None], ...] = (
    kill_callgate,
    stop_callgate,
    pause_callgate,
    pause_redis,
    pause_master_until_failover,
    pause_replica,
    slow_way,
    lost_answers,
    partition,
    full_state_folder,
    little_memory,
    full_redis,
    step_clock_of_callgate,
    set_clock_of_redis_back,
    set_clock_of_redis_forward,
    fail_over,
    kill_master,
    restart_master,
    restart_both,
    flush,
    slow_script,
    cut_store,
    kill_callgate_while_redis_forgets,
    partition_and_failover,
    pause_callgate_over_a_failover,
)


def wait_until_well(fleet: RunningFleet, has_recovered: Callable[[], bool], found: Callable[[], Any]) -> None:
    """Waits until every server is complete, and calls of every kind are admitted."""
    fleet.redis.wait_until_complete()
    wait_until(has_recovered, found)
