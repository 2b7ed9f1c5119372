"""Every schema that `callgate schema` prints has an `$id`, and a description of each field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from callgate.cli.schema import Document
from callgate.config.schema import schema_id
from support.program import run

Schema = dict[str, Any]
SCHEMAS = [document for document in Document if document is not Document.OPENAPI]
FEWEST_FIELDS = {
    Document.POLICY: 40,
    Document.CATALOGUE: 25,
    Document.CONFIG: 120,
    Document.RATE_LIMITS: 15,
    Document.FREEZES: 9,
    Document.TESTS: 50,
}
APPLICATORS = ("allOf", "anyOf", "oneOf")


def printed(document: Document) -> Schema:
    """The schema as `callgate schema` prints it."""
    schema = json.loads(run("schema", document.value).out)
    assert isinstance(schema, dict)
    return schema


def target(reference: str, root: Schema) -> object:
    """The schema that a reference within the document leads to."""
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def in_place(schema: object, root: Schema) -> Iterator[Schema]:
    """A schema and all those that judge the same value."""
    if not isinstance(schema, dict):
        return
    yield schema
    inner = [one for keyword in APPLICATORS for one in schema.get(keyword, ())]
    inner += [schema.get(keyword) for keyword in ("if", "then", "else")]
    inner += schema.get("dependentSchemas", {}).values()
    if schema.get("$ref", "").startswith("#"):
        inner.append(target(schema["$ref"], root))
    for one in inner:
        yield from in_place(one, root)


def undescribed(root: Schema, start: list[object], *, by_reference: bool) -> tuple[set[str], set[str]]:
    """The places of all fields below the schemas of one value, and of those without a description.

    A schema that takes no other fields describes its own. Any other one may only narrow a field, such as the `then` of
    an `if`: then a schema of the same object describes it.
    """
    fields: set[str] = set()
    faults: set[str] = set()
    seen: set[frozenset[int]] = set()
    work: list[tuple[str, list[object]]] = [("", start)]
    while work:
        place, given = work.pop()
        schemas = [one for schema in given for one in in_place(schema, root)]
        key = frozenset(id(schema) for schema in schemas)
        if key in seen:
            continue
        seen.add(key)
        declared: dict[str, list[object]] = {}
        for schema in schemas:
            for name, field in schema.get("properties", {}).items():
                declared.setdefault(name, []).append(field)
                if schema.get("additionalProperties") is False and not is_described(field, root, by_reference):
                    faults.add(f"{place}/{name}")
            members = [schema.get(keyword) for keyword in ("items", "contains", "additionalProperties")]
            members += [*schema.get("prefixItems", ()), *schema.get("patternProperties", {}).values()]
            work += [(f"{place}/*", [member]) for member in members]
        for name, declarations in declared.items():
            fields.add(f"{place}/{name}")
            if not any(is_described(field, root, by_reference) for field in declarations):
                faults.add(f"{place}/{name}")
            work.append((f"{place}/{name}", declarations))
    return fields, faults


def is_described(field: object, root: Schema, by_reference: bool) -> bool:
    """True if a field has a description; if wanted, also one of a schema that it refers to."""
    if not isinstance(field, dict):
        return False
    candidates = in_place(field, root) if by_reference else [field]
    return any(one.get("description") for one in candidates)


@pytest.mark.parametrize("document", SCHEMAS, ids=lambda document: document.value)
def test_each_field_has_a_description(document: Document) -> None:
    schema = printed(document)
    fields, faults = undescribed(schema, [schema], by_reference=False)
    assert sorted(faults) == []
    assert len(fields) >= FEWEST_FIELDS[document]


@pytest.mark.parametrize("document", SCHEMAS, ids=lambda document: document.value)
def test_descriptions_are_sentences(document: Document) -> None:
    def descriptions(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            said = node.get("description")
            yield from [said] if isinstance(said, str) else []
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        for one in inner:
            yield from descriptions(one)

    said = list(descriptions(printed(document)))
    assert [one for one in said if not one.endswith(".") or "\n" in one] == []
    assert [one for one in said if one.startswith(("What ", "How ", "Whether ", "Where ", "Why ", "Who "))] == []


@pytest.mark.parametrize("document", SCHEMAS, ids=lambda document: document.value)
def test_each_schema_has_an_id(document: Document) -> None:
    schema = printed(document)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == schema_id(document.value)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["description"]


def test_each_field_of_the_decision_api_has_a_description() -> None:
    """OpenAPI has no `$id`; its fields may have the description of the schema that they refer to."""
    openapi = printed(Document.OPENAPI)
    bodies = [
        content["schema"]
        for path in openapi["paths"].values()
        for operation in path.values()
        for message in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in resolved(message, openapi).get("content", {}).values()
    ]
    total: set[str] = set()
    for body in bodies:
        fields, faults = undescribed(openapi, [body], by_reference=True)
        assert sorted(faults) == []
        total |= fields
    assert len(total) > 20


def resolved(message: Schema, root: Schema) -> Schema:
    """A request or an answer, which may be a reference."""
    found = target(message["$ref"], root) if "$ref" in message else message
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("schema", "faults"),
    [
        ({"properties": {"a": {"description": "A."}}}, []),
        ({"properties": {"a": {}}}, ["/a"]),
        ({"properties": {"a": {"description": ""}}}, ["/a"]),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"description": "A."}}}, ["/a"]),
        ({"properties": {"a": {"description": "A."}}, "if": {"properties": {"a": {"const": 1}}}}, []),
        ({"if": {"properties": {"a": {"const": 1}}}}, ["/a"]),
        (
            {
                "oneOf": [
                    {"properties": {"a": {}}, "additionalProperties": False},
                    {"properties": {"a": {"description": "A."}}},
                ]
            },
            ["/a"],
        ),
        ({"additionalProperties": {"items": {"properties": {"a": {}}}}}, ["/*/*/a"]),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"properties": {"a": {"description": "A.", "$ref": "#/$defs/a"}, "b": {}}}},
            },
            ["/a/b", "/b"],
        ),
    ],
)
def test_a_field_without_a_description_is_found(schema: Schema, faults: list[str]) -> None:
    assert sorted(undescribed(schema, [schema], by_reference=False)[1]) == faults
