"""The environment of the pod: an MCP server, and the agent's requests."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.kubernetes.network import PATIENCE_S
from support.proxies.mcp import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.kubernetes.network import Network
    from support.kubernetes.pod import Pod

PROGRAMS = Path(__file__).parent / "programs"
SERVER_PORT = 8081
ENVOY_PORT = 8080


@contextmanager
def mcp_server(network: Network) -> Iterator[None]:
    """The server behind the pod, at the address in its configuration."""
    if not PYTHON.exists():
        pytest.skip("fastmcp is not installed (make target/mcp/.stamp)")
    process = subprocess.Popen(
        [*network.prefix(), str(PYTHON), str(PROGRAMS / "server.py"), str(SERVER_PORT)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: network.submit(lambda: listens(SERVER_PORT)).result())
        yield
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """True if a server listens on the port, in this thread's network."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def call(token: str, tool: str, **arguments: Any) -> tuple[int, str]:
    """Status and text of one tool call at Envoy's port, in this thread's network; denied calls have a text as well."""
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    connection = http.client.HTTPConnection("127.0.0.1", ENVOY_PORT, timeout=PATIENCE_S)
    try:
        connection.request("POST", "/mcp/srv", json.dumps(body), {**headers, "authorization": f"Bearer {token}"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    try:
        message = json.loads(text)
    except ValueError:
        return response.status, text
    if "error" in message:
        return response.status, message["error"]["message"]
    return response.status, message["result"]["content"][0]["text"]


def told(pod: Pod, token: str, tool: str, **arguments: Any) -> tuple[int, str]:
    """The same in the pod's network."""
    return pod.network.submit(lambda: call(token, tool, **arguments)).result(PATIENCE_S)


def until(condition: Callable[[], object]) -> None:
    """Waits for the result of another process, which sends no signal."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
