"""A real MCP client that keeps its session: `session.py TARGET OPTIONS`, both JSON.

The target is a URL or the words of a command. Options are `{"headers": {...}, "mode": "auto"}`, as those of
`client.py`. Each line of the input is a call, `{"tool": ..., "arguments": {...}}`; for each it prints a line with what
its user sees: `kind` (`done`, `refused` or `error`), `text`, and the decision if there is one. The first line of the
output says which `version` of the protocol was agreed on, and the names of the `tools`.

Runs in an environment of its own.
"""

import asyncio
import json
import os
import sys
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport


def say(**fields: object) -> None:
    """Prints a line at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def call(client: Any, tool: str, arguments: dict[str, object]) -> None:
    """Makes a call, and says what came of it."""
    try:
        result = await client.call_tool(tool, arguments, raise_on_error=False)
    except Exception as error:  # noqa: BLE001  whatever it is, it is what the caller gets
        say(kind="error", text=str(error))
    else:
        decision = (result.meta or {}).get("callgate/decision", {})
        kind = "refused" if result.is_error else "done"
        say(kind=kind, text=result.content[0].text, decision=decision)


async def main(target: Any, headers: dict[str, str], mode: str) -> None:
    """Makes calls until the end of the input."""
    if isinstance(target, str):
        transport: Any = StreamableHttpTransport(target, headers=headers)
    else:
        transport = StdioTransport(target[0], target[1:], env=dict(os.environ), keep_alive=False)
    async with Client(transport, mode=mode) as client:
        tools = sorted(tool.name for tool in await client.list_tools())
        say(version=client.protocol_version, tools=tools)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await call(client, **json.loads(line))


asyncio.run(main(json.loads(sys.argv[1]), **json.loads(sys.argv[2])))
