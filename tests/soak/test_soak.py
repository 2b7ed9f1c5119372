"""A long mix of reloads, cancelled calls, a slow server, and too few file descriptors.

What must hold all the time: calls that wait are answered, no interval holds more than `max`, what was saved last comes
into force, probes are answered, and the end is clean. CALLGATE_SOAK_SECONDS says how long (`make soak` says two
minutes); figures are printed at the end (`pytest -s`).
"""

from __future__ import annotations

import http.client
import json
import os
import random
import resource
import socket
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import grpc

from callgate import Client
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from support.gateway.slow import resident_bytes
from support.intervals import worst
from support.setup import Running, Setup, credential, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = float(os.environ.get("CALLGATE_SOAK_SECONDS", "4"))
HARD = 256
WINDOW_S, MAX = 2, 50
BULK = 100
METHOD = "/callgate.decision.v1.DecisionService/Check"
POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "open": {},
        "slow": {},
        "counted": {"limits": [{"counter": "c", "window": f"{WINDOW_S}s", "max": MAX, "scope": ["tool"]}]},
    },
}


class SlowServer(BaseHTTPRequestHandler):
    """An MCP server that takes up to a second for a call, or closes the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(random.random())
        if random.random() < 0.1:
            self.close_connection = True
            return
        body = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": {"content": []}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the method it overrides
        """Says nothing."""


class Soak:
    """The parts that run at once, and their results."""

    def __init__(self, setup: Setup, running: Running, grant: dict[str, Any], token: str) -> None:
        self.setup, self.running, self.grant, self.token = setup, running, grant, token
        self.done = Event()
        self.seen: Counter[str] = Counter()
        self.admitted: list[tuple[int, float]] = []
        self.faults: list[str] = []

    def run(self, seconds: float) -> None:
        """Runs all kinds of work side by side for a time."""
        work = [self.call, self.call, self.count, self.give_up, self.ask_slowly, self.reload, self.crowd, self.probe]
        threads = [Thread(target=self._until_done, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.done.set()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive(), thread

    def _until_done(self, work: Callable[[], Iterator[None]]) -> None:
        try:
            for _ in work():
                if self.done.is_set():
                    return
        except Exception as error:  # noqa: BLE001  told by the test
            self.faults.append(f"{work.__name__}: {error!r}")

    def call(self) -> Iterator[None]:
        """Calls on a connection of its own, each of which must be allowed."""
        with Client(self.running.address, timeout_ms=60_000) as client:
            while True:
                decision = client.check(grant_token=self.token, tool="open")
                assert decision.allowed, decision
                self.seen["calls"] += 1
                yield

    def count(self) -> Iterator[None]:
        """Calls that a limit counts."""
        with Client(self.running.address, timeout_ms=60_000) as client:
            while True:
                decision = client.check(grant_token=self.token, tool="counted")
                assert decision.outcome in {"allow", "rate_limited"}, decision
                if decision.allowed:
                    self.admitted.append((decision.decided_at_us, 1))
                time.sleep(0.002)
                yield

    def give_up(self) -> Iterator[None]:
        """Calls in bulk whose deadlines are too short, or that are cancelled; beside them some that wait."""
        with grpc.insecure_channel(self.running.address) as channel:
            check = channel.unary_unary(
                METHOD,
                request_serializer=pb.CheckRequest.SerializeToString,
                response_deserializer=pb.CheckResponse.FromString,
            )
            call = pb.CheckRequest(grant_token=self.token, tool="open")
            while True:
                patient = [check.future(call, timeout=60) for _ in range(5)]
                hasty = [check.future(call, timeout=random.choice([0.001, 60])) for _ in range(BULK)]
                for one in hasty:
                    one.cancel()
                for one in patient:
                    assert one.result().outcome == pb.OUTCOME_ALLOW
                self.seen["given up"] += BULK
                self.seen["calls"] += len(patient)
                yield

    def ask_slowly(self) -> Iterator[None]:
        """Calls through the gateway to the slow server; every other client goes before its answer."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow", "arguments": {}}}
        fields = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self.token}",
        }
        while True:
            connection = http.client.HTTPConnection(self.running.address, timeout=60)
            try:
                connection.request("POST", "/mcp/s", json.dumps(request), fields)
                if random.random() < 0.5:
                    time.sleep(random.random() / 10)
                    self.seen["left the gateway"] += 1
                else:
                    status = connection.getresponse().status
                    assert status in {200, 502, 503}, status
                    self.seen[f"gateway {status}"] += 1
            finally:
                connection.close()
            yield

    def reload(self) -> Iterator[None]:
        """Revokes a grant and puts it back; what was saved last must come into force, in spite of the crowd."""
        token, token_hash = credential()
        longest_s = 0.0
        with Client(self.running.address, timeout_ms=60_000) as client:
            for number in range(1_000_000):
                other = {**self.grant, "id": "other", "token_hash": token_hash, "revoked": number % 2 == 0}
                self.setup.write("grants.json", {"grants": [self.grant, other]})
                saved_s = time.monotonic()
                expected = "(grant revoked)" if other["revoked"] else ""
                until(lambda: client.check(grant_token=token, tool="open").rule == expected)  # noqa: B023
                longest_s = max(longest_s, time.monotonic() - saved_s)
                self.seen["reloads"] += 1
                self.seen["longest reload ms"] = round(longest_s * 1_000)
                yield

    def crowd(self) -> Iterator[None]:
        """Connections that use up the descriptors for connections, and then a limit below what is open."""
        host, port = self.running.address.split(":")
        number = self.running.sidecar.process.pid
        while True:
            with ExitStack() as crowd:
                for _ in range(2 * HARD):
                    crowd.enter_context(socket.create_connection((host, int(port)), timeout=60))
                self.seen["crowds"] += 1
                self.done.wait(random.random())
            resource.prlimit(number, resource.RLIMIT_NOFILE, (16, HARD))
            self.done.wait(random.random() / 2)
            resource.prlimit(number, resource.RLIMIT_NOFILE, (HARD, HARD))
            self.done.wait(random.random())
            yield

    def probe(self) -> Iterator[None]:
        """A connection for each probe, as the kubelet makes them."""
        while True:
            assert self.running.get("/healthz") == "ok\n"
            assert self.running.get("/readyz").startswith("ready\n")
            self.seen["probes"] += 1
            time.sleep(0.05)
            yield


@contextmanager
def slow_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowServer)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_everything_at_once(tmp_path: Path) -> None:
    token, token_hash = credential()
    grant = {"id": "a", "server": "s", "policy": "p", "token_hash": token_hash}
    setup = Setup(tmp_path)
    setup.write("p.json", POLICY)
    setup.write("grants.json", {"grants": [grant]})
    with slow_server() as url:
        setup.configure(
            grants_file="grants.json", servers={"s": {"policy": "p", "upstream": {"url": url, "pinning": "off"}}}
        )
        with setup.serving(through=("prlimit", f"--nofile={HARD}:{HARD}")) as running:
            soak = Soak(setup, running, grant, token)
            soak.run(SECONDS)
            memory = resident_bytes(running.sidecar.process.pid)
            running.stop()
    print(f"\n{dict(soak.seen)}, {len(soak.admitted)} admitted, {memory >> 20} MiB at the end")  # noqa: T201  figures
    assert soak.faults == []
    assert worst(soak.admitted, WINDOW_S * 1_000_000) <= MAX
    for what in ("calls", "given up", "reloads", "crowds", "probes"):
        assert soak.seen[what] > 0, what
