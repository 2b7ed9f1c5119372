"""The agent of docs/tutorial.md, which does too much. Its arguments are the command that starts its MCP server."""

import json
import sys
from subprocess import PIPE, Popen
from typing import Any

# The calls that a model decided on, in this order.
CALLS = [
    ("search_orders", {"customer": "ann"}),
    ("read_file", {"path": "/shop/help/refunds.md"}),
    ("read_file", {"path": "/shop/help/../../etc/passwd"}),
    ("refund", {"order": "A-17", "amount": 9500}),
    ("refund", {"order": "A-17", "amount": 60}),
    ("refund", {"order": "A-18", "amount": 60}),
    ("refund", {"order": "A-18", "amount": 60}),
    ("delete_customer", {"customer": "ann"}),
]


class Session:
    """A session with an MCP server over pipes."""

    def __init__(self, server: "Popen[str]") -> None:
        """Starts the session."""
        self.server = server
        self.requests = 0
        client = {"name": "agent", "version": "1"}
        self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self.send({"method": "notifications/initialized"})

    def send(self, message: dict[str, Any]) -> None:
        """Writes one message to the server."""
        assert self.server.stdin is not None  # noqa: S101  it was opened with a pipe
        self.server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.server.stdin.flush()

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Sends a request and returns its result."""
        self.requests += 1
        self.send({"id": self.requests, "method": method, "params": params})
        assert self.server.stdout is not None  # noqa: S101  it was opened with a pipe
        line = self.server.stdout.readline()
        if not line:
            sys.exit("agent: the server has ended")
        result: dict[str, Any] = json.loads(line)["result"]
        return result


with Popen(sys.argv[1:], stdin=PIPE, stdout=PIPE, text=True) as process:  # noqa: S603  the user's own command
    session = Session(process)
    tools = session.request("tools/list", {})["tools"]
    print("tools:", ", ".join(tool["name"] for tool in tools), flush=True)
    for name, arguments in CALLS:
        result = session.request("tools/call", {"name": name, "arguments": arguments})
        text = " ".join(part["text"] for part in result["content"])
        print(name, json.dumps(arguments))
        print("    refused:" if result.get("isError") else "    done:", text, flush=True)
