"""Servers over pipes, directly and behind `callgate wrap`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from support.program import ENVIRONMENT, PROGRAM
from support.proxies.mcp import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Self

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE_S = 60.0

ALLOW: dict[str, Any] = {"version": "1", "name": "all", "default": "allow"}

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "example",
    "default": "deny",
    "hide": ["secret"],
    "tools": {
        "open": {},
        "capped": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]},
        "small": {"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 10}], "on_deny": "too many"}]},
    },
}


def wrapping(folder: Path, command: Sequence[str | Path], *further: str | Path, policy: Any = None) -> list[str]:
    """The command that wraps another one."""
    path = folder / "policy.json"
    path.write_text(json.dumps(policy or POLICY))
    words = [PROGRAM, "wrap", "--server", "srv", "--policy", path, *further, "--", *command]
    return [str(word) for word in words]


def server() -> list[str]:
    """The command of a real server."""
    if not PYTHON.exists():
        pytest.skip("fastmcp is not installed (make target/mcp/.stamp)")
    return [str(PYTHON), str(PROGRAMS / "server.py")]


def client(
    command: Sequence[str], calls: Sequence[tuple[str, dict[str, Any]]], mode: str = "auto", looks: str = "all"
) -> tuple[dict[str, Any], str]:
    """The view of a real client of this command, and the output on stderr."""
    words = [str(PYTHON), str(PROGRAMS / "client.py"), json.dumps(command), json.dumps(calls), mode, looks]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen, done.stderr


def script(text: str, *args: str | Path) -> list[str]:
    """The command of a server with this Python source."""
    return [sys.executable, "-c", text, *map(str, args)]


class Talk:
    """A client that writes and reads lines."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            env={**ENVIRONMENT, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lines: Queue[bytes] = Queue()
        self._errors: list[bytes] = []
        # Threads, so that a wait can time out, and no writer waits for a reader.
        self._readers = [Thread(target=self._read, daemon=True), Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(PATIENCE_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            # Buffered bytes have no reader any more.
            with suppress(OSError):
                stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._errors.append(line)

    def send(self, *lines: bytes | dict[str, Any]) -> None:
        """Writes lines; messages get the newline that they need."""
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def line(self) -> bytes:
        """The next line; empty at the end."""
        return self._lines.get(timeout=PATIENCE_S)

    def reply(self) -> dict[str, Any]:
        """The next line as a message."""
        message: dict[str, Any] = json.loads(self.line())
        return message

    def close(self) -> None:
        """Ends the input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def rest(self) -> list[bytes]:
        """The lines up to the end."""
        return list(iter(self.line, b""))

    def code(self) -> int:
        """The exit code."""
        return self.process.wait(PATIENCE_S)

    def errors(self) -> str:
        """The output on stderr, after the end."""
        self._readers[1].join(PATIENCE_S)
        return b"".join(self._errors).decode()


def call(number: int | str, tool: str, **arguments: Any) -> dict[str, Any]:
    """A call."""
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def request(number: int | str, method: str, **params: Any) -> dict[str, Any]:
    """A request that calls no tool."""
    return {"jsonrpc": "2.0", "id": number, "method": method, **({"params": params} if params else {})}


def is_running(number: int) -> bool:
    """True if a process exists and has not ended."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return not stat.rpartition(")")[2].startswith(" Z")


def gone(numbers: Iterable[int]) -> bool:
    """True if all these processes have ended."""
    return not any(map(is_running, numbers))


def gone_soon(numbers: Iterable[int]) -> bool:
    """True once all these processes have ended: one that was sent SIGKILL ends when the kernel next runs it."""
    numbers = list(numbers)
    deadline = time.monotonic() + PATIENCE_S
    while not gone(numbers) and time.monotonic() < deadline:
        time.sleep(0.02)
    return gone(numbers)
