"""Proxies that people run: started with a configuration on the core of servers, with one thread if it can be told."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from common import machine, programs

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from common.programs import Program

NGINX, ENVOY, CADDY, HAPROXY = "nginx", "Envoy", "Caddy", "HAProxy"
# Configurations that only pass on.
PLAIN = machine.ROOT / "bench/plain"
FILES = {NGINX: "nginx.conf", ENVOY: "envoy.yaml", CADDY: "Caddyfile", HAPROXY: "haproxy.cfg"}
ENVOY_PROGRAM = machine.ROOT / "target/envoy/bin/envoy"
# Debian has the programs of servers where no user's path leads.
PATHS = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])


def plain(stack: ExitStack, folder: Path, name: str, upstream: int) -> tuple[int, Program]:
    """A proxy that only passes on to a port, and the port that it listens on."""
    text = (PLAIN / FILES[name]).read_text(encoding="utf-8")
    port = programs.free_port()
    settings = folder / f"plain-{FILES[name]}"
    settings.write_text(text.replace("@PORT@", str(port)).replace("@UPSTREAM@", str(upstream)), encoding="utf-8")
    return port, started(stack, name, settings, port)


def started(stack: ExitStack, name: str, settings: Path, port: int, **environment: str) -> Program:
    """A proxy with this configuration, as soon as it listens."""
    folder = str(settings.parent)
    words = {
        NGINX: ["nginx", "-p", folder, "-c", str(settings), "-e", "stderr", "-g", "daemon off; master_process off;"],
        ENVOY: [str(ENVOY_PROGRAM), "-c", str(settings), "--concurrency", "1"],
        CADDY: ["caddy", "run", "--config", str(settings), "--adapter", "caddyfile"],
        HAPROXY: ["haproxy", "-db", "-q", "-C", folder, "-f", str(settings)],
    }[name]
    program = shutil.which(words[0], path=PATHS)
    if program is None:
        sys.exit(f"{name} is not installed: `make bench-gateway-tools` installs it")
    quiet = ["--use-dynamic-base-id", "--log-level", "error"] if name == ENVOY else []
    command = [program, *words[1:], *quiet]
    running = stack.enter_context(programs.started(command, GOMAXPROCS="1", HOME=folder, **environment))
    programs.wait_for(port, running)
    return running
