"""Proof that one JSON Schema admits nothing that another refuses, for the changes that people make most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.witness import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANNOTATIONS: Final = frozenset(
    {"$comment", "$schema", "$id", "title", "description", "default", "deprecated", "examples", "readOnly", "writeOnly"}
)
_AT_MOST: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_AT_LEAST: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_OF_EACH_OTHER: Final = {
    "additionalProperties": ("properties", "patternProperties"),
    "items": ("prefixItems",),
    "then": ("if",),
    "else": ("if",),
    "contains": ("minContains", "maxContains"),
}
"""Keywords whose meaning depends on others beside them."""

_REFERENCES: Final = ("$ref", "$dynamicRef", "$defs", "definitions", "$anchor", "$dynamicAnchor", "unevaluated")


def implies(strict: Any, loose: Any) -> bool:  # noqa: ANN401  JSON
    """True if it is proven that every value which `strict` admits is admitted by `loose`."""
    if strict is False or loose is True or canonical(strict) == canonical(loose):
        return True
    if not isinstance(strict, dict) or not isinstance(loose, dict) or _has_references(strict) or _has_references(loose):
        return False
    return all(_is_implied(keyword, strict, loose) for keyword in loose if keyword not in _ANNOTATIONS)


def _is_implied(keyword: str, strict: Mapping[str, Any], loose: Mapping[str, Any]) -> bool:  # noqa: PLR0911  one for each
    wanted = loose[keyword]
    if keyword == "properties":
        ours = strict.get("properties", {})
        return all(name in ours and implies(ours[name], one) for name, one in wanted.items())
    if keyword not in strict:
        # Integers are numbers, and a list of values says their types.
        return keyword == "type" and "enum" in strict and all(_type(one) in _types(wanted) for one in strict["enum"])
    given = strict[keyword]
    if keyword == "required":
        return set(wanted) <= set(given)
    if keyword == "enum":
        return {canonical(one) for one in given} <= {canonical(one) for one in wanted}
    if keyword == "type":
        return all(one in _types(wanted) or (one == "integer" and "number" in _types(wanted)) for one in _types(given))
    if keyword in _AT_MOST:
        return bool(given <= wanted)
    if keyword in _AT_LEAST:
        return bool(given >= wanted)
    beside = _OF_EACH_OTHER.get(keyword, ())
    same_beside = all(_names(strict, one) == _names(loose, one) for one in beside)
    if keyword in ("items", "additionalProperties"):
        return same_beside and implies(given, wanted)
    return same_beside and canonical(given) == canonical(wanted)


def _names(schema: Mapping[str, Any], keyword: str) -> object:
    """The names or the whole of a keyword."""
    value = schema.get(keyword)
    return frozenset(value) if keyword == "properties" and isinstance(value, dict) else canonical(value)


def _types(value: Any) -> list[str]:  # noqa: ANN401  a name or a list of names
    return value if isinstance(value, list) else [value]


def _type(value: Any) -> str:  # noqa: ANN401  JSON
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"


def _has_references(schema: Any) -> bool:  # noqa: ANN401  JSON
    if isinstance(schema, dict):
        return any(key.startswith(_REFERENCES) or _has_references(one) for key, one in schema.items())
    return isinstance(schema, list) and any(map(_has_references, schema))
