"""The arguments of a tool as its input schema describes them, and the check that fits each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from callgate.exact_json import write_json
from callgate.workbench.site.shown import counted, cut, line_of, name_of, seen
from callgate.workbench.site.words import words_of

if TYPE_CHECKING:
    from callgate.workbench.catalogue import Tool

MOST_ARGUMENTS: Final = 60
"""Arguments that a page lists."""
_MOST_VALUES: Final = 6
_LONGEST_VALUE: Final = 40
_LONGEST_DESCRIPTION: Final = 300
_MOST_CHECKS: Final = 3
"""Checks of an example."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of argument, as its name says."""

    words: frozenset[str]
    types: frozenset[str]
    """Types of JSON for which the check fits."""
    advice: str
    op: str
    value: object


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool."""

    name: str
    """As it is in calls."""
    types: tuple[str, ...]
    is_required: bool
    description: str
    bounds: str
    """The values that the schema allows, in words; empty for any."""
    advice: str
    """The reason to limit it, and the operator; empty if its name says nothing."""
    check: Mapping[str, Any] | None
    """A check with an example's value."""

    @property
    def shown(self) -> str:
        """The name on one line."""
        return name_of(self.name, 60)

    @property
    def path(self) -> str:
        """The argument as policies name it."""
        is_plain = self.name != "" and not set(self.name) & set('.[]"*')
        return f"args.{self.name}" if is_plain else f"args[{json.dumps(self.name, ensure_ascii=False)}]"


def arguments_of(tool: Tool) -> list[Argument]:
    """The arguments at the top of a tool's input schema, those that are required first."""
    schema = tool.input_schema
    if not isinstance(schema, Mapping):
        return []
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    listed = schema.get("required")
    required = {one for one in listed if isinstance(one, str)} if isinstance(listed, Sequence) else set[str]()
    found = [
        _argument(name, of if isinstance(of, Mapping) else {}, is_required=name in required)
        for name, of in properties.items()
    ]
    return sorted(found, key=lambda one: not one.is_required)


def example_checks(arguments: Sequence[Argument]) -> list[Mapping[str, Any]]:
    """The checks of a few arguments, those that matter most first."""
    order = {id(kind): number for number, kind in enumerate(_KINDS)}
    known = [(order[id(kind)], one) for one in arguments if (kind := _kind_of(one.name)) and one.check is not None]
    return [one.check for _, one in sorted(known, key=lambda item: item[0])[:_MOST_CHECKS] if one.check is not None]


def _argument(name: str, schema: Mapping[str, Any], *, is_required: bool) -> Argument:
    types = _types(schema)
    description = schema.get("description")
    kind = _kind_of(name)
    argument = Argument(
        name,
        types,
        is_required,
        line_of(description, _LONGEST_DESCRIPTION) if isinstance(description, str) else "",
        "; ".join(_bounds(schema)),
        kind.advice if kind is not None else "",
        None,
    )
    if kind is None or not name.isprintable() or not kind.types & set(types) or len(types) != 1:
        return argument
    return Argument(
        argument.name,
        argument.types,
        is_required,
        argument.description,
        argument.bounds,
        argument.advice,
        _check(argument, kind, schema),
    )


