"""Any document is converted to a policy that the engine takes, or refused with places in the source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callgate import Engine
from callgate.config.document import parse_document
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.intercept.convert import convert
from callgate.exact_json import write_json

NAMES = ["a", "b", "*", "a.b", "x_*", "", "[a", "\\d", "\U0001f600\u2028\x7f"]
PATHS = ["args.a", "args.a.b", "args.", "args.[0]", "state.a.c", "state._global.c", "state.a._rate_day"]
OPERATORS = ["eq", "lte", "lt", "in", "gt", "exists", "regex", "contains", "not_in"]
OTHERS = ["1", "deny", "allow", "evaluate", "require_approval", "day", "hour", "1/day", "9/hour", "c", "30m"]
WORDS = st.sampled_from([*NAMES, *PATHS, *OPERATORS, *OTHERS])
SCALARS = WORDS | st.sampled_from([None, True, 0, 1, -1, 1.5, 5.0, 1e308, 10**15, 2**64])
LEAVES = SCALARS | st.lists(SCALARS, max_size=2)


def _section(*keys: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={**dict.fromkeys(keys, LEAVES), **members})


CONDITIONS = st.lists(_section("path", "op", "value"), max_size=2)
STATE = _section("counter", "window", "increment", "increment_from")
GOOD_STATE = st.just({"counter": "c", "window": "day"})
GOOD_CONDITIONS = st.sampled_from(["state.a.c", "state._global.c", "args.a"]).flatmap(
    lambda path: st.sampled_from(["lt", "lte", "gt"]).map(lambda op: [{"path": path, "op": op, "value": 3}])
)
RULE = _section(
    "action", "on_deny", "rate_limit", "approval_timeout", "oops", conditions=CONDITIONS, state=STATE | LEAVES
).flatmap(lambda rule: WORDS.map(lambda name: {"name": name, **rule}))
GOOD_RULE = st.one_of(
    st.just({"name": "r", "action": "deny"}),
    st.just({"name": "r", "rate_limit": "1/day"}),
    st.just({"name": "r", "action": "require_approval"}),
    GOOD_CONDITIONS.map(lambda conditions: {"name": "r", "conditions": conditions}),
    st.tuples(GOOD_CONDITIONS, GOOD_STATE).map(lambda parts: {"name": "r", "conditions": parts[0], "state": parts[1]}),
)
TOOLS = st.dictionaries(WORDS, _section(rules=st.lists(GOOD_RULE | RULE, max_size=3) | LEAVES) | LEAVES, max_size=3)
DOCUMENTS = _section("version", "default", "description", "hide", "approvals", tools=TOOLS | LEAVES)
GOOD_TOOL = _section(rules=st.lists(GOOD_RULE, max_size=3))
MOSTLY_GOOD = st.dictionaries(st.sampled_from(["a", "*", "x_*"]), GOOD_TOOL, max_size=3)


@given(DOCUMENTS | MOSTLY_GOOD.map(lambda tools: {"version": "1", "tools": tools}))
def test_any_document(data: dict[str, Any]) -> None:
    found: Sequence[Fault]
    try:
        converted = convert(parse_document("p.json", json.dumps(data).encode()))
    except InvalidConfigError as error:
        found = error.faults
    else:
        found = converted.notes
        Engine.from_json(write_json(converted.data))
    assert all(one.file == "p.json" and one.message.isprintable() for one in found)
