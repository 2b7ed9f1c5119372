"""The calls that the benches ask about: allowed by bench/policy.json through two conditions and two limits."""

from __future__ import annotations

import json
import struct

from callgate._proto.callgate.decision.v1 import decision_pb2

GRANT = "grant-0001"
TOOL = "create_charge"

_SMALL = {"amount": 1250, "currency": "eur", "customer": "cus_9f8e7d6c5b4a", "note": "monthly invoice for March 26"}
_LARGE = {
    **_SMALL,
    "description": "Renewal, team plan, 12 seats",
    "metadata": {"order": "ord_20260314_00172", "region": "eu-central-1", "retry": False, "attempt": 1},
    "items": [{"sku": "seat-team", "units": 12}],
    "receipt": "billing@example.com",
}
ARGUMENTS = {
    100: json.dumps(_SMALL, separators=(",", ":")).encode(),
    310: json.dumps(_LARGE, separators=(",", ":")).encode(),
}
for _size, _body in ARGUMENTS.items():
    assert len(_body) == _size, f"the {_size}-byte arguments have {len(_body)} bytes"


def request(size: int) -> decision_pb2.CheckRequest:
    """The request whose arguments have this many bytes."""
    return decision_pb2.CheckRequest(grant=GRANT, tool=TOOL, args_json=ARGUMENTS[size])


def grpc_frame(size: int) -> bytes:
    """The same as it travels: one uncompressed gRPC message."""
    message = request(size).SerializeToString()
    return struct.pack(">BI", 0, len(message)) + message
