"""The proxy with which tests disturb connections."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
import redis

from support.redis import running_redis
from support.tcp_proxy import HOST, TIMEOUT_S, TcpProxy, tcp_proxy

SOON_S = 0.2
"""Long enough for loopback to deliver, where nothing must come."""


class _Echo(BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    with ThreadingTCPServer((HOST, 0), _Echo) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with tcp_proxy(server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()
        thread.join(TIMEOUT_S)


@contextmanager
def connected(proxy: TcpProxy) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, proxy.port), TIMEOUT_S) as connection:
        yield connection


def echoed(connection: socket.socket, text: bytes = b"hello") -> bytes:
    connection.sendall(text)
    return received(connection, len(text))


def received(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length and (chunk := connection.recv(length - len(found))):
        found += chunk
    return found


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(SOON_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(TIMEOUT_S)
    return False


def has_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_it_forwards(proxy: TcpProxy) -> None:
    with connected(proxy) as one, connected(proxy) as other:
        assert echoed(one) == b"hello"
        large = bytes(range(256)) * 4_096
        assert echoed(other, large) == large
        assert (proxy.accepted, proxy.open_connections) == (2, 2)


def test_an_end_is_passed_on(proxy: TcpProxy) -> None:
    with connected(proxy) as one:
        assert echoed(one) == b"hello"
    deadline = time.monotonic() + TIMEOUT_S
    while proxy.open_connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cut_ends_what_is_open_and_nothing_else(proxy: TcpProxy) -> None:
    with connected(proxy) as one:
        assert echoed(one) == b"hello"
        proxy.cut()
        assert has_ended(one)
        assert proxy.open_connections == 0
        with connected(proxy) as other:
            assert echoed(other) == b"hello"


def test_texts_of_answers_are_replaced(proxy: TcpProxy) -> None:
    with tcp_proxy(proxy.port, {b"16001": b"17002"}) as before, connected(before) as one:
        assert echoed(one, b"at 16001, a") == b"at 17002, a"


def test_a_stall_holds_bytes_until_they_flow(proxy: TcpProxy) -> None:
    with connected(proxy) as one:
        assert echoed(one) == b"hello"
        proxy.stall()
        one.sendall(b"later")
        with connected(proxy) as other:
            other.sendall(b"new")
            assert is_silent(one)
            assert is_silent(other)
            proxy.flow()
            assert received(one, 5) == b"later"
            assert received(other, 3) == b"new"


def test_a_stall_of_answers_alone_lets_requests_arrive(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, tcp_proxy(server.port) as proxy, server.client() as direct:
        with server.client(port=proxy.port, timeout_s=SOON_S) as client:
            client.ping()
            proxy.stall(requests=False)
            with pytest.raises(redis.TimeoutError):
                client.incr("k")
            assert direct.get("k") == "1"
        proxy.stall(answers=False)
        with server.client(port=proxy.port, timeout_s=SOON_S) as client:
            with pytest.raises(redis.TimeoutError):
                client.incr("k")
            assert direct.get("k") == "1"


def test_a_delay_is_of_each_direction_and_not_of_each_chunk(proxy: TcpProxy) -> None:
    with connected(proxy) as one:
        assert echoed(one) == b"hello"
        proxy.delay(0.1)
        begun = time.monotonic()
        for _ in range(10):
            one.sendall(b"x")
        assert received(one, 10) == b"x" * 10
        assert time.monotonic() - begun >= 0.2
        proxy.delay(0)
        assert echoed(one) == b"hello"


def test_it_refuses_and_accepts_again_at_the_same_port(proxy: TcpProxy) -> None:
    port = proxy.port
    with connected(proxy) as one:
        assert echoed(one) == b"hello"
        proxy.refuse()
        assert has_ended(one)
    with pytest.raises(ConnectionRefusedError), connected(proxy):
        pass
    proxy.accept()
    assert proxy.port == port
    with connected(proxy) as other:
        assert echoed(other) == b"hello"


def test_it_leads_to_another_port(proxy: TcpProxy) -> None:
    with tcp_proxy(1) as moved:
        moved.lead_to(proxy.port)
        with connected(moved) as one:
            assert echoed(one) == b"hello"


def test_without_a_target_connections_end() -> None:
    with tcp_proxy(1) as proxy, connected(proxy) as one:
        assert has_ended(one)
