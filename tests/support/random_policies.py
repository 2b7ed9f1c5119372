"""Random pairs of policies over the whole language, and calls near their constants, from one seed.

The pools hold what a comparison may overlook: values that searches use as examples, other spellings of one value,
characters that only some classes have, and numbers at the edges.
"""

from __future__ import annotations

import copy
import random
from decimal import Decimal
from typing import Any, Final

MONDAY_MS: Final = 1_704_067_200_000
TOOLS: Final = ("a", "ab", "b", "cab", "*", "a/b")
SERVERS: Final = ("srv", "srv-2", "a", "x\u200b")
CATEGORIES: Final = (None, "Read", "Write")
RISKS: Final = (None, "low", "high")

_KEYS = ("a", "ab", "a*", "*b", "*", "?b", "a?", "\\*", "**")
_TEXTS = (
    *("", "a", "A", "ab", "abc", "k", "\u212a", "\u017f", "\u00e9", "e\u0301", "\u0301", "\u00b2", "\x1c", " ", "\n"),
    *("callgate-example", "callgate-example-0", "x" * 81, "x", "xx", "1", "\u0663", "-", "eu", "us"),
)
_URLS = (
    *("https://a.com/", "https://A.com./x", "https://b.a.com/", "https://callgate-example.a.com/", "http://10.0.0.1/"),
    *("http://127.1/", "https://u@a.com/", "http://[::1]/", "https://other.org/", "http://[::ffff:10.0.0.1]/"),
)
_FOLDERS = ("/a", "/a/b", "/a/../b", "/a-b", "//a//b/.", "a/b", "/", "/a/callgate-example")
_ADDRESSES = ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", "10.255.255.255", "::1", "0:0:0:0:0:0:0:1", "fe80::1%1")
_NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 5, 100, 2**53, 2**53 + 1, 10**12, 10**12 + 1, 10**308),
    *map(Decimal, ("1.5", "0.000001", "0.0000001", "0.0000015", "9007199254740993.5", "1e307", "-1e-9", "10e-1")),
)
_SCALARS = (*_TEXTS, *_NUMBERS, None, True, False)
_VALUES = (*_SCALARS, [], ["a"], ["callgate-example-0"], [1, "ab"], {}, {"k": 1}, {"callgate_example_0": 0})
_EXPRESSIONS = (
    *("^a", "b$", "^[a-c]+$", r"^\w$", r"^\W+$", r"^\s*$", r"\d", "(?i)^a", "(?i)k", r"\ba", r"\<a", r"b\>", "^$"),
    *("a|b", "^.{2,3}$", "[^a]", "^[\u00b2a]$", "^[\x1c ]$", "(?s).", "^x{80}", "[[:alpha:]]", r"\p{L}", "^(ab?)+$"),
)
_ARGUMENTS = (
    *("args.x", "args.x", "args.y", "args.o", "args.o.k", "args.l", "args.l[*]", "args.l[*].p", "args.l[0]"),
    *('args["a.b"]', "args.m[*].n[*]", "args.l[1]"),
)
_OUTSIDE = ("session", "grant.id", "grant.labels.t", "tool", "server", "category", "risk")
_WINDOWS = ("minute", "2m", "hour", 60, "90s")


