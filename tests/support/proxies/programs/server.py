"""A real MCP server over streamable HTTP: `server.py PORT PATH [stateless] [json] [secret] [notes=FILE]`.

With `json` it answers in JSON, not in a stream of events; with `secret` it has one more tool, and with `notes` another
one, whose calls it writes to the file. Runs in an environment of its own.
"""

import sys
from pathlib import Path

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


def risky(n: int = 0) -> str:
    """Does something that a person has to agree to."""
    with notes.open("a") as file:
        file.write(f"{n}\n")
    return f"did {n}"


port, path, *further = sys.argv[1:]
if "secret" in further:
    server.tool(secret)
for option in further:
    if option.startswith("notes="):
        notes = Path(option.removeprefix("notes="))
        server.tool(risky)
server.run(
    transport="http",
    host="127.0.0.1",
    port=int(port),
    path=path,
    stateless_http="stateless" in further,
    json_response="json" in further,
    show_banner=False,
)
