"""A configuration with its files, and a sidecar that serves it."""

from __future__ import annotations

import http.client
import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from callgate._callgate import hash_token, new_token
from support.program import Sidecar, sidecar

TIMEOUT_S = 30.0
KEY = bytes(range(32))


def policy(reason: str = "", *, most: int = 1_000_000, **more: Any) -> dict[str, Any]:
    """A policy that counts `t`, and denies `never` with a reason that identifies the version."""
    limit = {"counter": "c", "window": "day", "max": most}
    tools = {"t": {"limits": [limit]}, "never": {"action": "deny", "reason": reason or "no"}, **more}
    return {"version": "1", "name": "p", "default": "deny", "tools": tools}


class Setup:
    """Files below a folder, each replaced by a rename as an editor does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "callgate.yaml"
        self.config: dict[str, Any] = {
            "state": "state",
            "servers": {"s": {"policy": "p"}},
            "policies": {"p": "p.json"},
            "grant_key_file": "key",
        }
        self.write("key", KEY.hex())
        self.write("p.json", policy())

    def write(self, name: str, content: object) -> Path:
        """Puts a file in place in one step."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.new")
        partial.write_text(content if isinstance(content, str) else json.dumps(content))
        partial.chmod(0o600)
        partial.rename(path)
        return path

    def configure(self, **changes: Any) -> None:
        """Writes the configuration with these keys changed; None takes one out. JSON is YAML."""
        self.config.update(changes)
        self.config = {key: value for key, value in self.config.items() if value is not None}
        self.write("callgate.yaml", self.config)

    @contextmanager
    def serving(self, *words: str, through: Sequence[str] = ()) -> Iterator[Running]:
        """A sidecar that serves it; see `sidecar` for `through`."""
        usual = ("--config", self.file, "--log-format", "json", "--grace", "1")
        with sidecar(*usual, *words, through=through) as process:
            yield Running(process)


class Running:
    """A sidecar, with the state of its reloads."""

    def __init__(self, process: Sidecar) -> None:
        self.sidecar = process
        self.address = process.address

    def get(self, path: str, **headers: str) -> str:
        """A page of the admin port, which must be 200."""
        request = urllib.request.Request(f"http://{self.sidecar.admin}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            text: str = response.read().decode()
            return text

    def ask(self, token: str | None = None, **call: str) -> tuple[int, dict[str, Any]]:
        """Status and decision of `POST /v1/check`, from a PEP with this token."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/v1/check", json.dumps(call), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        known = "application/json" in response.headers.get("Content-Type", "")
        return response.status, json.loads(body) if known else {}

    def reloads(self, result: str) -> int:
        """The number of reloads so far; the start is the first success."""
        name = f'callgate_policy_reloads_total{{result="{result}"}} '
        return next(
            int(float(line[len(name) :])) for line in self.get("/metrics").splitlines() if line.startswith(name)
        )

    def hang_up(self) -> None:
        """Asks for a reload."""
        self.sidecar.process.send_signal(signal.SIGHUP)

    @contextmanager
    def reload(self, result: str = "success") -> Iterator[None]:
        """Waits until the sidecar has reloaded the block's changes with this result."""
        before = self.reloads(result)
        yield
        until(lambda: self.reloads(result) > before)

    def stop(self) -> list[dict[str, Any]]:
        """Stops it; gives its log."""
        code, log = self.sidecar.stop()
        assert code == 0, log
        return [json.loads(line) for line in log.splitlines()]


def until(condition: Callable[[], object]) -> None:
    """Waits for the result of another process, which sends no signal."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def credential() -> tuple[str, str]:
    """A token and its hash under `KEY`."""
    token = new_token()
    return token, hash_token(KEY, token)
