import datetime

from callgate._proto.callgate.admin.v1 import actor_pb2 as _actor_pb2
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

class Permit(_message.Message):
    __slots__ = ("id", "state", "approval", "grant", "server", "tool", "pin_digest", "rules", "arguments", "max_uses", "uses_left", "create_time", "expire_time", "creators", "cause")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Permit.State]
        STATE_ACTIVE: _ClassVar[Permit.State]
        STATE_ENDED: _ClassVar[Permit.State]
    STATE_UNSPECIFIED: Permit.State
    STATE_ACTIVE: Permit.State
    STATE_ENDED: Permit.State
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ArgumentCondition
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ArgumentCondition, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    PIN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    USES_LEFT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATORS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: Permit.State
    approval: str
    grant: str
    server: str
    tool: str
    pin_digest: str
    rules: _containers.RepeatedScalarFieldContainer[str]
    arguments: _containers.MessageMap[str, ArgumentCondition]
    max_uses: int
    uses_left: int
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    creators: _containers.RepeatedCompositeFieldContainer[_actor_pb2.Person]
    cause: str
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[Permit.State, str]] = ..., approval: _Optional[str] = ..., grant: _Optional[str] = ..., server: _Optional[str] = ..., tool: _Optional[str] = ..., pin_digest: _Optional[str] = ..., rules: _Optional[_Iterable[str]] = ..., arguments: _Optional[_Mapping[str, ArgumentCondition]] = ..., max_uses: _Optional[int] = ..., uses_left: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., creators: _Optional[_Iterable[_Union[_actor_pb2.Person, _Mapping]]] = ..., cause: _Optional[str] = ...) -> None: ...

class ArgumentCondition(_message.Message):
    __slots__ = ("exactly_json", "at_most", "one_of", "any")
    EXACTLY_JSON_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    ONE_OF_FIELD_NUMBER: _ClassVar[int]
    ANY_FIELD_NUMBER: _ClassVar[int]
    exactly_json: str
    at_most: NumberRange
    one_of: JsonValues
    any: bool
    def __init__(self, exactly_json: _Optional[str] = ..., at_most: _Optional[_Union[NumberRange, _Mapping]] = ..., one_of: _Optional[_Union[JsonValues, _Mapping]] = ..., any: _Optional[bool] = ...) -> None: ...

class NumberRange(_message.Message):
    __slots__ = ("least_json", "greatest_json")
    LEAST_JSON_FIELD_NUMBER: _ClassVar[int]
    GREATEST_JSON_FIELD_NUMBER: _ClassVar[int]
    least_json: str
    greatest_json: str
    def __init__(self, least_json: _Optional[str] = ..., greatest_json: _Optional[str] = ...) -> None: ...

class JsonValues(_message.Message):
    __slots__ = ("values_json",)
    VALUES_JSON_FIELD_NUMBER: _ClassVar[int]
    values_json: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values_json: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPermitsRequest(_message.Message):
    __slots__ = ("grant", "page_size", "page_token")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grant: str
    page_size: int
    page_token: str
    def __init__(self, grant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPermitsResponse(_message.Message):
    __slots__ = ("permits", "next_page_token")
    PERMITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    permits: _containers.RepeatedCompositeFieldContainer[Permit]
    next_page_token: str
    def __init__(self, permits: _Optional[_Iterable[_Union[Permit, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetPermitRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetPermitResponse(_message.Message):
    __slots__ = ("permit",)
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    permit: Permit
    def __init__(self, permit: _Optional[_Union[Permit, _Mapping]] = ...) -> None: ...

class EndPermitRequest(_message.Message):
    __slots__ = ("id", "reason", "request_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    request_id: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class EndPermitResponse(_message.Message):
    __slots__ = ("permit",)
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    permit: Permit
    def __init__(self, permit: _Optional[_Union[Permit, _Mapping]] = ...) -> None: ...
