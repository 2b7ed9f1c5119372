"""`Engine.freeze`, `thaw` and `freezes`, and a server's file of freezes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from callgate import ConfigError, Engine, Server
from callgate._callgate import freezes_read

ALLOW: dict[str, Any] = {"version": "1", "default": "allow"}
ROW = {"server": "srv", "reason": "r", "at": "2026-11-23T16:00:00Z", "by": "ada"}


@pytest.fixture
def engine() -> Engine:
    return Engine.from_dict(ALLOW)


def rule(engine: Engine, now_ms: int = 0, *, grant: str = "g", tool: str = "t", server: str | None = None) -> str:
    return engine.check(grant=grant, tool=tool, server=server, now_ms=now_ms).rule


def test_a_freeze_holds_until_it_is_thawed(engine: Engine) -> None:
    engine.freeze(grant="g", reason="runs amok")
    assert rule(engine) == "(frozen)"
    assert rule(engine, grant="h") == ""
    assert engine.check(grant="g", tool="t").message == (
        "an operator has stopped all calls of this caller; do not repeat this one; the reason: runs amok"
    )
    assert engine.thaw(grant="g")
    assert not engine.thaw(grant="g")
    assert rule(engine) == ""


def test_ends(engine: Engine) -> None:
    engine.freeze(reason="a", for_ms=1_000, now_ms=500)
    assert [rule(engine, at) for at in (1_499, 1_500)] == ["(frozen)", ""]
    # The same calls again: the other end replaces the first.
    engine.freeze(reason="b", until_us=700_000)
    assert [rule(engine, at) for at in (699, 700)] == ["(frozen)", ""]
    assert engine.freezes() == [
        {"server": None, "tool": None, "grant": None, "reason": "b", "until_us": 700_000, "source": "program"}
    ]


def test_freezes_hold_together(engine: Engine) -> None:
    engine.freeze(server="srv", tool="drop_*", reason="a")
    engine.freeze(server="other", reason="b")
    assert rule(engine, tool="drop_table") == "(frozen)"
    assert rule(engine) == ""
    assert rule(engine, server="other") == "(frozen)"
    assert engine.thaw(server="other")
    assert rule(engine, tool="drop_table") == "(frozen)"
    assert rule(engine, server="other") == ""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"tool": "t"}, "`tool` needs `server`"),
        ({"server": "s", "grant": "g"}, "expected one of them"),
        ({"server": ""}, "expected a name that is not empty"),
        ({"server": "s", "tool": "a\\"}, "lone"),
        ({"reason": " "}, "expected a text that is not empty"),
        ({"reason": "two\nlines"}, "expected one line"),
    ],
)
def test_what_freezes_nothing_is_refused(engine: Engine, names: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        engine.freeze(**{"reason": "r", **names})
    assert engine.freezes() == []


def test_two_ends_are_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="either"):
        engine.freeze(reason="r", until_us=1, for_ms=1)


def test_what_was_reserved_before_is_settled(engine: Engine) -> None:
    reservation = engine.check(grant="g", tool="t", reserve=True).reservation
    assert reservation is not None
    engine.freeze(reason="r")
    assert engine.check(grant="g", tool="t", reserve=True).reservation is None
    assert engine.roll_back(reservation)


def document(*rows: dict[str, str]) -> str:
    return json.dumps({"version": "1", "freezes": rows})


def test_a_server_reads_its_file(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "freeze.json"
    with Server(engine, freeze_file=path) as server:
        assert server.freezes() == ([], None)
        path.write_text(document(ROW))
        rows, fault = server.freezes()
        assert (rows, fault) == (freezes_read(path), None)
        assert rows[0]["at_us"] == 1_795_449_600_000_000
        assert rule(engine) == "(frozen)"
        assert server.metrics().freezes == [("all", 0), ("server", 1), ("grant", 0), ("tool", 0)]
        # The program's own hold beside them.
        engine.freeze(server="other", reason="own")
        path.write_text("{")
        kept, fault = server.freezes()
        assert kept == rows
        assert fault == f"{path}:1:2: not JSON: expected a key in quotes"
        assert (server.freeze_fault, server.metrics().are_freezes_refused) == (fault, True)
        assert [rule(engine), rule(engine, server="other")] == ["(frozen)", "(frozen)"]
        path.unlink()
        assert server.freezes() == ([], None)
        assert [rule(engine), rule(engine, server="other")] == ["", "(frozen)"]


def test_a_server_reads_its_file_by_itself(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "freeze.json"
    with Server(engine, freeze_file=path):
        path.write_text(document(ROW))
        until(lambda: rule(engine) == "(frozen)")
        path.unlink()
        until(lambda: rule(engine) == "")


def until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_damaged_file_refuses_the_start(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "freeze.json"
    path.write_text(document({**ROW, "sever": "x"}))
    with pytest.raises(ConfigError, match=r"freeze\.json:1:.*unknown field `sever`"):
        Server(engine, freeze_file=path).start()
    assert rule(engine) == ""
