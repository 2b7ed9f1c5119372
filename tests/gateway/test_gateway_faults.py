"""The faulty server has the faults that it says: each is met by a client that sees bytes."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
import zlib
from typing import TYPE_CHECKING, Any

import brotli
import pytest
import zstandard

from support.gateway import faults
from support.gateway.encodings import ENCODERS, MEBIBYTE
from support.gateway.faulty import EVENTS, JSON, TOOLS, faulty_server
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.gateway.faulty import Fault, Faulty

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "open", "arguments": {}}}
LIST = {"jsonrpc": "2.0", "id": 8, "method": "tools/list"}
DECODERS = {
    "gzip": gzip.decompress,
    "deflate": lambda data: zlib.decompress(data) if data[:1] == b"\x78" else zlib.decompress(data, -zlib.MAX_WBITS),
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read(),
}


OPENED: list[http.client.HTTPConnection | http.client.HTTPResponse] = []
"""The connections and responses that the client opened; both keep the socket open."""


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_server() as running:
        yield running
        while OPENED:
            OPENED.pop().close()


def connect(faulty: Faulty) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", faulty.port, timeout=PATIENCE_S)
    OPENED.append(connection)
    return connection


def post(
    faulty: Faulty, message: dict[str, Any], on: http.client.HTTPConnection | None = None
) -> http.client.HTTPResponse:
    connection = on or connect(faulty)
    connection.request("POST", "/mcp", json.dumps(message), {"content-type": JSON})
    response = connection.getresponse()
    OPENED.append(response)
    return response


def met(faulty: Faulty, fault: Fault, message: dict[str, Any] = CALL) -> http.client.HTTPResponse:
    faulty.on(message["method"], fault)
    return post(faulty, message)


def raw(faulty: Faulty) -> bytes:
    """The bytes that one call receives until the end of the connection."""
    body = json.dumps(CALL).encode()
    with socket.create_connection(("127.0.0.1", faulty.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received


def drain(connection: socket.socket) -> None:
    """Reads to the end."""
    while connection.recv(65_536):
        pass


def read_events(body: bytes) -> list[dict[str, Any]]:
    """The messages in a stream, by the standard's rules."""
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode().split("\n")
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]


def test_without_a_fault_it_is_a_server(faulty: Faulty) -> None:
    kept = connect(faulty)
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    opened = json.loads(
        post(faulty, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, kept).read()
    )
    assert opened["result"]["protocolVersion"] == "2025-06-18"
    noted = post(faulty, {"jsonrpc": "2.0", "method": "notifications/initialized"}, kept)
    assert (noted.status, noted.read()) == (202, b"")
    assert json.loads(post(faulty, LIST, kept).read())["result"]["tools"] == TOOLS
    assert json.loads(post(faulty, CALL, kept).read())["result"]["content"][0]["text"] == "open done"
    kept.request("GET", "/mcp")
    assert kept.getresponse().status == 405
    asked = " ".join(request.asks for request in faulty.arrived)
    assert asked == "initialize notifications/initialized tools/list tools/call GET"
    assert len(faulty.connections) == 1, "the connection was kept"


def test_it_reads_chunks(faulty: Faulty) -> None:
    connection = connect(faulty)
    connection.request("POST", "/mcp", iter([json.dumps(CALL).encode()]), {"content-type": JSON}, encode_chunked=True)
    assert json.loads(connection.getresponse().read())["id"] == 7
    assert faulty.asked("tools/call")[0].message == CALL


def test_a_fault_is_met_by_its_method_alone(faulty: Faulty) -> None:
    faulty.on("tools/call", faults.html(502))
    assert post(faulty, CALL).status == 502
    assert post(faulty, LIST).status == 200


def test_another_id(faulty: Faulty) -> None:
    assert json.loads(met(faulty, faults.other_id).read())["id"] == "another"


def test_two_replies(faulty: Faulty) -> None:
    said = read_events(met(faulty, faults.two_replies).read())
    assert [message["id"] for message in said] == [7, 7]
    assert said[0] != said[1]


