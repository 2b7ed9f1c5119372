"""callgate: may this caller call this tool with these arguments, now?

`Engine` decides in this process; `Server` serves an engine over gRPC and HTTP; `Client` and `AsyncClient` request
decisions from such a server; `ApprovalStore` lets people approve calls of an `Engine`; `guard` asks before each call
of a function; `add_to_grpc_server` mounts an engine into your own grpcio server; `callgate.testing` tests your
policies. The meaning of a policy is defined in `docs/policy.md`.
"""

from typing import TYPE_CHECKING

from callgate._callgate import (
    Approval,
    ConditionStep,
    Decision,
    Engine,
    Explanation,
    LimitState,
    ManualClock,
    Metrics,
    Peek,
    PeekedLimit,
    PolicyInfo,
    Server,
    Shadow,
    Step,
    hash_token,
    new_token,
    policy_schema,
    validate,
    version,
)
from callgate.errors import CallgateError, ConfigError, NotAllowedError, PolicyError, StoreError
from callgate.guard import guard
from callgate.outcome import Outcome

if TYPE_CHECKING:
    from callgate.approvals.embedded import ApprovalStore
    from callgate.client import AsyncClient, Call, Client, add_to_grpc_server
else:
    _MODULES = {
        "ApprovalStore": "callgate.approvals.embedded",
        "AsyncClient": "callgate.client",
        "Call": "callgate.client",
        "Client": "callgate.client",
        "add_to_grpc_server": "callgate.client",
    }

    def __getattr__(name: str) -> object:
        """Imports clients and store when they are used: gRPC and SQLAlchemy take longer than everything else here."""
        if name not in _MODULES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(_MODULES[name]), name)


__version__ = version()

__all__ = [
    "Approval",
    "ApprovalStore",
    "AsyncClient",
    "Call",
    "CallgateError",
    "Client",
    "ConditionStep",
    "ConfigError",
    "Decision",
    "Engine",
    "Explanation",
    "LimitState",
    "ManualClock",
    "Metrics",
    "NotAllowedError",
    "Outcome",
    "Peek",
    "PeekedLimit",
    "PolicyError",
    "PolicyInfo",
    "Server",
    "Shadow",
    "Step",
    "StoreError",
    "__version__",
    "add_to_grpc_server",
    "guard",
    "hash_token",
    "new_token",
    "policy_schema",
    "validate",
    "version",
]
