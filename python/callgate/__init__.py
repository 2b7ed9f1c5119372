"""callgate: may this caller call this tool with these arguments, now?

`Engine` decides in this process; `Server` serves an engine over gRPC and HTTP; `Client` and `AsyncClient` request
decisions from such a server; `guard` asks before each call of a function; `add_to_grpc_server` mounts an engine into
your own grpcio server; `callgate.testing` tests your policies. The meaning of a policy is defined in `docs/policy.md`.
"""

from typing import TYPE_CHECKING

from callgate._callgate import (
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
    from callgate.client import AsyncClient, Call, Client, add_to_grpc_server
else:

    def __getattr__(name: str) -> object:
        """Imports the clients when they are used: gRPC takes longer to import than everything else here."""
        if name not in {"AsyncClient", "Call", "Client", "add_to_grpc_server"}:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from callgate import client  # noqa: PLC0415

        return getattr(client, name)


__version__ = version()

__all__ = [
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
