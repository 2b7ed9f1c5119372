"""Clients of a running sidecar, and the servicer of a grpcio server; none of them needs the control plane."""

from callgate.client.aio import AsyncClient
from callgate.client.base import UNAVAILABLE
from callgate.client.client import Client
from callgate.client.grpc_server import add_to_grpc_server
from callgate.client.messages import Call

__all__ = ["UNAVAILABLE", "AsyncClient", "Call", "Client", "add_to_grpc_server"]
