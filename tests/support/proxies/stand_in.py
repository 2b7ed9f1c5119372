"""A stand-in for agentgateway, which is not available: it asks, forwards, asks again and answers."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from support.proxies.envoy import PATIENCE_S, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PROTO = "agentgateway/dev/ext_mcp/ext_mcp.proto"
SERVICE = "/agentgateway.dev.ext_mcp.ExtMcp/"
CODES = {0: -32603, 1: -32001, 2: -32003, 3: -32600}
"""The gateway's JSON-RPC codes for those of the protocol."""


@dataclass
class Gateway:
    """One target behind it, whose name is that of callgate's server."""

    target: str
    url: str
    channel: grpc.Channel
    messages: Any
    """The generated messages of the protocol."""

    def send(self, method: str, params: dict[str, Any] | None, headers: Mapping[str, str]) -> dict[str, Any]:
        """The answer to a client's message: its `result` or `error`; and `sent`, the headers that the server got."""
        context = {"x-agent": headers["x-agent"]} if "x-agent" in headers else {}
        request = self.messages.McpRequest(service_names=[self.target], method=method)
        request.metadata_context.update(context)
        # Requests about lists have no `params`.
        if params is not None and not method.endswith("/list"):
            request.mcp_request = json.dumps(params).encode()
        for name, value in [(":method", "POST"), (":path", "/mcp"), *headers.items()]:
            request.headers.add(key=name, value=value.encode())
        judged = self.ask("CheckRequest", request, self.messages.McpRequestResult)
        if judged.WhichOneof("result") != "pass":
            return error(judged.error)
        sent = dict(headers)
        for header in judged.header_mutation.set:
            sent[header.key] = header.value.decode()
        for name in judged.header_mutation.remove:
            sent.pop(name, None)
        result = json.dumps(forward(self.url, method, params)).encode()

        response = self.messages.McpResponse(service_names=[self.target], method=method, mcp_response=result)
        response.metadata_context.update(context)
        seen = self.ask("CheckResponse", response, self.messages.McpResponseResult)
        if seen.WhichOneof("result") == "error":
            return error(seen.error)
        returned = seen.mutated if seen.WhichOneof("result") == "mutated" else result
        return {"result": json.loads(returned), "sent": sent}

    def ask(self, method: str, message: Any, answer: Any) -> Any:
        """One question."""
        call = self.channel.unary_unary(
            SERVICE + method,
            request_serializer=type(message).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(message, timeout=PATIENCE_S)


def error(refused: Any) -> dict[str, Any]:
    """The JSON-RPC error of a denial."""
    data = json.loads(refused.mcp_error) if refused.HasField("mcp_error") else None
    return {"error": {"code": CODES[refused.code], "message": refused.reason, "data": data}}


def forward(url: str, method: str, params: dict[str, Any] | None) -> Any:
    """The result of a message, from an MCP server without sessions."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, json.dumps(message).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        text = response.read().decode()
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return json.loads(lines[-1] if lines else text)["result"]


@contextmanager
def gateway(target: str, url: str, decisions: str, folder: Path) -> Iterator[Gateway]:
    """In front of the MCP server at this address, asking callgate; the protocol's code is generated in `folder`."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={folder}"]
    subprocess.run([*command, str(ROOT / "proto" / PROTO)], check=True, timeout=PATIENCE_S)
    sys.path.insert(0, str(folder))
    try:
        messages = importlib.import_module(PROTO.removesuffix(".proto").replace("/", ".") + "_pb2")
        with grpc.insecure_channel(decisions) as channel:
            yield Gateway(target, url, channel, messages)
    finally:
        sys.path.remove(str(folder))
