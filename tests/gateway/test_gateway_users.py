"""Users of the Unix socket at the gateway."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from http.client import HTTPResponse
from pathlib import Path

import pytest

from support.gateway.faulty import EVENTS, JSON, faulty_server
from support.setup import Setup

USER, OTHER = 65_534, 65_533
BODY = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "open", "arguments": {}}})
HEAD = f"POST /mcp/s HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\naccept: {JSON}, {EVENTS}\r\n"


def test_a_user_who_is_withdrawn_gets_no_answers_over_what_is_open(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("to come as another user needs root")
    setup = Setup(tmp_path)
    setup.write("p.json", {"version": "1", "name": "p", "default": "allow"})
    # Users cannot look into the test's own folder.
    with tempfile.TemporaryDirectory() as folder, faulty_server() as faulty:
        Path(folder).chmod(0o755)
        path = f"{folder}/socket"

        def configure(user: int) -> None:
            upstream = {"url": faulty.url}
            setup.configure(
                socket=path,
                peps=[{"name": "proxy", "uids": [user]}],
                servers={"s": {"policy": "p", "upstream": upstream}},
            )

        configure(USER)
        with setup.serving() as running, come_as(USER, path) as client:

            def status() -> int:
                # At once: who is refused by the head is not read on.
                client.sendall(f"{HEAD}content-length: {len(BODY)}\r\n\r\n{BODY}".encode())
                with HTTPResponse(client) as answered:
                    answered.begin()
                    answered.read()
                    return answered.status

            assert status() == 200
            with running.reload():
                configure(OTHER)
            assert status() == 401
        assert len(faulty.asked("tools/call")) == 1


def come_as(user: int, path: str) -> socket.socket:
    """A connection whose peer is this user: who connects is asked then."""
    client = socket.socket(socket.AF_UNIX)
    os.seteuid(user)
    try:
        client.connect(path)
    finally:
        os.seteuid(0)
    return client
