"""The admin port: metrics as Prometheus reads them, health, and who is answered."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from threading import active_count
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from callgate import Client, ConfigError, Engine, Server, version
from callgate.control.metrics import ServerCollector, registry
from callgate.control.port.address import BoundAddress
from callgate.control.port.connections import Connection, Connections
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]}},
}


@pytest.fixture
def engine() -> Engine:
    return Engine.from_dict(POLICY, counter_capacity=64)


@pytest.fixture
def server(engine: Engine) -> Iterator[Server]:
    with Server(engine, workers=1, grace_ms=0) as server:
        yield server


@pytest.fixture
def collector(server: Server) -> ServerCollector:
    return ServerCollector(server)


@pytest.fixture
def pages(collector: ServerCollector) -> Pages:
    return Pages(registry(collector))


@pytest.fixture
def admin(pages: Pages) -> Iterator[AdminServer]:
    admin = AdminServer(BoundAddress("127.0.0.1:0"), pages)
    admin.start()
    yield admin
    admin.stop()


def get(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def scrape(address: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Samples by name and labels, read by Prometheus' own parser."""
    status, text = get(address, "/metrics")
    assert status == 200
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_metrics(engine: Engine, server: Server, admin: AdminServer) -> None:
    before = scrape(admin.address)
    assert before[key("callgate_decision_duration_seconds_count")] == 0
    with Client(str(server.address)) as client:
        for _ in range(3):
            client.check(grant="g", tool="t")
        client.check(grant="g", tool="made up")
    samples = scrape(admin.address)
    policy = engine.policies[0].version
    expected = {
        key("callgate_build_info", version=version()): 1,
        key("callgate_policy_info", server="(any)", policy="p", version=policy): 1,
        key("callgate_decisions_total", server="(any)", tool="t", outcome="allow"): 2,
        key("callgate_decisions_total", server="(any)", tool="t", outcome="rate_limited"): 1,
        key("callgate_decisions_total", server="(any)", tool="(other)", outcome="deny"): 1,
        key("callgate_denials_total", server="(any)", rule="/tools/t/limits/c"): 1,
        key("callgate_denials_total", server="(any)", rule="(default deny)"): 1,
        key("callgate_requests_total", protocol="grpc", code="OK"): 4,
        key("callgate_decision_duration_seconds_count"): 4,
        key("callgate_decision_duration_seconds_bucket", le="+Inf"): 4,
        key("callgate_counters"): 1,
        key("callgate_counter_capacity"): 64,
        key("callgate_policy_reloads_total", result="success"): 0,
        key("callgate_policy_reloads_total", result="failure"): 0,
        key("callgate_configuration_refused"): 0,
    }
    assert {sample: samples.get(sample) for sample in expected} == expected
    assert samples[key("callgate_decision_duration_seconds_sum")] > 0
    assert samples[key("process_resident_memory_bytes")] > 0
    assert samples[key("process_open_fds")] > 0


def test_duration_buckets(server: Server, admin: AdminServer) -> None:
    with Client(str(server.address)) as client:
        client.check(grant="g", tool="t")
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in scrape(admin.address).items()
        if name == "callgate_decision_duration_seconds_bucket"
    }
    bounds = sorted(buckets)
    assert (bounds[0], bounds[-2]) == (1e-7, 1e-2)
    counts = [buckets[bound] for bound in bounds]
    assert counts == sorted(counts)
    assert counts[-1] == 1


def test_reloads(collector: ServerCollector, admin: AdminServer) -> None:
    stamp = key("callgate_policy_last_reload_timestamp_seconds")
    assert stamp not in scrape(admin.address)
    collector.reloads.reloaded(ok=True, at_s=1_000)
    collector.reloads.reloaded(ok=False, at_s=2_000)
    samples = scrape(admin.address)
    assert samples[stamp] == 1_000
    assert samples[key("callgate_policy_reloads_total", result="success")] == 1
    assert samples[key("callgate_policy_reloads_total", result="failure")] == 1
    assert samples[key("callgate_configuration_refused")] == 1
    collector.reloads.reloaded(ok=True, at_s=3_000)
    assert scrape(admin.address)[key("callgate_configuration_refused")] == 0


def test_labels_cannot_break_the_page(admin: AdminServer, engine: Engine, server: Server) -> None:
    counter = 'quote " backslash \\ newline \n'
    limit = {"counter": counter, "window": "minute", "max": 0}
    engine.reload_dict({"version": "1", "default": "deny", "tools": {"t": {"limits": [limit]}}})
    with Client(str(server.address)) as client:
        client.check(grant="g", tool="t")
    assert scrape(admin.address)[key("callgate_denials_total", server="(any)", rule=f"/tools/t/limits/{counter}")] == 1


