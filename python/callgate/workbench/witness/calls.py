"""Calls, as they are tried on policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.rules.paths import parse_path
from callgate.workbench.witness.absent import ABSENT, LIST, OBJECT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from callgate.workbench.witness.variables import Choice, Variable

MONDAY_MS: Final = 1_704_067_200_000
"""Monday, 1 January 2024, 00:00 UTC."""

NOON: Final = 12

EXAMPLE_TOOL: Final = "callgate_example_tool"
"""The tool of a call that may go to any."""
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

_IMPOSSIBLE: Final = object()
"""Stands for a list that cannot be: with an element behind one that is absent."""


@dataclass(frozen=True)
class Call:
    """One call of a tool."""

    tool: str
    grant: str = "agent"
    server: str = "srv"
    session: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)
    """Numbers that are not integers are `Decimal`."""
    now_ms: int = MONDAY_MS + NOON * _HOUR_MS
    category: str | None = None
    """The category of the tool in the catalogue."""
    risk: str | None = None
    fits_input: bool = True
    """True if the tool's own input schema, which is not known, admits the arguments."""


def call_of(chosen: Mapping[Variable, Choice], fixed: Mapping[str, Any]) -> Call | None:
    """The call with these values; None if one of them is not known, or they fit no call.

    Args:
        chosen: The choice for each variable. One without a choice has no effect on what is searched.
        fixed: The values that are given, as for `variables_of`.
    """
    # Of several possible values the first one stands where no condition looks at them.
    outside: dict[str, Any] = {name: value[0] if isinstance(value, list) else value for name, value in fixed.items()}
    args: dict[str, Any] = {}
    for variable, choice in chosen.items():
        if choice.value is UNKNOWN:
            return None
        if variable.steps is None:
            outside[variable.name] = choice.value
        elif variable.steps == ():
            args.update(choice.value)
    made = _object([one for one in chosen if one.steps is not None and len(one.steps) == 1], chosen)
    if made is _IMPOSSIBLE:
        return None
    return _call(outside, {**args, **made})


def _call(outside: Mapping[str, Any], args: dict[str, Any]) -> Call:
    given = {name: value for name, value in outside.items() if value is not ABSENT}
    hour, weekday = given.get("time.hour", NOON), given.get("time.weekday", 1)
    return Call(
        # Where no name is given, none is chosen if any does.
        tool=given.get("tool", EXAMPLE_TOOL),
        grant=given.get("grant.id", "agent"),
        server=given.get("server", "srv"),
        session=given.get("session"),
        labels={_label(name): value for name, value in given.items() if name.startswith("grant.labels")},
        args=args,
        now_ms=MONDAY_MS + (weekday - 1) * _DAY_MS + hour * _HOUR_MS,
        category=given.get("category"),
        risk=given.get("risk"),
    )


def _label(path: str) -> str:
    return str(parse_path(path).keys[0][1])


def _value(variable: Variable, chosen: Mapping[Variable, Choice]) -> Any:  # noqa: ANN401  JSON
    """The JSON value of a variable; `ABSENT` if there is none, None of Python inside a list for null."""
    choice = chosen.get(variable)
    if choice is None:
        return ABSENT
    if choice.value is OBJECT:
        return _object(choice.opens, chosen)
    if choice.value is LIST:
        return _list(choice.opens, chosen)
    return choice.value


def _object(variables: Iterable[Variable], chosen: Mapping[Variable, Choice]) -> Any:  # noqa: ANN401  JSON
    """An object with these members."""
    found = {}
    for variable in variables:
        value = _value(variable, chosen)
        if value is _IMPOSSIBLE:
            return _IMPOSSIBLE
        if value is not ABSENT and variable.steps:
            found[str(variable.steps[-1][1])] = value
    return found


def _list(variables: Iterable[Variable], chosen: Mapping[Variable, Choice]) -> Any:  # noqa: ANN401  JSON
    """A list with these elements; none has an element behind one that is absent."""
    values = {one: _value(one, chosen) for one in variables}
    if _IMPOSSIBLE in values.values():
        return _IMPOSSIBLE
    given = {int(one.steps[-1][1]): (one in chosen, value) for one, value in values.items() if one.steps}
    length = 1 + max((index for index, (_, value) in given.items() if value is not ABSENT), default=-1)
    if any(is_chosen and value is ABSENT and index < length for index, (is_chosen, value) in given.items()):
        return _IMPOSSIBLE
    return [None if (one := given.get(index, (False, None))[1]) is ABSENT else one for index in range(length)]
