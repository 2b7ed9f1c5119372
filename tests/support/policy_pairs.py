"""Pairs of policies and calls for property tests: small pools, so that conditions meet the values of calls."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

TOOLS = ("a", "ab", "b", "cab")
CATEGORIES = (None, "Read", "Write")
KEYS = ("a", "ab", "a*", "*b", "*", "?")
MONDAY_MS = 1_704_067_200_000

_TEXTS = ("", "x", "xy", "yx", "usd", "/srv/data", "/srv/data/x", "https://a.example.com/", "10.0.0.1")
_NUMBERS: tuple[Any, ...] = (0, 1, 2, 5, 1.5, -1)
_VALUES: tuple[Any, ...] = (*_TEXTS, *_NUMBERS, None, True, [], [1], ["x", 2], {}, {"k": 1})
_ARGUMENT_PATHS = ("args.x", "args.y", "args.o.k", "args.o", "args.l[*]", "args.l[*].p", "args.l[*].q", "args.l[0]")
_TEXT_PATHS = ("session", "grant.id", "grant.labels.t", "tool", "category", "server")
_PATTERNS = ("^x", "y$", "^[a-z]+$", "x|y", "a.c", "^$", r"^\d{2,3}$", "(?i)X", r"\bx")


def _comparison() -> SearchStrategy[dict[str, Any]]:
    path = st.sampled_from(_ARGUMENT_PATHS)
    operands = {
        ("eq", "neq"): st.sampled_from(_VALUES),
        ("in", "not_in"): st.lists(st.sampled_from(_VALUES), min_size=1, max_size=3),
        ("lt", "lte", "gt", "gte"): st.sampled_from(_NUMBERS),
        ("regex", "not_regex"): st.sampled_from(_PATTERNS),
        ("contains", "not_contains"): st.sampled_from(("x", "y", 1, 2)),
        ("starts_with", "ends_with"): st.sampled_from(("x", "xy", "/srv")),
        ("len_lt", "len_lte", "len_gt", "len_gte"): st.integers(0, 3),
        ("path_within",): st.sampled_from(("/srv", "/srv/data", ["/", "/tmp"])),
        ("host_in",): st.sampled_from((["*.example.com"], ["a.example.com", "10.0.0.1"])),
        ("cidr_in",): st.sampled_from((["10.0.0.0/8"], ["10.0.0.1", "::/0"])),
        ("exists",): st.booleans(),
    }
    of_arguments = st.one_of(
        *(
            st.fixed_dictionaries({"path": path, "op": st.sampled_from(ops), "value": value})
            for ops, value in operands.items()
        )
    )
    of_texts = st.fixed_dictionaries(
        {
            "path": st.sampled_from(_TEXT_PATHS),
            "op": st.sampled_from(("eq", "neq", "starts_with")),
            "value": st.sampled_from(("a", "g1", "srv", "Read", "x")),
        }
    )
    of_time = st.fixed_dictionaries(
        {"path": st.sampled_from(("time.hour", "time.weekday")), "op": st.just("lt"), "value": st.integers(1, 6)}
    )
    return st.one_of(of_arguments, of_arguments, of_arguments, of_texts, of_time)


CONDITIONS = st.recursive(
    _comparison(),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=3,
)

CHECKS = st.fixed_dictionaries({"conditions": st.lists(CONDITIONS, max_size=2)})


def _limits() -> SearchStrategy[dict[str, Any]]:
    shared = {
        "counter": st.sampled_from(("c", "d")),
        "max": st.sampled_from((0, 1, 2, 3, 4, 300)),
        "cost": st.sampled_from((1, 1, 1, 2, "args.x")),
        "scope": st.sampled_from(("grant", "session", "tool", "global", ["grant", "tool"], ["grant", "args.y"])),
    }
    sliding = st.fixed_dictionaries(
        {**shared, "window": st.sampled_from(("minute", "2m", "hour"))},
        optional={"at_max": st.just("require_approval")},
    )
    calendar = st.fixed_dictionaries(
        {**shared, "window": st.sampled_from(("minute", "hour")), "align": st.just("calendar")}
    )
    return st.one_of(sliding, sliding, calendar)


def rules() -> SearchStrategy[dict[str, Any]]:
    """Rules of one entry."""
    return st.fixed_dictionaries(
        {},
        optional={
            "require": st.lists(CHECKS.filter(lambda check: bool(check["conditions"])), max_size=2),
            "deny_if": st.lists(CHECKS, max_size=2),
            "limits": st.lists(_limits(), max_size=2),
            "action": st.sampled_from(("allow", "allow", "allow", "deny", "require_approval")),
            "mode": st.sampled_from(("enforce", "enforce", "shadow")),
            "schema": st.sampled_from(({"required": ["x"]}, {"properties": {"x": {"type": "integer"}}})),
        },
    )


def policies() -> SearchStrategy[dict[str, Any]]:
    """Documents that often are valid policies."""
    return st.fixed_dictionaries(
        {
            "version": st.just("1"),
            "default": st.sampled_from(("deny", "deny", "allow")),
            "tools": st.dictionaries(st.sampled_from(KEYS), rules(), max_size=3),
        },
        optional={
            "hide": st.lists(st.sampled_from(("a", "*b", "c*")), max_size=1),
            "all_tools": rules(),
            "categories": st.dictionaries(
                st.sampled_from(("Read", "Write")), st.one_of(rules(), st.just({"hide": True})), max_size=1
            ),
            "mode": st.sampled_from(("enforce", "enforce", "enforce", "shadow")),
        },
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two documents; the second often is the first with a change or two."""
    old = draw(policies())
    new = dict(old)
    if draw(st.integers(0, 9)) == 0:
        return old, draw(policies())
    for _ in range(draw(st.integers(1, 2))):
        part = draw(
            st.sampled_from(("tools", "tools", "tools", "hide", "all_tools", "categories", "default", "limits"))
        )
        if part == "limits":
            names = sorted(new["tools"])
            if names:
                name = draw(st.sampled_from(names))
                changed = {**new["tools"][name], "limits": draw(st.lists(_limits(), max_size=2))}
                new["tools"] = {**new["tools"], name: changed}
        elif part == "tools":
            name = draw(st.sampled_from(KEYS))
            kept = {key: value for key, value in new["tools"].items() if key != name}
            new["tools"] = draw(st.one_of(st.just(kept), rules().map(lambda one: {**kept, name: one})))  # noqa: B023
        else:
            other = draw(policies())
            new.pop(part, None)
            if part in other:
                new[part] = other[part]
    return old, new


def calls() -> SearchStrategy[dict[str, Any]]:
    """Arguments of `Engine.explain`, and the category of the tool."""
    value = st.sampled_from(_VALUES)
    element = st.one_of(value, st.fixed_dictionaries({}, optional={"p": value, "q": value}))
    args = st.fixed_dictionaries(
        {},
        optional={
            "x": value,
            "y": value,
            "o": st.one_of(value, st.fixed_dictionaries({"k": value})),
            "l": st.one_of(value, st.lists(element, max_size=3)),
        },
    )
    return st.fixed_dictionaries(
        {
            "tool": st.sampled_from(TOOLS),
            "args": args,
            "grant": st.sampled_from(("g1", "g2")),
            "session": st.sampled_from((None, "x", "y")),
            "labels": st.sampled_from(({}, {"t": "x"}, {"t": "a"})),
            "now_ms": st.integers(0, 168).map(lambda hour: MONDAY_MS + hour * 3_600_000),
            "category": st.sampled_from(CATEGORIES),
        }
    )
