"""The questions of the inbox about a permit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callgate.cli.inbox import AnswerCommand, AskPermitCommand, Inbox, OfferCommand, View
from callgate.cli.keys import Key
from callgate.cli.permit_questions import PermitQuestions
from callgate.store.approvals.recorded import Given, Recorded
from callgate.store.errors import AnswerError
from callgate.store.model import PermitBounds, Person, State, Verdict
from support.approvals import HOUR, NOW, need
from support.evidence import evidence
from support.inbox import RECORD, approval, drawn, inbox, press

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
