import datetime

from callgate._proto.callgate.admin.v1 import role_pb2 as _role_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import field_info_pb2 as _field_info_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pin(_message.Message):
    __slots__ = ("server", "tool", "state", "accepted_forms", "listed_forms")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Pin.State]
        STATE_PINNED: _ClassVar[Pin.State]
        STATE_CHANGED: _ClassVar[Pin.State]
        STATE_NEW: _ClassVar[Pin.State]
    STATE_UNSPECIFIED: Pin.State
    STATE_PINNED: Pin.State
    STATE_CHANGED: Pin.State
    STATE_NEW: Pin.State
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FORMS_FIELD_NUMBER: _ClassVar[int]
    LISTED_FORMS_FIELD_NUMBER: _ClassVar[int]
    server: str
    tool: str
    state: Pin.State
    accepted_forms: _containers.RepeatedCompositeFieldContainer[PinForm]
    listed_forms: _containers.RepeatedCompositeFieldContainer[PinForm]
    def __init__(self, server: _Optional[str] = ..., tool: _Optional[str] = ..., state: _Optional[_Union[Pin.State, str]] = ..., accepted_forms: _Optional[_Iterable[_Union[PinForm, _Mapping]]] = ..., listed_forms: _Optional[_Iterable[_Union[PinForm, _Mapping]]] = ...) -> None: ...

class PinForm(_message.Message):
    __slots__ = ("digest", "definition_json", "list_time", "ambiguous")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_JSON_FIELD_NUMBER: _ClassVar[int]
    LIST_TIME_FIELD_NUMBER: _ClassVar[int]
    AMBIGUOUS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    definition_json: str
    list_time: _timestamp_pb2.Timestamp
    ambiguous: bool
    def __init__(self, digest: _Optional[str] = ..., definition_json: _Optional[str] = ..., list_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ambiguous: _Optional[bool] = ...) -> None: ...

class ListPinsRequest(_message.Message):
    __slots__ = ("server", "waiting_only", "page_size", "page_token")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    WAITING_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    server: str
    waiting_only: bool
    page_size: int
    page_token: str
    def __init__(self, server: _Optional[str] = ..., waiting_only: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPinsResponse(_message.Message):
    __slots__ = ("pins", "next_page_token")
    PINS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pins: _containers.RepeatedCompositeFieldContainer[Pin]
    next_page_token: str
    def __init__(self, pins: _Optional[_Iterable[_Union[Pin, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AcceptPinRequest(_message.Message):
    __slots__ = ("server", "tool", "digest", "keep_accepted", "reason", "request_id")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    KEEP_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    server: str
    tool: str
    digest: str
    keep_accepted: bool
    reason: str
    request_id: str
    def __init__(self, server: _Optional[str] = ..., tool: _Optional[str] = ..., digest: _Optional[str] = ..., keep_accepted: _Optional[bool] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AcceptPinResponse(_message.Message):
    __slots__ = ("pin",)
    PIN_FIELD_NUMBER: _ClassVar[int]
    pin: Pin
    def __init__(self, pin: _Optional[_Union[Pin, _Mapping]] = ...) -> None: ...
