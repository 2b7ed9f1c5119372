"""The memory that strangers, callers and servers can occupy is bounded, by the peak of the resident memory."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import pytest
import zstandard

from callgate._callgate import hash_token
from support.gateway.faulty import EVENTS, JSON, faulty_server, properly
from support.gateway.running import KEY, bearer, gateway
from support.gateway.slow import MEBIBYTE, SlowClient
from support.kubernetes.manifests import callgate_config, container
from support.proxies.envoy import PATIENCE_S
from support.setup import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.gateway.faulty import Connection, Faulty, Request
    from support.gateway.running import Gateway

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}
ACCEPT = {"accept": f"{JSON}, {EVENTS}"}
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "open", "arguments": {}}}


class Peak:
    """The most memory of a gateway since this was made."""

    def __init__(self, running: Gateway) -> None:
        running.await_control_plane()
        self.process = Path(f"/proc/{running.sidecar.process.pid}")
        # Forgets the peak until now: proc(5), `clear_refs`.
        (self.process / "clear_refs").write_text("5", encoding="ascii")
        self.before = self._bytes("VmHWM:")

    def grown_bytes(self) -> int:
        """By how much it has grown at most."""
        return self._bytes("VmHWM:") - self.before

    def _bytes(self, name: str) -> int:
        status = (self.process / "status").read_text(encoding="utf-8")
        [line] = [line for line in status.splitlines() if line.startswith(name)]
        return int(line.split()[1]) * 1024


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_server() as faulty:
        yield faulty


class Unread:
    """A client over HTTP/2 that lets the other side send so many bytes of each answer, until it is told to read."""

    def __init__(self, address: str, window_bytes: int) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        window = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window_bytes}
        self.http.local_settings = h2.settings.Settings(client=True, initial_values=window)
        self.http.initiate_connection()
        self.address = address
        self.statuses: dict[int, str] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self._send()

    def ask(self, message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Sends a request."""
        stream = self.http.get_next_available_stream_id()
        body = json.dumps(message).encode()
        fields = {":method": "POST", ":scheme": "http", ":authority": self.address, ":path": "/mcp/s"}
        self.http.send_headers(stream, [*{**fields, "content-type": JSON, **ACCEPT, **headers}.items()])
        self.http.send_data(stream, body, end_stream=True)
        self.bodies[stream] = b""
        self._send()

    def take(self) -> None:
        """From now on every answer is taken."""
        self.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 8 * MEBIBYTE})
        self.http.increment_flow_control_window(256 * MEBIBYTE)
        self._send()

    def await_heads(self, count: int) -> None:
        """Reads until so many answers have begun."""
        while len(self.statuses) < count:
            self._read()

    def await_ends(self) -> None:
        """Reads until every answer has ended."""
        while self.ended != self.bodies.keys():
            self._read()

    def close(self) -> None:
        """Goes."""
        self.socket.close()

    def _read(self) -> None:
        data = self.socket.recv(1 << 20)
        assert data, "the connection ended"
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[b":status"]
                self.statuses[event.stream_id] = status.decode()
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                if event.flow_controlled_length:
                    self.http.increment_flow_control_window(event.flow_controlled_length)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self.ended.add(event.stream_id)
        self._send()

    def _send(self) -> None:
        self.socket.sendall(self.http.data_to_send())


LIST_BYTES = 2 * MEBIBYTE
LISTS = 64
"""On each of two connections."""
PER_GRANT = 100


