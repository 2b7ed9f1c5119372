"""Servers that people run, from PyPI and npm, over stdio and HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate._callgate import pins_read
from callgate.workbench.catalogue import Catalogue, Tool, write_catalogue
from callgate.workbench.scan.listing import list_servers
from callgate.workbench.scan.merge import merge
from callgate.workbench.scan.target import Bounds, HttpTarget, StdioTarget, Target
from support.gateway import servers
from support.gateway.aws import aws
from support.gateway.clients import MODERN
from support.gateway.running import gateway
from support.gateway.wire import Wire
from support.stdio.wrapped import ALLOW, client, server, wrapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

BOUNDS = Bounds(seconds=120.0)


def scanned(targets: Sequence[Target]) -> dict[str, Mapping[str, Tool]]:
    """The tools by server, all of which are in order."""
    listings = list_servers(targets, BOUNDS)
    assert [listing.failure for listing in listings] == [None] * len(targets)
    merged = merge(Catalogue(), listings, "2026-11-24T10:00:00Z")
    assert [warning for said in merged.warnings.values() for warning in said] == []
    assert merged.first == tuple(target.name for target in targets)
    assert all(one.title for one in merged.catalogue.servers.values())
    return {name: one.tools for name, one in merged.catalogue.servers.items()}


def program(name: str, command: servers.Command) -> StdioTarget:
    return StdioTarget(name, command.words, command.environment)


def test_servers_over_stdio() -> None:
    with aws() as stand_in:
        found = scanned(
            [
                program("everything", servers.everything_command()),
                program("sdk", servers.program_command("sdk_server.py")),
                *(program(name, servers.awslabs_command(name, stand_in)) for name in servers.AWSLABS_SERVERS),
            ]
        )
    assert {"echo", "get-sum"} < found["everything"].keys()
    assert "containerize_app" in found["ecs"]
    assert "list_users" in found["iam"]
    assert "string_get" in found["valkey"]
    for tools in found.values():
        assert all(tool.digest and tool.input_schema for tool in tools.values())
    hints = [tool.annotations for tool in found["everything"].values() if tool.annotations]
    assert all(isinstance(value, bool) for one in hints for value in one.values())


def test_servers_over_http_are_as_over_stdio() -> None:
    with servers.everything() as url:
        found = scanned([HttpTarget("http", url), program("stdio", servers.everything_command())])
    over_http, over_stdio = found["http"], found["stdio"]
    assert list(over_http) == list(over_stdio)
    for name, tool in over_http.items():
        other = over_stdio[name]
        assert (tool.description, tool.input_schema) == (other.description, other.input_schema)
        # The endpoint is part of the digest.
        assert tool.digest != other.digest


def test_digests_are_those_of_a_wrap_that_pins(tmp_path: Path) -> None:
    command = server()
    client(wrapping(tmp_path, command, "--state", tmp_path / "state", policy=ALLOW), [])
    (pins,) = pins_read(tmp_path / "state" / "pins", "srv")
    pinned = {tool["tool"]: tool["pinned"][-1]["digest"] for tool in pins["tools"]}
    tools = scanned([StdioTarget("srv", tuple(command))])["srv"]
    assert {name: tool.digest for name, tool in tools.items()} == pinned
    assert pinned


def test_digests_are_those_of_a_gateway_that_pins(tmp_path: Path) -> None:
    with servers.sdk_server() as url:
        with gateway(tmp_path, {"sdk": url}, ALLOW) as running:
            answer = Wire(running.url("sdk"), MODERN).ask("tools/list")
            assert [message["result"]["tools"] for message in answer.messages()]
            answer.close()
            # What was listed is on the disk after the end.
            assert running.sidecar.stop()[0] == 0
        tools = scanned([HttpTarget("sdk", url)])["sdk"]
    (pins,) = pins_read(tmp_path / "state" / "pins", "sdk")
    pinned = {tool["tool"]: tool["pinned"][-1]["digest"] for tool in pins["tools"]}
    assert {name: tool.digest for name, tool in tools.items()} == pinned
    assert pinned


def test_a_catalogue_has_no_secret_of_its_servers() -> None:
    command = servers.everything_command()
    words = (*command.words, "--api-key", "k3y-of-mine", "TOKEN=t0ken-of-mine")
    target = StdioTarget("everything", words, {**command.environment, "SECRET": "s3cret-of-mine"})
    listings = list_servers([target], BOUNDS)
    assert listings[0].failure is None
    text = write_catalogue(merge(Catalogue(), listings, "2026-11-24T10:00:00Z").catalogue)
    assert "of-mine" not in text
    assert '"TOKEN=***"' in text
