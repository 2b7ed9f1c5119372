"""The servers that are compared: each pinned to one core with one thread to serve with, over each transport."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import grpc
from common import calls, certificates, machine, programs

from callgate._proto.callgate.decision.v1 import decision_pb2

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from common.programs import Program, Sidecar

METHOD = "/callgate.decision.v1.DecisionService/Check"
POLICY = machine.ROOT / "bench/policy.json"
# A plain tokio program starts a thread per core unless it is told otherwise.
ONE_THREAD = {"TOKIO_WORKER_THREADS": "1"}


class Transport(Enum):
    """The transport to a server."""

    TCP = "TCP"
    TLS = "TLS"
    SOCKET = "Unix socket"


@dataclass(frozen=True)
class Contestant:
    """A server over one transport."""

    name: str
    transport: Transport
    # `HOST:PORT`, or the path of the socket.
    address: str
    program: Program
    authority: Path

    @property
    def title(self) -> str:
        """For a table."""
        return f"{self.name}, {self.transport.value}"

    @property
    def sidecar(self) -> Sidecar | None:
        """The program where it is callgate, which counts its own decisions."""
        return self.program if isinstance(self.program, programs.Sidecar) else None

    def allowed(self) -> int | None:
        """Allowed calls by callgate's own count."""
        return self.sidecar.allowed() if self.sidecar is not None else None

    def probe(self) -> None:
        """Waits until it answers; it must allow the calls that the benches ask about."""
        if self.transport is Transport.TLS:
            credentials = grpc.ssl_channel_credentials(self.authority.read_bytes())
            channel = grpc.secure_channel(self.address, credentials)
        else:
            prefix = "unix:" if self.transport is Transport.SOCKET else ""
            # Otherwise gRPC names the socket's path as authority, which no HTTP/2 server has to take.
            channel = grpc.insecure_channel(prefix + self.address, options=[("grpc.default_authority", "localhost")])
        with channel:
            ask = channel.unary_unary(
                METHOD,
                request_serializer=decision_pb2.CheckRequest.SerializeToString,
                response_deserializer=decision_pb2.CheckResponse.FromString,
            )
            for size in calls.ARGUMENTS:
                answer = ask(calls.request(size), wait_for_ready=True, timeout=programs.START_SECONDS)
                if answer.outcome != decision_pb2.OUTCOME_ALLOW:
                    sys.exit(f"{self.title} answered {answer}, expected allow")


def started(stack: ExitStack, folder: Path, bare: Path, *, aio: bool) -> list[Contestant]:
    """Starts everybody: callgate and the bare handler over each transport, and where asked a grpcio aio handler."""
    files = certificates.made(folder)
    tls = {"tls": {"certificate": str(files.certificate), "key": str(files.key)}}
    contestants = []

    def add(name: str, transport: Transport, address: str, program: Program) -> None:
        contestant = Contestant(name, transport, address, program, files.authority)
        contestant.probe()
        contestants.append(contestant)

    plain = stack.enter_context(programs.sidecar(policy(), folder, socket_path=folder / "callgate.sock"))
    bare_plain, bare_tls = programs.free_addresses(2)
    bare_socket = str(folder / "bare.sock")
    command = [str(bare), "--listen", bare_plain, "--socket", bare_socket]
    plain_floor = stack.enter_context(programs.started(command, **ONE_THREAD))
    add("callgate", Transport.TCP, plain.address, plain)
    add("bare tonic", Transport.TCP, bare_plain, plain_floor)
    add("callgate", Transport.SOCKET, str(folder / "callgate.sock"), plain)
    add("bare tonic", Transport.SOCKET, bare_socket, plain_floor)

    secured = stack.enter_context(programs.sidecar({**policy(), **tls}, folder))
    command = [
        str(bare),
        "--listen",
        bare_tls,
        "--tls-certificate",
        str(files.certificate),
        "--tls-key",
        str(files.key),
    ]
    tls_floor = stack.enter_context(programs.started(command, **ONE_THREAD))
    add("callgate", Transport.TLS, secured.address, secured)
    add("bare tonic", Transport.TLS, bare_tls, tls_floor)

    if aio:
        [address] = programs.free_addresses(1)
        command = [sys.executable, "-m", "wire.aio_handler", "--listen", address]
        handler = stack.enter_context(programs.started(command, PYTHONPATH=str(machine.ROOT / "bench")))
        add("grpcio aio", Transport.TCP, address, handler)
    return contestants


def policy() -> dict[str, object]:
    """The part of a configuration that decides what the benches ask."""
    return {"servers": {"srv": {"policy": "bench"}}, "policies": {"bench": str(POLICY)}}


def floor_of(contestant: Contestant, contestants: list[Contestant]) -> Contestant:
    """The bare handler over the same transport."""
    return next(c for c in contestants if c.name == "bare tonic" and c.transport is contestant.transport)


def bare_handler(quick: bool) -> Path:
    """The path of the bare handler that cargo builds."""
    return machine.ROOT / "target" / ("debug" if quick else "release") / "callgate-bench-bare"
