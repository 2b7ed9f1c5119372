"""A server for tools whose own servers are in no registry: `stub_server.py PORT [stateless]`; a port of 0 is stdio.

What is called is told by `called`. Runs in an environment of its own.
"""

from __future__ import annotations

import sys
import zlib
from typing import Annotated

from fastmcp import FastMCP
from pydantic import Field

server = FastMCP("images")
calls: list[str] = []
InstanceId = Annotated[str, Field(pattern=r"^i-[0-9a-f]{8,17}$", description="The instance to take the image of.")]


def image(instance_id: str, name: str) -> str:
    """An id that the same call gets each time."""
    return f"ami-{zlib.crc32(f'{instance_id} {name}'.encode()):017x}"


@server.tool(name="create-ami")
def create_ami(
    instance_id: InstanceId,
    name: Annotated[str, Field(min_length=3, max_length=128)],
    description: str = "",
    no_reboot: bool = False,
) -> dict[str, str]:
    """Create an AMI"""
    calls.append("create-ami")
    return {"imageId": image(instance_id, name), "description": description, "reboot": str(not no_reboot)}


@server.tool
def vm_create_image(instance_id: InstanceId, image_name: str, wait: bool = False) -> dict[str, str]:
    """Create an AMI from a VM instance"""
    calls.append("vm_create_image")
    state = "available" if wait else "pending"
    return {"imageId": image(instance_id, image_name), "state": state}


@server.tool
def called() -> list[str]:
    """The tools that were called before, in order."""
    return calls


port, *further = sys.argv[1:]
if port == "0":
    server.run(transport="stdio", show_banner=False)
else:
    server.run(
        transport="http",
        host="127.0.0.1",
        port=int(port),
        path="/mcp",
        stateless_http="stateless" in further,
        show_banner=False,
    )
