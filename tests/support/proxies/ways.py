"""Ways of a real MCP client to a real MCP server past callgate, with a policy that asks people; people.py answers."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.gateway.running import gateway
from support.proxies.forward import Kind, forwarding
from support.proxies.guarded import guarded_server
from support.proxies.mcp import PYTHON
from support.proxies.upstream import message, send_raw
from support.stdio.scripted import leading
from support.stdio.wrapped import Talk, server, wrapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from support.proxies.envoy import Answer

SESSION = Path(__file__).parent / "programs" / "session.py"
ASKS: dict[str, Any] = {
    "version": "1",
    "name": "asks",
    "default": "deny",
    "tools": {
        "open": {},
        "risky": {"action": "require_approval", "approval": {"approvers": ["data"], "reason": "required"}},
    },
}
KEYS: dict[str, Any] = {
    "state": "state",
    # A busy machine is slow to answer.
    "approvals": {"deadline": "2s"},
}
TOKEN = {"authorization": "Bearer cgt_alice"}
NAMED = {"x-agent": "alice"}


@dataclass
class Agent:
    """An agent whose calls come by one way."""

    state: Path
    """callgate's state folder."""
    notes: Path
    """The server's file of calls."""
    target: str | list[str]
    """A URL, or a command."""
    headers: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def done(self) -> list[str]:
        """The calls that reached the server."""
        return self.notes.read_text().split()

    @contextmanager
    def session(self, mode: str) -> Iterator[Callable[..., dict[str, Any]]]:
        """A client that makes a call after the other in one session; gives what its user sees of each."""
        options = json.dumps({"headers": self.headers, "mode": mode})
        with Talk([str(PYTHON), str(SESSION), json.dumps(self.target), options], self.environment) as talk:
            assert talk.reply()["version"] == ("2026-07-28" if mode == "auto" else "2025-11-25")

            def make(tool: str, **arguments: Any) -> dict[str, Any]:
                talk.send({"tool": tool, "arguments": arguments})
                return talk.reply()

            yield make

    def raw(self, tool: str, **arguments: Any) -> Answer:
        """The answer over HTTP to a call without a session."""
        return self.send({"name": tool, "arguments": arguments})

    def send(self, params: dict[str, Any]) -> Answer:
        """The answer over HTTP to a call with these `params`, without a session."""
        assert isinstance(self.target, str)
        _, address, path = self.target.removeprefix("http:/").split("/", 2)
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream", **self.headers}
        fields = [(name, value.encode()) for name, value in headers.items()]
        return send_raw(address, "POST", f"/{path}", fields, message(params))


@dataclass(frozen=True)
class Way:
    """A proxy between client and server, and the form in which it gives callgate's answer to the client."""

    name: str
    start: Callable[[Path, Path, int], AbstractContextManager[Agent]]
    """Takes a folder, the server's notes and its port."""
    status: int | None = 200
    """Of HTTP, for a call that is not made."""
    kind: str = "refused"
    """The client's view of such a call: a tool's result, or an exception."""

    def __str__(self) -> str:
        return self.name


def envoy(
    configuration: str, ours: str = "callgate.yaml"
) -> Callable[[Path, Path, int], AbstractContextManager[Agent]]:
    """Envoy, with one of its configurations and one of callgate's."""

    @contextmanager
    def start(folder: Path, notes: Path, port: int) -> Iterator[Agent]:
        with guarded_server(folder, port, (configuration, ours), ASKS, keys=KEYS) as (proxy, _):
            yield Agent(folder / "state", notes, f"http://{proxy.address}/mcp/aws", NAMED)

    return start


def forward_auth(kind: Kind) -> Callable[[Path, Path, int], AbstractContextManager[Agent]]:
    """A proxy that asks over HTTP."""

    @contextmanager
    def start(folder: Path, notes: Path, port: int) -> Iterator[Agent]:
        with forwarding(kind, folder, port, edit=patient, policy=ASKS, keys=KEYS) as (proxy, _):
            yield Agent(folder / "state", notes, f"http://{proxy.address}/mcp/aws", TOKEN)

    return start


def patient(text: str) -> str:
    """A configuration whose proxy waits longer for callgate than calls wait here for the store."""
    return re.sub(r"\btimeout: 1s", "timeout: 30s", text)


@contextmanager
def at_gateway(folder: Path, notes: Path, port: int) -> Iterator[Agent]:
    """callgate itself, before the server."""
    servers = {"aws": f"http://127.0.0.1:{port}/mcp"}
    with gateway(folder, servers, ASKS, grants={"alice": "aws"}, **KEYS) as running:
        yield Agent(folder / "state", notes, running.url("aws"), TOKEN)


@contextmanager
def connected(folder: Path, notes: Path, port: int) -> Iterator[Agent]:
    """The same, for a client over pipes."""
    with at_gateway(folder, notes, port) as agent:
        (folder / "token").write_text("cgt_alice")
        assert isinstance(agent.target, str)
        yield Agent(agent.state, notes, leading(agent.target, "--token-file", str(folder / "token")))


@contextmanager
def wrapped(folder: Path, notes: Path, _port: int) -> Iterator[Agent]:
    """`callgate wrap` with a state folder, and a server of its own."""
    state = folder / "state"
    words = wrapping(folder, [*server(), str(notes)], "--state", state, "--grant", "alice", policy=ASKS)
    yield Agent(state, notes, words, environment={"CALLGATE_APPROVALS__DEADLINE": KEYS["approvals"]["deadline"]})
