"""Arguments around a JSON Schema: some that it admits, and some that break one of its keywords."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST: Final = 200
_DEEPEST: Final = 6
_OTHER_TYPES: Final[tuple[Any, ...]] = (None, True, "x", 1, [], {})
_EXTRA: Final = "callgate_example"


def schema_examples(schema: Any) -> list[dict[str, Any]]:  # noqa: ANN401  JSON
    """Arguments to try, the ones that the schema probably admits first."""
    if not isinstance(schema, dict):
        return [{}]
    return list(islice(_arguments(schema), _MOST))


def _arguments(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    properties = schema.get("properties")
    known: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
    required = [one for one in schema.get("required", ()) if isinstance(one, str)]
    least = {name: _example(known.get(name, True), 0) for name in required}
    full = {**least, **{name: _example(one, 0) for name, one in known.items()}}
    yield least
    yield full
    for name in full:
        yield {key: value for key, value in full.items() if key != name}
        for value in _around(known.get(name, True)):
            yield {**least, name: value}
            yield {**full, name: value}
    yield {**least, _EXTRA: 1}
    yield {**full, _EXTRA: 1}
    yield {}


def _example(schema: Any, depth: int) -> Any:  # noqa: ANN401, C901, PLR0911  JSON, one return for each kind
    """A value that a schema probably admits."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "x"
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return _example(schema[word][0], depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "integer" | "number":
            return schema.get("minimum", schema.get("maximum", 1))
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            least = schema.get("minItems", 0)
            return [_example(schema.get("items", True), depth + 1)] * min(int(least), 20)
        case "object":
            properties = schema.get("properties", {})
            return {name: _example(properties.get(name, True), depth + 1) for name in schema.get("required", ())}
        case _:
            return "x" * min(int(schema.get("minLength", 1)), 1_000)


def _around(schema: Any) -> Iterator[Any]:  # noqa: ANN401  JSON
    """Values at the boundaries of a schema, and values of other types."""
    if isinstance(schema, dict):
        yield _example(schema, 0)
        yield from schema.get("enum", ())
        for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if word in schema:
                yield from (schema[word], schema[word] + 1, schema[word] - 1)
        for word in ("minLength", "maxLength"):
            if word in schema and schema[word] < 10_000:  # noqa: PLR2004  longer texts are no examples
                yield from ("x" * max(0, int(schema[word]) + more) for more in (-1, 0, 1))
        for word in ("minItems", "maxItems"):
            if word in schema and schema[word] < 1_000:  # noqa: PLR2004  as above
                element = _example(schema.get("items", True), 1)
                yield from ([element] * max(0, int(schema[word]) + more) for more in (-1, 0, 1))
    yield from _OTHER_TYPES
