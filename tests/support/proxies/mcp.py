"""A real MCP server and a real MCP client, each a separate program."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.ports import free_port
from support.proxies.envoy import PATIENCE_S, ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PYTHON = ROOT / "target" / "mcp" / "bin" / "python"
PROGRAMS = Path(__file__).parent / "programs"


@contextmanager
def mcp_server(path: str, *further: str, stateless: bool, at: int | None = None) -> Iterator[int]:
    """Serves a few tools at this path; gives the port, a free one unless it is `at` one. `further`: see the program."""
    if not PYTHON.exists():
        pytest.skip("fastmcp is not installed (make target/mcp/.stamp)")
    port = at or free_port()
    words = [str(port), path, *(["stateless"] if stateless else []), *further]
    command = [str(PYTHON), str(PROGRAMS / "server.py"), *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def noting_server(folder: Path, *, stateless: bool = False) -> Iterator[tuple[Path, int]]:
    """A server that notes the calls of its tool `risky`; gives the file and its port."""
    notes = folder / "notes"
    notes.touch()
    with mcp_server("/mcp", f"notes={notes}", stateless=stateless) as port:
        yield notes, port


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The file of calls and the port of a server, for conftests to import."""
    with noting_server(tmp_path_factory.mktemp("server")) as both:
        yield both


def mcp_client(
    url: str,
    calls: Sequence[tuple[str, dict[str, Any]]],
    headers: Mapping[str, str] | None = None,
    mode: str = "auto",
) -> dict[str, Any]:
    """A client's view: the names of the `tools`, and for each call `done`, `refused` or `error`.

    `version` is that of the protocol; `mode` is how it is agreed on: `auto` takes the newest, `legacy` a session.
    """
    done = run_client(url, calls, headers, mode)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def run_client(
    url: str,
    calls: Sequence[tuple[str, dict[str, Any]]],
    headers: Mapping[str, str] | None = None,
    mode: str = "auto",
) -> subprocess.CompletedProcess[str]:
    """The client's run, which may fail."""
    options = json.dumps({"headers": {"x-agent": "a"} if headers is None else dict(headers), "mode": mode})
    command = [str(PYTHON), str(PROGRAMS / "client.py"), url, json.dumps(calls), options]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
