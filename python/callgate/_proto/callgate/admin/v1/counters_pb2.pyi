from callgate._proto.callgate.admin.v1 import role_pb2 as _role_pb2
from callgate._proto.callgate.decision.v1 import decision_pb2 as _decision_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import field_info_pb2 as _field_info_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PeekCountersRequest(_message.Message):
    __slots__ = ("grant", "tool", "args_json", "server", "session", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    GRANT_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGS_JSON_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    grant: str
    tool: str
    args_json: str
    server: str
    session: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, grant: _Optional[str] = ..., tool: _Optional[str] = ..., args_json: _Optional[str] = ..., server: _Optional[str] = ..., session: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PeekCountersResponse(_message.Message):
    __slots__ = ("peek",)
    PEEK_FIELD_NUMBER: _ClassVar[int]
    peek: _decision_pb2.PeekResponse
    def __init__(self, peek: _Optional[_Union[_decision_pb2.PeekResponse, _Mapping]] = ...) -> None: ...

class ResetCountersRequest(_message.Message):
    __slots__ = ("grant", "policy", "tool", "counter", "reason", "request_id")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    grant: str
    policy: str
    tool: str
    counter: str
    reason: str
    request_id: str
    def __init__(self, grant: _Optional[str] = ..., policy: _Optional[str] = ..., tool: _Optional[str] = ..., counter: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ResetCountersResponse(_message.Message):
    __slots__ = ("reset_limits", "kept_limits", "grant_counter_count")
    RESET_LIMITS_FIELD_NUMBER: _ClassVar[int]
    KEPT_LIMITS_FIELD_NUMBER: _ClassVar[int]
    GRANT_COUNTER_COUNT_FIELD_NUMBER: _ClassVar[int]
    reset_limits: _containers.RepeatedCompositeFieldContainer[ResetLimit]
    kept_limits: _containers.RepeatedCompositeFieldContainer[ResetLimit]
    grant_counter_count: int
    def __init__(self, reset_limits: _Optional[_Iterable[_Union[ResetLimit, _Mapping]]] = ..., kept_limits: _Optional[_Iterable[_Union[ResetLimit, _Mapping]]] = ..., grant_counter_count: _Optional[int] = ...) -> None: ...

class ResetLimit(_message.Message):
    __slots__ = ("policy", "rule", "counter", "kept_reason")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    KEPT_REASON_FIELD_NUMBER: _ClassVar[int]
    policy: str
    rule: str
    counter: str
    kept_reason: str
    def __init__(self, policy: _Optional[str] = ..., rule: _Optional[str] = ..., counter: _Optional[str] = ..., kept_reason: _Optional[str] = ...) -> None: ...