@pytest.mark.parametrize("window_bytes", [0, 1])
@pytest.mark.parametrize("kind", [JSON, EVENTS])
def test_lists_that_nobody_reads_are_counted(tmp_path: Path, faulty: Faulty, kind: str, window_bytes: int) -> None:
    tool = {"name": "open", "description": "x" * LIST_BYTES, "inputSchema": {"type": "object"}}
    result = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool]}}).encode()
    body = b"data: " + result + b"\n\n" if kind == EVENTS else result

    def listed(connection: Connection, _: Request) -> None:
        connection.answer(200, body, {"content-type": kind})

    faulty.on("tools/list", listed)
    upstream = {"url": faulty.url, "max_requests_per_grant": PER_GRANT, "pinning": "off"}
    limits = {"unfinished_limit_bytes": "32MiB", "body_limit_bytes": "1MiB"}
    with (
        gateway(tmp_path, {"s": upstream}, EVERY_TOOL, grants={"alice": "s"}, limits=limits) as running,
        ExitStack() as stack,
    ):
        httpx.post(running.url("s"), json=LIST, headers={**ACCEPT, **bearer("alice")}, timeout=PATIENCE_S)
        peak = Peak(running)
        clients = [stack.enter_context(closing(Unread(running.address, window_bytes))) for _ in range(2)]
        for client in clients:
            for _ in range(LISTS):
                client.ask(LIST, bearer("alice"))
        for client in clients:
            client.await_heads(LISTS)
        # What was counted comes whole, and what had no room says so.
        for client in clients:
            client.take()
            client.await_ends()
            whole = [body for body in client.bodies.values() if body.count(b"x") >= LIST_BYTES]
            refused = [body for body in client.bodies.values() if b"too many" in body]
            assert len(whole) + len(refused) == LISTS
        assert peak.grown_bytes() < LISTS * LIST_BYTES, "of twice as much"
        again = httpx.post(running.url("s"), json=LIST, headers={**ACCEPT, **bearer("alice")}, timeout=PATIENCE_S)
        assert again.content.count(b"x") >= LIST_BYTES, "room again"


def test_requests_stay_open_until_their_answers_are_taken(tmp_path: Path, faulty: Faulty) -> None:
    upstream = {"url": faulty.url, "max_requests_per_grant": 8, "pinning": "off"}
    with gateway(tmp_path, {"s": upstream}, EVERY_TOOL, grants={"alice": "s"}) as running:
        for message in (LIST, CALL):
            with closing(Unread(running.address, 1)) as client:
                for number in range(12):
                    client.ask(message, bearer("alice"))
                    client.await_heads(number + 1)
                client.take()
                client.await_ends()
                busy = [body for body in client.bodies.values() if b"too many requests of yours" in body]
                assert len(busy) == 4, message
            answered = httpx.post(running.url("s"), json=message, headers={**ACCEPT, **bearer("alice")})
            assert answered.status_code == 200
            assert b"too many" not in answered.content, "their places are free again"


STRANGERS = 100
BODY_BYTES = 2 * MEBIBYTE


def send_unfinished(stack: ExitStack, running: Gateway, path: str, headers: Mapping[str, str]) -> list[SlowClient]:
    """Clients that have sent all of a large body but its last byte, or as much as was taken."""
    clients = [stack.enter_context(closing(SlowClient(running.address))) for _ in range(STRANGERS)]
    for client in clients:
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: {BODY_BYTES}\r\n\r\n"
        # Where the answer comes first, the connection may be closed before all was sent.
        with suppress(OSError):
            client.socket.settimeout(5.0)
            client.socket.sendall(head.encode() + b" " * (BODY_BYTES - 1))
    return clients


PEP = {"peps": [{"name": "proxy", "token_hash": hash_token(KEY, "cgt_proxy")}]}


