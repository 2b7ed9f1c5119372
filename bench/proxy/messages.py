"""Requests of Envoy to its services: the messages of the benches, and those of an MCP client."""

from __future__ import annotations

import json
import struct

from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.ratelimit.v3 import rls_pb2

RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
AUTHORIZATION = "/envoy.service.auth.v3.Authorization/Check"
# In proxy/settings: of a limit that is never reached, and of one of 5.
FREE, USED_UP = "mcp", "used-up"
TOOL = "create_charge"
USED_UP_AFTER = 5
BODY_BYTES = 1_024
# The amount of each call, and the largest amount that proxy/settings/policy.json allows.
AMOUNT, MOST = 1_250, 50_000
PATH = "/mcp/srv"
AGENT_HEADER, AGENT = "x-agent", "agent-0001"
_CLIENT_PORT, _SERVER_PORT = 45_678, 8_080


def rate_limit(domain: str) -> bytes:
    """A `RateLimitRequest` of one descriptor with two entries: who, and which tool."""
    message = rls_pb2.RateLimitRequest(domain=domain)
    entries = message.descriptors.add().entries
    entries.add(key="user", value=AGENT)
    entries.add(key="tool", value=TOOL)
    return bytes(message.SerializeToString())


def call(amount: int = AMOUNT) -> bytes:
    """A `tools/call` of 1 KiB, as an MCP client sends it."""
    arguments = {
        "amount": amount,
        "currency": "eur",
        "customer": {"id": "cus_9f8e7d6c5b4a", "email": "billing@example.com", "region": "eu-central-1"},
        "items": [{"sku": f"seat-{number}", "units": 12, "price": 104.25, "taxed": True} for number in range(6)],
        "metadata": {"order": "ord_20260314_00172", "retry": False, "attempt": 1},
        "note": "",
    }
    message = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": TOOL, "arguments": arguments, "_meta": {"progressToken": "7"}},
    }
    missing = BODY_BYTES - len(_json(message))
    arguments["note"] = ("Renewal of the team plan, twelve seats. " * BODY_BYTES)[:missing]
    body = _json(message)
    if len(body) != BODY_BYTES:
        raise AssertionError(f"the call has {len(body)} bytes, expected {BODY_BYTES}")
    return body


def check(body: bytes) -> bytes:
    """A `CheckRequest` about a POST of that body, with what Envoy tells by default."""
    message = external_auth_pb2.CheckRequest()
    attributes = message.attributes
    for peer, port in ((attributes.source, _CLIENT_PORT), (attributes.destination, _SERVER_PORT)):
        peer.address.socket_address.address = "127.0.0.1"
        peer.address.socket_address.port_value = port
    attributes.request.time.FromMilliseconds(1_795_000_000_000)
    http = attributes.request.http
    http.id = "7410628349051267"
    http.method, http.path, http.host, http.scheme = "POST", PATH, "localhost:8080", "http"
    http.protocol, http.size, http.raw_body = "HTTP/1.1", len(body), body
    http.headers.update(
        {
            ":method": "POST",
            ":path": PATH,
            ":authority": "localhost:8080",
            ":scheme": "http",
            "accept": "application/json, text/event-stream",
            "content-length": str(len(body)),
            "content-type": "application/json",
            "mcp-protocol-version": "2025-11-25",
            "user-agent": "python-httpx/0.28.1",
            "x-forwarded-proto": "http",
            "x-request-id": "4f1c1f4e-6a0c-4b57-9a3e-0f6f6c1f2a7d",
            AGENT_HEADER: AGENT,
        }
    )
    return bytes(message.SerializeToString())


def frame(message: bytes) -> bytes:
    """A message as it travels: one, uncompressed."""
    return struct.pack(">BI", 0, len(message)) + message


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
