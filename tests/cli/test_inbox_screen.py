"""The drawing of the inbox, without a terminal."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from callgate.cli.inbox import Inbox
from callgate.cli.inbox_screen import draw
from callgate.cli.shown import broken
from callgate.store.model import Call, State
from support.approvals import NOW, SECOND, need
from support.inbox import KEYS, approval, drawn, evidence_of, inbox, press


def test_the_list_on_the_screen() -> None:
    one = inbox(approval("a", 1), approval("b", 2, needs=(need(approvers=("ops",)),)))
    press(one, "j")
    lines = drawn(one)
    assert lines[:4] == [
        "2 approvals wait for people   place",
        "  LEFT  GRANT  CALL   WAITS FOR",
        "  1h    g      s/t-a  /tools/t/approval",
        "> 1h    g      s/t-b  /tools/t/approval (ops)",
    ]
    assert lines[-1].startswith("up/down j/k: move   enter: show")
    assert drawn(one, fault="x")[0].startswith("NOT UP TO DATE   2 approvals")
    assert drawn(one, fault="the disk\x1b[2J")[-2] == r"changes cannot be seen: the disk\u{1b}[2J"
    one.update([approval("b", 2, state=State.DENIED)], NOW)
    assert drawn(one)[0] == "1 approval waits for people   place"
    assert drawn(one)[3].startswith("> denied  g      s/t-b  denied until 2027-01-15T09:00:00Z (1h left), at 2027")
    assert drawn(one)[3].endswith("~")
    assert drawn(Inbox())[2] == "  reading the store"


def test_a_long_list_follows_the_selection() -> None:
    one = inbox(*(approval(f"n{number:02}", number) for number in range(40)))
    for name, first, last in [("g", "t-n00", "t-n07"), ("G", "t-n32", "t-n39"), ("k", "t-n32", "t-n39")]:
        press(one, name)
        lines = drawn(one)
        assert (first in lines[2], last in lines[9]) == (True, True)
        assert sum(line.startswith("> ") for line in lines) == 1


def test_evidence_on_the_screen() -> None:
    one = inbox()
    press(one, "enter")
    lines = drawn(one, height=10)
    assert lines[0].startswith("`t-a` at `s` for `g`   lines 1 to 7 of ")
    assert lines[0].endswith("MORE BELOW")
    assert lines[1] == "approval a"
    press(one, "G")
    assert "MORE" not in drawn(one, height=10)[0]
    press(one, "a")
    assert drawn(one, height=10)[-2:] == [
        "approve this call, once?",
        "y: yes   r: yes, with a reason   n: no   up/down: scroll",
    ]
    press(one, "n", "d", *"because")
    assert drawn(one)[-2] == "reason of the denial, which the agent is told: because_"
    press(one, *("x" * 200))
    assert drawn(one)[-2].endswith("xxxx_")


@given(st.text(), st.integers(1, 60), st.integers(1, 12), st.lists(st.sampled_from(KEYS), max_size=6))
def test_every_cell_of_a_screen_of_any_size_is_written(text: str, width: int, height: int, keys: list[str]) -> None:
    one = inbox(replace(approval("a"), call=Call("f", text, text, text, "p")))
    press(one, *keys)
    drawn_text = draw(one, evidence_of(one, width), text, "", NOW, width, height).plain
    lines = drawn_text.split("\n")
    assert len(lines) <= height
    assert all(cell_len(line) <= max(width, 10) for line in lines)


def test_lines_that_are_broken() -> None:
    assert list(broken("abcdef", 10)) == ["abcdef"]
    assert list(broken("a" * 25, 10)) == ["a" * 10, "> " + "a" * 8, "> " + "a" * 7]
    assert list(broken("東" * 7, 10)) == ["東" * 5, "> " + "東" * 2]
    assert list(broken("", 10)) == [""]


@given(st.text(), st.integers(10, 40))
def test_nothing_is_lost_where_a_line_is_broken(text: str, width: int) -> None:
    first, *more = broken(text, width)
    assert first + "".join(part.removeprefix("> ") for part in more) == text
    assert all(part.startswith("> ") for part in more)


def test_the_age_of_rows_is_no_matter() -> None:
    assert drawn(inbox(approval("a", until_us=NOW - SECOND)))[2].startswith("> 0s")
