"""OpenAPI 3.1 of the REST face, from the descriptions of its methods."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor

from callgate._callgate import version
from callgate.admin.rest.events import EVENTS
from callgate.admin.rest.requests import etag_path, is_one_message, is_text_as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.admin.rest.bindings import Binding, Bindings

_Descriptor: TypeAlias = Any
"""protobuf has descriptors of two types, by its two implementations."""

_ERROR: Final = "google.rpc.Status"
_FORMATS: Final = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
}
_ERROR_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "code": {"type": "integer", "description": "a value of `google.rpc.Code`"},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object", "properties": {"@type": {"type": "string"}}}},
    },
    "required": ["code", "message"],
}
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_DEEPEST_QUERY: Final = 2
"""Levels of fields that are parameters of a query."""


def openapi(bindings: Bindings, *, followed: str) -> dict[str, Any]:
    """The document; `followed` is in the names of methods whose answers can be followed as events."""
    schemas: dict[str, Any] = {_ERROR: _ERROR_SCHEMA}
    paths: dict[str, Any] = {}
    for binding in bindings.all:
        operation = _operation(binding, schemas, is_followed=followed in binding.method.name)
        paths.setdefault(_path(binding), {})[binding.verb.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callgate admin API",
            "version": version(),
            "description": "The services of `callgate.admin.v1` as REST; the same over gRPC. See docs/admin.md.",
        },
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "callgate"},
            },
        },
    }


def _operation(binding: Binding, schemas: dict[str, Any], *, is_followed: bool) -> dict[str, Any]:
    method = binding.method
    request, short = method.request_type.DESCRIPTOR, method.descriptor.name
    taken = {*binding.variables, binding.body}
    parameters = [
        {"name": _parameter(name), "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in binding.variables
    ]
    if binding.body != "*":
        parameters += _query(request, taken, schemas)
    if etag_path(request) is not None:
        text = "the etag of the version to change; `*` or nothing for any"
        parameters.append(_header("If-Match", text, {"type": "string"}))
    if "request_id" in request.fields_by_name:
        text = "a UUID by which a repeated request is recognised"
        parameters.append(_header("Idempotency-Key", text, {"type": "string", "format": "uuid"}))
    answer = {"schema": _reference(method.answer_type.DESCRIPTOR, schemas)}
    content = {} if method.is_stream else {"application/json": answer}
    if method.is_stream or (is_followed and binding.verb == "GET"):
        content[EVENTS] = {"schema": {"type": "string"}}
    failure = {"schema": {"$ref": f"#/components/schemas/{_ERROR}"}}
    operation: dict[str, Any] = {
        "operationId": method.name.replace("/", "."),
        "summary": " ".join(_WORDS.split(short)),
        "tags": [method.name.rpartition("/")[0].rpartition(".")[2]],
        "description": f"Takes the role `{method.rights.role.value}`"
        + (", and a person." if method.rights.is_for_people_only else "."),
        "parameters": parameters,
        "responses": {
            "200": {"description": "The answer.", "content": content},
            "default": {"description": "The error.", "content": {"application/json": failure}},
        },
    }
    if binding.body == "*":
        operation["requestBody"] = _body(request, schemas)
    elif binding.body:
        operation["requestBody"] = _body(request.fields_by_name[binding.body].message_type, schemas)
    return operation


def _path(binding: Binding) -> str:
    path = binding.template
    for name in binding.variables:
        path = path.replace(f"{{{name}}}", f"{{{_parameter(name)}}}")
    return path


def _parameter(variable: str) -> str:
    """The name of a variable without dots, on which generators of clients stumble."""
    return variable.replace(".", "_")


def _body(descriptor: _Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _reference(descriptor, schemas)}}}


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _query(descriptor: _Descriptor, taken: set[str], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "schema": _of_field(field, schemas)}
        for name, field in _leaves(descriptor, "", 1)
        if name not in taken
    ]


def _leaves(descriptor: _Descriptor, prefix: str, depth: int) -> Iterator[tuple[str, _Descriptor]]:
    for field in descriptor.fields:
        is_plain = field.type != FieldDescriptor.TYPE_MESSAGE or is_text_as_json(field.message_type)
        if is_plain:
            yield f"{prefix}{field.name}", field
        elif is_one_message(field) and depth < _DEEPEST_QUERY:
            yield from _leaves(field.message_type, f"{prefix}{field.name}.", depth + 1)


def _reference(descriptor: _Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    name = descriptor.full_name
    if name in _FORMATS:
        return _FORMATS[name]
    if name not in schemas:
        # First, because messages may contain themselves.
        schemas[name] = {}
        schemas[name].update(_schema(descriptor, schemas))
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(descriptor: _Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    required = [
        field.json_name
        for field in descriptor.fields
        if field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    ]
    properties = {field.json_name: _of_field(field, schemas) for field in descriptor.fields}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    # One that the path has as well may be left out of the body.
    return schema if not required else {**schema, "x-required": required}


def _of_field(field: _Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        return {"type": "object", "additionalProperties": _of_one(value, schemas)}
    one = _of_one(field, schemas)
    return {"type": "array", "items": one} if field.is_repeated else one


def _of_one(field: _Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _reference(field.message_type, schemas)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return {"type": "string", "enum": list(field.enum_type.values_by_name)}
    return _SCALARS[field.cpp_type] if field.type != FieldDescriptor.TYPE_BYTES else _BYTES


_BYTES: Final[dict[str, Any]] = {"type": "string", "contentEncoding": "base64"}
_SCALARS: Final[dict[int, dict[str, Any]]] = {
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    # 64 bits are texts in answers, because many readers of JSON have none; both are taken.
    FieldDescriptor.CPPTYPE_INT64: {"type": ["string", "integer"], "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": ["string", "integer"], "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": ["number", "string"], "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": ["number", "string"], "format": "float"},
}
