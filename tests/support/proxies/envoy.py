"""A real Envoy between a client and an upstream that echoes requests."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.http_server import Handler, serving
from support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[3]
ENVOY = ROOT / "target" / "envoy" / "bin" / "envoy"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """A client's response."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Proxy:
    """A running Envoy."""

    address: str
    process: subprocess.Popen[bytes]

    def send(self, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> Answer:
        """One request; the body goes as JSON, unless it is bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json", **headers} if data is not None else dict(headers)
        request = urllib.request.Request(f"http://{self.address}{path}", data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return answer(error.code, error.headers, error.read())


def answer(status: int, headers: Any, body: bytes) -> Answer:
    """The parsed response."""
    try:
        read: Any = json.loads(body)
    except ValueError:
        read = body
    return Answer(status, {name.lower(): value for name, value in headers.items()}, read)


class Upstream(Handler):
    """Answers with the request's headers and body."""

    def do_POST(self) -> None:
        """Answers every method in the same way."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.answer(200, "application/json", json.dumps({"headers": headers, "body": body.decode()}))

    do_GET = do_DELETE = do_POST


@contextmanager
def upstream() -> Iterator[int]:
    """A server that echoes requests; gives its port."""
    with serving(Upstream) as port:
        yield port


@contextmanager
def envoy(configuration: Path, ports: Mapping[int, int], folder: Path) -> Iterator[Proxy]:
    """Envoy with one of this project's configurations and the test's ports; `ports` has all except its own, 8080."""
    if not ENVOY.exists():
        pytest.skip("Envoy is not installed (make target/envoy/.stamp)")
    own = free_port()
    text = configuration.read_text(encoding="utf-8")
    for written, used in {8080: own, **ports}.items():
        assert text.count(f"port_value: {written}}}") == 1, f"{configuration} does not name port {written} once"
        text = text.replace(f"port_value: {written}}}", f"port_value: {used}}}")
    # On a busy machine answers may take longer than a proxy usually waits.
    text = re.sub(r"\b((?:message_)?timeout): (?:1|0\.5)s", rf"\1: {PATIENCE_S:.0f}s", text)
    used_configuration = folder / "envoy.yaml"
    used_configuration.write_text(text, encoding="utf-8")
    command = [str(ENVOY), "-c", str(used_configuration), "--use-dynamic-base-id", "--log-level", "error"]
    # Two threads are enough, and a busy machine has no more.
    process = subprocess.Popen([*command, "--concurrency", "1"], stdin=subprocess.DEVNULL, env=dict(os.environ))
    try:
        wait_for(own, process)
        yield Proxy(f"127.0.0.1:{own}", process)
    finally:
        process.kill()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when a server listens."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"Envoy ended with status {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("Envoy does not listen")
