"""The recommended rules, judged by the engine."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate import Engine
from callgate.errors import ConfigError
from callgate.workbench.catalogue import CATEGORIES, RISKS, Attributes, Catalogue, CatalogueServer, Correction, Tool
from callgate.workbench.recommend import Format, Recommendation, Wishes, recommend
from support.recommend import catalogue_of, policy_of, tool

ALL = catalogue_of(
    tool("get", "Read", risk="low"),
    tool("put", "Write", risk="medium"),
    tool("run", "Execute", risk="high"),
    tool("drop", "Destructive", risk="critical"),
    tool("pay", "Financial", risk="high"),
    tool("riddle"),
)


def one(catalogue: Catalogue, **wishes: Any) -> Recommendation:
    (found,) = recommend(catalogue, wishes=Wishes(**wishes))
    return found


@pytest.mark.parametrize(("name", "most"), [("get", 60), ("put", 30), ("run", 10)])
def test_limits_by_category(name: str, most: int) -> None:
    engine = Engine.from_dict(one(ALL).document())
    decisions = [engine.check(tool=name, grant="ann", now_ms=0).outcome for _ in range(most + 1)]
    assert decisions == ["allow"] * most + ["rate_limited"]
    assert engine.check(tool=name, grant="bob", now_ms=0).allowed
    assert engine.check(tool=name, grant="ann", now_ms=60_000).allowed


def test_other_categories() -> None:
    engine = Engine.from_dict(one(ALL).document())
    rules = {name: engine.check(tool=name, grant="ann").rule for name in ("drop", "riddle", "unlisted")}
    assert rules == {"drop": "(hidden)", "riddle": "(default deny)", "unlisted": "(default deny)"}
    # Without a store, what needs an approval is denied.
    steps = engine.explain(tool="pay", grant="ann").steps
    assert (steps[-1].kind, steps[-1].rule) == ("approval", "/tools/pay/approval")


def test_reasons_name_category_risk_evidence_and_limit() -> None:
    evidence = "the name begins with `get`, and the server says that it only reads."
    found = one(catalogue_of(tool("get", "Read", risk="low", evidence=evidence, confidence=0.9)))
    assert found.rules[0].reason == (
        "Read, low risk (the name begins with `get`, and the server says that it only reads, confidence 0.90): "
        "at most 60 calls per minute for each grant"
    )


def test_a_tool_with_several_definitions_is_left_out_unless_a_person_gives_its_category() -> None:
    twice = {"x-ambiguous": True}
    catalogue = catalogue_of(tool("get", "Read", extra=twice), tool("drop", "Destructive", extra=twice))
    found = one(catalogue)
    reason = "its server lists it several times, with different definitions, so it is denied"
    assert [(left.tool, left.kind, left.reason) for left in found.left_out] == [("get", "ambiguous", reason)]
    assert (found.rules, [hidden.tool for hidden in found.hidden]) == ((), ["drop"])
    corrected = replace(catalogue, overrides={"srv": {"get": Correction(category="Read")}})
    assert [rule.tool for rule in one(corrected).rules] == ["get"]


def test_corrections_of_people_decide() -> None:
    known = catalogue_of(tool("get", "Read", risk="low", evidence="a guess"))
    override = Correction(category="Destructive", attributes=Attributes(), reason="it empties\nthe queue")
    corrected = Catalogue(known.servers, {"srv": {"get": override}})
    (hidden,) = one(corrected).hidden
    assert "Destructive, critical risk (corrected by a person: it empties the queue)" in hidden.reason


def test_a_kept_tool_needs_approvals() -> None:
    found = one(ALL, keep=("drop",))
    assert [rule.tool for rule in found.approvals] == ["drop", "pay"]
    assert found.hidden == ()
    assert policy_of(found)["tools"]["drop"] == {"action": "require_approval"}
    assert found.approvals[0].reason.endswith(
        ": not hidden, because it is kept on request; each call needs a person's approval, which needs a store"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dorp", "cannot keep `dorp`: there is no such tool; did you mean `drop`?"),
        ("get", "cannot keep `get`: it is not hidden, since its category is Read; leave it out"),
        ("riddle", "cannot keep `riddle`: it has no category, so nothing is recommended for it; give it one in"),
    ],
)
def test_what_cannot_be_kept(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        one(ALL, keep=(name,))


def test_a_name_that_two_servers_have_keeps_neither() -> None:
    two = Catalogue({name: CatalogueServer({"drop": tool("drop", "Destructive")}) for name in ("a", "b")})
    with pytest.raises(ConfigError, match="`a`, `b` have such a tool; name one of them with --server"):
        recommend(two, wishes=Wishes(keep=("drop",)))
    (found,) = recommend(two, ["b"], Wishes(keep=("drop",)))
    assert (found.server, len(found.approvals)) == ("b", 1)


def test_servers() -> None:
    two = Catalogue({name: CatalogueServer({name: tool(name, "Read")}) for name in ("a", "b")})
    assert [(found.server, list(found.document()["tools"])) for found in recommend(two)] == [("a", ["a"]), ("b", ["b"])]
    with pytest.raises(ConfigError, match="the catalogue has no server `bb`; did you mean `b`"):
        recommend(two, ["bb"])


def test_a_server_without_tools_admits_nothing() -> None:
    assert policy_of(one(catalogue_of()), Format.YAML) == {"version": "1", "default": "deny", "tools": {}}


SPECIAL = st.sampled_from("ab*?\\-_./\"'`#: \u2028\u202e\U000e0041\n\t")
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
NAMES = st.text(SPECIAL | CHARACTERS, min_size=1, max_size=8)
TOOLS = st.builds(
    Tool,
    name=NAMES,
    category=st.none() | st.sampled_from(CATEGORIES),
    risk=st.none() | st.sampled_from(RISKS),
    evidence=NAMES | st.just(""),
)


@given(st.lists(TOOLS, max_size=6, unique_by=lambda one: one.name), st.sampled_from(Format))
def test_each_rule_is_about_its_tool_alone(tools: list[Tool], form: Format) -> None:
    catalogue = catalogue_of(*tools)
    found = one(catalogue)
    policy = policy_of(found, form)
    assert policy == found.document()
    engine = Engine.from_dict(policy)
    rules = {
        "Read": "",
        "Write": "",
        "Execute": "",
        "Destructive": "(hidden)",
        "Financial": "(approval store unavailable)",
        None: "(default deny)",
    }
    for of in tools:
        assert engine.check(tool=of.name, grant="ann").rule == rules[of.category]
        # No key is a pattern that matches more.
        for other in {f"{of.name}~", of.name.replace("*", "z"), of.name.replace("?", "z")} - {of.name for of in tools}:
            assert engine.check(tool=other, grant="ann").rule == "(default deny)"


@given(st.lists(TOOLS, max_size=6, unique_by=lambda one: one.name))
def test_every_tool_is_accounted_for(tools: list[Tool]) -> None:
    found = one(catalogue_of(*tools))
    named = [one.tool for part in (found.rules, found.hidden, found.left_out) for one in part]
    assert sorted(named) == sorted(of.name for of in tools)
