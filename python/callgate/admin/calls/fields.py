"""Checks of requests that follow from their descriptions: required fields, UUIDs, texts that can be stored."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from google.api import field_behavior_pb2, field_info_pb2

from callgate.admin.calls.errors import Violation, invalid, invalid_fields
from callgate.config.fields import checked_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

_LONGEST_ID: Final = 256
_LONGEST_REASON: Final = 1_000
_DEEPEST: Final = 10
"""Messages of requests are nested less deeply; those of other packages could be of any depth."""


def check_fields(request: Message) -> None:
    """Refuses a request whose fields are not as its description says.

    Raises:
        AdminError: INVALID_ARGUMENT, with all that was found.
    """
    found = list(_violations(request, ""))
    if found:
        raise invalid_fields(found)


def check_id(field: str, value: str) -> None:
    """Refuses a text that is not valid as the id of something new.

    Raises:
        AdminError: INVALID_ARGUMENT.
    """
    message = None
    try:
        checked_text(value)
    except ValueError as error:
        message = str(error)
    if message is None and (len(value) > _LONGEST_ID or not value.isprintable() or value != value.strip()):
        message = f"expected 1 to {_LONGEST_ID} printable characters without white space around them"
    if message is not None:
        raise invalid(field, message)


def _violations(message: Message, path: str) -> Iterator[Violation]:
    for field in message.DESCRIPTOR.fields:
        name = f"{path}{field.name}"
        behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.REQUIRED in behaviors and not _is_given(message, field):
            yield Violation(name, "it is missing")
            continue
        if field.GetOptions().Extensions[field_info_pb2.field_info].format == field_info_pb2.FieldInfo.UUID4:
            yield from _of_uuid(name, getattr(message, field.name))
        for text in _texts(message, field):
            if "\0" in text:
                yield Violation(name, "expected text without NUL characters")
        if field.name == "reason" and len(getattr(message, "reason")) > _LONGEST_REASON:  # noqa: B009  of any message
            yield Violation(name, f"expected at most {_LONGEST_REASON} characters")
        if path.count(".") < _DEEPEST:
            for inner in _messages(message, field):
                yield from _violations(inner, f"{name}.")


def _is_given(message: Message, field: Any) -> bool:  # noqa: ANN401  protobuf has descriptors of two types
    if field.is_repeated or not field.has_presence:
        return bool(getattr(message, field.name))
    return message.HasField(field.name)


def _of_uuid(name: str, value: str) -> Iterator[Violation]:
    if not value:
        return
    try:
        is_uuid = str(uuid.UUID(value)) == value.lower()
    except ValueError:
        is_uuid = False
    if not is_uuid:
        yield Violation(name, "expected a UUID such as `6f2c1a0e-4b1d-4c53-9d0b-0c2f6f1f7a11`, or nothing")


def _texts(message: Message, field: Any) -> Iterator[str]:  # noqa: ANN401  as above
    if _is_map(field):
        values = getattr(message, field.name)
        for key in values:
            yield str(key)
            if isinstance(values[key], str):
                yield values[key]
    elif field.type == field.TYPE_STRING:
        value: Any = getattr(message, field.name)
        yield from value if field.is_repeated else (value,)


def _messages(message: Message, field: Any) -> Iterator[Message]:  # noqa: ANN401  as above
    if field.type != field.TYPE_MESSAGE:
        return
    if _is_map(field):
        if field.message_type.fields_by_name["value"].type == field.TYPE_MESSAGE:
            yield from getattr(message, field.name).values()
    elif field.is_repeated:
        yield from getattr(message, field.name)
    elif message.HasField(field.name):
        yield getattr(message, field.name)


def _is_map(field: Any) -> bool:  # noqa: ANN401  as above
    return bool(field.type == field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry)
