"""Checks of arguments from a tool's input schema, where they refuse no call that the schema allows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from callgate.text import is_text
from callgate.workbench.recommend.argument_kinds import ArgumentKind, kind_of
from callgate.workbench.recommend.json_schema import TYPES, SchemaReader, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from callgate.workbench.recommend.json_schema import Number, Schema

_DEEPEST: Final = 4
"""Levels of objects and lists whose values are checked."""

_MOST_CHECKS: Final = 100
"""Checks of one tool: more would not be read."""

_MOST_VALUES: Final = 100
"""Values of one list of `in`: more would not be read."""

_MOST_ELEMENTS: Final = 10_000
"""Elements that a path with `[*]` may visit (docs/policy.md, section 3)."""

_LARGEST_NUMBER: Final = Decimal("1e308")
"""Numbers from here on are no operand of comparisons (docs/policy.md, section 3)."""

_LONGEST_NUMBER: Final = 900
"""Digits and exponents of numbers in policies; the contract allows a few more (section 3)."""

_LONGEST_TEXT: Final = 1 << 31
"""Lengths from here on bound nothing."""

_UNBOUNDED: Final = "the schema gives no values and no bounds"
_LONG_LIST: Final = f"a list that may have more than {_MOST_ELEMENTS:,} elements"
_SEVERAL: Final = "values of several types"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and hosts that a person allows."""

    roots: tuple[str, ...] = ()
    """Absolute paths of folders, for arguments that hold an absolute path."""
    hosts: tuple[str, ...] = ()
    """Hosts as `host_in` takes them, for arguments that hold a URL."""


@dataclass(frozen=True, slots=True)
class ArgumentChecks:
    """The checks of one tool's arguments."""

    require: tuple[Mapping[str, Any], ...]
    """As they stand in a policy."""
    left_open: Mapping[str, tuple[str, ...]]
    """For each reason the paths of arguments that are not checked."""


