"""A real MCP client: `client.py URL CALLS OPTIONS`, calls as JSON `[[tool, arguments], ...]`. Prints what it saw.

Options are `{"headers": {...}, "mode": "auto"}`; the mode is how the client agrees on a version of the protocol.

Runs in an environment of its own.
"""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

PATIENCE_S = 30.0


async def main(
    url: str, calls: list[tuple[str, dict[str, object]]], headers: dict[str, str], mode: str
) -> dict[str, object]:
    """Lists the tools and makes the calls, one after the other, in one session."""
    seen = []
    async with Client(StreamableHttpTransport(url, headers=headers), mode=mode) as client:
        version = client.protocol_version
        tools = [tool.name for tool in await client.list_tools()]
        for tool, arguments in calls:
            try:
                result = await client.call_tool(tool, arguments, raise_on_error=False)
            except Exception as error:  # noqa: BLE001, PERF203  whatever it is, it is what the caller gets
                seen.append(["error", str(error)])
            else:
                seen.append(["refused" if result.is_error else "done", result.content[0].text])
    return {"tools": sorted(tools), "seen": seen, "version": version}


done = main(sys.argv[1], json.loads(sys.argv[2]), **json.loads(sys.argv[3]))
sys.stdout.write(json.dumps(asyncio.run(asyncio.wait_for(done, PATIENCE_S))))
