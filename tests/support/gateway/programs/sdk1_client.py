"""A client on the Python SDK, first generation: `sdk1_client.py OPTIONS`. Prints what it saw; see `clients`.

Runs in an environment of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client

from support.gateway.programs.seen import PATIENCE_S, Seen


async def main(
    target: dict[str, Any],
    steps: list[dict[str, Any]],
    headers: dict[str, str],
    version: str | None,
    answers: dict[str, Any],
) -> None:
    """Runs all steps in one session."""
    if version is not None:
        # An older client is one that knows no newer version.
        types.LATEST_PROTOCOL_VERSION = version
    seen = Seen(answers)
    async with AsyncExitStack() as stack:
        streams: Any
        if "url" in target:
            http = await stack.enter_async_context(httpx.AsyncClient(headers=headers, timeout=PATIENCE_S))
            streams = await stack.enter_async_context(streamable_http_client(target["url"], http_client=http))
        else:
            command, *arguments = target["command"]
            server = StdioServerParameters(command=command, args=arguments, env=target["environment"])
            streams = await stack.enter_async_context(stdio_client(server))
        waits = timedelta(seconds=PATIENCE_S)
        session = ClientSession(streams[0], streams[1], waits, message_handler=seen.on_message, **seen.callbacks())
        client = await stack.enter_async_context(session)
        opened = await client.initialize()
        await seen.do(steps, client, client)
        seen.tell(str(opened.protocolVersion), opened.serverInfo.name)


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(**json.loads(sys.argv[1])), 2 * PATIENCE_S))
