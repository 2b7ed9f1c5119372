"""A real MCP server with a few of the example policy's tools: `server.py PORT`. Runs in an environment of its own."""

import sys
import time

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_headers

server = FastMCP("srv")


@server.tool
def describe_images(wait_s: float = 0.0) -> str:
    """Takes as long as it is told; says which headers of interest came."""
    time.sleep(wait_s)
    headers = get_http_headers(include_all=True)
    return ", ".join(f"{name}: {headers[name]}" for name in ("authorization", "x-callgate-outcome") if name in headers)


@server.tool(name="create-ami")
def create_ami() -> str:
    """Does something that is limited."""
    return "made"


@server.tool
def drop_table(name: str) -> str:
    """Does something that is denied."""
    return f"dropped {name}"


server.run(
    transport="http",
    host="127.0.0.1",
    port=int(sys.argv[1]),
    path="/mcp",
    stateless_http=True,
    json_response=True,
    show_banner=False,
)
