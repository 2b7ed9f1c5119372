"""The server behind proxies and gateways, and the barest of proxies: bench/echo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import machine, programs

if TYPE_CHECKING:
    from contextlib import ExitStack

    from common.programs import Program


def started(stack: ExitStack, core: str, *, quick: bool) -> tuple[int, Program]:
    """The server, built with the profile of the bench, and the port of loopback that it listens on."""
    return _started(stack, core, ["callgate-bench-echo"], quick=quick)


def passed_on(stack: ExitStack, url: str, *, quick: bool) -> tuple[int, Program]:
    """A proxy made of the same parts as callgate that judges nothing: what those parts cost by themselves."""
    return _started(stack, programs.SERVER_CORE, ["callgate-bench-pass", url], quick=quick)


def _started(stack: ExitStack, core: str, words: list[str], *, quick: bool) -> tuple[int, Program]:
    program, *arguments = words
    path = machine.ROOT / "target" / ("debug" if quick else "release") / program
    port = programs.free_port()
    command = [str(path), f"127.0.0.1:{port}", *arguments]
    running = stack.enter_context(programs.started(command, core, TOKIO_WORKER_THREADS="1"))
    programs.wait_for(port, running)
    return port, running
