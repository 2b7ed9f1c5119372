"""The state of the inbox: the selection, the keys, and answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.cli.inbox import AnswerCommand, Inbox, QuitCommand, View
from callgate.cli.keys import Key
from callgate.store.model import State, Verdict
from support.approvals import NOW, need
from support.inbox import KEYS, approval, inbox, press


def test_moving() -> None:
    one = inbox()
    assert one.selected == "a"
    for names, expected in [("j", "b"), ("down", "c"), ("j", "c"), ("k", "b"), ("up", "a"), ("k", "a"), ("G", "c"),
                            ("home", "a"), ("page_down", "c"), ("page_up", "a"), ("end", "c"), ("g", "a")]:  # fmt: skip
        press(one, names)
        assert one.selected == expected


def test_new_ones_do_not_move_the_selection() -> None:
    one = inbox()
    press(one, "j")
    one.update([approval("z", 0), approval("y", 9)], NOW)
    assert (one.selected, [row.id for row in one.rows()]) == ("b", ["z", "a", "b", "c", "y"])


@pytest.mark.parametrize("state", [State.APPROVED, State.DENIED, State.EXPIRED, State.ENDED, State.CONSUMED])
def test_a_selected_one_that_others_answer_stays_until_another_is_selected(state: State) -> None:
    one = inbox()
    press(one, "j")
    one.update([approval("b", 2, state=state), approval("a", 1, state=state)], NOW)
    assert ([row.id for row in one.rows()], one.selected, one.pending) == (["b", "c"], "b", 1)
    assert press(one, "a") is None
    assert (one.view, one.message) == (View.EVIDENCE, f"it is {state.value} already")
    press(one, "escape", "j")
    assert [row.id for row in one.rows()] == ["c"]


def test_approve() -> None:
    one = inbox()
    assert press(one, "a") is None
    assert one.view is View.CONFIRM
    assert press(one, "enter") is None
    assert press(one, "y") == AnswerCommand(approval("a", 1), Verdict.APPROVE, "")
    one.finish(approval("a", 1, state=State.APPROVED), "approved", NOW)
    assert (one.view, one.message, one.selected) == (View.LIST, "approved", "a")
    press(one, "j")
    assert [row.id for row in one.rows()] == ["b", "c"]


@pytest.mark.parametrize("key", ["n", "escape", "q"])
def test_not_approve(key: str) -> None:
    one = inbox()
    assert press(one, "a", key) is None
    assert (one.view, one.message) == (View.EVIDENCE, "nothing was answered")
    assert press(one, "y") is None


def test_approve_with_a_reason() -> None:
    one = inbox()
    assert press(one, "a", "r", "o", "x", "backspace", "k") is None
    one.press(Key("paste", " and\nmore "))
    command = press(one, "enter")
    assert command == AnswerCommand(approval("a", 1), Verdict.APPROVE, "ok and more")


def test_an_approval_that_needs_a_reason() -> None:
    one = inbox(approval("a", needs=(need(), need("/b", reason_required=True))))
    assert press(one, "a", "y") is None
    assert one.view is View.REASON
    assert press(one, "enter") is None
    assert one.message == "this approval needs a reason"
    command = press(one, "o", "k", "enter")
    assert (command.verdict, command.reason) == (Verdict.APPROVE, "ok")


def test_deny() -> None:
    one = inbox()
    assert press(one, "j", "d", "q", "clear", "n", "o") is None
    command = press(one, "enter")
    assert (command.approval.id, command.verdict, command.reason) == ("b", Verdict.DENY, "no")
    one = inbox()
    assert press(one, "d", "enter").reason == ""
    one = inbox()
    assert press(one, "d", "n", "escape") is None
    assert press(one, "d", "enter").reason == ""


@pytest.mark.parametrize("keys", [["a"], ["a", "r", "x"], ["d", "x"]])
def test_an_answer_by_others_ends_the_question(keys: list[str]) -> None:
    one = inbox()
    press(one, *keys)
    one.update([approval("a", 1, state=State.DENIED)], NOW)
    assert one.view is View.EVIDENCE
    assert one.message.startswith("nothing was answered, because it changed: denied until")
    assert press(one, "y") is press(one, "enter") is None
    one = inbox()
    press(one, *keys)
    one.update([approval("b", 2, state=State.DENIED)], NOW)
    assert one.view is not View.EVIDENCE


def test_time_ends_the_question_too() -> None:
    one = inbox(approval("a", until_us=NOW + 5), approval("b", until_us=NOW + 5))
    press(one, "a")
    one.tick(NOW + 4)
    assert one.view is View.CONFIRM
    one.tick(NOW + 5)
    assert (one.view, one.pending, [row.state for row in one.rows()]) == (View.EVIDENCE, 0, [State.EXPIRED])


def test_quit_permit_and_the_empty_inbox() -> None:
    one = Inbox()
    for name in KEYS:
        assert press(one, name) is None
    assert one.view is View.LIST
    assert press(one, "p") is None
    assert isinstance(press(one, "q"), QuitCommand)
    one = inbox()
    assert isinstance(press(one, "enter", "q"), QuitCommand)


def test_scrolling() -> None:
    one = inbox()
    press(one, "enter")
    one.fit(25, 10)
    for name, expected in [("j", 1), ("k", 0), ("k", 0), (" ", 10), ("page_down", 15), ("j", 15), ("g", 0), ("end", 15),
                           ("page_up", 5)]:  # fmt: skip
        press(one, name)
        assert one.scroll == expected
    press(one, "a", "j")
    assert (one.scroll, one.view) == (6, View.CONFIRM)
    one.fit(10, 10)
    assert one.scroll == 0


@given(st.lists(st.sampled_from(KEYS) | st.integers(0, 4)))
def test_an_answer_is_about_what_was_selected_when_it_was_asked(steps: list[str | int]) -> None:
    one = inbox()
    asked: str | None = None
    names = "abcde"
    for step in steps:
        if isinstance(step, int):
            done = step % 2 == 0
            one.update([approval(names[step], step, state=State.DENIED if done else State.PENDING)], NOW)
            continue
        before = one.view
        command = press(one, step)
        if one.view in {View.CONFIRM, View.REASON} and before not in {View.CONFIRM, View.REASON}:
            asked = one.selected
        if isinstance(command, AnswerCommand):
            assert command.approval.id == asked
            assert command.approval.state is State.PENDING
            assert before in {View.CONFIRM, View.REASON}
            one.fail("not now")
        assert one.selected is None or one.current is not None
