"""A client on the Python SDK, second generation: `sdk_client.py OPTIONS`. Prints what it saw; see `clients`.

Runs in an environment of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client import session
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from support.gateway.programs.seen import PATIENCE_S, Seen


async def main(
    target: dict[str, Any],
    steps: list[dict[str, Any]],
    headers: dict[str, str],
    version: str | None,
    answers: dict[str, Any],
) -> None:
    """Runs all steps in one session."""
    mode = "auto"
    if version is not None:
        mode = version if version in MODERN_PROTOCOL_VERSIONS else "legacy"
        # An older client is one that knows no newer version.
        session.LATEST_HANDSHAKE_VERSION = version
    seen = Seen(answers)
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http:
        server: Any
        if "url" in target:
            server = streamable_http_client(target["url"], http_client=http)
        else:
            command, *arguments = target["command"]
            server = StdioServerParameters(command=command, args=arguments, env=target["environment"])
        waits = {"read_timeout_seconds": PATIENCE_S, "log_level": "info"}
        async with Client(server, mode=mode, message_handler=seen.on_message, **waits, **seen.callbacks()) as client:
            await seen.do(steps, client, client.session)
            name = client.server_info.name if client.server_info else None
            seen.tell(client.protocol_version, name)


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(**json.loads(sys.argv[1])), 2 * PATIENCE_S))
