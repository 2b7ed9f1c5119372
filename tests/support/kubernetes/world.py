"""The environment of the pod: an MCP server, and the agent's requests."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.kubernetes import chart
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


def run_helm_test(shape: str, network: Network, metrics: str, decisions: str) -> None:
    """Runs the program of `helm test` in a network, with these addresses for the names of the Services."""
    [container] = chart.helm_test(shape)["spec"]["containers"]
    # There is no DNS here.
    words = [
        word.replace("//callgate-metrics:", f"//{metrics}:").replace("//callgate:", f"//{decisions}:")
        for word in container["args"]
    ]
    assert not any("callgate" in word for word in words)
    command = [*network.prefix(), sys.executable, *container["command"][1:]]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (0, "callgate is ready, and refuses strangers\n"), done.stderr
    # It can fail: this is not the page of readiness.
    wrong = words[0].replace("readyz", "no-such-page")
    done = subprocess.run([*command, wrong], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, "expected 200, got 404" in done.stderr) == (1, True), done
