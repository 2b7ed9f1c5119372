"""Starts the server and what stands before it: behind a proxy the server shares the core of the load."""

from __future__ import annotations

import secrets
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import machine, programs
from mcp_gateway.ways import CALLGATE, DIRECT, ENVOY, NGINX, Way
from proxy import messages

from callgate._callgate import hash_token, new_token

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from common.programs import Program

SETTINGS = machine.ROOT / "bench/mcp_gateway/settings"
# Two conditions and two limits.
POLICY = machine.ROOT / "bench/policy.json"
ENVOY_PROGRAM = machine.ROOT / "target/envoy/bin/envoy"
PATHS = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
}


@dataclass(frozen=True)
class Server:
    """The server, and where it is."""

    program: Program
    address: str


def server(stack: ExitStack, core: str, *, quick: bool) -> Server:
    """The server, built with the profile of the bench."""
    program = machine.ROOT / "target" / ("dev-release" if quick else "release") / "callgate-bench-echo"
    [address] = programs.free_addresses(1)
    command = [str(program), address]
    running = stack.enter_context(programs.started(command, core, TOKIO_WORKER_THREADS="1"))
    programs.wait_for(_port(address), running)
    return Server(running, address)


def ways(stack: ExitStack, folder: Path, *, quick: bool) -> list[Way]:
    """The server itself, two plain proxies before it, and callgate."""
    # Without a proxy between, the server has the proxies' core: a request crosses from core to core either way.
    itself = server(stack, programs.SERVER_CORE, quick=quick)
    behind = server(stack, programs.LOAD_CORE, quick=quick)
    direct = Way(DIRECT, f"http://{itself.address}{messages.PATH}", HEADERS, itself.program)
    return [direct, *(start(stack, folder, behind.address) for start in (_nginx, _envoy, callgate))]


def callgate(stack: ExitStack, folder: Path, upstream: str) -> Way:
    """callgate with one grant, whose token every request bears."""
    key, token = secrets.token_bytes(32), new_token()
    key_file = folder / "grant.key"
    key_file.write_text(key.hex(), encoding="ascii")
    key_file.chmod(0o600)
    configuration: dict[str, object] = {
        "servers": {"srv": {"upstream": {"url": f"http://{upstream}/mcp"}}},
        "policies": {"bench": str(POLICY)},
        "grants": [{"id": messages.AGENT, "server": "srv", "policy": "bench", "token_hash": hash_token(key, token)}],
        "grant_key_file": str(key_file),
    }
    running = stack.enter_context(programs.sidecar(configuration, folder))
    headers = {**HEADERS, "authorization": f"Bearer {token}"}
    return Way(CALLGATE, f"http://{running.address}{messages.PATH}", headers, running, running)


def _nginx(stack: ExitStack, folder: Path, upstream: str) -> Way:
    program = shutil.which("nginx", path=PATHS)
    if program is None:
        sys.exit("nginx is not installed: apt-get install nginx-light")
    [address] = programs.free_addresses(1)
    text = (SETTINGS / "nginx.conf").read_text(encoding="utf-8")
    settings = folder / "nginx.conf"
    settings.write_text(text.replace("@LISTEN@", address).replace("@UPSTREAM@", upstream), encoding="utf-8")
    command = [program, "-p", str(folder), "-c", str(settings), "-e", "stderr"]
    return _plain(NGINX, address, stack.enter_context(programs.started(command)))


def _envoy(stack: ExitStack, folder: Path, upstream: str) -> Way:
    if not ENVOY_PROGRAM.exists():
        sys.exit(f"Envoy is not installed: make {ENVOY_PROGRAM.parents[1].relative_to(machine.ROOT)}/.stamp")
    [address] = programs.free_addresses(1)
    text = (SETTINGS / "envoy.yaml").read_text(encoding="utf-8")
    for name, port in (("@PORT@", _port(address)), ("@UPSTREAM_PORT@", _port(upstream))):
        text = text.replace(f'"{name}"', str(port))
    settings = folder / "envoy.yaml"
    settings.write_text(text, encoding="utf-8")
    command = [str(ENVOY_PROGRAM), "-c", str(settings), "--concurrency", "1"]
    command += ["--use-dynamic-base-id", "--log-level", "error"]
    return _plain(ENVOY, address, stack.enter_context(programs.started(command)))


def _plain(name: str, address: str, program: Program) -> Way:
    programs.wait_for(_port(address), program)
    return Way(name, f"http://{address}{messages.PATH}", HEADERS, program)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
