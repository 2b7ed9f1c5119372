"""Endless answers go on for as long as somebody reads them, and no longer."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from support.gateway.endless import endless_event, endless_events, endless_head, endless_json, informed
from support.gateway.faulty import faulty_server
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from support.gateway.faulty import Fault

LIST = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
REQUEST = b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(LIST), LIST)
MUCH_BYTES = 4 << 20


@pytest.mark.parametrize(
    ("fault", "ends_head"),
    [(endless_head, False), (endless_json, True), (endless_event, True), (endless_events, True)],
)
def test_it_goes_on_until_the_client_goes(fault: Fault, ends_head: bool) -> None:
    with faulty_server({"tools/list": fault}) as faulty:
        with socket.create_connection(("127.0.0.1", faulty.port), timeout=PATIENCE_S) as client:
            client.sendall(REQUEST)
            received = bytearray()
            while len(received) < MUCH_BYTES:
                part = client.recv(65_536)
                assert part, "it ended"
                received += part
        assert received.startswith(b"HTTP/1.1 200 ")
        assert (b"\r\n\r\n" in received) == ends_head
        if fault is endless_event:
            assert b"\n" not in received.partition(b"data: ")[2].replace(b"\r\n", b"")
        deadline = time.monotonic() + PATIENCE_S
        while faulty.connections[0].open:
            assert time.monotonic() < deadline, "it has seen that the client is gone"
            time.sleep(0.01)


def test_informational_answers_come_before_the_proper_one() -> None:
    with (
        faulty_server({"tools/list": informed(3)}) as faulty,
        socket.create_connection(("127.0.0.1", faulty.port), timeout=PATIENCE_S) as client,
    ):
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while part := client.recv(65_536):
            received += part
    assert received.count(b"HTTP/1.1 103 ") == 3
    assert json.loads(received.rpartition(b"\r\n\r\n")[2])["result"]["tools"]
