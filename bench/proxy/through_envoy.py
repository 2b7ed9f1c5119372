"""The time that external authorization adds to a request through Envoy: callgate beside OPA.

One Envoy with one worker has a listener for each, which answers by itself what it lets pass. Whom it asks shares its
core, as in a pod of one core, and the load has the other.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from common import h2load, machine, programs, report
from common.h2load import Sample, Shape
from proxy import contestants, direct, messages, starting
from proxy.contestants import CALLGATE, Started

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from common.programs import Program
    from proxy.contestants import Contestant

ENVOY = machine.ROOT / "target/envoy/bin/envoy"
# The configuration that users run: the filter and the cluster are taken from it.
DEPLOYED = machine.ROOT / "deploy/envoy/ext-authz.yaml"
ALONE_NAME = "no filter"
# Targets: the added latency in parts of a peer's, and the rate in parts of the peer's.
ADDED, RATE = 0.65, 2.0
ALONE, MANY = Shape(1, 1), Shape(32, 1)
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
    messages.AGENT_HEADER: messages.AGENT,
}
# Everybody waits for the whole body, also who asks nobody: Envoy ends a connection on which it answered too early.
WAITING = {
    "name": "envoy.filters.http.buffer",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
        "max_request_bytes": 1_048_576,
    },
}


@dataclass
class Way:
    """Through Envoy, with or without somebody to ask."""

    name: str
    port: int
    # Envoy, and whom it asks.
    serving: list[Program]
    asked: Contestant | None
    alone: list[Sample] = field(default_factory=list)
    many: list[Sample] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """CPU time that has been used so far."""
        return sum(program.cpu_seconds() for program in self.serving)

    def status(self, amount: int, headers: Mapping[str, str] = HEADERS) -> int:
        """The status of a call."""
        url = f"http://127.0.0.1:{self.port}{messages.PATH}"
        request = urllib.request.Request(url, messages.call(amount), dict(headers), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=programs.START_SECONDS) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def expect(self, amount: int, expected: int) -> None:
        """Ends the bench where a call passes that must not, or the other way round."""
        status = self.status(amount)
        if status != expected:
            sys.exit(f"Envoy, {self.name}, answered an amount of {amount} with {status}, expected {expected}")

    def p50(self) -> list[float]:
        """Latency at one connection, of each round."""
        return [sample.latency_us["p50"] for sample in self.alone]

    def rates(self) -> list[float]:
        """Requests per second of many connections, of each round."""
        return [sample.decisions_per_second for sample in self.many]


def added(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """Measures, and puts callgate beside OPA."""
    if not ENVOY.exists():
        sys.exit(f"Envoy is not installed: make {ENVOY.parents[1].relative_to(machine.ROOT)}/.stamp")
    with ExitStack() as stack:
        started = Started([starting.callgate(stack, folder, starting.AUTHORIZATION)])
        starting.add_opa(stack, started)
        ways = opened(stack, folder, started.contestants)
        measure(ways, options, folder)
        told(ways, results)
        results.raw["not measured through Envoy"] = started.absent


def opened(stack: ExitStack, folder: Path, asked: list[Contestant]) -> list[Way]:
    """Starts Envoy with a listener that asks nobody and one for each that is asked."""
    names = [ALONE_NAME, *(server.name for server in asked)]
    ports = [int(address.rpartition(":")[2]) for address in programs.free_addresses(len(names))]
    path = folder / "envoy.json"
    path.write_text(json.dumps(configuration(dict(zip(names, ports, strict=True)), asked)), encoding="utf-8")
    command = [str(ENVOY), "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"]
    envoy = stack.enter_context(programs.started(command))
    ways = []
    for name, port, server in zip(names, ports, [None, *asked], strict=True):
        if server is not None:
            contestants.expect_rule(server)
        programs.wait_for(port, envoy)
        way = Way(name, port, [envoy, *(server.serving if server is not None else ())], server)
        way.expect(messages.MOST, 200)
        way.expect(messages.MOST + 1, 200 if server is None else 403)
        ways.append(way)
    return ways


def configuration(ports: dict[str, int], asked: list[Contestant]) -> dict[str, Any]:
    """Envoy's: the deployed listener for each, which answers instead of forwarding."""
    resources = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))["static_resources"]
    [listener] = resources["listeners"]
    [cluster] = [cluster for cluster in resources["clusters"] if cluster["name"] == CALLGATE]
    clusters = []
    for server in asked:
        one = copy.deepcopy(cluster)
        one["name"] = one["load_assignment"]["cluster_name"] = server.name
        endpoint = one["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"] = address(int(server.address.rpartition(":")[2]))
        clusters.append(one)
    listeners = [_listener(listener, name, port) for name, port in ports.items()]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}


