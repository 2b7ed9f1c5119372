"""A plain HTTP client: it sends the given messages and records the answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support.gateway.clients import MODERN
from support.gateway.transcript import Transcript
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

CLIENT = {"name": "wire", "version": "1"}
CAPABILITIES = {"sampling": {}, "elicitation": {"form": {}}, "roots": {"listChanged": True}}
META = "io.modelcontextprotocol"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The parameter that `Mcp-Name` mirrors."""


class Answer:
    """A response that is being read, one message at a time."""

    def __init__(self, wire: Wire, lane: str, connection: http.client.HTTPConnection) -> None:
        self.wire = wire
        self.lane = lane
        self.connection = connection
        self.last_event = ""
        """The id of the last event that had one."""
        self.response = connection.getresponse()
        self.headers = {name.lower(): value for name, value in self.response.getheaders()}
        wire.transcript.answered(lane, self.response.status, self.headers)

    @property
    def status(self) -> int:
        """The status."""
        return self.response.status

    @property
    def streams(self) -> bool:
        """True if it is a stream of events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def messages(self) -> Iterator[dict[str, Any]]:
        """Every message until the end."""
        if not self.streams:
            body = self.response.read().decode()
            if body:
                self.wire.transcript.note(self.lane, body)
                with contextlib.suppress(ValueError):
                    yield json.loads(body)
            return
        for block in self.blocks():
            lines = block.splitlines()
            if all(line.startswith(":") for line in lines):
                # Keep-alive messages come at any time.
                continue
            self.wire.transcript.note(self.lane, block)
            data = "\n".join(line.removeprefix("data:").strip() for line in lines if line.startswith("data:"))
            for line in lines:
                if line.startswith("id:"):
                    self.last_event = line.removeprefix("id:").strip()
            if data:
                yield json.loads(data)

    def blocks(self) -> Iterator[str]:
        """The stream's events unchanged, with line endings but without the empty line."""
        block = ""
        deadline = time.monotonic() + self.wire.patience_s
        while line := self.response.readline().decode():
            # Keep-alive messages come often enough for each read.
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing more came in `{self.lane}`")
            if line.strip("\r\n"):
                block += line
            elif block:
                yield block
                block = ""

    def close(self) -> None:
        """Ends the connection without waiting for the rest."""
        # Both hold the socket.
        self.response.close()
        self.connection.close()


@dataclass
class Wire:
    """A conversation with the server at this address in one version of the protocol."""

    url: str
    version: str
    headers: Mapping[str, str] = field(default_factory=dict)
    transcript: Transcript = field(default_factory=Transcript)
    session: str | None = None
    count: int = 0
    patience_s: float = PATIENCE_S
    """Longest wait for the next message."""
    opened: list[Answer] = field(default_factory=list)

    @property
    def modern(self) -> bool:
        """Without a handshake."""
        return self.version == MODERN

    def send(self, method: str, lane: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """One request on its own connection, without headers of an empty value."""
        url = urlsplit(self.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=self.patience_s)
        given: dict[str, str] = {"accept": "application/json, text/event-stream", "accept-encoding": "identity"}
        if self.session is not None:
            given["mcp-session-id"] = self.session
        if self.session is not None or self.modern:
            given["mcp-protocol-version"] = self.version
        given |= {**self.headers, **headers}
        # A server that knows its own address mentions it.
        self.transcript.chance.setdefault(url.netloc, "<address>")
        self.transcript.note(lane, f"> {method}")
        if body is not None:
            self.transcript.note(lane, f"> {body.decode()}")
        try:
            connection.request(method, url.path, body, {name: value for name, value in given.items() if value})
            answer = Answer(self, lane, connection)
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        self.opened.append(answer)
        return answer

    def post(self, message: Mapping[str, Any], lane: str, headers: Mapping[str, str] | None = None) -> Answer:
        """One message."""
        given = {"content-type": "application/json", **(headers or {})}
        return self.send("POST", lane, given, json.dumps(message, separators=(",", ":")).encode())

    def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request, whose answer the caller reads."""
        self.count += 1
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": self.count, "method": method}
        given = dict(params or {})
        if self.modern:
            protocol = {f"{META}/protocolVersion": self.version, f"{META}/clientInfo": CLIENT}
            given["_meta"] = {**protocol, f"{META}/clientCapabilities": CAPABILITIES, **(meta or {})}
            headers = {"mcp-method": method, **(headers or {})}
            if method in NAMED:
                headers = {"mcp-name": str(given.get(NAMED[method], "")), **headers}
        elif meta:
            given["_meta"] = dict(meta)
        if given:
            message["params"] = given
        return self.post(message, f"{self.count:02} {method}", headers)

    def result(self, method: str, params: Mapping[str, Any] | None = None, **further: Any) -> dict[str, Any]:
        """The last message of an answer, which must come."""
        *_, last = self.ask(method, params, **further).messages()
        return last

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None, **further: Any) -> dict[str, Any]:
        """The last message of the answer to a call."""
        return self.result("tools/call", {"name": tool, "arguments": dict(arguments or {})}, **further)

    def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """A notification."""
        message = {"jsonrpc": "2.0", "method": method, **({"params": dict(params)} if params else {})}
        list(self.post(message, f"{self.count:02} {method}").messages())

    def respond(self, to: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """The answer to a server's request."""
        message = {"jsonrpc": "2.0", "id": to["id"], "result": dict(result)}
        list(self.post(message, f"{self.count:02} answer to {to['method']}").messages())

    def get(self, lane: str = "GET", last_event: str = "") -> Answer:
        """The stream of the server's messages without a request; with `last_event`, those after that event."""
        return self.send("GET", lane, {"accept": "text/event-stream", "last-event-id": last_event})

    def delete(self) -> Answer:
        """Ends the session."""
        return self.send("DELETE", "DELETE", {})

    def __enter__(self) -> Self:
        """Connects with the handshake of the version."""
        try:
            if not self.modern:
                self.shake_hands()
        except BaseException:
            self.__exit__()
            raise
        return self

    def shake_hands(self) -> None:
        """Opens a session, if the server has sessions."""
        params = {"protocolVersion": self.version, "capabilities": CAPABILITIES, "clientInfo": CLIENT}
        opened = self.ask("initialize", params)
        (first,) = [message for message in opened.messages() if "result" in message]
        assert first["result"]["protocolVersion"] == self.version
        self.session = opened.headers.get("mcp-session-id")
        self.tell("notifications/initialized")

    def __exit__(self, *_: object) -> None:
        """Ends the connections, and leaves the session to the server."""
        for answer in self.opened:
            answer.close()
