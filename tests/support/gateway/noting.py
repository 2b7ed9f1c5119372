"""A server that records calls and can be killed, and clients that call it until they are stopped."""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.ports import free_port
from support.proxies.envoy import PATIENCE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parent / "programs" / "noting_server.py"
DELAY_S = 0.02
"""Duration of each call."""


class Noting:
    """The server, and its notes."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.notes = folder / "notes"
        self.notes.touch()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server, even if it does not listen."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Starts it, always at the same port."""
        command = [sys.executable, str(PROGRAM), str(self.port), str(self.notes), str(DELAY_S)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for(self.port, self.process)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    def received(self) -> list[int]:
        """The id of every call that reached it."""
        return [int(line) for line in self.notes.read_text(encoding="utf-8").splitlines()]


@contextmanager
def noting_server(folder: Path) -> Iterator[Noting]:
    """Runs one that keeps its notes in a folder, until the end."""
    noting = Noting(folder)
    noting.start()
    try:
        yield noting
    finally:
        noting.kill()


class Callers:
    """Clients that call a tool repeatedly, each call with its own id.

    `told` holds the ids by the answer to their clients: `done`; `limited`; `never` if nothing was done; `unknown` if it
    cannot be known; `closed` if the connection ended without an answer; `hung` if nothing came at all.
    """

    def __init__(self) -> None:
        self.told: dict[str, list[int]] = defaultdict(list)
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, address: str, number: int, tool: str = "noted") -> None:
        """Starts this number of clients that call the server `s` behind this gateway."""
        self._stop.clear()
        for _ in range(number):
            thread = threading.Thread(target=self._call, args=(address, tool), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stops the clients, and waits until every started call has ended; fails if one does not."""
        self._stop.set()
        while self._threads:
            thread = self._threads.pop()
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive()

    def sent(self) -> int:
        """The number of finished calls."""
        with self._lock:
            return sum(map(len, self.told.values()))

    def _call(self, address: str, tool: str) -> None:
        connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        while not self._stop.is_set():
            with self._lock:
                number = next(self._ids)
            params = {"name": tool, "arguments": {}}
            message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
            try:
                connection.request("POST", "/mcp/s", json.dumps(message), headers)
                told = meaning(connection.getresponse().read(), number)
            except TimeoutError:
                told = "hung"
            except (OSError, http.client.HTTPException):
                told = "closed"
                connection.close()
            with self._lock:
                self.told[told].append(number)
            if told in {"hung", "closed", "limited"}:
                break
        connection.close()


def meaning(body: bytes, number: int) -> str:
    """The meaning of an answer to a call."""
    answer = json.loads(body)
    assert answer["id"] == number, answer
    text = answer["result"]["content"][0]["text"]
    if not answer["result"]["isError"]:
        assert text == "noted"
        return "done"
    for told, phrase in (("never", "nothing was done"), ("unknown", "nobody knows"), ("limited", "try again in")):
        if phrase in text:
            return told
    raise AssertionError(text)
