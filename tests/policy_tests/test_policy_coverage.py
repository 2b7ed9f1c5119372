"""Rule coverage: a side that no test reached is told, and no other."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callgate.exact_json import write_json
from callgate.workbench.policy_tests.coverage import coverage_document, coverage_lines
from callgate.workbench.policy_tests.coverage.report import percent
from support.policy_tests import missed, run_file, run_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.policy_tests import RunResult


def run_calls(folder: Path, policy: str, *calls: str) -> RunResult:
    """A run of one test with these calls, whose decisions do not matter."""
    steps = "\n".join(f"  - {{call: {call}, expect: any}}" for call in calls)
    # A test has to expect something.
    last = "  - {call: {tool: '', grant: other}, expect: deny}"
    return run_text(folder, f"policy: {policy}\ntests:\n- name: calls\n  steps:\n{steps}\n{last}\n")


REQUIRE: Final = (
    "{version: '1', default: deny, tools: {a: {require: [{conditions: [{path: args.n, op: lt, value: 5}]}]}}}"
)
CONDITION: Final = "/tools/a/require/args.n-lt require: args.n lt 5"
DEFAULT: Final = "(default deny) default deny"


@pytest.mark.parametrize(
    ("calls", "sides"),
    [
        ([], {"/tools/a entry": ("applies",), CONDITION: ("true", "false"), DEFAULT: ("applies",)}),
        (["{tool: a, args: {n: 1}}"], {CONDITION: ("false",), DEFAULT: ("applies",)}),
        (["{tool: a, args: {n: 9}}"], {CONDITION: ("true",), DEFAULT: ("applies",)}),
        # A missing value and one of a wrong type are no side of the comparison.
        (["{tool: a}", "{tool: a, args: {n: x}}"], {CONDITION: ("true", "false"), DEFAULT: ("applies",)}),
        (["{tool: a, args: {n: 1}}", "{tool: a, args: {n: 9}}", "{tool: b}"], {}),
    ],
)
def test_a_condition(tmp_path: Path, calls: list[str], sides: dict[str, tuple[str, ...]]) -> None:
    found = missed(run_calls(tmp_path, REQUIRE, *calls))
    # The last call of the helper is no tool's, and is denied as malformed before any rule.
    assert found == sides


PARTS: Final = """\
{version: '1', default: allow, hide: ['drop_*', 'rm'], mode: enforce,
 all_tools: {deny_if: [{name: always, conditions: []}], mode: shadow},
 tools: {no: {action: deny}, 'get_*': {schema: {required: [id]}},
  two: {deny_if: [{name: both, conditions: [
   {path: args.a, op: eq, value: 1}, {not: {path: args.b, op: exists, value: true}}]}]},
  ask: {action: require_approval, approval: {when: [{conditions: [{path: args.a, op: eq, value: 1}]}]}}}}"""
ALL: Final = {
    "(hidden) hide drop_*": ("hides",),
    "(hidden) hide rm": ("hides",),
    " default allow": ("applies",),
    "/tools/no/action action deny": ("refuses",),
    "/tools/get_* entry": ("applies",),
    "/tools/get_*/schema schema": ("valid", "invalid"),
    "/tools/two entry": ("applies",),
    "/tools/two/deny_if/both deny_if both": ("refuses", "passes"),
    "/tools/two/deny_if/both deny_if: args.a eq 1": ("true", "false"),
    "/tools/two/deny_if/both deny_if: args.b exists true": ("true", "false"),
    "/tools/ask entry": ("applies",),
    "/tools/ask/approval action require_approval": ("asks", "passes"),
    "/tools/ask/approval when: args.a eq 1": ("true", "false"),
    "/all_tools entry": ("applies",),
    "/all_tools/deny_if/always deny_if always": ("refuses",),
}
REACHING: Final = {
    "{tool: drop_it}": {"(hidden) hide drop_*": "hides"},
    "{tool: rm}": {"(hidden) hide rm": "hides"},
    "{tool: other}": {" default allow": "applies"},
    "{tool: no}": {"/tools/no/action action deny": "refuses"},
    "{tool: get_it}": {"/tools/get_* entry": "applies", "/tools/get_*/schema schema": "invalid"},
    "{tool: get_it, args: {id: 1}}": {"/tools/get_* entry": "applies", "/tools/get_*/schema schema": "valid"},
    "{tool: two, args: {a: 1}}": {
        "/tools/two entry": "applies",
        "/tools/two/deny_if/both deny_if both": "refuses",
        "/tools/two/deny_if/both deny_if: args.a eq 1": "true",
        "/tools/two/deny_if/both deny_if: args.b exists true": "false",
    },
    "{tool: two, args: {a: 2, b: 1}}": {
        "/tools/two entry": "applies",
        "/tools/two/deny_if/both deny_if both": "passes",
        "/tools/two/deny_if/both deny_if: args.a eq 1": "false",
        "/tools/two/deny_if/both deny_if: args.b exists true": "true",
    },
    "{tool: ask, args: {a: 1}}": {
        "/tools/ask entry": "applies",
        "/tools/ask/approval action require_approval": "asks",
        "/tools/ask/approval when: args.a eq 1": "true",
    },
    "{tool: ask, args: {a: 2}}": {
        "/tools/ask entry": "applies",
        "/tools/ask/approval action require_approval": "passes",
        "/tools/ask/approval when: args.a eq 1": "false",
    },
    "{tool: ask}": {
        "/tools/ask entry": "applies",
        "/tools/ask/approval action require_approval": "passes",
    },
}
DENIED_BEFORE: Final = {"{tool: no}", "{tool: two, args: {a: 1}}"}
"""The calls that the rules of their own entry deny before those of `all_tools`."""


@settings(max_examples=40)
@given(st.sets(st.sampled_from(sorted(REACHING))))
def test_what_calls_reach_together(calls: set[str]) -> None:
    left = {part: set(sides) for part, sides in ALL.items()}
    for call in calls:
        for part, side in REACHING[call].items():
            left[part].discard(side)
        if not any(part.startswith("(hidden)") for part in REACHING[call]):
            left["/all_tools entry"].discard("applies")
            if call not in DENIED_BEFORE:
                left["/all_tools/deny_if/always deny_if always"].discard("refuses")
    with TemporaryDirectory() as folder:
        found = missed(run_calls(Path(folder), PARTS, *sorted(calls)))
    assert {part: set(sides) for part, sides in found.items()} == {part: sides for part, sides in left.items() if sides}


VALUE = st.sampled_from([None, 0, 5, 9, "x"])
"""Values of an argument; None means that it is absent."""


def verdict(value: Any, op: str) -> str:
    """The result of `args.NAME op 5`, from the contract alone."""
    if value is None:
        return "missing"
    if op == "eq":
        return "true" if value == 5 else "false"
    if isinstance(value, str):
        return "wrong type"
    return "true" if {"gt": value > 5, "lt": value < 5}[op] else "false"


def reached_by(call: dict[str, Any], ops: tuple[str, str, str]) -> Iterator[tuple[str, str]]:
    """The comparisons that one call reaches: two of `require`, then one of `deny_if`, unless the first are not met."""
    results = [verdict(call.get(name), op) for name, op in zip("abc", ops, strict=True)]
    yield from zip("ab", results[:2], strict=True)
    # One check with `any`: true if one is true; an error counts only if none is.
    if "true" in results[:2]:
        yield "c", results[2]


@settings(max_examples=60)
@given(
    st.lists(st.fixed_dictionaries({"a": VALUE, "b": VALUE, "c": VALUE}), max_size=4),
    st.tuples(*[st.sampled_from(["eq", "gt", "lt"])] * 3),
)
def test_sides_of_conditions_are_those_of_the_contract(calls: list[dict[str, Any]], ops: tuple[str, str, str]) -> None:
    a, b, c = ({"path": f"args.{name}", "op": op, "value": 5} for name, op in zip("abc", ops, strict=True))
    entry = {"require": [{"name": "r", "conditions": [{"any": [a, b]}]}], "deny_if": [{"name": "d", "conditions": [c]}]}
    given_calls = [{name: value for name, value in call.items() if value is not None} for call in calls]
    steps = [{"call": {"tool": "t", "args": call}, "expect": "any"} for call in given_calls]
    document = {
        "policy": {"version": "1", "default": "deny", "tools": {"t": entry}},
        "tests": [{"name": "calls", "steps": [*steps, {"call": {"tool": "u"}, "expect": "deny"}]}],
    }
    expected: dict[str, set[str]] = {name: set() for name in "abc"}
    for call in given_calls:
        for name, side in reached_by(call, ops):
            expected[name].add(side)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any_test.json"
        path.write_text(write_json(document))
        [policy] = run_file(path).coverage.policies()
    found = {
        one.item.text.partition("args.")[2][0]: set(one.reached) for one in policy.items if one.item.kind == "condition"
    }
    assert found == expected


def limits(folder: Path, entries: str, *calls: str) -> dict[str, tuple[str, ...]]:
    """The sides of limits that no call reached, by the places of the limits."""
    policy = f"{{version: '1', default: deny, {entries}}}"
    [covered] = run_calls(folder, policy, *calls).coverage.policies()
    return {"/".join(map(str, one.item.at)): one.missed for one in covered.items if one.item.kind == "limit"}


def test_limits(tmp_path: Path) -> None:
    one = "tools: {a: {limits: [{counter: c, window: minute, max: 1}]}}"
    at = "tools/a/limits/0"
    assert limits(tmp_path, one) == {at: ("admits", "refuses")}
    assert limits(tmp_path, one, "{tool: a}") == {at: ("refuses",)}
    assert limits(tmp_path, one, "{tool: a}", "{tool: a}") == {at: ()}
    # Another grant has its own count.
    assert limits(tmp_path, one, "{tool: a}", "{tool: a, grant: other}") == {at: ("refuses",)}


def test_limits_that_have_one_side(tmp_path: Path) -> None:
    none = "tools: {a: {limits: [{counter: c, window: minute, max: 0}]}}"
    assert limits(tmp_path, none) == {"tools/a/limits/0": ("refuses",)}
    assert limits(tmp_path, none, "{tool: a}") == {"tools/a/limits/0": ()}
    free = "tools: {a: {limits: [{counter: c, window: minute, max: 1, cost: 0}]}}"
    assert limits(tmp_path, free, "{tool: a}") == {"tools/a/limits/0": ()}


def test_limits_that_ask(tmp_path: Path) -> None:
    asks = "{counter: c, window: minute, max: 1, at_max: require_approval}"
    alone = f"tools: {{a: {{limits: [{asks}]}}}}"
    assert limits(tmp_path, alone, "{tool: a}") == {"tools/a/limits/0": ("asks",)}
    assert limits(tmp_path, alone, "{tool: a}", "{tool: a}") == {"tools/a/limits/0": ()}
    # Where another limit refuses, nobody is asked.
    beside = f"tools: {{a: {{limits: [{asks}, {{counter: d, window: minute, max: 1}}]}}}}"
    found = limits(tmp_path, beside, "{tool: a}", "{tool: a}")
    assert found == {"tools/a/limits/0": ("asks",), "tools/a/limits/1": ()}


def test_limits_with_one_counter(tmp_path: Path) -> None:
    windows = "{counter: c, window: minute, max: 2}, {counter: c, window: hour, max: 1}"
    two = f"tools: {{a: {{limits: [{windows}]}}}}"
    found = limits(tmp_path, two, "{tool: a}", "{tool: a}")
    assert found == {"tools/a/limits/0": ("refuses",), "tools/a/limits/1": ()}
    shared = "{counter: c, window: minute, max: 1}"
    both = f"tools: {{a: {{limits: [{shared}]}}}}, all_tools: {{limits: [{shared}]}}"
    assert limits(tmp_path, both, "{tool: a}", "{tool: a}") == {"tools/a/limits/0": (), "all_tools/limits/0": ()}
    # A shadowed one beside an enforced one of the same count is not told, and does not count as reached.
    shadowed = f"tools: {{a: {{mode: shadow, limits: [{shared}]}}}}, all_tools: {{limits: [{shared}]}}"
    found = limits(tmp_path, shadowed, "{tool: a}", "{tool: a}")
    assert found == {"tools/a/limits/0": ("admits", "refuses"), "all_tools/limits/0": ()}


def test_limits_that_cannot_be_applied(tmp_path: Path) -> None:
    of = "tools: {a: {limits: [{counter: c, window: minute, max: 2, cost: args.n}]}}"
    at = "tools/a/limits/0"
    assert limits(tmp_path, of, "{tool: a}", "{tool: a, args: {n: 3}}") == {at: ("admits", "refuses")}
    assert limits(tmp_path, of, "{tool: a, args: {n: 2}}", "{tool: a, args: {n: 1}}") == {at: ()}


def test_an_approval_that_is_used_was_asked_for(tmp_path: Path) -> None:
    text = """\
