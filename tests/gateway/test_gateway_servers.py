"""The servers of others start on loopback, and offer and do what the tests of the gateway count on."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.gateway.aws import aws
from support.gateway.clients import PYTHON, TYPESCRIPT, see
from support.gateway.seeds import SEEDS, offering
from support.gateway.servers import awslabs_command, awslabs_server, everything, everything_command, program_command

LIST: dict[str, Any] = {"do": "list"}


@pytest.mark.parametrize("tool", SEEDS)
def test_the_seeds_tools_are_offered_and_do_something(tool: str) -> None:
    seed = SEEDS[tool]
    steps = [LIST, {"do": "call", "name": tool, "arguments": seed.arguments}]
    with offering(tool) as offered:
        for target in (offered.url, offered.command):
            before = len(offered.asked)
            tools, called = see(TYPESCRIPT, target, steps).did
            assert tool in tools
            if tool == "stream_group_create" and target is offered.command:
                # The first call made the group, and it is there: the server is real.
                assert "already exists" in called["text"]
            else:
                assert called["outcome"] == "done", called
                assert seed.says in called["text"]
            assert offered.asked[before:] == ([seed.asks] if seed.asks else [])


def test_the_ecs_server_lists_its_tools_without_a_network() -> None:
    with aws() as cloud:
        (over_stdio,) = see(PYTHON, awslabs_command("ecs", cloud), [LIST]).did
        with awslabs_server("ecs", cloud) as url:
            (over_http,) = see(PYTHON, url, [LIST]).did
    assert "ecs_resource_management" in over_stdio
    assert over_http == over_stdio


def test_server_everything_is_the_same_over_http_and_stdio() -> None:
    steps = [LIST, {"do": "call", "name": "echo", "arguments": {"message": "hello"}}]
    with everything() as url:
        over_http = see(PYTHON, url, steps)
    over_stdio = see(PYTHON, everything_command(), steps)
    assert (over_http.version, over_http.did) == (over_stdio.version, over_stdio.did)
    assert over_http.did[1] == {"outcome": "done", "text": "Echo: hello", "meta": None}


def test_server_everything_listens_on_loopback_alone() -> None:
    with everything() as url, socket.socket() as client:
        client.settimeout(5.0)
        with pytest.raises(ConnectionRefusedError):
            # As much loopback as 127.0.0.1, and another address.
            client.connect(("127.0.0.2", urlsplit(url).port or 0))


def test_the_stub_checks_its_arguments_and_tells_what_was_called() -> None:
    images = {"instance_id": "i-0123456789abcdef0", "name": "nightly"}
    steps: list[dict[str, Any]] = [
        {"do": "call", "name": "create-ami", "arguments": images},
        {"do": "call", "name": "create-ami", "arguments": {**images, "instance_id": "elsewhere"}},
        {"do": "call", "name": "called"},
    ]
    made, refused, called = see(PYTHON, program_command("stub_server.py"), steps).did
    assert json.loads(made["text"])["imageId"].startswith("ami-")
    assert refused["outcome"] == "refused"
    assert json.loads(called["text"]) == ["create-ami"]
