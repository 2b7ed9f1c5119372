"""`Server`: starting, stopping, and what of the data plane Python can see."""

from __future__ import annotations

import http.client
import json
import re
import socket
import stat
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from callgate import Client, ConfigError, Engine, ManualClock, Server

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]}},
}


@pytest.fixture
def engine() -> Engine:
    return Engine.from_dict(POLICY)


def post(address: str, body: bytes, **headers: str) -> tuple[int, http.client.HTTPMessage, dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("POST", "/v1/check", body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.headers, json.loads(response.read())
    finally:
        connection.close()


def test_life(engine: Engine) -> None:
    # An address of its own: at the usual one another test may have taken the port when the server has stopped.
    server = Server(engine, listen="127.0.0.77:0", grace_ms=1_000)
    for early in (lambda: server.address, server.metrics, server.drain_events):
        with pytest.raises(ConfigError, match="has not been started"):
            early()
    server.stop()
    server.start()
    assert re.fullmatch(r"127\.0\.0\.77:\d+", str(server.address))
    with pytest.raises(ConfigError, match="has been started before"):
        server.start()
    with Client(str(server.address)) as client:
        assert client.check(grant="g", tool="t").allowed
    server.stop()
    server.stop()
    assert server.metrics().decisions == [("(any)", "t", "allow", 1)]
    host, _, port = str(server.address).partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port))).close()


def test_nobody_listens_once_it_has_stopped(engine: Engine) -> None:
    for _ in range(50):
        server = Server(engine, listen="127.0.0.77:0", grace_ms=0)
        server.start()
        host, _, port = str(server.address).partition(":")
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port))).close()


def test_port_in_use(engine: Engine) -> None:
    with Server(engine, grace_ms=0) as first:
        second = Server(engine, listen=first.address)
        with pytest.raises(ConfigError, match=f"cannot listen on `{first.address}`: address already in use"):
            second.start()


def test_impossible_address(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="expected an IP address and a port"):
        Server(engine, listen="somewhere").start()


def test_unix_socket(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Server(engine, listen=None, socket=path, grace_ms=0) as server:
        assert (server.address, server.socket) == (None, str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with Client(f"unix:{path}") as client:
            assert client.check(grant="g", tool="t").allowed
        with pytest.raises(ConfigError, match="another process listens there"):
            Server(engine, listen=None, socket=path).start()
    assert not path.exists()


def test_manual_clock(engine: Engine) -> None:
    clock = ManualClock(1_000)
    with Server(engine, clock=clock, grace_ms=0) as server, Client(str(server.address)) as client:
        assert client.check(grant="g", tool="t").decided_at_us == 1_000_000
        clock.advance(0.5)
        assert clock.now_ms == 1_000.5
        assert client.check(grant="g", tool="t").decided_at_us == 1_000_500
        assert client.check(grant="g", tool="t").outcome == "rate_limited"
        clock.set(61_000)
        assert client.check(grant="g", tool="t").allowed


def test_http_status_and_fields(engine: Engine) -> None:
    with Server(engine, clock=ManualClock(0), grace_ms=0) as server:
        address = str(server.address)
        body = b'{"grant": "g", "tool": "t"}'
        status, headers, answer = post(address, body)
        assert (status, answer["outcome"], headers["RateLimit"]) == (200, "allow", '"c";r=1;t=60')
        assert headers["RateLimit-Policy"] == '"c";q=2;w=60'
        post(address, body)
        status, headers, answer = post(address, body)
        assert (status, headers["Retry-After"], answer["retry_after_ms"]) == (429, "60", 60_000)
        assert post(address, b'{"grant": "g", "tool": "u"}')[0] == 403


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"[]", b"null", b"{", b'{"grant": "g", "tool": "t"', b'{"grant": "g"} {}', b'{"grant" "g"}'],
    ids=repr,
)
def test_http_bodies_that_are_no_object(engine: Engine, body: bytes) -> None:
    with Server(engine, grace_ms=0) as server:
        status, _, answer = post(str(server.address), body)
        assert (status, list(answer)) == (400, ["error"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"tool": "t"}',
        b'{"grant": "g"}',
        b'{"grant": 5, "tool": "t"}',
        b'{"grant": "g", "tool": "t", "labels": {"a": 1}}',
        b'{"grant": "g", "grant": "g", "tool": "t"}',
        b'{"grant": "g", "tool": "t", "tols": 1}',
        b'{"grant": "g", "tool": "t", "now_ms": 5}',
        b'{"grant": "g", "tool": "t", "args": [1]}',
        b'{"grant": "g", "tool": "t", "args": {"a": NaN}}',
    ],
    ids=repr,
)
def test_http_bodies_that_are_no_call(engine: Engine, body: bytes) -> None:
    with Server(engine, grace_ms=0) as server:
        status, _, answer = post(str(server.address), body)
        assert (status, answer["outcome"], answer["rule"]) == (403, "deny", "(invalid request)"), answer
        assert answer["message"]


def test_http_body_above_4_mib(engine: Engine) -> None:
    with Server(engine, grace_ms=0) as server:
        host, _, port = str(server.address).partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            # The length alone is enough for a refusal, so the body need not be sent.
            connection.sendall(b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5242880\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 413"


def test_dns_rebinding(engine: Engine) -> None:
    with Server(engine, grace_ms=0) as server:
        body = b'{"grant": "g", "tool": "t"}'
        assert post(str(server.address), body, Host="evil.example")[0] == 403
        assert post(str(server.address), body, Origin="http://evil.example")[0] == 403
        assert post(str(server.address), body, Host="localhost")[0] == 200
    with Server(engine, grace_ms=0, allowed_hosts=["proxy.internal"]) as server:
        assert post(str(server.address), body, Host="proxy.internal")[0] == 200


def test_health_and_reflection(engine: Engine) -> None:
    with Server(engine, grace_ms=0) as server, grpc.insecure_channel(str(server.address)) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        for service in ("", "callgate.decision.v1.DecisionService"):
            answer = check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        server.set_serving(False)
        answer = check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert "callgate.decision.v1.DecisionService" in services


def test_events_tell_of_denials_without_arguments(engine: Engine) -> None:
    with Server(engine, grace_ms=0) as server, Client(str(server.address)) as client:
        client.check(grant="g", tool="u", args={"password": "hunter2"})
        events = server.drain_events()
    assert [event for _, event, _ in events] == ["server_started", "denied"]
    level, _, fields = events[1]
    assert (level, fields["tool"], fields["rule"]) == ("info", "u", "(default deny)")
    assert "hunter2" not in repr(events)


def test_metrics_stay_bounded_and_grow_across_reloads(engine: Engine) -> None:
    with Server(engine, grace_ms=0) as server, Client(str(server.address)) as client:
        for number in range(20):
            client.check(grant="g", tool=f"made up {number}", server=f"server {number}")
        engine.reload_dict({**POLICY, "default": "allow"})
        client.check(grant="g", tool="made up")
        metrics = server.metrics()
    assert sorted(metrics.decisions) == [("(any)", "(other)", "allow", 1), ("(any)", "(other)", "deny", 20)]
    assert metrics.denials == [("(any)", "(default deny)", 20)]
    assert metrics.requests == [("grpc", "OK", 21)]
    assert sum(metrics.duration_counts) == 21
    assert len(metrics.duration_counts) == len(metrics.duration_bounds_ns) + 1
    assert metrics.policies == [("(any)", "p", engine.policies[0].version)]
