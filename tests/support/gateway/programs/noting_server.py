"""A server that notes each call before it answers: `noting_server.py PORT FILE DELAY_S`.

The id of a call is written to the file as soon as all of it has arrived, in one piece that outlives a kill of this
process. The answer comes after a while, so that calls are always on their way. The tool `watch` answers by events
that do not end.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

PORT, FILE, DELAY_S = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
NOTES = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
EVENT = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"here"}}\n\n'


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers one connection's requests until it ends."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            await answer(json.loads(await reader.readexactly(length)), writer)
    except (OSError, EOFError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def answer(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Notes a call, and answers it in its own time."""
    os.write(NOTES, f"{message['id']}\n".encode())
    if message["params"]["name"] == "watch":
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
            await writer.drain()
            await asyncio.sleep(DELAY_S)
    await asyncio.sleep(DELAY_S)
    result = {"content": [{"type": "text", "text": "noted"}], "isError": False}
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    writer.write(head + body)
    await writer.drain()


async def main() -> None:
    """Serves until it is killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", PORT, backlog=1024)
    async with server:
        await server.serve_forever()


asyncio.run(main())
