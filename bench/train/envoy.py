"""Questions of Envoy, written as protocol buffers: its own packages are not there when a wheel is built."""

from __future__ import annotations

import json
import random

from train.documents import DOMAIN, any_token, arguments, tool

RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
AUTHORIZATION = "/envoy.service.auth.v3.Authorization/Check"
_SEVEN_BITS = 0x7F


def field(number: int, value: bytes | str | int) -> bytes:
    """A field of a protocol buffer: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def varint(value: int) -> bytes:
    """A number of a protocol buffer."""
    out = bytearray()
    while value > _SEVEN_BITS:
        out.append(value & _SEVEN_BITS | 0x80)
        value >>= 7
    return bytes([*out, value])


def limit_question(chance: random.Random) -> bytes:
    """Envoy's `RateLimitRequest`: who, and where to."""

    def entry(key: str, value: str) -> bytes:
        return field(1, field(1, key) + field(2, value))

    path = entry("path", f"/p{chance.randrange(40)}")
    descriptors = [entry("user", f"u{chance.randrange(300)}") + path, path]
    return field(1, DOMAIN) + b"".join(field(2, descriptor) for descriptor in descriptors)


def authorization_question(chance: random.Random) -> bytes:
    """Envoy's `CheckRequest` about a call of a tool."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    message["params"] = {"name": tool(chance), "arguments": arguments(chance)}
    body = json.dumps(message)
    headers = {
        ":authority": "tools.example.com",
        ":method": "POST",
        ":path": "/mcp/srv",
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {any_token(chance)}",
        "content-length": str(len(body)),
        "content-type": "application/json",
        "mcp-protocol-version": "2025-11-25",
        "user-agent": "agent/1.0",
        "x-request-id": f"{chance.getrandbits(64):x}",
    }
    request = field(1, "1") + field(2, "POST")
    request += b"".join(field(3, field(1, name) + field(2, value)) for name, value in headers.items())
    request += field(4, "/mcp/srv") + field(5, "tools.example.com") + field(6, "http")
    request += field(9, len(body)) + field(10, "HTTP/1.1") + field(12, body)
    return field(1, field(4, field(2, request)))
