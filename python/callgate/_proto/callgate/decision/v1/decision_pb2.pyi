from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ALLOW: _ClassVar[Outcome]
    OUTCOME_DENY: _ClassVar[Outcome]
    OUTCOME_RATE_LIMITED: _ClassVar[Outcome]
    OUTCOME_APPROVAL_REQUIRED: _ClassVar[Outcome]

class SettleAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SETTLE_ACTION_UNSPECIFIED: _ClassVar[SettleAction]
    SETTLE_ACTION_COMMIT: _ClassVar[SettleAction]
    SETTLE_ACTION_ROLL_BACK: _ClassVar[SettleAction]

class ApprovalState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_STATE_UNSPECIFIED: _ClassVar[ApprovalState]
    APPROVAL_STATE_PENDING: _ClassVar[ApprovalState]
    APPROVAL_STATE_APPROVED: _ClassVar[ApprovalState]
    APPROVAL_STATE_DENIED: _ClassVar[ApprovalState]
    APPROVAL_STATE_CONSUMED: _ClassVar[ApprovalState]
    APPROVAL_STATE_EXPIRED: _ClassVar[ApprovalState]
    APPROVAL_STATE_ENDED: _ClassVar[ApprovalState]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ALLOW: Outcome
OUTCOME_DENY: Outcome
OUTCOME_RATE_LIMITED: Outcome
OUTCOME_APPROVAL_REQUIRED: Outcome
SETTLE_ACTION_UNSPECIFIED: SettleAction
SETTLE_ACTION_COMMIT: SettleAction
SETTLE_ACTION_ROLL_BACK: SettleAction
APPROVAL_STATE_UNSPECIFIED: ApprovalState
APPROVAL_STATE_PENDING: ApprovalState
APPROVAL_STATE_APPROVED: ApprovalState
APPROVAL_STATE_DENIED: ApprovalState
APPROVAL_STATE_CONSUMED: ApprovalState
APPROVAL_STATE_EXPIRED: ApprovalState
APPROVAL_STATE_ENDED: ApprovalState

class CheckRequest(_message.Message):
    __slots__ = ("grant", "tool", "args_json", "server", "session", "labels", "reserve", "grant_token")
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
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    GRANT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grant: str
    tool: str
    args_json: bytes
    server: str
    session: str
    labels: _containers.ScalarMap[str, str]
    reserve: bool
    grant_token: str
    def __init__(self, grant: _Optional[str] = ..., tool: _Optional[str] = ..., args_json: _Optional[bytes] = ..., server: _Optional[str] = ..., session: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., reserve: _Optional[bool] = ..., grant_token: _Optional[str] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("outcome", "rule", "message", "retry_after_ms", "limits", "policy", "policy_version", "shadow", "fingerprint", "decided_at_us", "reservation", "approval")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_US_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    rule: str
    message: str
    retry_after_ms: int
    limits: _containers.RepeatedCompositeFieldContainer[LimitState]
    policy: str
    policy_version: str
    shadow: Shadow
    fingerprint: str
    decided_at_us: int
    reservation: str
    approval: str
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., rule: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_ms: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[LimitState, _Mapping]]] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., shadow: _Optional[_Union[Shadow, _Mapping]] = ..., fingerprint: _Optional[str] = ..., decided_at_us: _Optional[int] = ..., reservation: _Optional[str] = ..., approval: _Optional[str] = ...) -> None: ...

class CheckBatchRequest(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[CheckRequest]
    def __init__(self, calls: _Optional[_Iterable[_Union[CheckRequest, _Mapping]]] = ...) -> None: ...

class CheckBatchResponse(_message.Message):
    __slots__ = ("decisions",)
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[CheckResponse]
    def __init__(self, decisions: _Optional[_Iterable[_Union[CheckResponse, _Mapping]]] = ...) -> None: ...

class CheckStreamRequest(_message.Message):
    __slots__ = ("id", "call")
    ID_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    id: int
    call: CheckRequest
    def __init__(self, id: _Optional[int] = ..., call: _Optional[_Union[CheckRequest, _Mapping]] = ...) -> None: ...

class CheckStreamResponse(_message.Message):
    __slots__ = ("id", "decision")
    ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    id: int
    decision: CheckResponse
    def __init__(self, id: _Optional[int] = ..., decision: _Optional[_Union[CheckResponse, _Mapping]] = ...) -> None: ...

class LimitState(_message.Message):
    __slots__ = ("counter", "max", "remaining", "reset_after_ms", "over")
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    counter: str
    max: float
    remaining: float
    reset_after_ms: int
    over: float
    def __init__(self, counter: _Optional[str] = ..., max: _Optional[float] = ..., remaining: _Optional[float] = ..., reset_after_ms: _Optional[int] = ..., over: _Optional[float] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("outcome", "rule")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    rule: str
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., rule: _Optional[str] = ...) -> None: ...

class PeekRequest(_message.Message):
    __slots__ = ("grant", "tool", "args_json", "server", "session", "labels", "grant_token")
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
    GRANT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grant: str
    tool: str
    args_json: bytes
    server: str
    session: str
    labels: _containers.ScalarMap[str, str]
    grant_token: str
    def __init__(self, grant: _Optional[str] = ..., tool: _Optional[str] = ..., args_json: _Optional[bytes] = ..., server: _Optional[str] = ..., session: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., grant_token: _Optional[str] = ...) -> None: ...

class PeekResponse(_message.Message):
    __slots__ = ("decision", "policy", "policy_version", "limits")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    decision: CheckResponse
    policy: str
    policy_version: str
    limits: _containers.RepeatedCompositeFieldContainer[PeekedLimit]
    def __init__(self, decision: _Optional[_Union[CheckResponse, _Mapping]] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., limits: _Optional[_Iterable[_Union[PeekedLimit, _Mapping]]] = ...) -> None: ...

class PeekedLimit(_message.Message):
    __slots__ = ("counter", "rule", "max", "count", "shadow", "missing")
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    counter: str
    rule: str
    max: float
    count: PeekedCount
    shadow: bool
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, counter: _Optional[str] = ..., rule: _Optional[str] = ..., max: _Optional[float] = ..., count: _Optional[_Union[PeekedCount, _Mapping]] = ..., shadow: _Optional[bool] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class PeekedCount(_message.Message):
    __slots__ = ("remaining", "reset_after_ms", "retry_after_ms", "window_ms")
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    remaining: float
    reset_after_ms: int
    retry_after_ms: int
    window_ms: int
    def __init__(self, remaining: _Optional[float] = ..., reset_after_ms: _Optional[int] = ..., retry_after_ms: _Optional[int] = ..., window_ms: _Optional[int] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("reservation", "action")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    reservation: str
    action: SettleAction
    def __init__(self, reservation: _Optional[str] = ..., action: _Optional[_Union[SettleAction, str]] = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("settled",)
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    settled: bool
    def __init__(self, settled: _Optional[bool] = ...) -> None: ...

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

class WatchApprovalRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("id", "state", "rule", "approvers", "reason", "until_us", "permit")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: ApprovalState
    rule: str
    approvers: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    until_us: int
    permit: str
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[ApprovalState, str]] = ..., rule: _Optional[str] = ..., approvers: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., until_us: _Optional[int] = ..., permit: _Optional[str] = ...) -> None: ...