def _check(argument: Argument, kind: Kind, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    op, value = kind.op, kind.value
    choices = schema.get("enum")
    texts = [one for one in choices if isinstance(one, str) and one.isprintable()] if isinstance(choices, list) else []
    if texts and argument.types == ("string",):
        op, value = "in", [one for one in texts if len(one) <= _LONGEST_VALUE][:2] or texts[:1]
    condition: dict[str, Any] = {"path": argument.path, "op": op, "value": value}
    if argument.is_required:
        return {"conditions": [condition]}
    absent = {"path": argument.path, "op": "exists", "value": False}
    return {"name": f"{argument.path}-{op}", "conditions": [{"any": [absent, condition]}]}


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        return (kind,)
    if isinstance(kind, list):
        return tuple(one for one in kind if isinstance(one, str) and one in _TYPES)
    choices = schema.get("enum")
    if isinstance(choices, list) and choices and all(isinstance(one, str) for one in choices):
        return ("string",)
    return ()


def _bounds(schema: Mapping[str, Any]) -> list[str]:
    """The bounds of a schema in words, as far as it gives plain ones."""
    said = []
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        shown = ", ".join(_value(one) for one in choices[:_MOST_VALUES])
        more = len(choices) - _MOST_VALUES
        said.append(f"one of {shown}{f' and {more} more' if more > 0 else ''}")
    if "const" in schema:
        said.append(f"always {_value(schema['const'])}")
    low, high = (_number(schema.get(key)) for key in ("minimum", "maximum"))
    if low is not None and high is not None:
        said.append(f"{low} to {high}")
    elif low is not None or high is not None:
        said.append(f"at least {low}" if low is not None else f"at most {high}")
    longest, most = (schema.get(key) for key in ("maxLength", "maxItems"))
    if isinstance(longest, int) and not isinstance(longest, bool):
        said.append(f"at most {counted(longest, 'character')}")
    if isinstance(most, int) and not isinstance(most, bool):
        said.append(f"at most {counted(most, 'element')}")
    if isinstance(pattern := schema.get("pattern"), str):
        said.append(f"matches {cut(seen(pattern), _LONGEST_VALUE)}")
    return said


def _value(value: object) -> str:
    if isinstance(value, str):
        return line_of(value, _LONGEST_VALUE) or '""'
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return cut(write_json(value), _LONGEST_VALUE)


def _number(value: object) -> str | None:
    is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    return cut(str(value), 20) if is_number else None


def _kind_of(name: str) -> Kind | None:
    words = words_of(name).words
    if words[-2:] in _SECRET_KEYS:
        return next(kind for kind in _KINDS if "secret" in kind.words)
    for kind in _KINDS:
        if words and words[-1] in kind.words:
            return kind
    return next((kind for kind in _KINDS if kind.words & set(words)), None)


def _kind(words: str, types: str, op: str, value: object, advice: str) -> Kind:
    return Kind(frozenset(words.split()), frozenset(types.split()), advice, op, value)


_SECRET_KEYS: Final = frozenset(
    {("api", "key"), ("access", "key"), ("private", "key"), ("secret", "key"), ("ssh", "key")}
)
_TYPES: Final = ("string", "number", "integer", "boolean", "array", "object", "null")
_KINDS: Final = (
    _kind(
        "command cmd script code shell expression program argv",
        "string",
        "in",
        ["uptime", "git status"],
        "Text that is run. Allow a list of exact values with `in`.",
    ),
    _kind(
        "amount price total cost fee sum",
        "number integer",
        "lte",
        100,
        "An amount. Give it an upper bound with `lte`, and limit the sum of a day with `cost`.",
    ),
    _kind(
        "password secret token credential passphrase",
        "string",
        "len_lte",
        200,
        "A secret. Keep it out of the decision log: do not name it in `log_args`.",
    ),
    _kind(
        "to cc bcc recipient recipients email channel phone",
        "string",
        "ends_with",
        "@example.com",
        "A recipient. Hold it to your own domain with `ends_with`, or to a list with `in`.",
    ),
    _kind(
        "url uri endpoint webhook href link",
        "string",
        "host_in",
        ["api.example.com"],
        "An address. Hold it to known hosts with `host_in`.",
    ),
    _kind(
        "path file filename filepath folder directory dir cwd",
        "string",
        "path_within",
        ["/srv/agents"],
        "A path. Hold it to a folder with `path_within`; relative paths are then denied.",
    ),
    _kind(
        "sql query statement filter where",
        "string",
        "len_lte",
        500,
        "A query. Bound its length with `len_lte`, and leave the rest to the rights of the server's own user.",
    ),
    _kind(
        "force recursive overwrite cascade all unsafe purge",
        "boolean",
        "eq",
        False,
        "A switch that widens the effect. Require `false`.",
    ),
    _kind(
        "region zone env environment account project namespace cluster stage tenant",
        "string",
        "in",
        ["eu-central-1", "staging"],
        "A place where the call has its effect. Allow a list with `in`, and leave production out.",
    ),
    _kind(
        "count limit max size number replicas quantity instances",
        "number integer",
        "lte",
        10,
        "A number that makes one call larger. Give it an upper bound with `lte`.",
    ),
    _kind(
        "body content message text prompt description subject title comment",
        "string",
        "len_lte",
        2000,
        "Free text. Bound its length with `len_lte`; its meaning no rule can check.",
    ),
    _kind(
        "id ids arn name key user username role group image instance bucket table repo repository branch",
        "string",
        "starts_with",
        "agent-",
        "It names the thing that the call is about. Hold it to a prefix with `starts_with`, or to a list with `in`.",
    ),
)
"""The kinds, those whose checks matter most first."""
