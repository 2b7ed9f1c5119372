"""`Engine.freeze`, `thaw` and `freezes`."""

from __future__ import annotations

from typing import Any

import pytest

from callgate import ConfigError, Engine

ALLOW: dict[str, Any] = {"version": "1", "default": "allow"}


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
