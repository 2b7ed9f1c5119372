"""SIGTERM and SIGKILL under load: every call has an answer or an error, and none is admitted beyond the limit."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest
from google.protobuf.message import Message

from callgate import Client
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from support.program import Sidecar, sidecar

MAX = 50
CHECK = "/callgate.decision.v1.DecisionService/Check"
_Ask: TypeAlias = "grpc.UnaryUnaryMultiCallable[Message, pb.CheckResponse]"
POLICY = {
    "version": "1",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "day", "max": MAX}]}, "free": {}},
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(POLICY))
    return path


class Load:
    """Threads that ask until the sidecar is gone, and count what they were told."""

    def __init__(self, running: Sidecar, tool: str, threads: int = 4) -> None:
        self.told: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._warm = threading.Barrier(threads + 1)
        self._threads = [threading.Thread(target=self._ask, args=(running.address, tool)) for _ in range(threads)]
        for thread in self._threads:
            thread.start()
        self._warm.wait(60)

    def join(self) -> Counter[str]:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        return self.told

    def _ask(self, address: str, tool: str) -> None:
        request = pb.CheckRequest(grant="g", tool=tool)
        with grpc.insecure_channel(address) as channel:
            ask = channel.unary_unary(CHECK, pb.CheckRequest.SerializeToString, pb.CheckResponse.FromString)
            told = self._once(ask, request)
            self._warm.wait(60)
            while not told.startswith("UNAVAILABLE"):
                told = self._once(ask, request)

    def _once(self, ask: _Ask, request: pb.CheckRequest) -> str:
        try:
            told: str = pb.Outcome.Name(ask(request, timeout=30).outcome)
        except grpc.RpcError as error:
            told = error.code().name
        with self._lock:
            self.told[told] += 1
        return told


def test_sigterm_finishes_what_is_in_flight(policy: Path) -> None:
    with sidecar("--policy", policy, "--grace", "20") as running:
        load = Load(running, "free")
        code, _ = running.stop(signal.SIGTERM)
        told = load.join()
    assert code == 0
    # Calls were answered until the end, and each thread learnt of it by the one status that says "ask elsewhere".
    assert set(told) == {"OUTCOME_ALLOW", "UNAVAILABLE"}
    assert told["UNAVAILABLE"] == 4


def test_nobody_reads_the_log_lines(policy: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    try:
        with sidecar("--policy", policy, stderr=writer) as running:
            with Client(running.address) as client:
                for _ in range(3):
                    assert client.check(grant="g", tool="unknown").rule == "(default deny)"
                    # Log lines are written a few times in a second.
                    time.sleep(0.3)
            code, _ = running.stop(signal.SIGTERM)
    finally:
        os.close(writer)
        os.close(reader)
    assert code == 0


def test_sigkill_leaves_clients_with_an_error_and_no_more_than_max(policy: Path) -> None:
    with sidecar("--policy", policy) as running:
        load = Load(running, "t")
        code, _ = running.stop(signal.SIGKILL)
        told = load.join()
        assert code == -signal.SIGKILL
        assert set(told) <= {"OUTCOME_ALLOW", "OUTCOME_RATE_LIMITED", "UNAVAILABLE"}
        assert told["OUTCOME_ALLOW"] <= MAX
        with Client(running.address) as client:
            denied = client.check(grant="g", tool="t")
    assert (denied.outcome, denied.rule) == ("deny", "(decision point unavailable)")