class PolicyMaker:
    """Makes pairs of policies and calls."""

    def __init__(self, seed: int) -> None:
        """Takes the seed from which everything follows."""
        self._random = random.Random(seed)
        self._constants: list[Any] = []

    def pair(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Two documents, which need not be valid; the second is the first with a change or two."""
        old = self._policy()
        new = copy.deepcopy(old)
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            new = self._changed(new)
        pair = [old, new]
        self._random.shuffle(pair)
        return pair[0], pair[1]

    def call(self) -> dict[str, Any]:
        """Arguments of `Engine.explain`."""
        pick = self._random.choice
        return {
            "tool": pick((*TOOLS, *(one for one in self._constants if isinstance(one, str) and one))),
            "args": self._arguments(),
            "grant": pick(("g1", "g2", "a", *(one for one in self._constants if isinstance(one, str) and one))),
            "session": pick((None, "x", "a", "")),
            "labels": pick(({}, {"t": ""}, {"t": "a"}, {"t": self._text()})),
            "server": pick(SERVERS),
            "now_ms": MONDAY_MS + self._random.randrange(168) * 3_600_000,
        }

    def later_ms(self) -> int:
        """The time until the next call of a sequence."""
        return self._random.choice((0, 0, 0, 0, 1_000, 59_999, 60_000, 90_000, 3_600_000))

    def below(self, end: int) -> int:
        """A number from 0."""
        return self._random.randrange(end)

    def facts(self) -> tuple[str | None, str | None]:
        """Category and risk of all tools."""
        return self._random.choice(CATEGORIES), self._random.choice(RISKS)

    def _text(self) -> str:
        return self._random.choice(self._random.choice((_TEXTS, _TEXTS, _URLS, _FOLDERS, _ADDRESSES)))

    def _constant(self, value: Any) -> Any:
        self._constants += value if isinstance(value, list) else [value]
        return value

    def _near(self, value: Any) -> Any:
        """The value, or one beside it."""
        pick = self._random.choice
        if isinstance(value, str):
            return pick((value, value, f"{value}x", value.upper(), value[:-1], f"https://{value}/", f"{value}/c"))
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return pick((value, value, value + 1, value - 1, Decimal(value) + Decimal("0.0000005")))
        return value

    def _value(self) -> Any:
        pick = self._random.choice
        if self._constants and self._random.random() < 0.6:
            return self._near(pick(self._constants))
        return pick((self._text(), pick(_NUMBERS), pick(_VALUES)))

    def _element(self) -> Any:
        keys = [one for one in ("p", "n", "k") if self._random.random() < 0.4]
        return self._value() if self._random.random() < 0.5 else {key: self._value() for key in keys}

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ("x", "y", "a.b"):
            if self._random.random() < 0.6:
                found[name] = self._value()
        if self._random.random() < 0.5:
            found["o"] = self._random.choice(({"k": self._value()}, {}, self._value()))
        if self._random.random() < 0.6:
            count = self._random.choice((0, 1, 1, 2, 3))
            found["l"] = self._random.choice(([self._element() for _ in range(count)], self._value()))
            if self._random.random() < 0.02:
                found["l"] = [self._value()] * 10_001
        if self._random.random() < 0.3:
            found["m"] = [
                self._random.choice((self._value(), {"n": [self._value(), self._value()]}))
                for _ in range(self._random.randrange(3))
            ]
        return found

    def _comparison(self) -> dict[str, Any]:
        pick = self._random.choice
        kind = self._random.random()
        if kind < 0.06:
            path = pick(("time.hour", "time.weekday"))
            return {"path": path, "op": pick(("lt", "gte", "eq", "neq")), "value": self._random.randrange(1, 8)}
        if kind < 0.22:
            path = pick(_OUTSIDE)
            op = pick(("eq", "neq", "in", "not_in", "starts_with", "regex", "path_within", "contains"))
            value = pick(("a", "b", "srv", "Read", "low", "/a", "x\u200b", "ab"))
            if op == "path_within":
                value = "/a"
            return {"path": path, "op": op, "value": [value] if op in ("in", "not_in") else value}
        path = pick(_ARGUMENTS)
        choices: tuple[tuple[str, Any], ...] = (
            (pick(("eq", "neq")), pick((pick(_VALUES), self._text()))),
            (pick(("in", "not_in")), [pick((pick(_VALUES), self._text())) for _ in range(pick((1, 2, 3)))]),
            (pick(("lt", "lte", "gt", "gte")), pick(_NUMBERS[:10] + _NUMBERS[12:])),
            (pick(("regex", "not_regex")), pick(_EXPRESSIONS)),
            (pick(("contains", "not_contains")), pick(("a", "b", "", "callgate-example-0", 1, None))),
            (pick(("starts_with", "ends_with")), pick(("a", "", "ab", "/a", "https://a"))),
            (pick(("len_lt", "len_lte", "len_gt", "len_gte")), pick((0, 1, 2, 3, 81))),
            ("path_within", pick(("/a", ["/a/b", "/c"], "/"))),
            ("host_in", pick((["a.com"], ["*.a.com", "10.0.0.1"], ["::1"]))),
            ("cidr_in", pick((["10.0.0.1"], ["10.0.0.0/8"], ["::1", "10.0.0.0/31"]))),
            ("exists", pick((True, False))),
        )
        op, value = pick(choices)
        return {"path": path, "op": op, "value": self._constant(value)}

    def _condition(self, depth: int = 0) -> dict[str, Any]:
        if depth == 2 or self._random.random() < 0.7:
            return self._comparison()
        word = self._random.choice(("any", "all", "not"))
        if word == "not":
            return {"not": self._condition(depth + 1)}
        return {word: [self._condition(depth + 1) for _ in range(self._random.choice((1, 2)))]}

    def _checks(self, least: int) -> list[dict[str, Any]]:
        return [
            {"conditions": [self._condition() for _ in range(self._random.choice((1, 1, 2, 3)))]}
            for _ in range(self._random.choice((least, 1, 2)))
        ]

    def _limit(self) -> dict[str, Any]:
        pick = self._random.choice
        found: dict[str, Any] = {
            "counter": pick(("c", "d")),
            "window": pick(_WINDOWS),
            "max": pick((0, 1, 2, 3, 5, Decimal("1.1"), 300)),
            "cost": pick((1, 1, 1, 2, Decimal("0.4"), Decimal("0.7"), 0, "args.x", "args.o.k")),
            "scope": pick(
                ("grant", "grant", "session", "tool", "server", "global", ["grant", "tool"], ["grant", "args.y"])
            ),
        }
        if self._random.random() < 0.2:
            found |= {"align": "calendar", "window": pick(("minute", "hour", "day", "week", "month"))}
        if self._random.random() < 0.15:
            found["at_max"] = "require_approval"
        return found

    def _rules(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        chance = self._random.random
        if chance() < 0.5:
            found["require"] = self._checks(0)
        if chance() < 0.5:
            found["deny_if"] = self._checks(0)
        if chance() < 0.4:
            found["limits"] = [self._limit() for _ in range(self._random.choice((1, 1, 2)))]
        if chance() < 0.1:
            found["rate_limit"] = self._random.choice(("3/minute", {"max": 2, "window": 60}))
        if chance() < 0.2:
            found["action"] = self._random.choice(("deny", "require_approval", "require_approval"))
            if found["action"] == "require_approval" and chance() < 0.6:
                found["approval"] = {"when": self._checks(1)}
        if chance() < 0.12:
            found["mode"] = self._random.choice(("shadow", "enforce"))
        if chance() < 0.1:
            found["schema"] = self._random.choice(
                ({"required": ["x"]}, {"properties": {"x": {"type": "integer"}}}, {"maxProperties": 2}, "input")
            )
        return found

    def _policy(self) -> dict[str, Any]:
        pick, chance = self._random.choice, self._random.random
        found: dict[str, Any] = {"version": "1", "name": "p", "default": pick(("deny", "deny", "allow"))}
        found["tools"] = {pick(_KEYS): self._rules() for _ in range(pick((1, 1, 2, 3)))}
        if chance() < 0.2:
            found["hide"] = [pick(("a", "*b", "c*", "?"))]
        if chance() < 0.3:
            found["all_tools"] = self._rules()
        if chance() < 0.3:
            found["categories"] = {pick(("Read", "Write")): pick((self._rules(), self._rules(), {"hide": True}))}
        if chance() < 0.1:
            found["mode"] = "shadow"
        return found

    def _changed(self, policy: dict[str, Any]) -> dict[str, Any]:  # noqa: C901  one case for each kind of change
        pick = self._random.choice
        rules = [*policy["tools"].values(), *([policy["all_tools"]] if "all_tools" in policy else [])]
        one = pick(rules)
        match self._random.randrange(8):
            case 0:
                policy["tools"][pick(_KEYS)] = self._rules()
            case 1:
                policy["tools"].pop(pick(list(policy["tools"])))
                policy["tools"] = policy["tools"] or {"a": {}}
            case 2:
                part = pick(("require", "deny_if"))
                one[part] = [*one.get(part, []), *self._checks(1)]
            case 3:
                one.pop(pick(("require", "deny_if", "limits", "action", "mode", "schema")), None)
                one.pop("approval", None) if "action" not in one else None
            case 4 if one.get("limits"):
                changed = pick(one["limits"])
                fresh = self._limit()
                name = pick(("max", "cost", "scope", "counter", "max"))
                changed[name] = fresh[name]
            case 5:
                other = self._policy()
                name = pick(("hide", "all_tools", "categories", "default", "mode"))
                policy.pop(name, None)
                if name in other:
                    policy[name] = other[name]
            case 6:
                one["limits"] = [self._limit()]
            case _:
                for part in ("require", "deny_if"):
                    if one.get(part):
                        check = pick(one[part])
                        check["conditions"][self._random.randrange(len(check["conditions"]))] = self._condition()
                        break
        return policy
