"""Counters in a file, through `Engine` and `Server`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from callgate import Client, ConfigError, Engine, ManualClock, Server, StoreError
from callgate._callgate import counters_facts, counters_repair

if TYPE_CHECKING:
    from pathlib import Path

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "exact": {"limits": [{"counter": "exact", "window": "hour", "max": 3}]},
        "spend": {"limits": [{"counter": "spend", "window": "hour", "max": 1000, "cost": "args.amount"}]},
        "daily": {"limits": [{"counter": "daily", "window": "month", "max": 3, "align": "calendar"}]},
    },
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters"


def engine(path: Path, policy: dict[str, Any] = POLICY, flush_interval_ms: int = 1_000) -> Engine:
    return Engine.from_dict(policy, counters=f"file:{path}", flush_interval_ms=flush_interval_ms)


def allowed(engine: Engine, tool: str, **args: float) -> bool:
    return engine.check(grant="g", tool=tool, args=args or None).allowed


@pytest.mark.parametrize("close", [True, False])
def test_counts_survive(path: Path, close: bool) -> None:
    first = engine(path)
    for _ in range(2):
        assert allowed(first, "exact")
        assert allowed(first, "spend", amount=499.5)
        assert allowed(first, "daily")
    if close:
        first.close()
        first.close()
        assert first.check(grant="g", tool="exact").rule == "(counter store unavailable)"
    del first
    second = engine(path)
    assert [allowed(second, "exact") for _ in range(2)] == [True, False]
    assert [allowed(second, "spend", amount=amount) for amount in (2, 1, 0.000001)] == [False, True, False]
    assert [allowed(second, "daily") for _ in range(2)] == [True, False]


def test_memory_forgets(tmp_path: Path) -> None:
    for counters in (None, "memory"):
        for _ in range(2):
            one = Engine.from_dict(POLICY, counters=counters)
            assert [allowed(one, "exact") for _ in range(4)] == [True, True, True, False]
            one.flush()
            one.close()
            assert one.counters[0] == 1
    assert not list(tmp_path.iterdir())


def test_a_second_engine_is_refused(path: Path) -> None:
    first = engine(path)
    with pytest.raises(StoreError, match=r"in use by process \d+"):
        engine(path)
    assert allowed(first, "exact")
    first.close()
    assert allowed(engine(path), "exact")


# A process of its own, because those who fork should have one thread.
FORKING = """
import gc, os, sys
from callgate import Engine, StoreError

limit = {"counter": "c", "window": "hour", "max": 3}
policy = {"version": "1", "name": "p", "default": "deny", "tools": {"t": {"limits": [limit]}, "free": {}}}
place = "file:" + sys.argv[1]

def allowed(engine):
    return engine.check(grant="g", tool="t").allowed

def refusal(call):
    try:
        call()
    except StoreError as error:
        return str(error)
    return "none"

engine = Engine.from_dict(policy, counters=place)
other = Engine.from_dict(policy)
held = engine.check(grant="g", tool="t", reserve=True).reservation
assert allowed(other)
child = os.fork()
if child == 0:
    belongs = f"belong to process {os.getppid()}, which this one was forked from"
    for call in (
        lambda: engine.check(grant="g", tool="t"),
        lambda: engine.check(grant="g", tool="free"),
        lambda: engine.explain(grant="g", tool="t"),
        lambda: engine.roll_back(held),
        lambda: engine.commit(held),
        engine.flush,
        engine.close,
    ):
        assert belongs in refusal(call), refusal(call)
    assert allowed(other) and allowed(other) and not allowed(other), "memory is the child's own"
    assert f"in use by process {os.getppid()}" in refusal(lambda: Engine.from_dict(policy, counters=place))
    mine = Engine.from_dict(policy, counters=place + ".mine")
    assert allowed(mine)
    if os.fork() == 0:
        assert "belong to process" in refusal(lambda: allowed(mine))
        os._exit(0)
    assert os.wait()[1] == 0
    assert allowed(mine)
    del engine, mine, call
    gc.collect()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert "in use" in refusal(lambda: Engine.from_dict(policy, counters=place))
