"""Lists a server's tools through callgate and calls one: `python_sdk.py URL TOOL ARGUMENTS`, with `mcp` 2 installed.

The token of the caller's grant is in CALLGATE_TOKEN.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, tool: str, arguments: str) -> None:
    """Prints the names of the tools, then what the call came to."""
    headers = {"authorization": f"Bearer {token}"} if (token := os.environ.get("CALLGATE_TOKEN")) else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        tools = await client.list_tools()
        print(*(tool.name for tool in tools.tools))
        result = await client.call_tool(tool, json.loads(arguments))
        print("denied or failed:" if result.is_error else "done:", *(part.text for part in result.content))


asyncio.run(main(*sys.argv[1:]))
