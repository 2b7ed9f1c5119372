"""A real MCP server over pipes: `server.py [NOTES]`. Runs in an environment of its own.

It writes the calls of one of its tools to the file.
"""

import sys
from pathlib import Path

from fastmcp import Context, FastMCP

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


@server.tool
def secret() -> str:
    """Is hidden from some."""
    return "told"


@server.tool
def large(size: int) -> str:
    """Answers at length."""
    return "x" * size


@server.tool
async def slow(steps: int, context: Context) -> str:
    """Tells how far it has come."""
    for step in range(steps):
        await context.report_progress(step, steps, f"step {step}")
    return "there"


@server.tool
async def asking(context: Context) -> str:
    """Asks its client."""
    answer = await context.elicit("who?", response_type=str)
    return f"{answer.action} {getattr(answer, 'data', None)}"


@server.tool
def failing() -> str:
    """Fails."""
    message = "out of order"
    raise ValueError(message)


@server.tool
def risky(n: int = 0) -> str:
    """Does something that a person has to agree to."""
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{n}\n")
    return f"did {n}"


@server.resource("memo://one")
def memo() -> str:
    """Says something."""
    return "remember"


@server.prompt
def greeting(name: str) -> str:
    """Greets."""
    return f"hello {name}"


sys.stderr.write("server: ready\n")
server.run(transport="stdio", show_banner=False)
