"""A sidecar that is killed and starts again: its successor takes over its shares by the file of counters."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from support.planes import wait_until
from support.redis import running_redis
from support.shared import limit, node, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from support.redis import RedisServer
    from support.shared import Node

MAX = 20
POLICIES = {
    "s": policy(
        "restarts",
        used=[limit("used", MAX)],
        fresh=[limit("fresh", MAX)],
        strict=[limit("strict", MAX, shared="strict")],
        spend=[limit("spend", MAX, cost="args.price")],
    )
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The store of all tests here."""
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def start(redis: RedisServer, tmp_path: Path) -> Iterator[Callable[[str], Node]]:
    """Starts a sidecar of this name, or starts it again, with counters in a file."""
    with redis.client() as client:
        client.flushall()
    with ExitStack() as stack:

        def started(name: str) -> Node:
            running: AbstractContextManager[Node] = node(tmp_path / name, redis.url, POLICIES, kept="file")
            one = stack.enter_context(running)
            one.wait_for_counts("s")
            return one

        yield started


def has_row(redis: RedisServer, share_of: str) -> bool:
    """True if the store counts a share of this beginning of a name."""
    with redis.client() as client:
        counts = client.keys("callgate:1:{restarts}:c:*")
        return any(str(name).startswith(f"n:{share_of}") for count in counts for name in client.hkeys(count))


def process_of(redis: RedisServer) -> str:
    """The beginning of the names of the only process that the store knows."""

    def names() -> set[str]:
        with redis.client() as client:
            return {str(name).partition(".")[0] for name in client.hkeys("callgate:1:{restarts}:nodes")}

    wait_until(lambda: len(names()) == 1, names)
    return names().pop()


@pytest.mark.parametrize("is_killed", [True, False])
def test_what_a_sidecar_did_not_use_is_free_once_it_runs_again(
    redis: RedisServer, start: Callable[[str], Node], *, is_killed: bool
) -> None:
    first = start("first")
    before = process_of(redis)
    assert first.admitted(6, "used") == 6
    assert first.admitted(3, "strict") == 3
    if is_killed:
        first.kill()
        # The share is lost until a window after the end of its lease, which is an hour.
        assert has_row(redis, before)
    else:
        first.stop()
    again = start("first")
    wait_until(lambda: not has_row(redis, before))
    other = start("other")
    assert other.admitted(2, "used") == 2
    assert again.admitted(1, "used") == 1
    assert other.admitted(MAX, "used") + again.admitted(MAX, "used") == MAX - 9
    assert again.admitted(MAX, "strict") == MAX - 3


def test_units_in_use_stay_counted_over_many_lives(redis: RedisServer, start: Callable[[str], Node]) -> None:
    for _ in range(3):
        one = start("first")
        before = process_of(redis)
        assert one.admitted(4, "used") == 4
        assert one.check("spend", args={"price": 2.5}).outcome == "allow"
        one.kill()
        one = start("first")
        wait_until(lambda: not has_row(redis, before))  # noqa: B023  called at once
        assert one.admitted(1, "used") == 1
        one.stop()
    last = start("last")
    assert last.admitted(MAX, "used") == MAX - 15
    assert last.check("spend", args={"price": 12.75}).outcome == "rate_limited"
    assert last.check("spend", args={"price": 12.5}).outcome == "allow"


def test_a_copy_of_the_file_of_a_running_sidecar_takes_nothing_over(
    redis: RedisServer, start: Callable[[str], Node], tmp_path: Path
) -> None:
    first = start("first")
    before = process_of(redis)
    assert first.admitted(6, "used") == 6
    (tmp_path / "copy" / "state").mkdir(parents=True)
    shutil.copy(tmp_path / "first" / "state" / "counters", tmp_path / "copy" / "state")
    copy = start("copy")
    # The lease of the first lasts, however long the copy waits for its end.
    time.sleep(2)
    assert has_row(redis, before)
    assert first.admitted(2, "used") == 2
    first.kill()
    # Nor when the other has ended: it has admitted more since.
    time.sleep(2)
    assert has_row(redis, before)
    assert copy.admitted(MAX, "used") <= MAX - 8
