"""From a document that the engine accepts to its rules."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from callgate.config.document import parse_document, read_bytes
from callgate.config.engine_form import engine_form
from callgate.config.faults import InvalidConfigError
from callgate.config.policies import faults_in
from callgate.workbench.rules.conditions import AllOf, AnyOf, Check, Comparison, Condition, Not
from callgate.workbench.rules.limits import Limit, Window
from callgate.workbench.rules.numbers import exact_data
from callgate.workbench.rules.paths import parse_path
from callgate.workbench.rules.patterns import Pattern
from callgate.workbench.rules.policy import Entry, Policy, pointer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.document import KeyPath

_WORDS: Final = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000}
_UNITS: Final = (
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
)


def read_policy(path: FilePath) -> Policy:
    """Reads a policy file.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It has faults; all of them are named.
    """
    return parse_policy(str(path), read_bytes(path))


def parse_policy(file: str, content: bytes) -> Policy:
    """Works like `read_policy`, on bytes that were read before; the suffix of `file` gives the format."""
    if faults := faults_in(file, content):
        raise InvalidConfigError(faults)
    converted = engine_form(file, content).document
    document = converted or parse_document(file, content)
    data = document.data if converted else exact_data(document)
    mode = data.get("mode", "enforce")
    return Policy(
        document=document,
        name=data.get("name", FilePath(file).stem),
        default=data["default"],
        mode=mode,
        hide=tuple(map(Pattern, data.get("hide", ()))),
        all_tools=_entry(("all_tools",), "all_tools", data.get("all_tools"), mode),
        categories={
            name: _entry(("categories", name), name, rules, mode)
            for name, rules in data.get("categories", {}).items()
            if not _is_ignored(name)
        },
        tools=tuple(
            _entry(("tools", key), key, rules, mode, Pattern(key)) for key, rules in data.get("tools", {}).items()
        ),
    )


def _entry(
    at: KeyPath,
    key: str,
    rules: Mapping[str, Any] | None,
    mode: Literal["enforce", "shadow"],
    pattern: Pattern | None = None,
) -> Entry:
    start = pointer(*map(str, at))
    given: Mapping[str, Any] = rules or {}
    approval = given.get("approval")
    return Entry(
        pointer=start,
        key=key,
        at=at,
        pattern=pattern,
        is_hidden=given.get("hide", False) is True,
        action=given.get("action", "allow"),
        reason=given.get("reason"),
        require=_checks("require", start, at, given),
        deny_if=_checks("deny_if", start, at, given),
        schema=given.get("schema"),
        limits=_limits(start, at, key, given),
        when=_checks("when", f"{start}/approval", (*at, "approval"), approval or {}),
        approval=approval,
        mode=given.get("mode", mode),
        data=rules,
    )


def _checks(
    part: Literal["require", "deny_if", "when"], start: str, at: KeyPath, given: Mapping[str, Any]
) -> tuple[Check, ...]:
    return tuple(
        Check(
            part=part,
            # An approval has one pointer, whatever asked for it.
            pointer=start if part == "when" else f"{start}/{part}{pointer(_check_name(check, index))}",
            conditions=_conditions(check["conditions"], (*at, part, index, "conditions")),
            at=(*at, part, index),
            name=check.get("name"),
            on_deny=check.get("on_deny"),
        )
        for index, check in enumerate(given.get(part, ()))
    )


def _check_name(check: Mapping[str, Any], index: int) -> str:
    """The name of a check in pointers: its `name`, else `<path>-<op>` of its first condition, else its index."""
    if "name" in check:
        return cast("str", check["name"])
    first: Mapping[str, Any] = next(iter(check["conditions"]), {})
    return f"{first['path']}-{first['op']}" if "path" in first else str(index)


def _conditions(data: list[Any], at: KeyPath) -> tuple[Condition, ...]:
    return tuple(_condition(one, (*at, index)) for index, one in enumerate(data))


def _condition(data: Mapping[str, Any], at: KeyPath) -> Condition:
    if "any" in data:
        return AnyOf(_conditions(data["any"], (*at, "any")), at)
    if "all" in data:
        return AllOf(_conditions(data["all"], (*at, "all")), at)
    if "not" in data:
        return Not(_condition(data["not"], (*at, "not")), at)
    return Comparison(parse_path(data["path"]), data["op"], data["value"], at)


def _limits(start: str, at: KeyPath, key: str, given: Mapping[str, Any]) -> tuple[Limit, ...]:
    found = [_limit(start, (*at, "limits", index), limit) for index, limit in enumerate(given.get("limits", ()))]
    short = given.get("rate_limit")
    if short is not None:
        name = f"category.{key}" if at[0] == "categories" else key
        found.append(_limit(start, (*at, "rate_limit"), {"counter": f"{name}_rate", **_long_form(short)}))
    return tuple(found)


def _long_form(short: Any) -> dict[str, Any]:  # noqa: ANN401  a text or an object
    """The limit that `rate_limit` stands for, without its counter."""
    if isinstance(short, str):
        units, window = short.split("/")
        value = Decimal(units)
        return {"max": int(value) if value == int(value) else value, "window": window, "scope": ["grant", "tool"]}
    return {"max": short["max"], "window": short["window"], "scope": ["grant", "tool"]}


def _limit(start: str, at: KeyPath, data: Mapping[str, Any]) -> Limit:
    counter, scope, cost = data["counter"], data.get("scope", "grant"), data.get("cost", 1)
    return Limit(
        pointer=f"{start}/limits{pointer(counter)}",
        counter=counter,
        window=_window(data["window"], data.get("align", "sliding")),
        max=data["max"],
        scope=tuple(sorted({scope} if isinstance(scope, str) else set(scope))),
        cost=parse_path(cost) if isinstance(cost, str) else cost,
        asks_at_max=data.get("at_max") == "require_approval",
        at=at,
        on_deny=data.get("on_deny"),
    )


def _window(value: Any, align: Literal["sliding", "calendar"]) -> Window:  # noqa: ANN401  a text or a number
    if align == "calendar":
        return Window("calendar", period=value)
    if not isinstance(value, str):
        return Window("sliding", ms=int(Decimal(value) * 1_000))
    if value in _WORDS:
        return Window("sliding", ms=_WORDS[value])
    unit, factor = next((unit, factor) for unit, factor in _UNITS if value.endswith(unit))
    return Window("sliding", ms=int(value.removesuffix(unit)) * factor)


def _is_ignored(name: str) -> bool:
    return name.startswith("x-")