@pytest.mark.parametrize(
    ("path", "headers", "further", "status"),
    [
        ("/mcp/nothing", {}, {}, "404"),
        ("/mcp/s/more", bearer("alice"), {}, "404"),
        ("/mcp/s", {}, {}, "401"),
        ("/mcp/s", {"authorization": "Bearer cgt_nobody"}, {}, "401"),
        ("/mcp/t", bearer("alice"), {}, "401"),
        ("/v1/check", {}, PEP, "401"),
        ("/v1/forward-auth", {}, PEP, "403"),
        ("/v1/nothing", {}, {}, "404"),
    ],
)
def test_nothing_is_held_for_strangers(
    tmp_path: Path, faulty: Faulty, path: str, headers: dict[str, str], further: dict[str, Any], status: str
) -> None:
    servers = {"s": faulty.url, "t": faulty.url}
    with gateway(tmp_path, servers, EVERY_TOOL, grants={"alice": "s"}, **further) as running, ExitStack() as stack:
        peak = Peak(running)
        clients = send_unfinished(stack, running, path, headers)
        assert {client.status() for client in clients} <= {status, ""}
        assert peak.grown_bytes() < STRANGERS * BODY_BYTES / 4
        # The answer does not wait for the body.
        with closing(SlowClient(running.address)) as client:
            fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: {BODY_BYTES}\r\n\r\n"
            client.socket.sendall(head.encode())
            assert client.status() == status
    assert not faulty.arrived


def test_the_memory_that_kubernetes_allows_is_enough_for_unfinished_bodies(tmp_path: Path, faulty: Faulty) -> None:
    config = callgate_config()
    allowed = container("callgate")["resources"]["limits"]["memory"]
    assert allowed.endswith("Mi")
    further = {"limits": config["limits"], "workers": config["workers"]}
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL, grants={"alice": "s"}, **further) as running:
        peak = Peak(running)
        with ExitStack() as stack:
            clients = send_unfinished(stack, running, "/mcp/s", {"content-type": JSON, **bearer("alice")})
            # What was beyond the limit.
            until(lambda: any(is_answered(client) for client in clients if client.socket.fileno() >= 0))
            assert peak.before + peak.grown_bytes() < int(allowed.removesuffix("Mi")) * MEBIBYTE


def is_answered(client: SlowClient) -> bool:
    """True if an answer has begun, or the connection was closed."""
    client.socket.setblocking(False)
    try:
        client.socket.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


DECODED_BYTES = 10 * MEBIBYTE
COMPRESSED = 24


@pytest.mark.parametrize("window_log", [23, 27], ids=["the most that HTTP allows", "more than that"])
def test_windows_of_decoders_are_bounded(tmp_path: Path, faulty: Faulty, window_log: int) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    coder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    bomb = coder.compress(b" " * DECODED_BYTES) + coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def compressed(connection: Connection, _: Request) -> None:
        connection.chunked(JSON, {"content-encoding": "zstd"})
        connection.chunk(bomb)
        connection.wait()
        connection.close()

    faulty.on("tools/call", compressed)
    limits = {"unfinished_limit_bytes": "32MiB", "body_limit_bytes": "1MiB"}
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL, limits=limits) as running, ExitStack() as stack:
        httpx.post(running.url("s"), json=LIST, headers=ACCEPT, timeout=PATIENCE_S)
        peak = Peak(running)
        # Each reads nearly all, or to the end where there was no room, and stays: its decoder has filled its window.
        clients = [stack.enter_context(httpx.Client(timeout=PATIENCE_S)) for _ in range(COMPRESSED)]
        with ThreadPoolExecutor(COMPRESSED) as readers:
            list(readers.map(lambda client: read(stack, client, running.url("s"), DECODED_BYTES - MEBIBYTE), clients))
        assert peak.grown_bytes() < COMPRESSED * 8 * MEBIBYTE / 2
        faulty.on("tools/call", properly)
        assert httpx.post(running.url("s"), json=CALL, headers=ACCEPT, timeout=PATIENCE_S).status_code == 200


def read(stack: ExitStack, client: httpx.Client, url: str, count: int) -> None:
    """Reads so many bytes of the answer to a call, or to its end, and leaves it open."""
    with suppress(httpx.HTTPError):
        pieces = stack.enter_context(client.stream("POST", url, json=CALL, headers=ACCEPT)).iter_raw()
        while count > 0:
            count -= len(next(pieces, b"")) or count