def test_the_body_of_an_answer_does_not_wait_for_its_head(admin: AdminServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Connection] = []
    add = Connections.add

    def noted(connections: Connections, accepted: socket.socket) -> Connection:
        made.append(add(connections, accepted))
        return made[-1]

    monkeypatch.setattr(Connections, "add", noted)
    host, _, port = admin.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1)
        assert made[0].socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_health(admin: AdminServer, pages: Pages) -> None:
    assert get(admin.address, "/healthz")[0] == 200
    assert get(admin.address, "/readyz")[0] == 503
    pages.ready = True
    assert get(admin.address, "/readyz") == (200, "ready\n")
    assert get(admin.address, "/readyz", "HEAD") == (200, "")
    pages.ready = False
    assert get(admin.address, "/readyz")[0] == 503
    assert get(admin.address, "/healthz?probe=1")[0] == 200


def test_a_failure_is_why_it_is_not_ready(admin: AdminServer, pages: Pages) -> None:
    pages.ready = True
    pages.failure = "the counters are gone"
    assert get(admin.address, "/readyz") == (503, "not ready\nthe counters are gone\n")
    status, text = get(admin.address, "/readyz", Accept="application/json")
    assert (status, json.loads(text)["failure"]) == (503, "the counters are gone")
    assert get(admin.address, "/healthz")[0] == 200
    pages.failure = None
    assert get(admin.address, "/readyz") == (200, "ready\n")


def test_connections_that_come_all_at_once_wait(collector: ServerCollector) -> None:
    """No connection is dropped while the port is busy: the client would retry only after a second."""
    admin = AdminServer(BoundAddress("127.0.0.1:0"), Pages(registry(collector)))
    with ExitStack() as crowd:
        connections = [crowd.enter_context(connect(admin.address)) for _ in range(300)]
        for connection in connections:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        crowd.callback(admin.stop)
        admin.start()
        answers = [answer(connection) for connection in connections]
    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}


def answer(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(4096), b""))


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /metrics HTTP/1.1\r\nHost:", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_connections_that_ask_for_nothing_make_room(admin: AdminServer, sent: bytes) -> None:
    threads = active_count()
    with ExitStack() as crowd:
        idle = [crowd.enter_context(connect(admin.address)) for _ in range(200)]
        for connection in idle:
            connection.sendall(sent)
            assert get(admin.address, "/healthz")[0] == 200
        assert active_count() <= threads + 64
        # The first has been closed, whether or not it was answered before.
        while idle[0].recv(4096):
            pass


def test_what_is_not_there(admin: AdminServer) -> None:
    assert get(admin.address, "/")[0] == 404
    assert get(admin.address, "/metrics", "POST")[0] == 405
    assert get(admin.address, "/metrics", "PUT")[0] == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:9193"}, 200),
        ({"Host": "[::1]:9193"}, 200),
        ({"Host": "127.9.9.9"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "10.0.0.1"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_dns_rebinding(admin: AdminServer, headers: dict[str, str], status: int) -> None:
    assert get(admin.address, "/healthz", **headers)[0] == status


def test_port_in_use(admin: AdminServer, collector: ServerCollector) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on `{admin.address}`: address already in use"):
        AdminServer(BoundAddress(admin.address), Pages(registry(collector)))


@pytest.mark.parametrize("listen", ["", "9193", "somewhere:9193", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"])
def test_impossible_addresses(listen: str, collector: ServerCollector) -> None:
    with pytest.raises(ConfigError, match="expected an IP address and a port"):
        AdminServer(BoundAddress(listen), Pages(registry(collector)))


@pytest.mark.parametrize("path", ["/metrics", "/v1/limits", "/admin/v1/policies"])
def test_a_body_has_one_length(admin: AdminServer, path: str) -> None:
    """A proxy in front may have read the other one, and what follows as another request."""
    host, _, port = admin.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sent:
        lengths = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
        sent.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sent.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"expected either `Content-Length` or `Transfer-Encoding`" in answer


def test_odd_requests_are_answered(admin: AdminServer, capfd: pytest.CaptureFixture[str]) -> None:
    odd = "application/openmetrics-text;version=x;escaping"
    assert get(admin.address, "/metrics", Accept=odd)[0] == 200
    assert get(admin.address, "//[")[0] == 404
    assert capfd.readouterr().err == ""
