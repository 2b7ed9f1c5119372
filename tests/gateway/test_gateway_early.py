"""Bodies over the limit, sent by clients that write all of a body before they read."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.gateway.environments import NODE, PROGRAMS, needed
from support.gateway.running import Gateway, bearer, gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 3 * 1024 * 1024
LIMITS = {"body_limit_bytes": "64KiB"}
TIMES = 20
SCRIPT = PROGRAMS.parent / "node" / "send.mjs"
PATHS = ["/v1/check", "/v1/forward-auth", "/v1/auth-request", "/v1/ext-authz/mcp/tools", "/mcp/tools"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that nobody needs a token for; its server is never asked."""
    folder = tmp_path_factory.mktemp("early")
    with gateway(folder, {"tools": "http://127.0.0.1:9/mcp"}, limits=LIMITS) as one:
        yield one


@pytest.mark.parametrize("path", PATHS)
def test_python_reads_the_answer(running: Gateway, path: str) -> None:
    assert [python(running.address, path)[0] for _ in range(TIMES)] == [413] * TIMES


@pytest.mark.parametrize("path", PATHS)
def test_node_reads_the_answer(running: Gateway, path: str) -> None:
    needed(NODE)
    url = f"http://{running.address}{path}"
    done = subprocess.run([NODE, SCRIPT, str(LARGE), *[url] * TIMES], capture_output=True, text=True, check=False)
    assert done.stdout == json.dumps([413] * TIMES, separators=(",", ":")), done.stderr


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("path", PATHS)
def test_curl_reads_the_answer(running: Gateway, tmp_path: Path, path: str, version: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    body = tmp_path / "body"
    body.write_bytes(b" " * LARGE)
    # Without `Expect`, curl does not wait for leave to send. One at a time: it cannot use a connection of HTTP/2 again
    # on which it has stopped to send.
    words = ["curl", "-sS", version, "-H", "expect:", "-H", "content-type: application/json"]
    words += ["--data-binary", f"@{body}", "-o", "/dev/null", "-w", "%{http_code}", f"http://{running.address}{path}"]
    runs = [subprocess.run(words, capture_output=True, text=True, check=False) for _ in range(TIMES)]
    assert [(done.returncode, done.stdout) for done in runs] == [(0, "413")] * TIMES, runs[0].stderr


def test_the_gateway_answers_as_json_rpc(running: Gateway) -> None:
    status, body = python(running.address, "/mcp/tools")
    assert (status, json.loads(body)) == (
        413,
        {
            "jsonrpc": "2.0",
            "id": None,
            "error": {"code": 413, "message": "the body is too large; expected at most 65536 bytes"},
        },
    )


def test_who_may_not_call_reads_so_too(tmp_path: Path) -> None:
    with gateway(tmp_path, {"tools": "http://127.0.0.1:9/mcp"}, grants={"alice": "tools"}) as one:
        for _ in range(TIMES):
            assert python(one.address, "/mcp/tools")[0] == 401
            assert python(one.address, "/mcp/none", bearer("alice"))[0] == 404


def python(address: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of the answer to a large body, all of which is written first."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("POST", path, b" " * LARGE, {"content-type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