policy: {version: '1', default: deny, tools: {a: {action: require_approval}}}
tests:
- name: a
  steps:
  - {call: {tool: a}, expect: approval_required}
  - {approve: alice}
  - {call: {tool: a}, expect: allow}
"""
    assert missed(run_text(tmp_path, text)) == {DEFAULT: ("applies",)}


def test_categories(tmp_path: Path) -> None:
    text = """\
policy: {version: '1', default: deny, categories: {Read: {}, Write: {rate_limit: 1/day}, Destructive: {hide: true}}}
catalogue: {version: '1', servers: {srv: {tools: {r: {category: Read}, d: {category: Destructive}}}}}
tests:
- {name: r, call: {tool: r}, expect: allow}
- {name: d, call: {tool: d}, expect: deny}
"""
    assert missed(run_text(tmp_path, text)) == {
        DEFAULT: ("applies",),
        "/categories/Write entry": ("applies",),
        "/categories/Write/limits/category.Write_rate limit category.Write_rate, max 1": ("admits", "refuses"),
    }


def test_a_policy_that_is_reloaded_is_covered_too(tmp_path: Path) -> None:
    text = """\
policy: {version: '1', default: deny}
tests:
- name: a
  steps:
  - {reload: {version: '1', default: allow, tools: {b: {}}}}
  - {call: {tool: a}, expect: allow}
