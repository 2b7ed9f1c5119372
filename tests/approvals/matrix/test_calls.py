"""The identity of a call: one that differs from the approved call in any part asks again."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from callgate import Decision
from callgate.store.model import State
from support.matrix import ASKED, NEW, Row, play
from support.scenes import Scene, Stage

ANOTHER: dict[str, Any] = {"decision": "approval_required", "approval": NEW, "state": State.APPROVED}
SAME: dict[str, Any] = {"decision": "allow", "approval": ASKED, "state": State.CONSUMED}


def ask_with(scene: Scene, **changed: Any) -> None:
    scene.ask(**changed)


def use_with(scene: Scene, **changed: Any) -> Decision:
    return scene.check(**changed)


def use_of_another_grant(scene: Scene) -> Decision:
    other = scene.stage.scene()
    other.change_grant(servers={scene.server: scene.policy})
    other.wait_everywhere("", server=scene.server)
    return other.check(server=scene.server)


def arguments(name: str, asked: object, used: object, outcome: dict[str, Any]) -> Row:
    return Row(name, asks=partial(ask_with, args=asked), use=partial(use_with, args=used), **outcome)


ROWS = [
    Row("nothing", **SAME),
    Row("session", asks=partial(ask_with, session="a"), use=partial(use_with, session="b"), **SAME),
    Row("caller", use=use_of_another_grant, **ANOTHER),
    Row("server", use=partial(use_with, server="elsewhere"), **ANOTHER),
    Row(
        "tool",
        use=partial(use_with, tool="other"),
        **{**ANOTHER, "decision": "approval_required /tools/other/approval"},
    ),
    arguments("an argument's value", {"n": 1}, {"n": 2}, ANOTHER),
    arguments("an argument's type", {"n": 1}, {"n": "1"}, ANOTHER),
    arguments("true for one", {"n": 1}, {"n": True}, ANOTHER),
    arguments("one more argument", {"n": 1}, {"n": 1, "m": 0}, ANOTHER),
    arguments("null for no argument", {"n": 1}, {"n": 1, "m": None}, ANOTHER),
    arguments("one argument less", {"n": 1, "m": 0}, {"n": 1}, ANOTHER),
    arguments("no arguments", {"n": 1}, {}, ANOTHER),
    arguments("a number that doubles take for the same", {"n": 2**53}, {"n": 2**53 + 1}, ANOTHER),
    arguments("the case of a letter", {"n": "a"}, {"n": "A"}, ANOTHER),
    arguments("another form of a letter", {"n": "\u00e9"}, {"n": "e\u0301"}, ANOTHER),
    arguments("the order of a list", {"n": [1, 2]}, {"n": [2, 1]}, ANOTHER),
    arguments("another way to write a number", {"n": 1}, {"n": 1.0}, SAME),
    arguments("the order of arguments", {"n": 1, "m": {"a": 1, "b": 2}}, {"m": {"b": 2, "a": 1}, "n": 1}, SAME),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_calls(theatre: Stage, row: Row) -> None:
    play(row, theatre.scene())
