"""Facts that hold for every value which a JSON Schema allows.

Each fact is necessary: a value without it is never valid. Keywords that are not read only make the facts weaker. So a
rule that asks for such a fact refuses no valid value.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeGuard

Schema: TypeAlias = "Mapping[str, Any] | bool"
Number: TypeAlias = "int | float | Decimal"
Bound: TypeAlias = "tuple[Number, bool]"
"""A bound of numbers, and true if the bound itself is not allowed."""

_Bound = TypeVar("_Bound")

TYPES: Final = frozenset({"array", "boolean", "null", "number", "object", "string"})
"""The types of values; an integer is a number."""

_MOST_VISITS: Final = 50_000
"""Subschemas that are read for one tool: references can make a small schema very large."""


class TooLargeError(ValueError):
    """A schema that takes too long to read."""


class SchemaReader:
    """Finds facts about the values of the subschemas of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Takes the whole schema, in which references lead to other parts."""
        self._document = document
        self._visits = 0
        self._open: list[int] = []

    def types(self, schema: Schema) -> frozenset[str]:
        """The types that a value may have, `number` for integers as well."""
        with _Visit(self, schema) as parts:
            if parts is None:
                return TYPES
            found = _own_types(parts.own)
            for part in parts.all_of:
                found &= self.types(part)
            for choice in parts.choices:
                found &= frozenset[str]().union(*(self.types(part) for part in choice))
            return found | {"null"} if parts.is_nullable else found

    def values(self, schema: Schema) -> list[Any] | None:
        """All values that may be valid; None if there is no such list."""
        with _Visit(self, schema) as parts:
            if parts is None:
                return None
            found = self._listed(parts)
            if found is not None and parts.is_nullable and None not in found:
                return [*found, None]
            return found

    def _listed(self, parts: _Parts) -> list[Any] | None:
        own = parts.own
        if "const" in own:
            return [own["const"]]
        if isinstance(own.get("enum"), list):
            return list(own["enum"])
        if own.get("type") == "null":
            return [None]
        for choice in parts.choices:
            lists = [self.values(part) for part in choice]
            if all(one is not None for one in lists):
                return [value for one in lists for value in one or ()]
        return next((found for part in parts.all_of if (found := self.values(part)) is not None), None)

    def lowest(self, schema: Schema) -> Bound | None:
        """The bound below which no number is valid."""
        return self._bound(schema, _own_lowest, _higher, _lower)

    def highest(self, schema: Schema) -> Bound | None:
        """The bound above which no number is valid."""
        return self._bound(schema, _own_highest, _lower_end, _higher_end)

    def longest(self, schema: Schema, keyword: str) -> int | None:
        """The greatest length that `maxLength` or `maxItems` allows."""

        def own(schema: Mapping[str, Any]) -> int | None:
            value: object = schema.get(keyword)
            return int(value) if _is_number(value) and value >= 0 and value == int(value) else None

        return self._bound(schema, own, min, max)

    def conjuncts(self, schema: Schema) -> list[Mapping[str, Any]]:
        """The parts that hold for every value but null, each without the parts below it."""
        with _Visit(self, schema) as parts:
            if parts is None:
                return []
            below = (*parts.all_of, *self._single(parts))
            return [parts.own, *(found for part in below for found in self.conjuncts(part))]

    def descriptions(self, schema: Schema) -> list[str]:
        """All titles and descriptions of a value, also those beside references and of single choices."""
        found: list[Mapping[str, Any]] = [schema] if isinstance(schema, dict) and "$ref" in schema else []
        with _Visit(self, schema) as parts:
            if parts is not None:
                found.append(parts.own)
            below = [] if parts is None else [*parts.all_of, *(part for choice in parts.choices for part in choice)]
            values = [one.get(key) for one in found for key in ("title", "description")]
            texts = [value for value in values if isinstance(value, str)]
            return [*texts, *(text for part in below for text in self.descriptions(part))]

    def properties(self, schema: Schema) -> tuple[dict[str, Schema], frozenset[str]]:
        """The schemas of the properties of an object, and the names of those that it must have."""
        with _Visit(self, schema) as parts:
            if parts is None:
                return {}, frozenset()
            own = parts.own.get("properties")
            found: dict[str, Schema] = dict(own) if isinstance(own, dict) else {}
            listed = parts.own.get("required")
            required = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set[str]()
            for part in (*parts.all_of, *self._single(parts)):
                more, needed = self.properties(part)
                for name, one in more.items():
                    found[name] = {"allOf": [found[name], one]} if name in found else one
                required |= needed
            return found, frozenset(required)

    def items(self, schema: Schema) -> Schema | None:
        """The schema of every element of a list; None if it does not hold for all of them."""
        with _Visit(self, schema) as parts:
            if parts is None or "prefixItems" in parts.own:
                return None
            own = parts.own.get("items")
            if isinstance(own, (dict, bool)):
                return own
            below = (*parts.all_of, *self._single(parts))
            return next((found for part in below if (found := self.items(part)) is not None), None)

    def _single(self, parts: _Parts) -> list[Schema]:
        """The members of choices that are the only ones beside null, so that they hold for every other value."""
        choices = [[part for part in choice if self.types(part) != {"null"}] for choice in parts.choices]
        return [choice[0] for choice in choices if len(choice) == 1]

    def _bound(
        self,
        schema: Schema,
        own: Callable[[Mapping[str, Any]], _Bound | None],
        strongest: Callable[[_Bound, _Bound], _Bound],
        weakest: Callable[[_Bound, _Bound], _Bound],
    ) -> _Bound | None:
        """The strongest of a schema's bounds; a choice has the weakest bound of its members."""
        with _Visit(self, schema) as parts:
            if parts is None:
                return None
            found = [own(parts.own), *(self._bound(part, own, strongest, weakest) for part in parts.all_of)]
            for choice in parts.choices:
                others = [part for part in choice if self.types(part) != {"null"}]
                bounds = [self._bound(part, own, strongest, weakest) for part in others]
                known = [bound for bound in bounds if bound is not None]
                if len(known) == len(bounds):
                    found.append(_folded(known, weakest))
            return _folded([bound for bound in found if bound is not None], strongest)

    def enter(self, schema: Schema) -> _Parts | None:
        """The parts of a schema; None if it says nothing, or leads back to itself."""
        self._visits += 1
        if self._visits > _MOST_VISITS:
            raise TooLargeError
        target = schema
        for _ in range(len(self._document) + 32):
            if not isinstance(target, dict):
                return None
            reference = target.get("$ref")
            if not isinstance(reference, str):
                break
            # Other keywords beside a reference are ignored, as older dialects do.
            target = self._at(reference)
        else:
            return None
        if id(target) in self._open or (target is not self._document and "$id" in target):
            # Below another `$id`, references lead elsewhere.
            return None
        self._open.append(id(target))
        return _Parts(target)

    def leave(self) -> None:
        """Ends the last visit."""
        self._open.pop()

    def _at(self, reference: str) -> Schema:
        """The target of a reference within the document; true, which says nothing, for any other."""
        if reference != "#" and not reference.startswith("#/"):
            return True
        found: Any = self._document
        for step in reference.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return True
        return found if isinstance(found, dict) else True


