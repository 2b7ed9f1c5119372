"""Methods that call no tool and may not pass, and the codes of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway.running import Gateway, bearer, gateway
from support.proxies.upstream import keeping_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODERN = {"mcp-protocol-version": "2026-07-28"}
LEGACY = {"mcp-protocol-version": "2025-11-25"}
METHODS = {"methods": {"allow": ["vendor/*"], "deny": ["prompts/*", "notifications/secret"]}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose server takes every message."""
    folder = tmp_path_factory.mktemp("methods")
    with (
        keeping_upstream() as kept,
        gateway(folder, {"s": f"http://127.0.0.1:{kept.port}/mcp"}, gateway=METHODS) as one,
    ):
        yield one


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("no/such", MODERN, 404, -32601),
        ("no/such", {"mcp-protocol-version": "2027-01-01"}, 404, -32601),
        ("roots/list", MODERN, 404, -32601),
        ("no/such", LEGACY, 200, 403),
        ("no/such", {}, 200, 403),
        ("no/such", {**MODERN, "mcp-session-id": "one"}, 200, 403),
        ("prompts/get", MODERN, 200, 403),
        ("prompts/get", LEGACY, 200, 403),
    ],
)
def test_a_method_that_may_not_pass(
    running: Gateway, method: str, headers: dict[str, str], status: int, code: int
) -> None:
    answer = post(running.url("s"), {"jsonrpc": "2.0", "id": "x", "method": method}, headers)
    assert answer.status_code == status
    body = answer.json()
    assert (body["id"], body["error"]["code"]) == ("x", code)
    assert body["error"]["message"].startswith(f"method `{method}` is not allowed here")
    assert body["error"]["data"]["callgate/decision"]["rule"] == "(default deny)"


def test_a_method_that_is_allowed_passes(running: Gateway) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "vendor/status"}
    assert post(running.url("s"), message, MODERN).status_code == 200


@pytest.mark.parametrize("headers", [MODERN, LEGACY, {}])
@pytest.mark.parametrize("method", ["notifications/secret", "prompts/changed", "no/such"])
def test_a_denied_notification_gets_no_body(running: Gateway, method: str, headers: dict[str, str]) -> None:
    answer = post(running.url("s"), {"jsonrpc": "2.0", "method": method}, headers)
    assert (answer.status_code, answer.content) == (403, b"")
    assert "content-type" not in answer.headers


def test_codes_follow_the_status(tmp_path: Path) -> None:
    servers = {"s": "http://127.0.0.1:9/mcp", "t": "http://127.0.0.1:9/mcp"}
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "open"}}
    with gateway(tmp_path, servers, grants={"alice": "s"}) as one:
        for url, message, headers, status in (
            (one.url("s"), ping, {}, 401),
            (one.url("s"), ping, {"authorization": "Bearer cgt_nobody"}, 401),
            (one.url("s"), call, {"authorization": "Bearer cgt_nobody"}, 401),
            (one.url("t"), call, bearer("alice"), 401),
            (one.url("s"), ping, {"origin": "https://evil.example"}, 403),
            (one.url("none"), ping, bearer("alice"), 404),
            (one.url("s"), ping, {**bearer("alice"), "mcp-session-id": "another"}, 404),
            (one.url("s"), ping, bearer("alice"), 502),
        ):
            answer = post(url, message, headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, status), (url, message, headers)


def post(url: str, message: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    """The answer to a message."""
    return httpx.post(
        url, json=message, headers={"accept": "application/json, text/event-stream", **headers}, timeout=30
    )
