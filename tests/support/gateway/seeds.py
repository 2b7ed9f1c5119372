"""The tools of the seeds' policies, and the real servers that offer them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.gateway.aws import aws
from support.gateway.servers import Command, awslabs_command, awslabs_server, program_command, stub_server, valkey

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Seed:
    """One tool. `server` is one of `AWSLABS_SERVERS`, or `stub` where its own server is in no registry."""

    server: str
    arguments: dict[str, Any]
    says: str
    """Part of what a call that reached it answers."""
    asks: str | None = None
    """The operation of AWS that such a call asks for."""


SEEDS = {
    "create-ami": Seed("stub", {"instance_id": "i-0123456789abcdef0", "name": "nightly"}, "ami-"),
    "create_access_key": Seed("iam", {"user_name": "ada"}, "AKIAIOSFODNN7EXAMPLE", "CreateAccessKey"),
    "stream_group_create": Seed(
        "valkey", {"key": "orders", "group_name": "billing", "mkstream": True}, "consumer group 'billing'"
    ),
    "update_image_set_metadata": Seed(
        "healthimaging",
        {
            "datastore_id": "0" * 32,
            "image_set_id": "1" * 32,
            "latest_version_id": "1",
            "update_image_set_metadata_updates": {"DICOMUpdates": {"removableAttributes": ""}},
        },
        "LOCKED",
        "UpdateImageSetMetadata",
    ),
    "vm_create_image": Seed("stub", {"instance_id": "i-0123456789abcdef0", "image_name": "nightly"}, "pending"),
}


@dataclass(frozen=True)
class Offered:
    """A server that offers a seed's tool, over HTTP and over stdio, and what it asked AWS for."""

    url: str
    command: Command
    asked: list[str]


@contextmanager
def offering(tool: str) -> Iterator[Offered]:
    """The server of a seed's tool, with all that it needs, on loopback alone."""
    server = SEEDS[tool].server
    if server == "stub":
        with stub_server() as url:
            yield Offered(url, program_command("stub_server.py"), [])
        return
    with aws() as cloud:
        if server == "valkey":
            with valkey() as port, awslabs_server(server, cloud, port) as url:
                yield Offered(url, awslabs_command(server, cloud, port), cloud.asked)
        else:
            with awslabs_server(server, cloud) as url:
                yield Offered(url, awslabs_command(server, cloud), cloud.asked)
