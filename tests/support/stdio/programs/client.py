"""A real MCP client over pipes: `client.py COMMAND CALLS MODE LOOKS`, the first two as JSON. Prints what it saw.

Calls are `[[tool, arguments], ...]`; the mode is how the client agrees on a version of the protocol; it looks at `all`
that the server offers, or at its `tools`. Runs in an environment of its own.
"""

import asyncio
import json
import os
import sys
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport

PATIENCE_S = 60.0


async def main(
    command: list[str], calls: list[tuple[str, dict[str, object]]], mode: str, looks: str
) -> dict[str, object]:
    """Looks around, and makes the calls one after the other and then all at once."""
    progress: list[object] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append([done, total, message])

    async def on_elicitation(message: str, _type: object, _params: object, _context: object) -> dict[str, str]:
        return {"value": f"you asked {message}"}

    transport = StdioTransport(command[0], command[1:], env=dict(os.environ), keep_alive=False)
    async with Client(transport, mode=mode, progress_handler=on_progress, elicitation_handler=on_elicitation) as client:

        async def call(tool: str, arguments: dict[str, object]) -> list[object]:
            try:
                result: Any = await client.call_tool(tool, arguments, raise_on_error=False)
            except Exception as error:  # noqa: BLE001  whatever it is, it is what the caller gets
                return ["error", str(error)]
            return ["refused" if result.is_error else "done", result.content[0].text]

        seen: dict[str, object] = {}
        if looks == "all":
            seen["resources"] = [str(resource.uri) for resource in await client.list_resources()]
            seen["memo"] = (await client.read_resource("memo://one"))[0].text
            seen["prompt"] = (await client.get_prompt("greeting", {"name": "x"})).messages[0].content.text
        return {
            **seen,
            "version": client.protocol_version,
            "tools": [tool.model_dump(mode="json") for tool in await client.list_tools()],
            "seen": [await call(tool, arguments) for tool, arguments in calls],
            "together": await asyncio.gather(*(call("open", {"n": n}) for n in range(20))),
            "progress": progress,
        }


done = main(json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3], sys.argv[4])
sys.stdout.write(json.dumps(asyncio.run(asyncio.wait_for(done, PATIENCE_S))))
