import datetime

from callgate._proto.callgate.admin.v1 import actor_pb2 as _actor_pb2
from callgate._proto.callgate.admin.v1 import role_pb2 as _role_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import field_info_pb2 as _field_info_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Freeze(_message.Message):
    __slots__ = ("id", "state", "everything", "server", "grant", "tools", "reason", "expire_time", "ttl", "create_time", "creator", "thaw_time", "thawer", "thaw_reason")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Freeze.State]
        STATE_IN_FORCE: _ClassVar[Freeze.State]
        STATE_EXPIRED: _ClassVar[Freeze.State]
        STATE_THAWED: _ClassVar[Freeze.State]
    STATE_UNSPECIFIED: Freeze.State
    STATE_IN_FORCE: Freeze.State
    STATE_EXPIRED: Freeze.State
    STATE_THAWED: Freeze.State
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    THAW_TIME_FIELD_NUMBER: _ClassVar[int]
    THAWER_FIELD_NUMBER: _ClassVar[int]
    THAW_REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: Freeze.State
    everything: bool
    server: str
    grant: str
    tools: FrozenTools
    reason: str
    expire_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    create_time: _timestamp_pb2.Timestamp
    creator: _actor_pb2.Actor
    thaw_time: _timestamp_pb2.Timestamp
    thawer: _actor_pb2.Actor
    thaw_reason: str
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[Freeze.State, str]] = ..., everything: _Optional[bool] = ..., server: _Optional[str] = ..., grant: _Optional[str] = ..., tools: _Optional[_Union[FrozenTools, _Mapping]] = ..., reason: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., creator: _Optional[_Union[_actor_pb2.Actor, _Mapping]] = ..., thaw_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., thawer: _Optional[_Union[_actor_pb2.Actor, _Mapping]] = ..., thaw_reason: _Optional[str] = ...) -> None: ...

class FrozenTools(_message.Message):
    __slots__ = ("server", "pattern")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    server: str
    pattern: str
    def __init__(self, server: _Optional[str] = ..., pattern: _Optional[str] = ...) -> None: ...

class ListFreezesRequest(_message.Message):
    __slots__ = ("show_ended", "page_size", "page_token")
    SHOW_ENDED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    show_ended: bool
    page_size: int
    page_token: str
    def __init__(self, show_ended: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFreezesResponse(_message.Message):
    __slots__ = ("freezes", "next_page_token")
    FREEZES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    freezes: _containers.RepeatedCompositeFieldContainer[Freeze]
    next_page_token: str
    def __init__(self, freezes: _Optional[_Iterable[_Union[Freeze, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CreateFreezeRequest(_message.Message):
    __slots__ = ("freeze", "request_id")
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    freeze: Freeze
    request_id: str
    def __init__(self, freeze: _Optional[_Union[Freeze, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateFreezeResponse(_message.Message):
    __slots__ = ("freeze", "warnings")
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    freeze: Freeze
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, freeze: _Optional[_Union[Freeze, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ThawFreezeRequest(_message.Message):
    __slots__ = ("id", "reason", "request_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    request_id: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ThawFreezeResponse(_message.Message):
    __slots__ = ("freeze",)
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    freeze: Freeze
    def __init__(self, freeze: _Optional[_Union[Freeze, _Mapping]] = ...) -> None: ...
