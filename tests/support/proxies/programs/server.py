"""A real MCP server over streamable HTTP: `server.py PORT PATH [stateless] [json] [secret]`.

With `json` it answers in JSON, not in a stream of events; with `secret` it has one more tool. Runs in an
environment of its own.
"""

import sys

from fastmcp import FastMCP

server = FastMCP("tools")


@server.tool(name="open")
def opened(n: int = 0) -> str:
    """Does something."""
    return f"opened {n}"


@server.tool
def capped() -> str:
    """Does something that is limited."""
    return "done"


@server.tool
def small(n: int) -> str:
    """Takes small numbers."""
    return str(n)


def secret() -> str:
    """Is hidden from some."""
    return "told"


port, path, *further = sys.argv[1:]
if "secret" in further:
    server.tool(secret)
server.run(
    transport="http",
    host="127.0.0.1",
    port=int(port),
    path=path,
    stateless_http="stateless" in further,
    json_response="json" in further,
    show_banner=False,
)
