"""The inbox in the terminal: its keys, its state and its drawing, without a terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from callgate.cli.inbox import AnswerCommand, AskPermitCommand, Inbox, OfferCommand, QuitCommand, View
from callgate.cli.inbox_screen import draw, evidence_lines
from callgate.cli.keys import Key, KeyReader
from callgate.cli.permit_questions import PermitQuestions
from callgate.cli.shown import broken
from callgate.store.approvals.recorded import Given, Recorded
from callgate.store.errors import AnswerError
from callgate.store.model import Approval, Call, PermitBounds, Person, State, Verdict
from support.approvals import HOUR, NOW, SECOND, need
from support.evidence import evidence

KEYS = ["j", "k", "g", "G", " ", "h", "l", "a", "d", "p", "r", "y", "n", "up", "down", "page_up", "page_down", "home"]
KEYS += ["end", "enter", "escape", "backspace", "clear", "x", "paste"]
RECORD = Recorded('{"a": "b"}', evidence(), (), ())


def approval(name: str, at: int = 0, **changed: Any) -> Approval:
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
    return None if one.current is None else evidence_lines(one.current, RECORD, None, NOW, width)


def drawn(one: Inbox, width: int = 80, height: int = 12, fault: str = "") -> list[str]:
    text = draw(one, evidence_of(one, width), "place", fault, NOW, width, height)
    lines = text.plain.split("\n")
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    return [line.rstrip() for line in lines]


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


BOUNDS = PermitBounds(10, HOUR)
PERMITTED = need(permit=BOUNDS)


def permitting(one: Inbox, record: Recorded = RECORD) -> PermitQuestions:
    """An inbox with the first question of a permit."""
    command = press(one, "p")
    assert isinstance(command, AskPermitCommand)
    questions = PermitQuestions(command.approval, record)
    one.ask(questions)
    return questions


def typed(one: Inbox, text: str) -> Any:
    """Types a text in place of what stands there, and enter."""
    press(one, "clear")
    one.press(Key("paste", text))
    return press(one, "enter")


def test_a_permit_of_the_policy() -> None:
    one = inbox(approval("a", needs=(PERMITTED,)))
    questions = permitting(one)
    assert one.view is View.PERMIT
    assert drawn(one)[-2:] == [
        "1/4  uses of the permit, 1 to 10: 10_",
        "enter: next   up/down: other questions   esc: cancel   ctrl-u: clear",
    ]
    assert press(one, "enter") is None
    assert "2/4  its length, at most 1h: 1h_" in drawn(one)[-2]
    press(one, "enter")
    assert "`a` may be (exactly, at_most:NUMBER, one_of:[VALUE, ...], any): exactly_" in " ".join(drawn(one, 160)[-2:])
    press(one, "enter")
    assert isinstance(press(one, "enter"), OfferCommand)
    offer = questions.offer()
    assert (offer.uses, offer.duration_us, json.loads(offer.terms)) == (10, HOUR, {"a": {"exactly": "b"}})
    one.confirm(offer)
    shown = drawn(one, height=30)
    assert "  permit for 10 uses within 1h, for calls with these arguments:" in shown
    assert '    a: exactly "b"' in shown
    assert shown[-2] == "make this permit?"
    assert press(one, "y") == AnswerCommand(one.rows()[0], Verdict.APPROVE, "", offer)


def test_a_permit_with_other_terms_and_a_reason() -> None:
    one = inbox(approval("a", needs=(PERMITTED, need("/b", reason_required=True, permit=BOUNDS))))
    questions = permitting(one)
    for text in ("3", "90m", 'one_of:["b", "c"]'):
        assert typed(one, text) is None
    assert isinstance(typed(one, "tag 'an other'"), OfferCommand)
    offer = questions.offer()
    terms = {"a": {"one_of": ["b", "c"]}, "tag": {"any": True}, "an other": {"any": True}}
    assert (offer.uses, offer.duration_us, json.loads(offer.terms)) == (3, HOUR * 3 // 2, terms)
    one.confirm(offer)
    assert press(one, "y") is None
    assert one.view is View.REASON
    command = press(one, "o", "k", "enter")
    assert (command.reason, command.permit) == ("ok", offer)


@pytest.mark.parametrize(
    ("answers", "message", "question"),
    [
        (["x"], "expected a whole number", "1/4"),
        (["3", "soon"], "expected a duration", "2/4"),
        (["3", "1h", "at_most:3"], "is no number in the approved call", "3/4"),
        (["3", "1h", "nonsense"], "is no term", "3/4"),
        (["3", "1h", "exactly", "'"], "cannot be read", "3/4"),
    ],
)
def test_answers_that_make_no_permit(answers: list[str], message: str, question: str) -> None:
    one = inbox(approval("a", needs=(PERMITTED,)))
    questions = permitting(one)
    for text in answers:
        typed(one, text)
    while press(one, "enter") is None:
        pass
    with pytest.raises(AnswerError, match=message):
        questions.offer()
    assert questions.line.startswith(question)


def test_the_offer_of_others_stands_in_the_questions() -> None:
    offer = json.dumps({"terms": {"a": {"any": True}, "b=c d": {"any": True}}, "uses": 2, "duration_us": HOUR // 2})
    given = Given(Person("local", "ben"), (), Verdict.APPROVE, "", "here", offer, NOW, is_current=True)
    one = inbox(approval("a", needs=(need(count=2, permit=BOUNDS),)))
    questions = permitting(one, Recorded('{"a": "b"}', evidence(entries=[]), (), (given,)))
    press(one, "enter", "enter", "enter", "enter")
    made = questions.offer()
    terms = {"a": {"any": True}, "b=c d": {"any": True}}
    assert (made.uses, made.duration_us, json.loads(made.terms)) == (2, HOUR // 2, terms)


def test_no_permit_where_none_can_be() -> None:
    one = inbox()
    command = press(one, "p")
    assert isinstance(command, AskPermitCommand)
    with pytest.raises(AnswerError, match="lets nobody make a permit"):
        PermitQuestions(command.approval, RECORD)
    permitted = approval("a", needs=(PERMITTED,))
    with pytest.raises(AnswerError, match="are not there"):
        PermitQuestions(permitted, Recorded(None, evidence(), (), ()))
    one = inbox(permitted)
    permitting(one)
    assert press(one, "x", "escape") is None
    assert (one.view, one.message) == (View.EVIDENCE, "nothing was answered")
    permitting(one)
    one.update([approval("a", state=State.DENIED)], NOW)
    assert one.view is View.EVIDENCE
    assert press(one, "p") is None
    assert one.message == "it is denied already"


def test_an_approval_after_a_permit_that_was_not_made_is_for_one_call() -> None:
    one = inbox(approval("a", needs=(PERMITTED,)))
    questions = permitting(one)
    one.confirm(questions.offer())
    press(one, "n")
    assert press(one, "a", "y") == AnswerCommand(one.rows()[0], Verdict.APPROVE, "", None)


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


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1b[B\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[F", ["up", "down", "up", "page_up", "page_down", "home", "end"]),
        (b"\r\n\x7f\x15", ["enter", "enter", "backspace", "clear"]),
        (b"\x1b[1;5A\x1b[24~\x1ba\x00\x1d", []),
        ("é東".encode(), ["é", "東"]),
        (b"\xff", ["\N{REPLACEMENT CHARACTER}"]),
        (b"a\x1b[200~yy\ny\x1b[201~b", ["a", "paste", "b"]),
    ],
)
def test_keys_of_bytes(content: bytes, names: list[str]) -> None:
    assert [key.name for key in KeyReader().feed(content)] == names
    # In one part or in many.
    reader = KeyReader()
    assert [key.name for one in content for key in reader.feed(bytes([one]))] == names
    assert not reader.is_within_sequence


def test_escape_alone() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b") == []
    assert reader.is_within_sequence
    assert reader.flush() == [Key("escape")]
    assert reader.feed(b"\x1b[") == reader.flush() == reader.flush() == []
    assert reader.feed(b"a") == [Key("a", "a")]


def test_what_is_pasted_is_no_key() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b[200~ay") == []
    assert reader.flush() == []
    assert reader.feed(b"\x1b[201~") == [Key("paste", "ay")]
    one = inbox()
    assert press(one, "a") is None
    assert one.press(Key("paste", "y")) is None
    assert one.view is View.CONFIRM
    assert [key.name for key in reader.feed(b"\x1b[200~" + b"y" * 70_000)] == ["paste"]


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    reader = KeyReader()
    for key in [*reader.feed(content), *reader.flush()]:
        assert key.name


def test_the_age_of_rows_is_no_matter() -> None:
    assert drawn(inbox(approval("a", until_us=NOW - SECOND)))[2].startswith("> 0s")