def test_two_responses(faulty: Faulty) -> None:
    faulty.on("tools/call", faults.two_responses)
    assert raw(faulty).count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest.mark.parametrize("status", [200, 502])
def test_a_page(faulty: Faulty, status: int) -> None:
    page = met(faulty, faults.html(status))
    assert (page.status, page.headers["content-type"]) == (status, "text/html")
    assert page.read().startswith(b"<!doctype html>")


def test_redirects(faulty: Faulty) -> None:
    elsewhere = met(faulty, faults.redirect("http://127.0.0.2:1/mcp"))
    assert (elsewhere.status, elsewhere.headers["location"]) == (307, "http://127.0.0.2:1/mcp")
    here = met(faulty, faults.redirect("/other", 303))
    assert (here.status, here.headers["location"]) == (303, "/other")


def test_any_status(faulty: Faulty) -> None:
    refused = met(faulty, faults.says(401, b"no", www_authenticate="Bearer"))
    assert (refused.status, refused.headers["www-authenticate"], refused.read()) == (401, "Bearer", b"no")


@pytest.mark.parametrize("newline", faults.NEWLINES.values(), ids=faults.NEWLINES)
@pytest.mark.parametrize("piece_bytes", [1, 3, 1000])
def test_cut_events(faulty: Faulty, newline: bytes, piece_bytes: int) -> None:
    cut = met(faulty, faults.cut(newline, piece_bytes))
    assert cut.headers["content-type"] == EVENTS
    body = cut.read()
    assert newline in body
    assert not set(b"\r\n").difference(newline).intersection(body), "no other end of a line is used"
    noted, said = read_events(body)
    assert noted["params"]["message"] == "naïve ☃"
    assert said["result"]["content"][0]["text"] == "open done"


def test_cuts_are_chunks_of_their_own(faulty: Faulty) -> None:
    faulty.on("tools/call", faults.stream([b"da", b"ta: {}\n\n"]))
    assert raw(faulty).endswith(b"\r\n\r\n2\r\nda\r\n8\r\nta: {}\n\n\r\n0\r\n\r\n")


def test_large_answers(faulty: Faulty) -> None:
    one = read_events(met(faulty, faults.large_event(100_000)).read())
    assert [len(message["result"]["content"][0]["text"]) for message in one] == [100_000]
    size = 3 * 65_536 + 17
    assert len(json.loads(met(faulty, faults.large_result(size)).read())["result"]["content"][0]["text"]) == size


def test_a_hundred_megabytes_are_not_held_here(faulty: Faulty) -> None:
    response = met(faulty, faults.large_result(100_000_000))
    length = 0
    while part := response.read(1 << 20):
        length += len(part)
    assert length == int(response.headers["content-length"])
    assert length > 100_000_000


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("kind", [JSON, EVENTS])
def test_compressed_lists(faulty: Faulty, encoding: str, kind: str) -> None:
    packed = met(faulty, faults.compressed(encoding, kind), LIST)
    assert packed.headers["content-encoding"] == encoding.removeprefix("raw ").split(" ")[0]
    body = DECODERS[packed.headers["content-encoding"]](packed.read())
    (message,) = read_events(body) if kind == EVENTS else [json.loads(body)]
    assert message["result"]["tools"] == TOOLS


def test_an_encoding_may_be_misnamed_or_doubled(faulty: Faulty) -> None:
    misnamed = met(faulty, faults.compressed("gzip", named="br"), LIST)
    assert misnamed.headers["content-encoding"] == "br"
    assert json.loads(gzip.decompress(misnamed.read()))["id"] == 8
    doubled = met(faulty, faults.compressed_twice("gzip", "br"), LIST)
    assert doubled.headers["content-encoding"] == "br, gzip"
    assert json.loads(brotli.decompress(gzip.decompress(doubled.read())))["id"] == 8


