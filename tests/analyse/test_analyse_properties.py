"""On random policies, random calls never do what a finding says that none does, and repairs keep every decision."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from callgate import Engine
from callgate.outcome import Outcome
from callgate.workbench.analyse import Finding, analyse, repair
from callgate.workbench.analyse.findings import Witness
from callgate.workbench.rules import Policy, parse_policy

SCALARS: list[Any] = [None, True, 0, 1, 2, 3, 5, -1, 1.5, "", "a", "ab", "abc", "A", "/a/b", "/a/../b", "https://a.b/c"]
VALUES: list[Any] = [*SCALARS, [], ["a"], [1, "ab"], {}, {"c": 1}, {"c": "a"}]
NUMBERS = st.sampled_from([0, 1, 2, 3, 1.5, 5])
PATHS = ["args.x", "args.y", "args.x.c", "args.l[*]", "args.l[0]", "time.hour", "grant.labels.team", "session"]


def _condition() -> st.SearchStrategy[dict[str, Any]]:
    def comparison(path: str) -> st.SearchStrategy[dict[str, Any]]:
        is_number = path == "time.hour"
        number = st.fixed_dictionaries(
            {"path": st.just(path), "op": st.sampled_from(["lt", "lte", "gt", "gte", "eq", "neq"]), "value": NUMBERS}
        )
        if is_number:
            return number
        text = st.fixed_dictionaries(
            {
                "path": st.just(path),
                "op": st.sampled_from(["eq", "neq", "contains", "not_contains", "starts_with", "ends_with"]),
                "value": st.sampled_from(["a", "ab", "b", "abc"]),
            }
        )
        regex = st.fixed_dictionaries(
            {
                "path": st.just(path),
                "op": st.sampled_from(["regex", "not_regex"]),
                "value": st.sampled_from(["^a", "b$", "^ab?c?$", "^[a-c]+$", "x|^a"]),
            }
        )
        listed = st.fixed_dictionaries(
            {
                "path": st.just(path),
                "op": st.sampled_from(["in", "not_in"]),
                "value": st.lists(st.sampled_from(["a", "ab", "abc"]), min_size=1, max_size=3),
            }
        )
        exists = st.fixed_dictionaries({"path": st.just(path), "op": st.just("exists"), "value": st.booleans()})
        if not path.startswith("args"):
            return st.one_of(text, regex, listed, exists)
        length = st.fixed_dictionaries(
            {
                "path": st.just(path),
                "op": st.sampled_from(["len_lt", "len_lte", "len_gt", "len_gte"]),
                "value": st.integers(0, 4),
            }
        )
        return st.one_of(number, text, regex, listed, length, exists)

    return st.recursive(
        st.sampled_from(PATHS).flatmap(comparison),
        lambda inner: st.one_of(
            st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=2)}),
            st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=2)}),
            st.fixed_dictionaries({"not": inner}),
        ),
        max_leaves=3,
    )


def _checks(prefix: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.lists(_condition(), min_size=1, max_size=2)
    return st.lists(one, max_size=3).map(
        lambda made: [{"name": f"{prefix}{number}", "conditions": conditions} for number, conditions in enumerate(made)]
    )


LIMITS = st.lists(
    st.tuples(
        st.sampled_from([1_000, 2_000, 5_000, 60_000]),
        st.integers(1, 6),
        st.sampled_from([1, 1, 2]),
        st.sampled_from([["grant"], ["grant", "tool"], ["session"], ["global"]]),
    ),
    max_size=3,
).map(
    lambda made: [
        {"counter": f"c{number}", "window": f"{window}ms", "max": most, "cost": min(cost, most), "scope": scope}
        for number, (window, most, cost, scope) in enumerate(made)
    ]
)

NAMES = st.sampled_from(["t", "t*", "*", "?", "t?", "u", "t?*", "*t"])

ENTRY = st.fixed_dictionaries({"require": _checks("r"), "deny_if": _checks("d"), "limits": LIMITS})

POLICIES = st.fixed_dictionaries(
    {
        "version": st.just("1"),
        "default": st.sampled_from(["allow", "deny"]),
        "hide": st.lists(st.sampled_from(["u*", "t", "*x", "u"]), max_size=2),
        "tools": st.dictionaries(NAMES, ENTRY, min_size=1, max_size=4),
    }
)

ARGS = st.dictionaries(st.sampled_from(["x", "y", "l"]), st.sampled_from(VALUES), max_size=3)

CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "tool": st.sampled_from(["t", "tu", "tt", "u", "ux", "x"]),
            "args": ARGS,
            "session": st.sampled_from([None, "s", "r"]),
            "labels": st.sampled_from([{}, {"team": "a"}, {"team": "abc"}, {"team": "zz"}]),
            "now_ms": st.integers(0, 48).map(lambda half_hours: half_hours * 1_800_000),
        }
    ),
    min_size=20,
    max_size=40,
)


def _policy(document: dict[str, Any]) -> Policy | None:
    try:
        return parse_policy("p.json", json.dumps(document).encode())
    except Exception as error:
        # Several limits of one counter may differ in `max`; such policies are refused.
        if type(error).__name__ == "InvalidConfigError":
            return None
        raise


def _entry_of(policy: Policy, tool: str) -> str:
    entry = policy.entry_of(tool)
    return "" if entry is None else entry.pointer


def _refutes(policy: Policy, finding: Finding, tool: str, decision: Any) -> bool:
    match finding.code.code:
        case "CG101" | "CG103":
            return bool(decision.rule == finding.rule)
        case "CG133":
            # Of two limits that are used up, the first one is named.
            return bool(decision.rule == finding.rule) and finding.fix is not None
        case "CG104":
            entry = finding.rule.split("/require/")[0].split("/deny_if/")[0]
            return _entry_of(policy, tool) == entry and decision.outcome != Outcome.DENY
        case "CG111" | "CG113":
            return bool(decision.rule.startswith(finding.rule + "/"))
        case _:
            return False


@given(POLICIES, CALLS)
@settings(max_examples=40)
def test_what_never_happens_never_happens(document: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    policy = _policy(document)
    if policy is None:
        return
    found = analyse(policy).findings
    engine = Engine.from_dict(document)
    for call in sorted(calls, key=lambda one: one["now_ms"]):
        for _ in range(3):
            decision = engine.check(grant="g", **call)
            refuted = [one for one in found if _refutes(policy, one, call["tool"], decision)]
            assert not refuted, (refuted, call, decision)


@given(POLICIES, CALLS)
@settings(max_examples=20)
def test_repairs_keep_every_decision(document: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    policy = _policy(document)
    if policy is None:
        return
    after = repair(policy).policy.document.data
    engines = [Engine.from_dict(one) for one in (document, after)]
    for call in sorted(calls, key=lambda one: one["now_ms"]):
        for _ in range(4):
            one, other = (engine.check(grant="g", **call) for engine in engines)
            assert (one.outcome, one.rule, one.message, one.retry_after_ms) == (
                other.outcome,
                other.rule,
                other.message,
                other.retry_after_ms,
            )


@given(POLICIES)
@settings(max_examples=20)
def test_witnesses_are_decided_as_they_say(document: dict[str, Any]) -> None:
    policy = _policy(document)
    if policy is None:
        return
    for finding in analyse(policy).findings:
        _replay(document, finding.witness)


def _replay(document: dict[str, Any], witness: Witness) -> None:
    if not witness.calls:
        return
    engine = Engine.from_dict(document)
    for one in witness.calls:
        for _ in range(one.times):
            call = one.call
            decision = engine.check(
                tool=call.tool,
                grant=call.grant,
                args=dict(call.args),
                session=call.session,
                labels=dict(call.labels),
                now_ms=call.now_ms,
            )
            assert (decision.outcome, decision.rule) == (one.outcome, one.rule)
