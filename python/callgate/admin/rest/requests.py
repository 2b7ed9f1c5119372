"""Requests of the API from requests of HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from callgate.admin.calls.errors import AdminError, invalid
from callgate.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message

    from callgate.admin.rest.bindings import Match

_Descriptor: TypeAlias = Any
"""protobuf has descriptors of two types, by its two implementations."""

_DEEPEST: Final = 32
_BOOLEANS: Final = {"true": True, "false": False}
_WHOLE: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})
"""Messages that are one text as JSON."""


def make_request(
    match: Match, query: Sequence[tuple[str, str]], body: bytes, *, etag: str | None, request_id: str | None
) -> Message:
    """The request of the API.

    Args:
        match: The method and the values in the path.
        query: The names and values of the query.
        body: The body, JSON.
        etag: The field `If-Match` of the header.
        request_id: The field `Idempotency-Key` of the header.

    Raises:
        AdminError: INVALID_ARGUMENT.
    """
    binding = match.binding
    request = binding.method.request_type()
    if binding.body == "*":
        _parse(request, body)
    elif binding.body:
        _parse(_part(request, binding.body), body)
    elif body.strip():
        message = "expected no body; the values of this request are in its path and its query"
        raise AdminError(_INVALID, message)
    for path, value in match.values.items():
        _set_text(request, path, value)
    taken = {*match.values, binding.body}
    if binding.body == "*" and query:
        raise invalid(query[0][0], "expected no query; the values of this request are in its body")
    _merge(request, _of_query(request.DESCRIPTOR, query, taken))
    _set_of_header(request, etag, request_id)
    return request


def etag_path(descriptor: _Descriptor) -> str | None:
    """The path of the field `etag` of a message, or of the one message in it that has one."""
    if "etag" in descriptor.fields_by_name:
        return "etag"
    found = [
        field.name
        for field in descriptor.fields
        if is_one_message(field) and "etag" in field.message_type.fields_by_name
    ]
    return f"{found[0]}.etag" if len(found) == 1 else None


def is_one_message(field: _Descriptor) -> bool:
    """True for a field of one message."""
    return field.type == FieldDescriptor.TYPE_MESSAGE and not field.is_repeated


def is_text_as_json(descriptor: _Descriptor) -> bool:
    """True for a message that is a text as JSON, such as a time."""
    return descriptor.full_name in _WHOLE


def _parse(message: Message, body: bytes) -> None:
    if not body.strip():
        return
    if not body.lstrip().startswith(b"{"):
        raise AdminError(_INVALID, f"the body is no JSON of `{message.DESCRIPTOR.full_name}`: expected an object")
    try:
        json_format.Parse(body.decode("utf-8"), message, max_recursion_depth=_DEEPEST)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        said = str(error).partition("\n")[0][:300]
        text = f"the body is no JSON of `{message.DESCRIPTOR.full_name}`: {said}"
        raise AdminError(_INVALID, text) from None


def _merge(request: Message, document: dict[str, Any]) -> None:
    try:
        json_format.ParseDict(document, request, max_recursion_depth=_DEEPEST)
    except (json_format.ParseError, ValueError) as error:
        said = str(error).partition("\n")[0][:300]
        text = f"the query has a value that is not valid: {said}"
        raise AdminError(_INVALID, text) from None


def _of_query(descriptor: _Descriptor, query: Iterable[tuple[str, str]], taken: Iterable[str]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, text in query:
        steps = name.split(".")
        at, inner = document, descriptor
        for step in steps[:-1]:
            field = _field(inner, step, name)
            if not is_one_message(field) or is_text_as_json(field.message_type):
                raise invalid(name, f"{quoted(step)} has no fields")
            at, inner = at.setdefault(field.name, {}), field.message_type
        field = _field(inner, steps[-1], name)
        if ".".join([*steps[:-1], field.name]) in taken:
            raise invalid(name, "this is given by the path or the body already")
        value = _value(field, name, text)
        if field.is_repeated:
            at.setdefault(field.name, []).append(value)
        elif field.name in at:
            raise invalid(name, "expected one value")
        else:
            at[field.name] = value
    return document


def _field(descriptor: _Descriptor, step: str, name: str) -> _Descriptor:
    field = descriptor.fields_by_name.get(step) or descriptor.fields_by_camelcase_name.get(step)
    if field is None:
        message = f"there is no such field{did_you_mean(step, [one.name for one in descriptor.fields])}"
        raise invalid(name, message)
    return field


def _value(field: _Descriptor, name: str, text: str) -> Any:  # noqa: ANN401  JSON
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text not in _BOOLEANS:
            raise invalid(name, "expected `true` or `false`")
        return _BOOLEANS[text]
    if field.type == FieldDescriptor.TYPE_ENUM:
        # By their words alone: a number says nothing to whoever reads the query.
        if text not in field.enum_type.values_by_name:
            raise invalid(
                name, f"expected one of {', '.join(f'`{value}`' for value in field.enum_type.values_by_name)}"
            )
        return text
    if field.type == FieldDescriptor.TYPE_MESSAGE and not is_text_as_json(field.message_type):
        raise invalid(name, "expected one of its fields, as `name.field`")
    return text


def _part(request: Message, path: str) -> Any:  # noqa: ANN401  of any message
    part: Any = request
    for step in path.split("."):
        part = getattr(part, step)
    return part


def _set_of_header(request: Message, etag: str | None, request_id: str | None) -> None:
    """Sets what the header of the request holds; an empty value protects from nothing, and its sender believes it."""
    if etag is not None:
        place = etag_path(request.DESCRIPTOR)
        if place is None:
            raise invalid("If-Match", "this request has no etag")
        if not etag:
            raise invalid(
                "If-Match", "expected the etag of an answer, or `*`; without the field, any version is replaced"
            )
        _set_text(request, place, etag)
    if request_id is not None:
        if "request_id" not in request.DESCRIPTOR.fields_by_name:
            raise invalid("Idempotency-Key", "this request has no id, because it changes nothing")
        if not request_id:
            raise invalid("Idempotency-Key", "expected a UUID; a repetition without one makes the change again")
        _set_text(request, "request_id", request_id)


def _set_text(request: Message, path: str, value: str) -> None:
    """Sets a field; refuses another value that the request has by its body."""
    parent, _, name = path.rpartition(".")
    part = _part(request, parent) if parent else request
    field = part.DESCRIPTOR.fields_by_name[name]
    if field.type != FieldDescriptor.TYPE_STRING:
        _merge(request, _nested(path, value))
        return
    if getattr(part, name) not in {"", value}:
        raise invalid(path, "the body has another value")
    try:
        setattr(part, name, value)
    except ValueError:
        raise invalid(path, "expected text in UTF-8") from None


def _nested(path: str, value: str) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    return {first: _nested(rest, value) if rest else value}


_INVALID: Final = invalid("", "").code