class _Parts:
    """The parts of one schema."""

    def __init__(self, own: Mapping[str, Any]) -> None:
        self.own = own
        all_of = own.get("allOf")
        self.all_of: list[Schema] = all_of if isinstance(all_of, list) else []
        choices = [own.get(keyword) for keyword in ("anyOf", "oneOf")]
        self.choices: list[list[Schema]] = [one for one in choices if isinstance(one, list) and one]
        # OpenAPI's word; servers that write it take null.
        self.is_nullable = own.get("nullable") is True


class _Visit:
    """The visit of one schema, during which it is not visited again."""

    def __init__(self, reader: SchemaReader, schema: Schema) -> None:
        self._reader = reader
        self._parts = reader.enter(schema)

    def __enter__(self) -> _Parts | None:
        return self._parts

    def __exit__(self, *_: object) -> None:
        if self._parts is not None:
            self._reader.leave()


def _own_types(own: Mapping[str, Any]) -> frozenset[str]:
    found = own.get("type")
    named = {found} if isinstance(found, str) else set(filter(_is_text, found)) if isinstance(found, list) else TYPES
    return frozenset("number" if name == "integer" else name for name in named)


def _own_lowest(own: Mapping[str, Any]) -> Bound | None:
    return _folded(_own_bounds(own, "minimum", "exclusiveMinimum"), _higher)


def _own_highest(own: Mapping[str, Any]) -> Bound | None:
    return _folded(_own_bounds(own, "maximum", "exclusiveMaximum"), _lower_end)


def _own_bounds(own: Mapping[str, Any], included: str, excluded: str) -> list[Bound]:
    # In draft 4, `exclusiveMinimum` is true or false; the bound with its own value is the weaker one.
    found: list[tuple[object, bool]] = [(own.get(included), False), (own.get(excluded), True)]
    return [(value, is_excluded) for value, is_excluded in found if _is_number(value)]


def _higher(one: Bound, other: Bound) -> Bound:
    return max(one, other)


def _lower(one: Bound, other: Bound) -> Bound:
    return min(one, other)


def _lower_end(one: Bound, other: Bound) -> Bound:
    """The stronger of two upper bounds: of two equal numbers, the one that is excluded."""
    return min(one, other, key=lambda bound: (bound[0], not bound[1]))


def _higher_end(one: Bound, other: Bound) -> Bound:
    return max(one, other, key=lambda bound: (bound[0], not bound[1]))


def _folded(bounds: Sequence[_Bound], choose: Callable[[_Bound, _Bound], _Bound]) -> _Bound | None:
    found: _Bound | None = None
    for bound in bounds:
        found = bound if found is None else choose(found, bound)
    return found


def _is_number(value: object) -> TypeGuard[Number]:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
