"""Each client speaks the versions that it says, and sees all that a server can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.gateway.clients import CLIENTS, HANDSHAKES, MODERN, PYTHON, Client, run_client, see
from support.gateway.servers import everything, program_command, sdk_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS = {"sampling": "yes", "elicitation": {"action": "accept", "content": {"city": "Lisbon", "name": "Ada"}}}
STEPS: list[dict[str, Any]] = [
    {"do": "list"},
    {"do": "call", "name": "add", "arguments": {"a": 1, "b": 2}},
    {"do": "call", "name": "fail", "arguments": {"why": "no luck"}},
    {"do": "call", "name": "steps", "arguments": {"count": 3}, "progress": True},
    {"do": "call", "name": "regional", "arguments": {"region": "eu-west-1"}},
    {"do": "call", "name": "say", "arguments": {"level": "warning", "text": "so it is"}},
    {"do": "call", "name": "sample", "arguments": {"question": "is it?"}},
    {"do": "resources"},
    {"do": "read", "uri": "note://today"},
    {"do": "prompts"},
    {"do": "prompt", "name": "greet", "arguments": {"language": "rust"}},
    {"do": "complete", "prompt": "greet", "argument": "language", "value": "r"},
]
TRAVEL: dict[str, Any] = {"do": "call", "name": "travel", "arguments": {}}
"""Asks the person, which servers may since 2025-06-18."""
SPEAKS = [
    pytest.param(client, version, id=f"{client.name}-{version or 'by itself'}")
    for client in CLIENTS
    for version in (None, *client.versions)
]


@pytest.fixture(scope="module")
def sdk() -> Iterator[str]:
    with sdk_server() as url:
        yield url


@pytest.mark.parametrize(("client", "version"), SPEAKS)
def test_a_client_sees_all_of_it(sdk: str, client: Client, version: str | None) -> None:
    asks = version != "2025-03-26"
    saw = see(client, sdk, [*STEPS, *([TRAVEL] if asks else [])], version=version, answers=ANSWERS)
    expected = version or (MODERN if MODERN in client.versions else HANDSHAKES[-1])
    assert saw.version == expected
    tools, added, failed, stepped, regional, said, sampled, *rest = saw.did
    assert {"add", "travel"} <= set(tools)
    assert [added["outcome"], added["text"]] == ["done", "3"]
    assert failed["outcome"] == "refused"
    assert "no luck" in failed["text"]
    assert [stepped["text"], saw.progress] == ["3 steps", [1, 2, 3]]
    assert [regional["text"], said["text"]] == ["in eu-west-1", "said"]
    assert sampled["text"] == "is it? yes"
    assert rest[:5] == [["note://today"], ["buy milk"], ["greet"], ["say hello in rust"], ["rust"]]
    assert [travelled["text"] for travelled in rest[5:]] == (["to Lisbon"] if asks else [])
    assert saw.asked == ["sampling: is it?", *(["elicitation: where to?"] if asks else [])]
    # Since 2026-07-28 a server logs only for who asks for it, as this client does.
    if client is PYTHON or expected != MODERN:
        assert "log warning: so it is" in saw.notified


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_same_over_stdio(client: Client) -> None:
    saw = see(client, program_command("sdk_server.py"), STEPS[:2], version=(client.versions or (None,))[0])
    assert "add" in saw.did[0]
    assert saw.did[1]["text"] == "3"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_requests_of_server_everything_reach_each_client(client: Client) -> None:
    steps = [
        {"do": "call", "name": "trigger-sampling-request", "arguments": {"prompt": "is it?"}},
        {"do": "call", "name": "trigger-elicitation-request", "arguments": {}},
    ]
    with everything() as url:
        saw = see(client, url, steps, answers=ANSWERS)
    assert [step["outcome"] for step in saw.did] == ["done", "done"]
    assert "yes" in saw.did[0]["text"]
    assert "Ada" in saw.did[1]["text"]
    assert len(saw.asked) == 2


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_that_cannot_connect_says_so(client: Client) -> None:
    done = run_client(client, "http://127.0.0.1:1/mcp", STEPS[:1])
    assert done.returncode != 0
    assert done.stderr
