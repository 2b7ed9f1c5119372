import datetime

from callgate._proto.callgate.admin.v1 import actor_pb2 as _actor_pb2
from callgate._proto.callgate.admin.v1 import permits_pb2 as _permits_pb2
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

class Approval(_message.Message):
    __slots__ = ("id", "state", "grant", "grant_owner", "server", "tool", "fingerprint", "policy_version", "pin_digest", "needs", "open_rule", "create_time", "expire_time", "decide_time", "update_time", "updater", "cause", "evidence", "answers", "takes_passkey")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Approval.State]
        STATE_PENDING: _ClassVar[Approval.State]
        STATE_APPROVED: _ClassVar[Approval.State]
        STATE_DENIED: _ClassVar[Approval.State]
        STATE_CONSUMED: _ClassVar[Approval.State]
        STATE_EXPIRED: _ClassVar[Approval.State]
        STATE_ENDED: _ClassVar[Approval.State]
    STATE_UNSPECIFIED: Approval.State
    STATE_PENDING: Approval.State
    STATE_APPROVED: Approval.State
    STATE_DENIED: Approval.State
    STATE_CONSUMED: Approval.State
    STATE_EXPIRED: Approval.State
    STATE_ENDED: Approval.State
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_OWNER_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    PIN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    OPEN_RULE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DECIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    TAKES_PASSKEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: Approval.State
    grant: str
    grant_owner: _actor_pb2.Person
    server: str
    tool: str
    fingerprint: str
    policy_version: str
    pin_digest: str
    needs: _containers.RepeatedCompositeFieldContainer[ApprovalNeed]
    open_rule: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    decide_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    updater: _actor_pb2.Actor
    cause: str
    evidence: ApprovalEvidence
    answers: _containers.RepeatedCompositeFieldContainer[ApprovalAnswer]
    takes_passkey: bool
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[Approval.State, str]] = ..., grant: _Optional[str] = ..., grant_owner: _Optional[_Union[_actor_pb2.Person, _Mapping]] = ..., server: _Optional[str] = ..., tool: _Optional[str] = ..., fingerprint: _Optional[str] = ..., policy_version: _Optional[str] = ..., pin_digest: _Optional[str] = ..., needs: _Optional[_Iterable[_Union[ApprovalNeed, _Mapping]]] = ..., open_rule: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decide_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updater: _Optional[_Union[_actor_pb2.Actor, _Mapping]] = ..., cause: _Optional[str] = ..., evidence: _Optional[_Union[ApprovalEvidence, _Mapping]] = ..., answers: _Optional[_Iterable[_Union[ApprovalAnswer, _Mapping]]] = ..., takes_passkey: _Optional[bool] = ...) -> None: ...

class ApprovalNeed(_message.Message):
    __slots__ = ("rule", "approvers", "count", "reason_required", "timeout", "valid_duration", "permit")
    RULE_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    VALID_DURATION_FIELD_NUMBER: _ClassVar[int]
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    rule: str
    approvers: _containers.RepeatedScalarFieldContainer[str]
    count: int
    reason_required: bool
    timeout: _duration_pb2.Duration
    valid_duration: _duration_pb2.Duration
    permit: PermitBounds
    def __init__(self, rule: _Optional[str] = ..., approvers: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ..., reason_required: _Optional[bool] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., valid_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., permit: _Optional[_Union[PermitBounds, _Mapping]] = ...) -> None: ...

