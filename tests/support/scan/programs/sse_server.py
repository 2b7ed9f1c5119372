"""A server on fastmcp over HTTP with SSE, the transport of MCP 2024-11-05: `sse_server.py PORT`."""

import sys

from fastmcp import FastMCP

server = FastMCP("older", version="7")


@server.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


server.run(transport="sse", host="127.0.0.1", port=int(sys.argv[1]), path="/sse", show_banner=False)
