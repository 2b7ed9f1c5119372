"""Counters in a file that several engines share."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from callgate import ConfigError, Engine, StoreError

if TYPE_CHECKING:
    from pathlib import Path

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "exact": {"limits": [{"counter": "exact", "window": "hour", "max": 4}]},
        "spend": {"limits": [{"counter": "spend", "window": "hour", "max": 1000, "cost": "args.amount"}]},
    },
}


def engine(path: Path, **sizes: Any) -> Engine:
    return Engine.from_dict(POLICY, counters=f"file:{path}", share_counters=True, **sizes)


def allowed(engine: Engine, tool: str = "exact", **args: float) -> bool:
    return engine.check(grant="g", tool=tool, args=args or None).allowed


def test_engines_count_together(tmp_path: Path) -> None:
    first, second, third = (engine(tmp_path / "counters") for _ in range(3))
    assert [allowed(one) for one in (first, second, third, third, second)] == [True] * 4 + [False]
    assert [allowed(one, "spend", amount=600.5) for one in (second, third)] == [True, False]
    peeked = third.peek(grant="g", tool="spend", args={"amount": 1})
    assert peeked.limits[0].remaining == 399.5
    explained = second.explain(grant="g", tool="exact")
    assert explained.decision.rule == "/tools/exact/limits/exact"
    assert [one.counters[0] for one in (first, second, third)] == [2] * 3
    for one in (second, first):
        one.flush()
        one.close()
        assert one.check(grant="g", tool="exact").rule == "(counter store unavailable)"
    assert not allowed(third)
    assert allowed(third, "spend", amount=399.5)


def test_units_are_given_back_to_whoever_keeps_them(tmp_path: Path) -> None:
    first, second = (engine(tmp_path / "counters") for _ in range(2))
    decisions = [second.check(grant="g", tool="exact", reserve=True) for _ in range(4)]
    assert not allowed(first)
    assert decisions[0].reservation is not None
    assert second.roll_back(decisions[0].reservation)
    assert allowed(first)
    first.close()
    assert decisions[1].reservation is not None
    assert second.roll_back(decisions[1].reservation)
    assert [allowed(second) for _ in range(2)] == [True, False]


def test_sizes_are_those_of_the_engine_that_keeps_the_file(tmp_path: Path) -> None:
    first = engine(tmp_path / "counters", counter_capacity=1)
    second = engine(tmp_path / "counters", counter_capacity=10)
    assert allowed(first)
    assert second.check(grant="h", tool="exact").rule == "(counter capacity)"
    first.close()
    assert second.check(grant="h", tool="exact").allowed


def test_only_a_file_is_shared() -> None:
    for counters in (None, "memory"):
        with pytest.raises(ConfigError, match="share_counters: expected counters in a file"):
            Engine.from_dict(POLICY, counters=counters, share_counters=True)


def test_an_engine_that_does_not_share_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    alone = Engine.from_dict(POLICY, counters=f"file:{path}")
    with pytest.raises(StoreError, match=r"in use by process \d+"):
        engine(path)
    alone.close()
    shared = engine(path)
    with pytest.raises(StoreError, match=r"in use by process \d+"):
        Engine.from_dict(POLICY, counters=f"file:{path}")
    shared.close()


def test_nobody_resets(tmp_path: Path) -> None:
    for one in [engine(tmp_path / "counters") for _ in range(2)]:
        with pytest.raises(ConfigError, match="several processes may share these counters"):
            one.reset(grant="g")


# A process of its own: the one that forks has the thread that answers others.
FORKING = """
import os, sys, warnings
from callgate import Engine, StoreError
warnings.simplefilter("ignore")
policy = {"version": "1", "default": "deny", "tools": {"t": {"limits": [{"counter": "c", "window": "hour", "max": 9}]}}}

def share():
    return Engine.from_dict(policy, counters=f"file:{sys.argv[1]}", share_counters=True)

def refused(act):
    try:
        act()
    except StoreError as error:
        return "was forked from" in str(error)
    return False

engines = [share(), share()]
for engine in engines:
    assert engine.check(grant="g", tool="t").allowed
child = os.fork()
if child == 0:
    for engine in engines:
        assert refused(lambda: engine.check(grant="g", tool="t"))
        assert refused(engine.flush)
        assert refused(engine.close)
    del engine, engines
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
engines.append(share())
for engine in engines:
    assert engine.check(grant="g", tool="t").allowed
print(engines[0].peek(grant="g", tool="t").limits[0].remaining)
"""


def test_a_forked_child_neither_asks_nor_answers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path / "counters")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
