"""An inbox of the terminal with some approvals, and keys that are pressed in it."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len

from callgate.cli.inbox import Inbox
from callgate.cli.inbox_screen import draw, evidence_lines
from callgate.cli.keys import Key
from callgate.store.approvals.recorded import Recorded
from callgate.store.model import Approval, Call, State
from support.approvals import HOUR, NOW, need
from support.evidence import evidence

KEYS = ["j", "k", "g", "G", " ", "h", "l", "a", "d", "p", "r", "y", "n", "up", "down", "page_up", "page_down", "home"]
KEYS += ["end", "enter", "escape", "backspace", "clear", "x", "paste"]
"""The names of all keys."""
RECORD = Recorded('{"a": "b"}', evidence(), (), ())


def approval(name: str, at: int = 0, **changed: Any) -> Approval:
    """A pending approval, with these changes."""
    call = Call(f"f {name}", "g", "s", f"t-{name}", "p")
    fields: dict[str, Any] = {
        "open_rule": "/tools/t/approval",
        "state": State.PENDING,
        "until_us": NOW + HOUR,
        "decided_us": None,
        "changed_us": NOW,
        "changed_by": "ann",
        "changed_from": "here",
        "cause": "no",
        "use_id": None,
        "change": 1,
        "needs": (need(),),
    }
    return Approval(**{**fields, "id": name, "call": call, "created_us": NOW + at, **changed})


def inbox(*approvals: Approval) -> Inbox:
    """An inbox with these approvals, or with three."""
    made = Inbox()
    made.is_read = True
    made.update(approvals or [approval("a", 1), approval("b", 2), approval("c", 3)], NOW)
    made.fit(0, 10)
    return made


def press(one: Inbox, *names: str) -> Any:
    """Presses keys; returns the command of the last one."""
    command: Any = None
    for name in names:
        command = one.press(Key(name, name if len(name) == 1 else ""))
    return command


def evidence_of(one: Inbox, width: int) -> list[str] | None:
    """The lines of the evidence of the selected approval."""
    return None if one.current is None else evidence_lines(one.current, RECORD, None, NOW, width)


def drawn(one: Inbox, width: int = 80, height: int = 12, fault: str = "") -> list[str]:
    """The lines of the screen, without the space at their ends."""
    text = draw(one, evidence_of(one, width), "place", fault, NOW, width, height)
    lines = text.plain.split("\n")
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    return [line.rstrip() for line in lines]