def _listener(deployed: dict[str, Any], name: str, port: int) -> dict[str, Any]:
    listener = copy.deepcopy(deployed)
    listener["name"], listener["address"] = name, address(port)
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["stat_prefix"] = name
    [host] = manager["route_config"]["virtual_hosts"]
    answer = {"status": 200, "body": {"inline_string": "{}"}}
    host["routes"] = [{"match": {"prefix": "/"}, "direct_response": answer}]
    authorization, router = manager["http_filters"]
    if name == ALONE_NAME:
        manager["http_filters"] = [WAITING, router]
        return listener
    settings = authorization["typed_config"]
    settings["grpc_service"] = {"envoy_grpc": {"cluster_name": name}, "timeout": "5s"}
    # OPA reads no headers that come one by one.
    settings["encode_raw_headers"] = name == CALLGATE
    manager["http_filters"] = [WAITING, authorization, router]
    return listener


def address(port: int) -> dict[str, Any]:
    """An address of Envoy's configuration."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def measure(ways: list[Way], options: argparse.Namespace, folder: Path) -> None:
    """Interleaved rounds, each as long for all."""
    body = folder / "call"
    body.write_bytes(messages.call())

    def ask(way: Way, shape: Shape, seconds: float, rate: float, *, logged: bool) -> Sample:
        requests = max(options.probe, int(rate * seconds))
        sidecar = way.asked.sidecar if way.asked is not None else None
        before = sidecar.allowed() if sidecar is not None else 0
        load = h2load.Load(f"http://127.0.0.1:{way.port}{messages.PATH}", body, HEADERS, http1=True)
        sample = h2load.run(f"Envoy, {way.name}", load, shape, requests, way.cpu_seconds, logged=logged)
        if sidecar is not None and sidecar.allowed() - before != requests:
            sys.exit(f"callgate allowed {sidecar.allowed() - before} of {requests} calls")
        way.expect(messages.AMOUNT, 200)
        return sample

    rates = {}
    for way in ways:
        rates[way.name] = [ask(way, shape, 0, 0, logged=False).decisions_per_second for shape in (MANY, ALONE)]
    for number in range(options.rounds):
        print(f"through Envoy, round {number + 1} of {options.rounds}", file=sys.stderr)
        for way in ways:
            many, alone = rates[way.name]
            way.many.append(ask(way, MANY, options.seconds, many, logged=False))
            way.alone.append(ask(way, ALONE, options.seconds / 2, alone, logged=True))


def told(ways: list[Way], results: report.Report) -> None:
    """The table, and callgate beside each peer."""
    by_name = {way.name: way for way in ways}
    base = statistics.median(by_name[ALONE_NAME].p50())
    adds = {way.name: statistics.median(way.p50()) - base for way in ways}
    rows: list[tuple[report.Cell, ...]] = [
        (
            way.name,
            round(statistics.median(way.rates())),
            round(statistics.median(sample.server_cpu_us for sample in way.many), 1),
            direct.middle(way.alone),
            round(adds[way.name], 1),
        )
        for way in ways
    ]
    columns = ("", "req/s", "cpu us", "alone p50/p99/p99.9 us", "adds us at p50")
    results.table(f"Through Envoy, 1 KiB call, HTTP/1.1: {MANY}, and alone", columns, rows)
    for way in ways:
        if way.asked is None or way.name == CALLGATE:
            continue
        at_most, at_least = (ADDED, RATE) if contestants.has_targets(way.name, by_name) else (None, None)
        share = adds[CALLGATE] / adds[way.name]
        results.headline(f"through Envoy: latency added beside {way.name}", share, "x", at_most=at_most)
        rate = report.ratio(by_name[CALLGATE].rates(), way.rates())
        results.headline(f"through Envoy: rate beside {way.name}", rate, "x", at_least=at_least)
    results.raw["through Envoy"] = {
        way.name: {
            "requests_per_second": [round(rate) for rate in way.rates()],
            "alone_latency_us": [sample.latency_us for sample in way.alone],
        }
        for way in ways
    }
