"""A server on the Python SDK with a tool for each thing that a tool can do: `sdk_server.py PORT [stateless] [json]`.

A port of 0 stands for stdio. It keeps what its streams said, so that they can be resumed; it speaks the versions with a
handshake and those without. Runs in an environment of its own.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Annotated

import anyio
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, MCPServer, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    CreateMessageResult,
    LoggingLevel,
    PromptReference,
    ResourceTemplateReference,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

from support.gateway.programs.kept_events import KeptEvents

PATIENCE_S = 30.0
LANGUAGES = ["go", "python", "rust", "typescript"]
server = MCPServer("sdk", version="1", instructions="Use the tools.", log_level="ERROR")
gates: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
"""Gates for which calls wait: opened by calls, never by time."""
cancelled: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
"""Events that show that a waiting call was cancelled."""


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise ToolError(why)


@server.tool()
def large(kibibytes: int) -> str:
    """Says much."""
    return "x" * (kibibytes * 1024)


@server.tool()
def regional(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Has an argument that is mirrored in a header."""
    return f"in {region}"


@server.tool()
async def steps(count: int, ctx: Context) -> str:
    """Tells how far it is."""
    for step in range(1, count + 1):
        await ctx.report_progress(step, count, f"step {step}")
    return f"{count} steps"


@server.tool()
async def gated(gate: str, ctx: Context) -> str:
    """Tells that it has begun, and goes on when the gate opens."""
    try:
        await ctx.report_progress(1, 2, "waiting")
        with anyio.fail_after(PATIENCE_S):
            await gates[gate].wait()
        await ctx.report_progress(2, 2, "through")
    except anyio.get_cancelled_exc_class():
        cancelled[gate].set()
        raise
    return "through the gate"


@server.tool()
async def polled(end: str, gate: str, ctx: Context) -> str:
    """Closes its stream when one gate opens, as servers do that want to be polled, and goes on when the other does."""
    await ctx.report_progress(1, 2, "waiting")
    with anyio.fail_after(PATIENCE_S):
        await gates[end].wait()
        await ctx.close_sse_stream()
        await gates[gate].wait()
    await ctx.report_progress(2, 2, "through")
    return "through the gate"


@server.tool()
def open_gate(gate: str) -> str:
    """Lets the calls that wait at this gate go on."""
    gates[gate].set()
    return "opened"


@server.tool()
async def was_cancelled(gate: str) -> bool:
    """True if a call that waited at this gate was cancelled; waits a short time for it."""
    with anyio.move_on_after(PATIENCE_S / 3):
        await cancelled[gate].wait()
    return cancelled[gate].is_set()


@server.tool()
async def say(level: LoggingLevel, text: str, ctx: Context) -> str:
    """Logs."""
    await ctx.log(level, text, logger_name="tool")
    return "said"


@server.tool()
async def changed(uri: str, ctx: Context) -> str:
    """Says that the tools and a resource have changed, to whoever listens; they have not."""
    await ctx.session.send_tool_list_changed()
    await ctx.notify_tools_changed()
    await ctx.notify_resource_updated(uri)
    return "told"


class City(BaseModel):
    """The destination."""

    city: str


def which_city() -> Elicit[City]:
    """Asks the person."""
    return Elicit("where to?", City)


@server.tool()
async def travel(answer: Annotated[ElicitationResult[City], Resolve(which_city)]) -> str:
    """Asks where to."""
    return f"to {answer.data.city}" if isinstance(answer, AcceptedElicitation) else f"not travelling: {answer.action}"


def ask_the_model(question: str) -> Sample:
    """Asks the client's model."""
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=question))
    return Sample([asked], max_tokens=20)


@server.tool()
async def sample(question: str, answer: Annotated[CreateMessageResult, Resolve(ask_the_model)]) -> str:
    """Asks the client's model."""
    said = answer.content.text if isinstance(answer.content, TextContent) else "?"
    return f"{question} {said}"


@server.resource("note://today")
def today() -> str:
    """A note."""
    return "buy milk"


@server.resource("note://named/{name}")
def named(name: str) -> str:
    """A note by its name."""
    return f"about {name}"


@server.prompt()
def greet(language: str) -> str:
    """Greets."""
    return f"say hello in {language}"


@server.completion()
async def complete(
    ref: PromptReference | ResourceTemplateReference,  # noqa: ARG001  the handler's shape
    argument: CompletionArgument,
    context: CompletionContext | None,  # noqa: ARG001  the handler's shape
) -> Completion:
    """Knows some languages."""
    return Completion(values=[known for known in LANGUAGES if known.startswith(argument.value)])


if __name__ == "__main__":
    port, *further = sys.argv[1:]
    if port == "0":
        server.run()
    else:
        server.run(
            "streamable-http",
            port=int(port),
            stateless_http="stateless" in further,
            json_response="json" in further,
            event_store=None if "stateless" in further else KeptEvents(),
            retry_interval=50,
        )
