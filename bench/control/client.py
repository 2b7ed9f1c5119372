"""A client of the admin API over both of its faces, on loopback."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

if TYPE_CHECKING:
    from common.programs import Sidecar
    from control.world import World
    from google.protobuf.message import Message

_Answer = TypeVar("_Answer", bound="Message")
TIMEOUT_SECONDS = 120.0


class AdminClient:
    """One connection to each face, as the machine of a world, and as a person on the pages."""

    def __init__(self, sidecar: Sidecar, world: World) -> None:
        """Connects at the first request."""
        self._channel = grpc.insecure_channel(sidecar.admin_grpc)
        self._metadata = (("authorization", f"Bearer {world.machine_token}"),)
        self._http = http.client.HTTPConnection(sidecar.admin, timeout=TIMEOUT_SECONDS)
        self._world = world

    def call(self, method: str, request: Message, kind: type[_Answer]) -> _Answer:
        """Calls `Service/Method`."""
        ask: Any = self._channel.unary_unary(
            f"/callgate.admin.v1.{method}", type(request).SerializeToString, kind.FromString
        )
        answer: _Answer = ask(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata)
        return answer

    def stream(self, method: str, request: Message, kind: type[_Answer]) -> Any:  # noqa: ANN401  a call of grpcio
        """Opens the stream of `Service/Method`; it can be cancelled."""
        ask: Any = self._channel.unary_stream(
            f"/callgate.admin.v1.{method}", type(request).SerializeToString, kind.FromString
        )
        return ask(request, metadata=self._metadata)

    def get(self, path: str) -> bytes:
        """The body of a path of the API as REST."""
        return self._get(path, {"Authorization": f"Bearer {self._world.machine_token}"})

    def page(self, path: str) -> bytes:
        """A page for people."""
        return self._get(path, {"Cookie": f"callgate={self._world.session}"})

    def close(self) -> None:
        """Ends the connections."""
        self._channel.close()
        self._http.close()

    def _get(self, path: str, headers: dict[str, str]) -> bytes:
        self._http.request("GET", path, headers=headers)
        answer = self._http.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            message = f"GET {path} answered {answer.status}: {body[:500].decode(errors='replace')}"
            raise RuntimeError(message)
        return body
