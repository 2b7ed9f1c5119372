"""Permits that approvers offer: bounds and terms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.approvals.offer import (
    LookedAt,
    looked_at,
    make_terms,
    masked_names,
    parse_term,
    permit_bounds,
    term_options,
)
from callgate.exact_json import read_json
from callgate.store.errors import AnswerError
from callgate.store.model import PermitBounds
from callgate.store.terms import covers, read_terms
from support.approvals import HOUR, need
from support.evidence import EVIDENCE

ARGUMENTS = (
    '{"region": "eu", "count": 3, "amount": 9007199254740993.10, "tags": {"a": [1e400]}, "x=any": null, "down": -2}'
)
NOTHING = LookedAt()


def terms(*words: str, looked: LookedAt = NOTHING, masked: frozenset[str] = frozenset()) -> str:
    return make_terms(read_json(ARGUMENTS), dict(map(parse_term, words)), looked, masked)


def test_by_default_each_argument_is_exactly_that_of_the_call() -> None:
    assert terms() == (
        '{"region": {"exactly": "eu"}, "count": {"exactly": 3}, "amount": {"exactly": 9007199254740993.10}, '
        '"tags": {"exactly": {"a": [1E+400]}}, "x=any": {"exactly": null}, "down": {"exactly": -2}}'
    )
    arguments = read_json(ARGUMENTS)
    made = read_terms(terms())
    assert covers(made, arguments)
    assert not covers(made, {**arguments, "amount": read_json("9007199254740993.11")})
    assert not covers(made, {**arguments, "more": 1})


def test_each_kind_of_term() -> None:
    made = read_json(
        terms('region=one_of:["eu", "us"]', "count=at_most:5", "down=at_most:0", "note=any", "x=any=exactly")
    )
    assert made["region"] == {"one_of": ["eu", "us"]}
    assert made["count"] == {"at_most": [0, 5]}
    assert made["down"] == {"at_most": [-2, 0]}
    assert made["note"] == {"any": True}
    assert made["x=any"] == {"exactly": None}
    assert read_json(terms("region=any"))["region"] == {"any": True}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["region"], "`region` is no term; expected `NAME=exactly`"),
        (["region=like:x"], "is no term"),
        (["=any"], "is no term"),
        (["count=at_most:many"], "expected a number after `at_most:`"),
        (["count=at_most:true"], "expected a number"),
        (["count=at_most:NaN"], "expected a number"),
        (["region=one_of:eu"], 'expected a JSON list that is not empty, such as `["a", "b"]` after `one_of:`'),
        (["region=one_of:[]"], "expected a JSON list"),
        (["count=at_most:2"], "`count` is 3 in the approved call, above `at_most:2`"),
        (["region=at_most:2"], "`region` is no number in the approved call"),
        (['region=one_of:["us"]'], 'the values for `region` do not contain that of the approved call, "eu"'),
        (["regoin=exactly"], "the call has no argument `regoin`; did you mean `region`?; only `any` fits"),
        (["note=at_most:1"], "only `any` fits one that it does not have"),
    ],
)
def test_terms_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(AnswerError) as error:
        terms(*words)
    assert message in str(error.value)


def test_any_is_refused_for_what_rules_look_at() -> None:
    with pytest.raises(AnswerError, match="a rule looks at the argument `region`, so that `region` cannot be `any`"):
        terms("region=any", looked=LookedAt(frozenset({"region"})))
    with pytest.raises(AnswerError, match="a rule looks at all arguments together, so that `note` cannot be `any`"):
        terms("note=any", looked=LookedAt(is_all=True))
    assert "any" in terms("note=any", looked=LookedAt(frozenset({"region"})))


def test_a_masked_argument_can_be_any_alone() -> None:
    masked = frozenset({"region"})
    with pytest.raises(AnswerError, match="the value of `region` is masked"):
        terms(masked=masked)
    assert read_json(terms("region=any", masked=masked))["region"] == {"any": True}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, LookedAt()),
        (EVIDENCE["entries"][0]["document"], LookedAt(frozenset({"region", "amount", "a.b"}))),
        ({"deny_if": [{"conditions": [{"any": [{"not": {"path": "args.a[*].b"}}]}]}]}, LookedAt(frozenset("a"))),
        ({"deny_if": [{"conditions": [{"path": "args", "op": "len_lt"}]}]}, LookedAt(is_all=True)),
        ({"approval": {"when": [{"conditions": [{"path": "args.q"}]}]}}, LookedAt(frozenset("q"))),
        ({"require": [{"conditions": [{"path": "tool"}, {"path": "grant.labels.args"}]}]}, LookedAt()),
        ({"schema": {"type": "object", "properties": {"a": {}}, "required": ["b"]}}, LookedAt(frozenset("ab"))),
        ({"schema": {"properties": {"a": {}}, "additionalProperties": False}}, LookedAt(is_all=True)),
        ({"schema": "input"}, LookedAt(is_all=True)),
        ("rules", LookedAt(is_all=True)),
    ],
)
def test_arguments_that_rules_look_at(rules: Any, expected: LookedAt) -> None:
    found = looked_at({"entries": [{"rule": "/tools/t", "document": rules}]})
    assert found.is_all == expected.is_all
    assert expected.is_all or found == expected


@pytest.mark.parametrize("evidence", [{}, {"entries": None}, {"entries": {}}, {"entries": [1]}])
def test_without_the_rules_every_argument_counts_as_looked_at(evidence: Any) -> None:
    assert "anything" in looked_at(evidence)


def test_masked_names() -> None:
    assert masked_names({"masked": ["args.a.b", 'args["c d"]', "args", 1]}) == {"a", "c d"}
    assert masked_names({}) == masked_names({"masked": "args.a"}) == frozenset()


def test_bounds_are_those_of_all_rules() -> None:
    assert permit_bounds([need()]) is None
    both = [need(permit=PermitBounds(5, HOUR)), need("/b", permit=PermitBounds(9, HOUR // 2))]
    assert permit_bounds(both) == PermitBounds(5, HOUR // 2)
    assert permit_bounds([*both, need("/c")]) is None


@given(st.text(), st.sampled_from(["exactly", "any", "at_most:5", 'one_of:[3, "a=any"]']))
def test_options_make_the_same_terms_again(name: str, kind: str) -> None:
    name = f"n{name}"
    if any(f"={word}" in name for word in ("at_most:", "one_of:")):
        return
    parsed = parse_term(f"{name}={kind}")
    assert parsed[0] == name
    made = make_terms({name: 3}, dict([parsed]), NOTHING, frozenset())
    assert term_options(made).startswith("--term ")
