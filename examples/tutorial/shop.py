"""The MCP server of docs/tutorial.md: the tools of a small shop, over pipes. It does whatever it is asked to do."""

import json
import sys
from typing import Any

TOOLS = {
    "search_orders": "Find the orders of a customer",
    "read_file": "Read a file",
    "refund": "Pay money back for an order",
    "delete_customer": "Delete a customer and all orders",
}


def call(tool: str, arguments: dict[str, Any]) -> str:
    """The text that a tool answers."""
    if tool == "search_orders":
        return f"orders of {arguments['customer']}: A-17, A-18"
    if tool == "read_file":
        return f"text of {arguments['path']}"
    if tool == "refund":
        return f"paid {arguments['amount']} back for {arguments['order']}"
    if tool == "delete_customer":
        return f"deleted {arguments['customer']}"
    return f"no such tool: {tool}"


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result of one request."""
    if method == "initialize":
        info = {"name": "shop", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        schema = {"type": "object"}
        return {"tools": [{"name": name, "description": text, "inputSchema": schema} for name, text in TOOLS.items()]}
    return {"content": [{"type": "text", "text": call(params["name"], params.get("arguments", {}))}]}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
