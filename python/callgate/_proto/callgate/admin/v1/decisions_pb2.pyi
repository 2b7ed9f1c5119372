import datetime

from callgate._proto.callgate.admin.v1 import role_pb2 as _role_pb2
from callgate._proto.callgate.decision.v1 import decision_pb2 as _decision_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TailDecisionsRequest(_message.Message):
    __slots__ = ("grants", "tools", "outcomes")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedScalarFieldContainer[str]
    tools: _containers.RepeatedScalarFieldContainer[str]
    outcomes: _containers.RepeatedScalarFieldContainer[_decision_pb2.Outcome]
    def __init__(self, grants: _Optional[_Iterable[str]] = ..., tools: _Optional[_Iterable[str]] = ..., outcomes: _Optional[_Iterable[_Union[_decision_pb2.Outcome, str]]] = ...) -> None: ...

class TailDecisionsResponse(_message.Message):
    __slots__ = ("decisions", "dropped_count")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[LoggedDecision]
    dropped_count: int
    def __init__(self, decisions: _Optional[_Iterable[_Union[LoggedDecision, _Mapping]]] = ..., dropped_count: _Optional[int] = ...) -> None: ...

class LoggedDecision(_message.Message):
    __slots__ = ("decide_time", "protocol", "grant", "server", "tool", "session", "outcome", "rule", "policy", "policy_version", "line_json")
    DECIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    LINE_JSON_FIELD_NUMBER: _ClassVar[int]
    decide_time: _timestamp_pb2.Timestamp
    protocol: str
    grant: str
    server: str
    tool: str
    session: str
    outcome: _decision_pb2.Outcome
    rule: str
    policy: str
    policy_version: str
    line_json: str
    def __init__(self, decide_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., protocol: _Optional[str] = ..., grant: _Optional[str] = ..., server: _Optional[str] = ..., tool: _Optional[str] = ..., session: _Optional[str] = ..., outcome: _Optional[_Union[_decision_pb2.Outcome, str]] = ..., rule: _Optional[str] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., line_json: _Optional[str] = ...) -> None: ...