class PermitBounds(_message.Message):
    __slots__ = ("max_uses", "max_duration")
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_FIELD_NUMBER: _ClassVar[int]
    max_uses: int
    max_duration: _duration_pb2.Duration
    def __init__(self, max_uses: _Optional[int] = ..., max_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ApprovalEvidence(_message.Message):
    __slots__ = ("arguments_json", "facts_json", "recent_answers")
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    FACTS_JSON_FIELD_NUMBER: _ClassVar[int]
    RECENT_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    arguments_json: str
    facts_json: str
    recent_answers: _containers.RepeatedCompositeFieldContainer[RecentAnswer]
    def __init__(self, arguments_json: _Optional[str] = ..., facts_json: _Optional[str] = ..., recent_answers: _Optional[_Iterable[_Union[RecentAnswer, _Mapping]]] = ...) -> None: ...

class RecentAnswer(_message.Message):
    __slots__ = ("approval", "person", "verdict", "reason", "create_time")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    approval: str
    person: _actor_pb2.Person
    verdict: ApprovalAnswer.Verdict
    reason: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, approval: _Optional[str] = ..., person: _Optional[_Union[_actor_pb2.Person, _Mapping]] = ..., verdict: _Optional[_Union[ApprovalAnswer.Verdict, str]] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ApprovalAnswer(_message.Message):
    __slots__ = ("person", "groups", "verdict", "reason", "source", "permit", "create_time", "superseded", "passkey")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[ApprovalAnswer.Verdict]
        VERDICT_APPROVE: _ClassVar[ApprovalAnswer.Verdict]
        VERDICT_DENY: _ClassVar[ApprovalAnswer.Verdict]
    VERDICT_UNSPECIFIED: ApprovalAnswer.Verdict
    VERDICT_APPROVE: ApprovalAnswer.Verdict
    VERDICT_DENY: ApprovalAnswer.Verdict
    PERSON_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    PASSKEY_FIELD_NUMBER: _ClassVar[int]
    person: _actor_pb2.Person
    groups: _containers.RepeatedScalarFieldContainer[str]
    verdict: ApprovalAnswer.Verdict
    reason: str
    source: str
    permit: PermitOffer
    create_time: _timestamp_pb2.Timestamp
    superseded: bool
    passkey: str
    def __init__(self, person: _Optional[_Union[_actor_pb2.Person, _Mapping]] = ..., groups: _Optional[_Iterable[str]] = ..., verdict: _Optional[_Union[ApprovalAnswer.Verdict, str]] = ..., reason: _Optional[str] = ..., source: _Optional[str] = ..., permit: _Optional[_Union[PermitOffer, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., superseded: _Optional[bool] = ..., passkey: _Optional[str] = ...) -> None: ...

class PermitOffer(_message.Message):
    __slots__ = ("arguments", "max_uses", "duration")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _permits_pb2.ArgumentCondition
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_permits_pb2.ArgumentCondition, _Mapping]] = ...) -> None: ...
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    arguments: _containers.MessageMap[str, _permits_pb2.ArgumentCondition]
    max_uses: int
    duration: _duration_pb2.Duration
    def __init__(self, arguments: _Optional[_Mapping[str, _permits_pb2.ArgumentCondition]] = ..., max_uses: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("state", "grant", "page_size", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: Approval.State
    grant: str
    page_size: int
    page_token: str
    def __init__(self, state: _Optional[_Union[Approval.State, str]] = ..., grant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals", "next_page_token")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    next_page_token: str
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetApprovalRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class ApproveApprovalRequest(_message.Message):
    __slots__ = ("id", "reason", "permit", "request_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    permit: PermitOffer
    request_id: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., permit: _Optional[_Union[PermitOffer, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ApproveApprovalResponse(_message.Message):
    __slots__ = ("approval", "permit")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    permit: str
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ..., permit: _Optional[str] = ...) -> None: ...

class DenyApprovalRequest(_message.Message):
    __slots__ = ("id", "reason", "request_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    request_id: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DenyApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class WithdrawApprovalRequest(_message.Message):
    __slots__ = ("id", "reason", "request_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    request_id: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class WithdrawApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class WatchApprovalsRequest(_message.Message):
    __slots__ = ("grant", "resume_token")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grant: str
    resume_token: str
    def __init__(self, grant: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class WatchApprovalsResponse(_message.Message):
    __slots__ = ("approval", "synced", "resume_token")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    synced: bool
    resume_token: str
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ..., synced: _Optional[bool] = ..., resume_token: _Optional[str] = ...) -> None: ...