assert engine.roll_back(held)
assert [allowed(engine) for _ in range(3)] == [True, True, True]
assert not allowed(engine)
engine.flush()
engine.close()
"""


def test_a_forked_child_leaves_the_file_alone(path: Path) -> None:
    command = [sys.executable, "-c", FORKING, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert counters_facts(path)["clean"] is True
    policy = {
        "version": "1",
        "name": "p",
        "default": "deny",
        "tools": {"t": {"limits": [{"counter": "c", "window": "hour", "max": 4}]}},
    }
    again = engine(path, policy)
    assert [allowed(again, "t") for _ in range(2)] == [True, False]


@pytest.mark.parametrize("counters", ["", "file:", "redis", "File:x", "memory "])
def test_places_that_are_none(counters: str) -> None:
    with pytest.raises(ConfigError, match="expected `memory` or `file:PATH`"):
        Engine.from_dict(POLICY, counters=counters)


def test_files_that_are_none(tmp_path: Path, path: Path) -> None:
    path.write_text("hello")
    with pytest.raises(StoreError, match="is no file of counters"):
        engine(path)
    assert path.read_text() == "hello"
    with pytest.raises(StoreError, match=r"cannot create the counters .*/counters`: no such file or folder"):
        engine(tmp_path / "missing" / "counters")
    with pytest.raises(StoreError, match="no such file"):
        counters_facts(tmp_path / "missing")


def test_damage_is_refused_and_repaired(path: Path) -> None:
    one = engine(path)
    assert allowed(one, "exact")
    one.close()
    damaged = bytearray(path.read_bytes())
    damaged[64 * 1024 + 100] ^= 1  # in the first block
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"damaged: block 0 .* `callgate counters repair") as refused:
        engine(path)
    assert str(path) in str(refused.value)
    assert path.read_bytes() == damaged
    kept, doubtful, dropped, blocks_doubtful, blocks_dropped, resets, aside = counters_repair(path)
    # Any word of the block may be the one.
    assert (kept + dropped, doubtful, blocks_doubtful, blocks_dropped, resets) == (1, kept, 1, 0, 0)
    assert aside.read_bytes() == damaged
    assert aside.name.startswith("counters.damaged-")
    assert allowed(engine(path), "exact")


def test_the_file_is_this_users_alone(path: Path) -> None:
    one = engine(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert counters_facts(path)["clean"] is False
    one.close()
    assert counters_facts(path)["clean"] is True


def test_clocks_set_by_hand_are_refused(path: Path) -> None:
    one = engine(path)
    with pytest.raises(ValueError, match="counters are in a file"):
        one.check(grant="g", tool="exact", now_ms=1)
    with pytest.raises(ConfigError, match="clock set by hand"):
        Server(one, clock=ManualClock(1))


def test_a_server_flushes_and_says_so(path: Path) -> None:
    one = engine(path, flush_interval_ms=10)
    with Server(one, workers=1) as server:
        with Client(str(server.address), timeout_ms=20_000) as client:
            assert client.check(grant="g", tool="exact").allowed
        while sum(server.metrics().store_duration_counts) < 3:
            pass
        assert server.metrics().store_errors == [("file", "flush", 0), ("file", "grow", 0)]
        assert server.metrics().store_duration_sum_ns > 0
        assert len(server.metrics().store_duration_counts) == len(server.metrics().store_duration_bounds_ns) + 1
    one.close()
    assert [allowed(engine(path), "exact") for _ in range(1)] == [True]


def test_other_policies_find_their_counts(path: Path) -> None:
    """The file keeps what a reload keeps: counts by identity, whatever `max` is now."""
    one = engine(path)
    assert allowed(one, "exact")
    one.close()
    wider = {**POLICY, "tools": {"exact": {"limits": [{"counter": "exact", "window": "hour", "max": 300}]}}}
    one = engine(path, wider)
    assert one.check(grant="g", tool="exact").limits[0].remaining == 298
    one.close()
    assert [allowed(engine(path), "exact") for _ in range(1)] == [True]