"""
    assert missed(run_text(tmp_path, text)) == {DEFAULT: ("applies",), "/tools/b entry": ("applies",)}


def test_calls_that_reach_no_rule(tmp_path: Path) -> None:
    text = f"""\
policy: {REQUIRE}
tests:
- name: a
  steps:
  - {{call: {{tool: a, args_json: '['}}, expect: deny}}
  - {{freeze: {{}}}}
  - {{call: {{tool: a, args: {{n: 1}}}}, expect: deny}}
"""
    assert len(missed(run_text(tmp_path, text))) == 3


def test_the_table_and_the_document(tmp_path: Path) -> None:
    result = run_calls(tmp_path, REQUIRE, "{tool: a, args: {n: 1}}")
    file = tmp_path / "text_test.yaml"
    [head, *rows, last] = coverage_lines(result.coverage)
    assert (head, last) == (f"{file}: 2 of 4 sides reached, 50 %", "coverage: 2 of 4 sides reached, 50 %")
    assert [re.split("  +", row.strip()) for row in rows] == [
        ["1:24", "(default deny)", "default deny", "never reached"],
        [
            "1:75",
            "/tools/a/require/args.n-lt",
            "require: args.n lt 5",
            "never: false (not tried: missing, wrong type)",
        ],
    ]
    assert len(list(coverage_lines(result.coverage, all_items=True))) == 2 + len(
        list(result.coverage.policies()[0].items)
    )
    document = coverage_document(result.coverage)
    assert (document["reached"], document["total"], document["percent"]) == (2, 4, 50.0)
    [policy] = document["policies"]
    [condition] = [rule for rule in policy["rules"] if rule["kind"] == "condition"]
    assert condition["sides"] == {"true": True, "false": False}
    assert condition["uncounted"] == {"missing": False, "wrong type": False}
    assert condition["rule"] == "/tools/a/require/args.n-lt"
    assert not result.coverage.is_under(50)
    assert result.coverage.is_under(50.1)


@pytest.mark.parametrize(("reached", "total", "shown"), [(0, 0, 100), (1999, 2000, 99.9), (2, 3, 66.6), (3, 3, 100)])
def test_a_hundred_percent_is_everything(reached: int, total: int, shown: float) -> None:
    assert percent(reached, total) == float(Decimal(str(shown)))