@pytest.mark.parametrize("encoding", DECODERS)
def test_bombs(faulty: Faulty, encoding: str) -> None:
    packed = met(faulty, faults.decompression_bomb(encoding, 32), LIST).read()
    assert len(packed) < MEBIBYTE // 8
    unpacked = DECODERS[encoding](packed)
    assert len(unpacked) > 32 * MEBIBYTE
    assert json.loads(unpacked)["result"]["tools"] == TOOLS


def test_slow_heads_and_bodies_go_on_when_let(faulty: Faulty) -> None:
    for fault in (faults.slow_head(0.001), faults.slow_body(0.001)):
        assert json.loads(met(faulty, fault).read())["id"] == 7
    faulty.on("tools/call", faults.slow_head(PATIENCE_S))
    began = time.monotonic()
    waiting = connect(faulty)
    waiting.request("POST", "/mcp", json.dumps(CALL))
    while len(faulty.asked("tools/call")) < 3:
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.01)
    faulty.let_go.set()
    assert json.loads(waiting.getresponse().read())["id"] == 7


@pytest.mark.parametrize("fault", [faults.silent, faults.silent_stream])
def test_silence_lasts_until_the_client_goes(faulty: Faulty, fault: Fault) -> None:
    faulty.on("tools/call", fault)
    begins = b"HTTP/1.1 200 Status\r\n" if fault is faults.silent_stream else b""
    with socket.create_connection(("127.0.0.1", faulty.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST /mcp HTTP/1.1\r\ncontent-length: 23\r\n\r\n" + b'{"method":"tools/call"}')
        received = b"".join(connection.recv(1) for _ in begins)
        assert received == begins
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            drain(connection)
    deadline = time.monotonic() + PATIENCE_S
    while faulty.connections[0].open:
        assert time.monotonic() < deadline, "it has seen that the client is gone"
        time.sleep(0.01)


def test_ends_before_the_status_line(faulty: Faulty) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        met(faulty, faults.hang_up)
    with pytest.raises(ConnectionResetError):
        met(faulty, faults.reset)


def test_resets_within_an_answer(faulty: Faulty) -> None:
    with pytest.raises(ConnectionResetError):
        met(faulty, faults.reset_within(b"HTTP/1.1 200 O"))
    broken = met(faulty, faults.reset_within(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"))
    assert broken.read(4) == b"half"
    with pytest.raises(ConnectionResetError):
        broken.read()
    streaming = met(faulty, faults.reset_mid_stream(2))
    assert streaming.readline() == b"event: message\n"
    with pytest.raises(ConnectionResetError):
        streaming.read()


def test_an_early_end(faulty: Faulty) -> None:
    with pytest.raises(http.client.IncompleteRead):
        met(faulty, faults.ends_early).read()


def test_a_kept_connection_breaks_when_it_is_used_again(faulty: Faulty) -> None:
    kept = connect(faulty)
    faulty.on("tools/call", faults.resets_when_used_again)
    assert json.loads(post(faulty, CALL, kept).read())["id"] == 7
    with pytest.raises((ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        post(faulty, CALL, kept)
    assert len(faulty.asked("tools/call")) == 1, "the second was not read"


def test_any_bytes(faulty: Faulty) -> None:
    faulty.on("tools/call", faults.raw(b"HTTP/1.1 099 ?\r\n\r\n"))
    assert raw(faulty) == b"HTTP/1.1 099 ?\r\n\r\n"


def test_faults_in_turn(faulty: Faulty) -> None:
    faulty.on("tools/call", faults.in_turn([faults.html(500), faults.html(503)]))
    assert [post(faulty, CALL).status for _ in range(3)] == [500, 503, 503]


def test_one_may_come_back_at_its_port(faulty: Faulty) -> None:
    with faulty_server() as first:
        assert post(first, CALL).status == 200
        port = first.port
    with faulty_server(at=port) as second:
        assert second.port == port
        assert post(second, CALL).status == 200
    assert not faulty.arrived
