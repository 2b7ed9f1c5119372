"""Real MCP servers, each a separate program: over HTTP on a free port of loopback, or a command for stdio.

Over HTTP a server is a context that gives its URL; over stdio it is a `Command`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.gateway.environments import (
    AWSLABS,
    NODE,
    PACKAGES,
    PROGRAMS,
    SDK,
    SDK1,
    bare_environment,
    needed,
    own_environment,
)
from support.ports import free_port
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from support.gateway.aws import Aws

EVERYTHING = PACKAGES / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"


@dataclass(frozen=True)
class Command:
    """A server over stdio."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


@contextmanager
def listening(words: list[str], port: int, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the program, from when it listens until it is killed."""
    # Its output is read only on failure, and a pipe without a reader would block it.
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=dict(environment))
        try:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    pytest.fail(f"{words} does not listen: {said.read().decode(errors='replace')[-2000:]}")
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                except OSError:
                    time.sleep(0.02)
                else:
                    break
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def program(python: Path, name: str, *further: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """One of ours, in an environment that has what it serves with."""
    needed(python)
    port = free_port()
    words = [str(python), str(PROGRAMS / name), str(port), *further]
    with listening(words, port, bare_environment(**(environment or {}))):
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def everything() -> Iterator[str]:
    """`@modelcontextprotocol/server-everything`, with sessions that can be resumed."""
    needed(NODE)
    port = free_port()
    words = [str(NODE), "--import", str(PACKAGES / "loopback.mjs"), str(EVERYTHING), "streamableHttp"]
    with listening(words, port, bare_environment(PORT=str(port))):
        yield f"http://127.0.0.1:{port}/mcp"


def sdk_server(*further: str) -> AbstractContextManager[str]:
    """On the Python SDK, a tool for each thing that a tool can do; `further`: see the program."""
    return program(SDK, "sdk_server.py", *further, environment=own_environment())


def stub_server(*further: str) -> AbstractContextManager[str]:
    """On fastmcp, for the tools whose own servers are in no registry."""
    return program(SDK, "stub_server.py", *further)


def everything_command() -> Command:
    """`@modelcontextprotocol/server-everything` over stdio."""
    needed(NODE)
    return Command((str(NODE), str(EVERYTHING), "stdio"), bare_environment())


def program_command(name: str) -> Command:
    """One of ours over stdio: `sdk_server.py`, `stub_server.py`."""
    needed(SDK)
    return Command((str(SDK), str(PROGRAMS / name), "0"), own_environment())


@dataclass(frozen=True)
class Awslabs:
    """One of the servers for AWS: the module with its `main`, the server's name in it, its options."""

    module: str
    name: str
    options: tuple[str, ...] = ()
    python: Path = AWSLABS


AWSLABS_SERVERS = {
    "ecs": Awslabs("awslabs.ecs_mcp_server.main", "mcp"),
    "healthimaging": Awslabs("awslabs.healthimaging_mcp_server.server", "app"),
    "iam": Awslabs("awslabs.iam_mcp_server.server", "mcp", ("--allow-write", "--no-confirmation")),
    "valkey": Awslabs("awslabs.valkey_mcp_server.main", "mcp", python=SDK1),
}


def awslabs_environment(aws: Aws, valkey_port: int | None) -> dict[str, str]:
    """The environment of these servers: the stand-in for AWS, and the address of Valkey."""
    return bare_environment(
        **aws.environment,
        FASTMCP_LOG_LEVEL="ERROR",
        VALKEY_HOST="127.0.0.1",
        VALKEY_PORT=str(valkey_port or 1),
    )


def awslabs_command(name: str, aws: Aws, valkey_port: int | None = None) -> Command:
    """The start that its makers document."""
    server = AWSLABS_SERVERS[name]
    needed(server.python)
    words = (str(server.python), "-m", server.module, *server.options)
    return Command(words, awslabs_environment(aws, valkey_port))


@contextmanager
def awslabs_server(name: str, aws: Aws, valkey_port: int | None = None) -> Iterator[str]:
    """The same over HTTP."""
    server = AWSLABS_SERVERS[name]
    further = (server.module, server.name, *server.options)
    with program(server.python, "over_http.py", *further, environment=awslabs_environment(aws, valkey_port)) as url:
        yield url


@contextmanager
def valkey() -> Iterator[int]:
    """A Valkey, or a Redis, which is the same to its clients here; gives the port."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        pytest.skip("neither valkey-server nor redis-server is installed (Debian: redis-server)")
    port = free_port()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        words = [found, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        stack.enter_context(listening(words, port, bare_environment()))
        yield port
