"""The server behind proxies and gateways: bench/echo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import machine, programs

if TYPE_CHECKING:
    from contextlib import ExitStack

    from common.programs import Program


def started(stack: ExitStack, core: str, *, quick: bool) -> tuple[int, Program]:
    """The server, built with the profile of the bench, and the port of loopback that it listens on."""
    program = machine.ROOT / "target" / ("dev-release" if quick else "release") / "callgate-bench-echo"
    port = programs.free_port()
    command = [str(program), f"127.0.0.1:{port}"]
    running = stack.enter_context(programs.started(command, core, TOKIO_WORKER_THREADS="1"))
    programs.wait_for(port, running)
    return port, running
