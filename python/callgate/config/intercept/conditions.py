"""Conditions of Intercept's on arguments, as those of callgate that hold for the same calls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from callgate.config.intercept.equality import equals
from callgate.config.intercept.regex import UnsupportedRegexError, translate
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from callgate.config.document import KeyPath
    from callgate.config.intercept.report import RuleReport
    from callgate.config.intercept.rules import Condition, Rule

Met: TypeAlias = "list[dict[str, Any]]"
"""Conditions that all have to hold. One of them that ends in an error means that the condition does not hold: under
`require` the call is denied in both cases."""

OPERATORS: Final = ("eq", "neq", "in", "not_in", "lt", "lte", "gt", "gte", "regex", "contains", "exists")
COMPARISONS: Final = ("lt", "lte", "gt", "gte")

NEVER: Final[Met] = [{"path": "args", "op": "eq", "value": None}]
"""Holds for no call: the arguments are an object."""

_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**63 - 1
_TOO_LARGE: Final = 1e308
"""callgate compares no argument of this size or above."""


def check(about: RuleReport, condition: Condition) -> bool:
    """Reports a condition that Intercept refuses; True if it is valid."""
    steps: KeyPath = ("conditions", condition.index)
    message, at = _fault(condition)
    if message:
        about.fault((*steps, at), message)
    return not message


def all_met(rule: Rule, conditions: Iterable[Condition], *, asks: bool = False) -> tuple[Met, list[KeyPath]]:
    """The conditions under which all of these hold, and the path of each in the source; see `met`."""
    wanted: Met = []
    origins: list[KeyPath] = []
    for condition in conditions:
        found = met(condition, asks=asks)
        wanted += found
        origins += [(*rule.about.path, "conditions", condition.index)] * len(found)
    return wanted, origins


def met(condition: Condition, *, asks: bool = False) -> Met:  # noqa: PLR0911  one for each operator
    """The conditions under which a valid one about arguments holds.

    Args:
        condition: The condition.
        asks: It is one of `when` and not of `require`. A negative operator then also fires without the argument.
    """
    path = argument(condition.path)
    op, value = condition.op, condition.value
    present = [_exists(path, is_present=True)] if asks else []
    if op == "exists":
        return _present(path) if value else [_absent(condition.path)]
    if op == "eq":
        return [_one_of(path, [value])]
    if op == "neq":
        return [*present, _none_of(path, [value])]
    if op == "in":
        return [_one_of(path, value)] if value else NEVER
    if op == "not_in":
        if not value:
            return [_exists(path, is_present=True)]
        return [*present, _none_of(path, value), *([] if asks else [_no_element_of(path, value)])]
    if op == "contains":
        return [_contains(path, value)]
    if op == "regex":
        return [{"path": path, "op": op, "value": translate(value)}]
    return [{"path": path, "op": op, "value": value}]


def argument(path: str) -> str:
    """The path of an argument; in Intercept, a path has no other special character than the dot."""
    return "args" + "".join(_step(key) for key in path.removeprefix("args.").split("."))


def _step(key: str) -> str:
    if key and not set(key) & set('[]"'):
        return f".{key}"
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{escaped}"]'


def _fault(condition: Condition) -> tuple[str, str]:  # noqa: PLR0911  one for each kind of operator
    """The reason for which Intercept refuses a condition, and the field at fault."""
    op, value = condition.op, condition.value
    if op not in OPERATORS:
        names = ", ".join(f"`{name}`" for name in OPERATORS)
        return f"expected one of {names}, got {quoted(op)}", "op"
    if op in {"in", "not_in"} and not isinstance(value, list):
        return f"expected a list for `{op}`", "value"
    if op == "exists" and not isinstance(value, bool):
        return "expected `true` or `false` for `exists`, without quotes", "value"
    if op in COMPARISONS:
        return (message, "value") if (message := _not_a_number(value, op)) else ("", "")
    if op == "regex":
        if not isinstance(value, str):
            return "expected a regular expression in quotes", "value"
        try:
            translate(value)
        except UnsupportedRegexError as error:
            return f"{quoted(value)}: {error}", "value"
    unusable = op in {"eq", "neq", "in", "not_in", "contains"} and not _is_finite(value)
    return ("the number is too large to be compared exactly", "value") if unusable else ("", "")


def _not_a_number(value: Any, op: str) -> str:  # noqa: ANN401  of a document
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"expected a number for `{op}`, without quotes"
    if isinstance(value, int) and not _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER:
        return f"expected a number from -2^63 to 2^63 - 1 for `{op}`"
    return "" if _is_finite(value) else "the number is too large to be compared exactly"


def _is_finite(value: Any) -> bool:  # noqa: ANN401  of a document
    if isinstance(value, list):
        return all(map(_is_finite, value))
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) < _TOO_LARGE
    return not isinstance(value, int) or abs(value) < int(_TOO_LARGE)


def _exists(path: str, *, is_present: bool) -> dict[str, Any]:
    return {"path": path, "op": "exists", "value": is_present}


def _present(path: str) -> Met:
    """Null counts as absent."""
    return [_exists(path, is_present=True), {"path": path, "op": "neq", "value": None}]


def _absent(source: str) -> dict[str, Any]:
    """Also met where the path leads through something other than an object, for which `exists` gives an error."""
    path, keys = argument(source), source.removeprefix("args.").split(".")
    ways: Met = [_exists(path, is_present=False), {"path": path, "op": "eq", "value": None}]
    for end in range(1, len(keys)):
        ways += _no_object(argument("args." + ".".join(keys[:end])))
    return {"any": ways}


def _no_object(path: str) -> Met:
    """Conditions of which one is true for every value but an object, for which each is false or an error."""
    return [
        {"path": path, "op": "contains", "value": ""},
        {"path": path, "op": "not_contains", "value": ""},
        *_number(path),
        {"path": path, "op": "in", "value": [True, False, None]},
    ]


def _number(path: str) -> Met:
    return [{"path": path, "op": "lt", "value": 0}, {"path": path, "op": "gte", "value": 0}]


def _one_of(path: str, values: list[Any]) -> dict[str, Any]:
    return _compared(path, values, "eq", "in")


def _none_of(path: str, values: list[Any]) -> dict[str, Any]:
    return _compared(path, values, "neq", "not_in")


def _compared(path: str, values: list[Any], one: str, several: str) -> dict[str, Any]:
    wanted = equals(values)
    if len(wanted) == 1:
        return {"path": path, "op": one, "value": wanted[0]}
    return {"path": path, "op": several, "value": wanted}


def _no_element_of(path: str, values: list[Any]) -> dict[str, Any]:
    """Met by everything but a list with one of these values, so that nobody gets past `not_in` by sending a list."""
    return {
        "any": [
            _none_of(f"{path}[*]", values),
            {"path": path, "op": "len_lt", "value": 1},
            {"path": path, "op": "regex", "value": ""},
            {"path": path, "op": "in", "value": [True, False, None]},
            *_number(path),
            # Of an object, this key is there or not; of anything else, both are errors.
            _exists(f"{path}.x", is_present=True),
            _exists(f"{path}.x", is_present=False),
        ]
    }


def _contains(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  of a document
    values = equals([value])
    ways: Met = [{"path": path, "op": "contains", "value": one} for one in values]
    if len(values) > 1 and not isinstance(value, str):
        # The text of a number is looked for in lists alone: 5 is not in "151".
        in_list = {"path": f"{path}[*]", "op": "exists", "value": True}
        ways[1] = {"all": [ways[1], in_list]}
    return ways[0] if len(ways) == 1 else {"any": ways}
