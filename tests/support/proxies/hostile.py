"""The hostile requests of `tests/cases/hostile` as bytes on a connection."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from support.proxies.envoy import ROOT

CASES = ROOT / "tests" / "cases" / "hostile"
CATALOGUE = CASES / "catalogue" / "tools.json"
"""Facts about the tools that the cases call."""
PATIENCE_S = 20.0
MARK = "x-case"
"""The header with the case of a request."""


@dataclass(frozen=True)
class Case:
    """One request and its required result."""

    name: str
    headers: list[tuple[str, bytes]]
    body: bytes | None
    path: str | None
    framing: dict[str, Any]
    expect: dict[str, Any]

    @property
    def can_be_sent(self) -> bool:
        """True if no header value contains a line ending."""
        return not any(byte in value for _, value in self.headers for byte in (b"\r", b"\n", b"\0"))

    @property
    def is_framed(self) -> bool:
        """True if the case is about the frame of a message."""
        return self.name.startswith("http: ")

    @property
    def passes(self) -> bool:
        """True if it may pass with all tools allowed, by its body or by its header fields alone."""
        return "call" in self.expect or bool(self.expect.get("other", {}).get("passes"))

    @property
    def is_cut(self) -> bool:
        """True if fewer bytes are sent than announced."""
        length = self.framing.get("content_length", "")
        return length.isdecimal() and int(length) > len(self.body or b"")

    def as_bytes(self, number: int) -> bytes:
        """The request, as the number `number`; the connection ends after it."""
        lines = [
            f"POST {self.path or '/mcp/srv'} HTTP/1.1".encode(),
            b"host: mcp.example.com",
            b"connection: close",
            b"x-agent: a",
        ]
        lines.append(f"{MARK}: {number}".encode())
        if self.body is not None:
            lines.append(b"content-type: application/json")
        body = self.body or b""
        if chunks := self.framing.get("chunks"):
            lines.append(b"transfer-encoding: chunked")
            body = chunked(body, chunks)
        else:
            lines.append(f"content-length: {self.framing.get('content_length', len(body))}".encode())
        lines += [name.encode() + b": " + value for name, value in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """A body in chunks of these sizes, and one of what is left."""
    framed = b""
    for size in [*sizes, len(body)]:
        chunk, body = body[:size], body[size:]
        if chunk:
            framed += f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    return framed + b"0\r\n\r\n"


def cases() -> list[Case]:
    """Every case of every file."""
    return [
        Case(
            f"{path.stem}: {case['name']}",
            [(name, pieces(value)) for name, value in case.get("headers", [])],
            pieces(case["body"]) if "body" in case else None,
            case.get("path"),
            case.get("http", {}),
            case["expect"],
        )
        for path in sorted(CASES.glob("*.json"))
        for case in json.loads(path.read_text(encoding="utf-8"))
    ]


def pieces(value: Any) -> bytes:
    """A text, or the pieces of one."""
    if isinstance(value, list):
        return b"".join(map(pieces, value))
    if isinstance(value, str):
        return value.encode()
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    return str(value["repeat"] * value["times"]).encode()


def send(address: str, case: Case, number: int) -> int:
    """The status of the first answer; 0 if the connection ended without one."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        answer = b""
        try:
            connection.sendall(case.as_bytes(number))
            if case.is_cut:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        except OSError:
            # A server that does not need the rest may close before it is sent.
            pass
    words = answer.split(b" ", 2)
    return int(words[1]) if words[0].startswith(b"HTTP/") else 0