def argument_checks(schema: Mapping[str, Any] | None, places: Places) -> ArgumentChecks:
    """The checks that every call passes whose arguments are valid, and lie in the places that a person allows."""
    if schema is None:
        return ArgumentChecks((), {"the catalogue has no input schema": ("args",)})
    collector = _Collector(SchemaReader(schema), places)
    try:
        collector.members(schema, _Place("args"))
    except (TooLargeError, RecursionError):
        return ArgumentChecks((), {"the input schema is too large": ("args",)})
    if not collector.seen:
        collector.leave("args", "the schema names no arguments")
    return ArgumentChecks(
        tuple(collector.require), {reason: tuple(paths) for reason, paths in collector.left_open.items()}
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """A value below the arguments."""

    path: str
    name: str = ""
    may_be_absent: bool = False
    is_element: bool = False
    """True inside a list: the conditions of an `any` hold for all elements or for none, so that they cannot tell an
    absent value or null from others."""
    depth: int = 0

    def member(self, name: str, *, is_required: bool) -> _Place:
        """A property of this object."""
        is_plain = name != "" and not set(name) & set('.[]"*')
        step = f".{name}" if is_plain else f"[{json.dumps(name, ensure_ascii=False)}]"
        absent = self.may_be_absent or not is_required
        return _Place(f"{self.path}{step}", name, absent, self.is_element, self.depth + 1)

    def element(self) -> _Place:
        """Every element of this list; an empty list counts as an absent element."""
        return _Place(f"{self.path}[*]", self.name, may_be_absent=True, is_element=True, depth=self.depth + 1)


class _Collector:
    """Walks through a schema and collects checks."""

    def __init__(self, reader: SchemaReader, places: Places) -> None:
        self._reader = reader
        self._places = places
        self.require: list[Mapping[str, Any]] = []
        self.left_open: dict[str, list[str]] = {}
        self.seen = 0

    def leave(self, path: str, reason: str) -> None:
        """Adds an argument that is not checked."""
        self.left_open.setdefault(reason, []).append(path)

    def members(self, schema: Schema, place: _Place) -> None:
        """Adds the checks of the properties of an object."""
        properties, required = self._reader.properties(schema)
        for name, of in properties.items():
            self.seen += 1
            is_required = name in required
            if not name.isprintable():
                self.leave(place.path, "arguments with names that are not printable")
            elif place.is_element and not is_required:
                self.leave(place.member(name, is_required=False).path, "elements of the list may lack it")
            else:
                self._value(of, place.member(name, is_required=is_required))

    def _value(self, schema: Schema, place: _Place) -> None:
        if len(self.require) >= _MOST_CHECKS:
            self.leave(place.path, f"the tool has {_MOST_CHECKS} checks already")
            return
        types = self._reader.types(schema)
        values = self._reader.values(schema)
        if values is not None:
            self._listed(values, place)
        elif place.is_element and "null" in types:
            self.leave(place.path, "elements of the list may be null")
        elif types <= {"boolean", "null"}:
            # True and false are all that there is.
            pass
        elif types <= {"number", "null"}:
            self._number(schema, place, may_be_null="null" in types)
        elif types <= {"string", "null"}:
            self._text(schema, place, may_be_null="null" in types)
        elif types <= {"array", "null"}:
            self._list(schema, place, may_be_null="null" in types)
        elif types <= {"object", "null"}:
            self._nested(schema, place, may_be_null="null" in types)
        else:
            self.leave(place.path, _SEVERAL if types < TYPES else _UNBOUNDED)

    def _listed(self, values: Sequence[Any], place: _Place) -> None:
        distinct = _without_repetitions(values)
        if not distinct:
            self.leave(place.path, "the schema allows no value")
        elif len(distinct) > _MOST_VALUES:
            self.leave(place.path, f"more than {_MOST_VALUES} values")
        elif not all(map(_is_writable, distinct)):
            self.leave(place.path, "values that a policy cannot hold")
        elif len(distinct) == 1:
            self._add(place, "eq", distinct[0])
        else:
            self._add(place, "in", distinct)

    def _number(self, schema: Schema, place: _Place, *, may_be_null: bool) -> None:
        lowest, highest = self._reader.lowest(schema), self._reader.highest(schema)
        ends = [(lowest, "gt", "gte"), (highest, "lt", "lte")]
        known = [(bound, out, within) for bound, out, within in ends if bound is not None and _is_comparable(bound[0])]
        for (value, is_excluded), out, within in known:
            self._add(place, out if is_excluded else within, value, may_be_null=may_be_null)
        if not known:
            self.leave(place.path, _UNBOUNDED)

    def _text(self, schema: Schema, place: _Place, *, may_be_null: bool) -> None:
        longest = self._longest(schema, "maxLength")
        if longest is not None:
            self._add(place, "len_lte", longest, may_be_null=may_be_null)
        kind = kind_of(place.name, self._reader.conjuncts(schema), self._reader.descriptions(schema))
        if kind is ArgumentKind.ABSOLUTE_PATH and self._places.roots:
            self._add(place, "path_within", list(self._places.roots), may_be_null=may_be_null)
        elif kind is ArgumentKind.URL and self._places.hosts:
            self._add(place, "host_in", list(self._places.hosts), may_be_null=may_be_null)
        elif kind is not ArgumentKind.OTHER:
            self.leave(place.path, _OPEN_PLACES[kind])
        elif longest is None:
            self.leave(place.path, _UNBOUNDED)

    def _list(self, schema: Schema, place: _Place, *, may_be_null: bool) -> None:
        longest = self._longest(schema, "maxItems")
        if longest is not None:
            self._add(place, "len_lte", longest, may_be_null=may_be_null)
        items = self._reader.items(schema)
        if place.is_element:
            self.leave(place.path, "a list in a list")
        elif longest is None or longest > _MOST_ELEMENTS:
            self.leave(place.path, _LONG_LIST)
        elif items is None:
            self.leave(f"{place.path}[*]", _UNBOUNDED)
        elif place.depth >= _DEEPEST:
            self.leave(f"{place.path}[*]", f"nested deeper than {_DEEPEST} levels")
        else:
            self._value(items, place.element())

    def _longest(self, schema: Schema, keyword: str) -> int | None:
        found = self._reader.longest(schema, keyword)
        return found if found is not None and found < _LONGEST_TEXT else None

    def _nested(self, schema: Schema, place: _Place, *, may_be_null: bool) -> None:
        properties, _ = self._reader.properties(schema)
        if not properties:
            self.leave(place.path, "an object whose keys the schema does not name")
        elif place.depth >= _DEEPEST:
            self.leave(place.path, f"nested deeper than {_DEEPEST} levels")
        else:
            # Null has no members, so that each of them is absent.
            absent = place.may_be_absent or may_be_null
            self.members(schema, _Place(place.path, place.name, absent, place.is_element, place.depth))

    def _add(self, place: _Place, op: str, value: object, *, may_be_null: bool = False) -> None:
        test = {"path": place.path, "op": op, "value": value}
        others: list[dict[str, object]] = []
        if place.may_be_absent:
            others.append({"path": place.path, "op": "exists", "value": False})
        if may_be_null:
            others.append({"path": place.path, "op": "eq", "value": None})
        if not others:
            self.require.append({"conditions": [test]})
            return
        self.require.append({"name": f"{place.path}-{op}", "conditions": [{"any": [*others, test]}]})


_OPEN_PLACES: Final = {
    ArgumentKind.ABSOLUTE_PATH: "an absolute path; `--root` limits it to folders",
    ArgumentKind.OTHER_PATH: "a path that may be relative, which `path_within` would refuse",
    ArgumentKind.URL: "a URL; `--host` limits it to hosts",
    ArgumentKind.OTHER_URL: "a text that need not be a URL, which `host_in` would refuse",
}


def _without_repetitions(values: Sequence[Any]) -> list[Any]:
    """The values without repeated texts, which choices often have; other values that are equal do no harm."""
    texts = set[str]()
    distinct = []
    for value in values:
        if not isinstance(value, str):
            distinct.append(value)
        elif value not in texts:
            texts.add(value)
            distinct.append(value)
    return distinct


def _is_writable(value: Any) -> bool:  # noqa: ANN401  JSON
    """True if a policy can hold a value: all of its texts are characters, and its numbers are within bounds."""
    if isinstance(value, dict):
        return all(is_text(key) and _is_writable(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_writable, value))
    if isinstance(value, str):
        return is_text(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return True
    number = Decimal(value)
    return (
        number.is_finite()
        and len(number.as_tuple().digits) < _LONGEST_NUMBER
        and abs(number.adjusted()) < _LONGEST_NUMBER
    )


def _is_comparable(value: Number) -> bool:
    return abs(Decimal(value)) < _LARGEST_NUMBER
