"""The time that each protocol adds to a request through its proxy, over the same proxy without checks.

The proxies run as `deploy` configures them. Rules look at no arguments, so that doors without the body can decide.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common import echo, h2load, machine, programs, proxies, report
from common.h2load import Sample, Shape
from common.proxies import CADDY, ENVOY, HAPROXY, NGINX
from proxy import messages, starting

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from common.programs import Program, Sidecar

DEPLOY = machine.ROOT / "deploy"
ALONE = Shape(1, 1)
# Where no configured enforcement point has to prove itself, any token will do.
PEP = "cgt_bench"


@dataclass(frozen=True)
class Door:
    """A proxy that asks, and how."""

    proxy: str
    name: str
    configuration: Path


DOORS = [
    Door(ENVOY, "external authorization", DEPLOY / "envoy/ext-authz.yaml"),
    Door(ENVOY, "external processing", DEPLOY / "envoy/ext-proc.yaml"),
    Door(ENVOY, "authorization with the MCP filter", DEPLOY / "envoy/mcp-filter.yaml"),
    Door(ENVOY, "rate limit service", DEPLOY / "envoy/rate-limit.yaml"),
    Door(ENVOY, "authorization over HTTP", DEPLOY / "envoy/http-ext-authz.yaml"),
    Door(NGINX, "auth_request", DEPLOY / "nginx/nginx.conf"),
    Door(CADDY, "forward_auth", DEPLOY / "caddy/Caddyfile"),
    Door(HAPROXY, "Lua action", DEPLOY / "haproxy/haproxy.cfg"),
]
POLICY = {
    "version": "1",
    "name": "doors",
    "default": "deny",
    "tools": {
        messages.TOOL: {
            "limits": [{"counter": "calls", "window": "minute", "max": 1_000_000_000_000, "scope": "grant"}]
        }
    },
}

# Headers of a client that repeats the contents of the body in them.
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": messages.TOOL,
    messages.AGENT_HEADER: messages.AGENT,
}


def call() -> bytes:
    """A call of 1 KiB, with what the version of the headers wants beside it."""
    message = json.loads(messages.call())
    message["params"]["_meta"] = {
        "io.modelcontextprotocol/protocolVersion": HEADERS["mcp-protocol-version"],
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    arguments = message["params"]["arguments"]
    over = len(json.dumps(message, separators=(",", ":"))) - messages.BODY_BYTES
    arguments["note"] = arguments["note"][over:]
    return json.dumps(message, separators=(",", ":")).encode()


@dataclass
class Way:
    """Through one proxy, with or without a door."""

    proxy: str
    name: str
    url: str
    program: Program
    asked: bool
    alone: list[Sample] = field(default_factory=list)

    def p50(self) -> list[float]:
        """Of each round."""
        return [sample.latency_us["p50"] for sample in self.alone]

    def expect(self) -> None:
        """Ends the bench where a call does not pass."""
        request = urllib.request.Request(self.url, call(), HEADERS, method="POST")
        try:
            urllib.request.urlopen(request, timeout=programs.START_SECONDS).close()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            sys.exit(f"{self.proxy}, {self.name}: a call got {error.code}: {said}")


def added(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """Measures, and says what each door adds."""
    with ExitStack() as stack:
        upstream, _ = echo.started(stack, programs.LOAD_CORE, quick=options.quick)
        sidecar = callgate(stack, folder)
        ways = [plain(stack, folder, name, upstream) for name in (ENVOY, NGINX, CADDY, HAPROXY)]
        ways += [opened(stack, folder, door, upstream, sidecar) for door in DOORS]
        measure(ways, sidecar, options, folder)
    told(ways, results)


def callgate(stack: ExitStack, folder: Path) -> Sidecar:
    """One callgate behind all doors."""
    policy = folder / "doors.json"
    policy.write_text(json.dumps(POLICY), encoding="utf-8")
    configuration: dict[str, object] = {
        "servers": {"srv": {"policy": "doors"}},
        "policies": {"doors": str(policy)},
        "proxies": {
            "identity": [{"header": messages.AGENT_HEADER}],
            "server": ["path"],
            "paths": ["/mcp/{server}"],
            "mcp_metadata": "envoy.filters.http.mcp",
        },
        **starting.RATE_LIMITS,
    }
    return stack.enter_context(programs.sidecar(configuration, folder))


def plain(stack: ExitStack, folder: Path, name: str, upstream: int) -> Way:
    """A proxy that asks nobody."""
    port, program = proxies.plain(stack, folder, name, upstream)
    return Way(name, "", _url(port), program, asked=False)


def opened(stack: ExitStack, folder: Path, door: Door, upstream: int, sidecar: Sidecar) -> Way:
    """A proxy that asks, as it is deployed but for ports and token."""
    port = programs.free_port()
    text = door.configuration.read_text(encoding="utf-8").replace("Bearer cgt_...", f"Bearer {PEP}")
    for written, used in ((8080, port), (8081, upstream), (9191, int(sidecar.address.rpartition(":")[2]))):
        text = re.sub(rf"(?<=[: ]){written}\b", str(used), text)
    own = folder / door.configuration.stem
    own.mkdir()
    settings = own / door.configuration.name
    settings.write_text(text, encoding="utf-8")
    if door.proxy == NGINX:
        (own / "callgate-pep.conf").write_text(f'proxy_set_header X-Callgate-Pep "Bearer {PEP}";\n', encoding="utf-8")
    if door.proxy == HAPROXY:
        action = door.configuration.with_name("callgate.lua")
        (own / action.name).write_text(action.read_text(encoding="utf-8"), encoding="utf-8")
    program = proxies.started(stack, door.proxy, settings, port, CALLGATE_PEP_TOKEN=PEP)
    return Way(door.proxy, door.name, _url(port), program, asked=True)


def measure(ways: list[Way], sidecar: Sidecar, options: argparse.Namespace, folder: Path) -> None:
    """Interleaved rounds, each as long for all."""
    body = folder / "call"
    body.write_bytes(call())

    def ask(way: Way, requests: int) -> Sample:
        before = answered(sidecar)
        load = h2load.Load(way.url, body, HEADERS, http1=True)
        sample = h2load.run(f"{way.proxy}, {way.name}", load, ALONE, requests, way.program.cpu_seconds, logged=True)
        if answered(sidecar) - before != (requests if way.asked else 0):
            sys.exit(f"callgate let {answered(sidecar) - before} of {requests} pass through {way.proxy}, {way.name}")
        return sample

    rates = {}
    for way in ways:
        way.expect()
        rates[way.url] = ask(way, options.probe).decisions_per_second
    for number in range(options.rounds):
        print(f"doors, round {number + 1} of {options.rounds}", file=sys.stderr)
        for way in ways:
            way.alone.append(ask(way, max(options.probe, int(rates[way.url] * options.seconds / 2))))


def answered(sidecar: Sidecar) -> int:
    """Requests that callgate has let pass, by its own count."""
    return sidecar.allowed() + round(sidecar.metric("callgate_rate_limits_total", outcome="ok"))


def told(ways: list[Way], results: report.Report) -> None:
    """The table."""
    bases = {way.proxy: way.p50() for way in ways if not way.asked}
    rows: list[tuple[report.Cell, ...]] = []
    for way in ways:
        over = [through - without for through, without in zip(way.p50(), bases[way.proxy], strict=True)]
        rows.append(
            (
                way.proxy,
                way.name if way.asked else "only passes on",
                round(statistics.median(way.p50())),
                round(statistics.median(over)) if way.asked else None,
            )
        )
    rows.sort(key=lambda row: str(row[0]))
    results.table("Through proxies as deployed, 1 KiB call, one connection", ("", "door", "p50 us", "adds us"), rows)
    results.raw["through proxies as deployed"] = {
        f"{way.proxy}, {way.name or 'only passes on'}": [sample.latency_us for sample in way.alone] for way in ways
    }


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}{messages.PATH}"
