"""Starts the servers: each on the one core that serves, with one thread to serve with."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import machine, programs
from proxy import messages
from proxy.contestants import (
    BARE,
    CALLGATE,
    LIMITADOR,
    LIMITADOR_LIBRARY,
    OPA,
    OPA_LIBRARY,
    RATELIMIT,
    Contestant,
    Started,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from common.programs import Program

    # Starts a peer's program, which then answers at an address.
    Start = Callable[[ExitStack, Path, str], list[Program]]

SETTINGS = machine.ROOT / "bench/proxy/settings"
# Programs that `bench/peers/build` made.
PEERS = machine.ROOT / "target/peers/bin"
LIMITS = SETTINGS / "limits.yaml", SETTINGS / "limits-used-up.yaml"
# callgate's configurations. The second is for the rule of settings/policy.rego.
RATE_LIMITS: dict[str, object] = {"rate_limits": [str(file) for file in LIMITS]}
AUTHORIZATION: dict[str, object] = {
    "servers": {"srv": {"policy": "bench"}},
    "policies": {"bench": str(SETTINGS / "policy.json")},
    "proxies": {"identity": [{"header": messages.AGENT_HEADER}], "server": ["path"], "paths": ["/mcp/{server}"]},
}
ONE_THREAD = {"TOKIO_WORKER_THREADS": "1", "GOMAXPROCS": "1"}


def callgate(stack: ExitStack, folder: Path, configuration: dict[str, object]) -> Contestant:
    """callgate with a configuration."""
    sidecar = stack.enter_context(programs.sidecar(configuration, folder))
    return Contestant(CALLGATE, sidecar.address, (sidecar,), sidecar)


def bare(stack: ExitStack, handler: Path) -> Contestant:
    """The floor: a tonic handler that only parses its message."""
    [address] = programs.free_addresses(1)
    return Contestant(BARE, address, (_run(stack, [handler, "--listen", address]),))


def rate_limiters(stack: ExitStack, folder: Path, handler: Path) -> Started:
    """Everybody who answers `ShouldRateLimit`."""
    started = Started([callgate(stack, folder, RATE_LIMITS), bare(stack, handler)])
    _take_part(stack, started, LIMITADOR, LIMITADOR, _limitador_server)
    _take_part(stack, started, LIMITADOR_LIBRARY, "callgate-bench-limitador", _limitador)
    _take_part(stack, started, RATELIMIT, "service_cmd", _ratelimit)
    return started


def authorizers(stack: ExitStack, folder: Path, handler: Path) -> Started:
    """Everybody who answers `Check`."""
    started = Started([callgate(stack, folder, AUTHORIZATION), bare(stack, handler)])
    add_opa(stack, started)
    return started


def add_opa(stack: ExitStack, started: Started) -> None:
    """opa-envoy-plugin, and OPA's library in a plain handler."""
    _take_part(stack, started, OPA, OPA, _opa_envoy_plugin)
    _take_part(stack, started, OPA_LIBRARY, "callgate-bench-opa", _opa)


def rate_limit_peer(stack: ExitStack) -> Contestant | str:
    """envoyproxy/ratelimit with its Redis alone, or the reason why it is absent."""
    started = Started([])
    _take_part(stack, started, RATELIMIT, "service_cmd", _ratelimit)
    return started.contestants[0] if started.contestants else started.absent[0]


def _take_part(stack: ExitStack, started: Started, name: str, program: str, start: Start) -> None:
    """Starts a peer whose program was built, or is installed."""
    found = shutil.which(program, path=os.pathsep.join([str(PEERS), os.environ["PATH"]]))
    if found is None:
        started.absent.append(f"{name}: `{program}` is neither in {PEERS.relative_to(machine.ROOT)} nor on PATH")
        return
    [address] = programs.free_addresses(1)
    serving = start(stack, machine.ROOT / found, address)
    started.contestants.append(Contestant(name, address, tuple(serving)))


def _limitador(stack: ExitStack, program: Path, address: str) -> list[Program]:
    return [_run(stack, [program, address, SETTINGS / "limitador.json"])]


def _limitador_server(stack: ExitStack, program: Path, address: str) -> list[Program]:
    [further] = programs.free_addresses(1)
    (host, _, port), (_, _, http_port) = address.partition(":"), further.partition(":")
    command = [str(program), "--rls-ip", host, "--rls-port", port, "--http-ip", host, "--http-port", http_port]
    return [_run(stack, [*command, SETTINGS / "limitador.json", "memory"], RUST_LOG="error")]


def _opa(stack: ExitStack, program: Path, address: str) -> list[Program]:
    return [_run(stack, [program, address, SETTINGS / "policy.rego"])]


def _opa_envoy_plugin(stack: ExitStack, program: Path, address: str) -> list[Program]:
    own, diagnostic = programs.free_addresses(2)
    command = [str(program), "run", "--server", "--skip-version-check", "--log-level=error"]
    command += [f"--addr={own}", f"--diagnostic-addr={diagnostic}"]
    plugin = "plugins.envoy_ext_authz_grpc"
    command += [f"--set={plugin}.addr={address}", f"--set={plugin}.path=envoy/authz/allow"]
    return [_run(stack, [*command, SETTINGS / "policy.rego"])]


def _ratelimit(stack: ExitStack, program: Path, address: str) -> list[Program]:
    """envoyproxy/ratelimit and the Redis that it counts in, which share the core."""
    redis, http, debug = (at.partition(":") for at in programs.free_addresses(3))
    host, _, port = address.partition(":")
    command = ["redis-server", "--bind", host, "--port", redis[2], "--save", "", "--appendonly", "no"]
    database = _run(stack, command)
    root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    limits = root / "bench" / "config"
    limits.mkdir(parents=True)
    for file in LIMITS:
        shutil.copy(file, limits)
    settings = {
        "RUNTIME_ROOT": str(root),
        "RUNTIME_SUBDIRECTORY": "bench",
        "RUNTIME_WATCH_ROOT": "false",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": "".join(redis),
        "HOST": host,
        "PORT": http[2],
        "DEBUG_HOST": host,
        "DEBUG_PORT": debug[2],
        "GRPC_HOST": host,
        "GRPC_PORT": port,
        "DISABLE_STATS": "true",
        "LOG_LEVEL": "error",
    }
    return [_run(stack, [program], **settings), database]


def _run(stack: ExitStack, command: Sequence[str | Path], **environment: str) -> Program:
    words = [str(word) for word in command]
    return stack.enter_context(programs.started(words, **ONE_THREAD, **environment))
