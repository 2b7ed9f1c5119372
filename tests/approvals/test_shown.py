"""Evidence as people see it."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.approvals.documents import approval_document, evidence_document
from callgate.approvals.sections import Field, Section, lines_of, one_line, pretty, seen
from callgate.approvals.shown import approval_sections
from callgate.approvals.times import brief, exact, exact_instant, instant
from callgate.exact_json import read_json, write_json
from callgate.store.approvals.recorded import Given, Recorded
from callgate.store.model import Approval, Call, PermitBounds, Person, State, Verdict
from support.approvals import DAY, HOUR, NOW, SECOND, need
from support.evidence import EVIDENCE, evidence

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def approval(**changed: Any) -> Approval:
    fields: dict[str, Any] = {
        "id": "a" * 26,
        "call": Call("f" * 64, "ci", "aws", "t", "p" * 64, None, None),
        "needs": (need(),),
        "open_rule": "/tools/t/approval",
        "state": State.PENDING,
        "created_us": NOW - 60 * SECOND,
        "until_us": NOW + HOUR,
        "decided_us": None,
        "changed_us": NOW - 60 * SECOND,
        "changed_by": "ci",
        "changed_from": "gateway",
        "cause": "asked",
        "use_id": None,
        "change": 1,
    }
    return Approval(**{**fields, **changed})


def record(arguments: str | None = "{}", document: str | None = None, **more: Any) -> Recorded:
    return Recorded(arguments, evidence() if document is None else document, **{"recent": (), "answers": (), **more})


def text(one: Approval, recorded: Recorded) -> str:
    return "\n".join(lines_of(approval_sections(one, recorded, NOW)))


def test_everything_is_there() -> None:
    given = Given(Person("local", "ann"), ("ops",), Verdict.APPROVE, "fine", "terminal", None, NOW - SECOND, True)
    recent = {
        "approval": "b",
        "issuer": "local",
        "subject": "bob",
        "verdict": "deny",
        "reason": "no",
        "answered_us": NOW,
    }
    shown = text(
        approval(needs=(need(approvers=("ops", "boss"), count=2, reason_required=True, valid_us=5_400 * SECOND),)),
        record('{"region": "eu-west-1", "amount": 12.50}', recent=(recent,), answers=(given,)),
    )
    assert shown.splitlines() == [
        "approval aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "  state:    pending until 2027-01-15T09:00:00Z (1h left)",
        "  asked:    2027-01-15T07:59:00Z (1m ago)",
        "  tool:     t",
        "  server:   aws",
        "  grant:    ci",
        "  labels:   team=red",
        "  session:  s-1",
        "  category: Write",
        "  risk:     high",
        "  protocol: gateway",
        "  policy:   team 0123456789ab",
        "",
        "arguments",
        "  {",
        '    "region": "eu-west-1",',
        '    "amount": 12.50',
        "  }",
        "",
        "needed",
        "  /tools/t/approval: 1 of 2 from people of `ops` or `boss`, with a reason, can be used for 1h 30m",
        "",
        "tool",
        "  description:",
        "    | Makes an image.",
        "    | Of a machine.",
        "  input schema:",
        "    {",
        '      "type": "object"',
        "    }",
        "",
        "limits",
        "  spend: 40 of 100 left, all of it in 1m 1s (/tools/t/limits/spend)",
        "",
        "rules",
        "  /tools/t:",
        *(f"    {line}" for line in json.dumps(EVIDENCE["entries"][0]["document"], indent=2).splitlines()),
        "",
        "earlier answers for this grant and tool",
        "  2027-01-15T08:00:00Z: denied by bob (local): no [approval b]",
        "",
        "answers",
        "  2027-01-15T07:59:59Z: approved by ann (local) of `ops` at terminal: fine",
        "",
        "permit",
        "  not possible: the rule /tools/t/approval allows none",
        "",
        "digests",
        f"  fingerprint: {'f' * 64}",
        f"  policy:      {'p' * 64}",
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.PENDING, "pending until 2027-01-15T09:00:00Z (1h left)"),
        (State.APPROVED, "approved until 2027-01-15T09:00:00Z (1h left); it admits the call once"),
        (State.DENIED, "denied until 2027-01-15T09:00:00Z (1h left), at 2027-01-15T07:59:00Z by ann: no"),
        (State.CONSUMED, "consumed at 2027-01-15T07:59:00Z by ann: no"),
        (State.EXPIRED, "expired at 2027-01-15T09:00:00Z"),
        (State.ENDED, "ended at 2027-01-15T07:59:00Z by ann: no"),
    ],
)
def test_each_state(state: State, expected: str) -> None:
    shown = text(approval(state=state, changed_by="ann", cause="no"), record())
    assert re.search(f"^  state: +{re.escape(expected)}$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\u202eb", r'"a\u202eb"'),
        ("a\u00a0b", r'"a\u00a0b"'),
        ("a\U000e0041", r'"a\udb40\udc41"'),
        ("\x1b[2J\x7f", r'"\u001b[2J\u007f"'),
        ("Größe 東京 🙂", '"Größe 東京 🙂"'),
        ("one\ntwo", r'"one\ntwo"'),
        ("e\u0301 vi\u1ec7\u0302 \u0939\u093f\u0928\u094d", '"e\u0301 vi\u1ec7\u0302 \u0939\u093f\u0928\u094d"'),
        ("5\u0336 not\u20dd", r'"5\u0336 not\u20dd"'),
        ("a" + "\u0301" * 5, '"a' + "\u0301" * 3 + r'\u0301\u0301"'),
        ("\u0301 \u0301\n\u0301", r'"\u0301 \u0301\n\u0301"'),
        ("a\u200b\u0301", r'"a\u200b\u0301"'),
        ('"\u0301\\\u0301', r'"\"\u0301\\\u0301"'),
        (r"\u202e", r'"\\u202e"'),
    ],
)
def test_strings_of_arguments(value: str, expected: str) -> None:
    assert pretty(value) == one_line(value) == expected
    assert json.loads(expected) == value


@given(JSON)
def test_what_is_shown_is_the_value_and_has_nothing_unseen(value: Any) -> None:
    for shown in (pretty(value), one_line(value)):
        assert read_json(shown) == value
        assert all(one in " \n" or unicodedata.category(one)[0] not in {"C", "Z"} for one in shown)
        assert not re.search("[\u0300-\u036f]{4}|[\u0334-\u0338\u20dd]", shown)


@given(st.text('a\u0301\u0336\u20dd\u200b "\\\n\u093f'))
def test_marks_never_change_what_is_read(text: str) -> None:
    shown = pretty(text)
    assert json.loads(shown) == text
    assert not re.search("(^|[^a\u0301\u093f])\u0301|\u0301{4}|[\u0336\u20dd]", shown)


@given(st.text())
def test_no_text_begins_a_line_of_its_own(foreign: str) -> None:
    one = approval(call=Call(foreign, foreign, foreign, foreign, foreign, foreign, Person(foreign, foreign)))
    answer = Given(Person(foreign, foreign), (foreign,), Verdict.DENY, foreign, foreign, None, NOW, True)
    document = json.dumps({"labels": {foreign: foreign}, "session": foreign, "tool": {"description": foreign}})
    arguments = json.dumps({foreign: foreign})
    plain = text(replace(one, call=Call("f", "g", "s", "t", "p", "d", Person("i", "s"))), record(arguments, document))
    shown = text(one, record(arguments, document, answers=(answer,)))
    # Two sections' worth of lines more for the answer, whatever the texts are.
    assert len(shown.splitlines()) == len(plain.splitlines()) + 3
    for line in shown.splitlines():
        assert all(one == " " or unicodedata.category(one)[0] not in {"C", "Z"} for one in line)


def test_warnings_about_characters() -> None:
    shown = text(approval(), record(json.dumps({"a\u200b": ["x\u202ey", "\u00a0"], "b": "אב"})))
    assert "  attention: 3 characters that are invisible, or not as it looks, shown as an escape\n" in shown
    assert (
        "  attention: letters that are written from right to left; a terminal may show the text around them moved"
        in shown
    )
    assert "attention" not in text(approval(), record(json.dumps({"a": "one\n\ttwo é e\u0301"})))
    assert "  attention: 2 characters" in text(approval(), record(json.dumps({"a": "x\u0336", "b": "\u0301"})))


def test_texts_of_several_lines_are_shown_as_text_too() -> None:
    shown = text(approval(), record(json.dumps({"a/b": ["x", "one\ntwo\n  approval: approved"]})))
    assert "  /a~1b/1 as text:\n    | one\n    | two\n    |   approval: approved\n" in shown


@pytest.mark.parametrize(
    "document",
    [
        "{}",
        "[]",
        "null",
        "{",
        '"x"',
        '{"labels": 1, "tool": [], "limits": {}, "entries": 1}',
        '{"limits": [1, {"counter": "c"}], "entries": ["x"], "policy": "p", "masked": 5}',
        '{"tool": {"description": {"a": 1}, "input_schema": null}}',
        '{"new": {"a": 1e400}}',
    ],
)
def test_evidence_of_any_shape(document: str) -> None:
    shown = text(approval(), record(None, document))
    assert "deleted: their time is over" in shown
    if "new" in document:
        assert '  new:\n    {\n      "a": 1E+400\n    }' in shown
    write_json(evidence_document(approval(), record(None, document)))


@pytest.mark.parametrize("arguments", ["{", '{"a": 1, "a": 2}', "NaN", "[" * 100_000])
def test_arguments_that_are_no_json(arguments: str) -> None:
    shown = text(approval(), record(arguments))
    assert "attention: they are no JSON that callgate reads; their text:\n  | " in shown
    assert f"| {arguments}" in shown
    assert evidence_document(approval(), record(arguments))["arguments"] == arguments


def test_a_permit_that_is_possible() -> None:
    bounds = PermitBounds(max_uses=5, max_duration_us=2 * HOUR)
    shown = text(approval(needs=(need(permit=bounds), need("/b", permit=PermitBounds(9, HOUR)))), record())
    assert (
        "permit\n  possible: at most 5 uses within 1h\n"
        "  rules look at `a.b`, `amount` and `region`, which therefore cannot be `any`\n"
    ) in shown
    shown = text(approval(needs=(need(permit=bounds),)), record(document="{}"))
    assert "  no argument can be `any`: rules look at all arguments\n" in shown


def test_an_offered_permit_and_the_options_for_the_same() -> None:
    terms = '{"a": {"exactly": 1.50}, "n": {"at_most": [-3, 5]}, "k": {"one_of": ["x y"]}, "z": {"any": true}}'
    offer = f'{{"terms": {terms}, "uses": 3, "duration_us": 5400000000}}'
    given = Given(Person("local", "ann"), (), Verdict.APPROVE, "", "terminal", offer, NOW, False)
    shown = text(approval(), record(answers=(given,)))
    assert (
        "  2027-01-15T08:00:00Z:\n"
        "    approved by ann (local) at terminal (no longer counts)\n"
        "    offers a permit of 3 uses within 1h 30m:\n"
        "      a: exactly 1.50\n"
        "      n: at most 5, at least -3\n"
        '      k: one of "x y"\n'
        "      z: any value, or none\n"
        "    the same: --permit-uses 3 --permit-for 5400s --term a=exactly --term n=at_most:5 "
        "--term 'k=one_of:[\"x y\"]' --term z=any\n"
    ) in shown


def test_masked_arguments_are_named() -> None:
    shown = text(approval(), record('{"password": "***"}', evidence(masked=["args.password", 'args["b c"][0].d'])))
    assert "masked, in full or in part: `b c` and `password`\n" in shown


def test_documents() -> None:
    one = approval(needs=(need(permit=PermitBounds(2, HOUR)),))
    document = json.loads(write_json(evidence_document(one, record('{"n": 9007199254740993, "t": "\u202e"}'))))
    assert approval_document(one).items() <= document.items()
    assert document["arguments"] == {"n": 9007199254740993, "t": "\u202e"}
    assert (document["created"], document["decided"]) == ("2027-01-15T07:59:00.000000Z", None)
    assert document["permit_bounds"] == {"max_uses": 2, "max_duration_ms": 3_600_000}


@pytest.mark.parametrize(
    ("length_us", "expected", "whole"),
    [
        (-5, "0s", "0s"),
        (59 * SECOND, "59s", "59s"),
        (61 * SECOND, "1m", "1m 1s"),
        (HOUR + 59 * SECOND, "1h", "1h 59s"),
        (3 * HOUR + 5 * 60 * SECOND + 1, "3h 5m", "3h 5m"),
        (2 * DAY + 4 * HOUR + 60 * SECOND, "2d 4h", "2d 4h 1m"),
        (30 * DAY, "30d", "30d"),
    ],
)
def test_durations(length_us: int, expected: str, whole: str) -> None:
    assert brief(length_us) == expected
    assert length_us < 0 or exact(length_us) == whole


def test_times() -> None:
    assert instant(NOW + 1) == "2027-01-15T08:00:00Z"
    assert exact_instant(NOW + 1) == "2027-01-15T08:00:00.000001Z"
    assert instant(2**62) == "9999-12-31T23:59:59Z"


def test_lines_of_sections() -> None:
    sections = [Section("a", (Field("b", "1"), Field("long", "2"), Field("", "x\ny"), Field("m", "3\n\n4")))]
    assert list(lines_of(sections)) == ["a", "  b:    1", "  long: 2", "  x", "  y", "  m:", "    3", "", "    4"]
    assert seen("a\nb\u00a0c") == r"a\u{a}b\u{a0}c"
