import datetime

from callgate._proto.callgate.admin.v1 import role_pb2 as _role_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Replica(_message.Message):
    __slots__ = ("id", "state", "host", "version", "start_time", "report_time", "failure", "refused_configuration", "policies", "details_json", "approvals", "freezes_in_force")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Replica.State]
        STATE_READY: _ClassVar[Replica.State]
        STATE_NOT_READY: _ClassVar[Replica.State]
        STATE_LOST: _ClassVar[Replica.State]
        STATE_STOPPED: _ClassVar[Replica.State]
    STATE_UNSPECIFIED: Replica.State
    STATE_READY: Replica.State
    STATE_NOT_READY: Replica.State
    STATE_LOST: Replica.State
    STATE_STOPPED: Replica.State
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    DETAILS_JSON_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    FREEZES_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: Replica.State
    host: str
    version: str
    start_time: _timestamp_pb2.Timestamp
    report_time: _timestamp_pb2.Timestamp
    failure: str
    refused_configuration: str
    policies: _containers.RepeatedCompositeFieldContainer[PolicyInForce]
    details_json: str
    approvals: ApprovalNumbers
    freezes_in_force: int
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[Replica.State, str]] = ..., host: _Optional[str] = ..., version: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure: _Optional[str] = ..., refused_configuration: _Optional[str] = ..., policies: _Optional[_Iterable[_Union[PolicyInForce, _Mapping]]] = ..., details_json: _Optional[str] = ..., approvals: _Optional[_Union[ApprovalNumbers, _Mapping]] = ..., freezes_in_force: _Optional[int] = ...) -> None: ...

class ApprovalNumbers(_message.Message):
    __slots__ = ("pending", "oldest_pending_age", "active_permits")
    PENDING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PENDING_AGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_PERMITS_FIELD_NUMBER: _ClassVar[int]
    pending: int
    oldest_pending_age: _duration_pb2.Duration
    active_permits: int
    def __init__(self, pending: _Optional[int] = ..., oldest_pending_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., active_permits: _Optional[int] = ...) -> None: ...

class PolicyInForce(_message.Message):
    __slots__ = ("server", "policy", "policy_version")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    server: str
    policy: str
    policy_version: str
    def __init__(self, server: _Optional[str] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("replica",)
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    replica: Replica
    def __init__(self, replica: _Optional[_Union[Replica, _Mapping]] = ...) -> None: ...

class ListReplicasRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReplicasResponse(_message.Message):
    __slots__ = ("replicas", "next_page_token")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    next_page_token: str
    def __init__(self, replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetCallerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCallerResponse(_message.Message):
    __slots__ = ("name", "machine", "roles", "groups")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    machine: bool
    roles: _containers.RepeatedScalarFieldContainer[_role_pb2.Role]
    groups: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., machine: _Optional[bool] = ..., roles: _Optional[_Iterable[_Union[_role_pb2.Role, str]]] = ..., groups: _Optional[_Iterable[str]] = ...) -> None: ...
