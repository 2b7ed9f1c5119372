"""A real MCP client, as an agent's container has it: `agent.py CALLS`, calls as JSON `[[tool, arguments], ...]`.

Takes address and token from where the manifest puts them; prints what it saw as JSON. Runs in an environment of its
own.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

PATIENCE_S = 60.0
TOKEN = Path(os.environ["MCP_TOKEN_FILE"]).read_text(encoding="utf-8")


async def main(calls: list[tuple[str, dict[str, object]]]) -> dict[str, object]:
    """Lists the tools and makes the calls, one after the other, in one session."""
    transport = StreamableHttpTransport(os.environ["MCP_URL"], headers={"authorization": f"Bearer {TOKEN}"})
    seen = []
    async with Client(transport) as client:
        tools = [tool.name for tool in await client.list_tools()]
        for tool, arguments in calls:
            result = await client.call_tool(tool, arguments, raise_on_error=False)
            seen.append(["refused" if result.is_error else "done", result.content[0].text])
    return {"tools": sorted(tools), "seen": seen}


sys.stdout.write(json.dumps(asyncio.run(asyncio.wait_for(main(json.loads(sys.argv[1])), PATIENCE_S))))
