"""A real MCP client: `client.py URL CALLS`, calls as JSON `[[tool, arguments], ...]`. Prints what it saw as JSON.

Runs in an environment of its own.
"""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

PATIENCE_S = 30.0


async def main(url: str, calls: list[tuple[str, dict[str, object]]]) -> dict[str, object]:
    """Lists the tools and makes the calls, one after the other, in one session."""
    seen = []
    async with Client(StreamableHttpTransport(url, headers={"x-agent": "a"})) as client:
        tools = [tool.name for tool in await client.list_tools()]
        for tool, arguments in calls:
            try:
                result = await client.call_tool(tool, arguments, raise_on_error=False)
            except Exception as error:  # noqa: BLE001, PERF203  whatever it is, it is what the caller gets
                seen.append(["error", str(error)])
            else:
                seen.append(["refused" if result.is_error else "done", result.content[0].text])
    return {"tools": sorted(tools), "seen": seen}


sys.stdout.write(json.dumps(asyncio.run(asyncio.wait_for(main(sys.argv[1], json.loads(sys.argv[2])), PATIENCE_S))))
