"""The cost of Envoy's quota filter: Envoy with tokens of callgate, beside the same Envoy without the filter.

A third subject is the filter alone, which lets everything pass since its quota service cannot be reached: what it costs
without callgate is the least that callgate's quotas can cost. One Envoy with one worker has a listener for each, which
answers by itself. It has one core together with callgate, which it asks for no call, and the load has the other.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import yaml
from common import h2load, machine, programs, report
from common.h2load import Sample
from proxy import direct, messages, starting, through_envoy
from proxy.through_envoy import ALONE, ENVOY, MANY, Way

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from common.programs import Sidecar

# The configuration that users run: the filter and the cluster are taken from it.
DEPLOYED = machine.ROOT / "deploy/envoy/quota.yaml"
WITHOUT, ALONE_FILTER, WITH = "no filter", "quota filter without a service", "quota filter"
# Wanted: of the rate without the filter.
RATE = 0.95
NOWHERE = "nowhere"
HEADERS = {
    "content-type": "application/json",
    "mcp-method": "tools/call",
    "mcp-name": messages.TOOL,
    messages.AGENT_HEADER: messages.AGENT,
}
# More than any round asks for: no call may be refused.
LIMIT = {"counter": "calls", "window": "1h", "max": 1_000_000_000, "scope": ["grant", "tool"]}
SERVER = "shop"
# Envoy reports each 5 s.
PATIENCE_SECONDS = 30.0


def measure(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """Rounds in turns, and a check that every call had a token and that callgate decided none."""
    if not ENVOY.exists():
        sys.exit(f"Envoy is not installed: make {ENVOY.parents[1].relative_to(machine.ROOT)}/.stamp")
    policy = folder / "policy.json"
    document = {"version": "1", "name": "bench", "default": "deny", "tools": {messages.TOOL: {"limits": [LIMIT]}}}
    policy.write_text(json.dumps(document), encoding="utf-8")
    config = {"servers": {SERVER: {"policy": "bench"}}, "policies": {"bench": str(policy)}}
    with ExitStack() as stack:
        asked = starting.callgate(stack, folder, config)
        ways = _opened(stack, folder, asked.address)
        _wait_for_tokens(ways[WITH])
        _measure_rounds(ways, options, folder)
        sidecar = asked.sidecar
        if sidecar is not None:
            _check_numbers(sidecar, ways[WITH], results)
        _report(ways, results)


def _opened(stack: ExitStack, folder: Path, callgate: str) -> dict[str, Way]:
    """Starts Envoy with a listener for each way."""
    *ports, closed = [int(address.rpartition(":")[2]) for address in programs.free_addresses(4)]
    listeners = dict(zip((WITHOUT, ALONE_FILTER, WITH), ports, strict=True))
    path = folder / "envoy.json"
    path.write_text(json.dumps(_configuration(listeners, callgate, closed)), encoding="utf-8")
    command = [str(ENVOY), "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"]
    envoy = stack.enter_context(programs.started(command))
    for port in ports:
        programs.wait_for(port, envoy)
    return {name: Way(name, port, [envoy], None) for name, port in listeners.items()}


def _configuration(ports: dict[str, int], callgate: str, closed: int) -> dict[str, Any]:
    resources = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))["static_resources"]
    [listener] = resources["listeners"]
    [cluster] = [cluster for cluster in resources["clusters"] if cluster["name"] == "callgate"]
    clusters = []
    for name, port in (("callgate", int(callgate.rpartition(":")[2])), (NOWHERE, closed)):
        other = copy.deepcopy(cluster)
        other["name"] = other["load_assignment"]["cluster_name"] = name
        endpoint = other["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"] = through_envoy.address(port)
        clusters.append(other)
    listeners = [_listener(listener, name, port) for name, port in ports.items()]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}


def _listener(deployed: dict[str, Any], name: str, port: int) -> dict[str, Any]:
    listener = copy.deepcopy(deployed)
    listener["name"], listener["address"] = name, through_envoy.address(port)
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["stat_prefix"] = name
    [host] = manager["route_config"]["virtual_hosts"]
    answer = {"status": 200, "body": {"inline_string": "{}"}}
    host["routes"] = [{"match": {"prefix": "/"}, "direct_response": answer}]
    quota, router = manager["http_filters"]
    filters = [] if name == WITHOUT else [quota]
    if name == ALONE_FILTER:
        settings = quota["typed_config"]
        settings["rlqs_server"]["envoy_grpc"]["cluster_name"] = NOWHERE
        [matcher] = settings["bucket_matchers"]["matcher_list"]["matchers"]
        bucket = matcher["on_match"]["action"]["typed_config"]
        bucket["no_assignment_behavior"] = {"fallback_rate_limit": {"blanket_rule": "ALLOW_ALL"}}
    manager["http_filters"] = [through_envoy.WAITING, *filters, router]
    return listener


def _wait_for_tokens(way: Way) -> None:
    """The first call is refused: it asks for tokens."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while way.status(messages.AMOUNT, HEADERS) != 200:
        if time.monotonic() > deadline:
            sys.exit("Envoy got no tokens")
        time.sleep(0.05)


def _measure_rounds(ways: dict[str, Way], options: argparse.Namespace, folder: Path) -> None:
    """Interleaved rounds, each as long for both."""
    body = folder / "call"
    body.write_bytes(messages.call())

    def load(way: Way, shape: h2load.Shape, seconds: float, rate: float, *, logged: bool) -> Sample:
        requests = max(options.probe, int(rate * seconds))
        sent = h2load.Load(f"http://127.0.0.1:{way.port}{messages.PATH}", body, HEADERS, http1=True)
        return h2load.run(f"Envoy, {way.name}", sent, shape, requests, way.cpu_seconds, logged=logged)

    rates = {
        name: [load(way, shape, 0, 0, logged=False).decisions_per_second for shape in (MANY, ALONE)]
        for name, way in ways.items()
    }
    for number in range(options.rounds):
        print(f"quotas, round {number + 1} of {options.rounds}", file=sys.stderr)
        for name, way in ways.items():
            many, alone = rates[name]
            way.many.append(load(way, MANY, options.seconds, many, logged=False))
            way.alone.append(load(way, ALONE, options.seconds / 2, alone, logged=True))


def _check_numbers(sidecar: Sidecar, way: Way, results: report.Report) -> None:
    """Ends the bench where a call had no token, or callgate was asked about one."""
    tokens = "callgate_quota_tokens_total"
    deadline = time.monotonic() + PATIENCE_SECONDS
    before = -1.0
    # Until the last report has come.
    while (used := sidecar.metric(tokens, event="used")) == 0 or used != before:
        if time.monotonic() > deadline:
            sys.exit("Envoy reported no calls")
        before = used
        time.sleep(6.0)
    unexpected, decided = sidecar.metric(tokens, event="unexpected"), sidecar.allowed()
    if unexpected or decided:
        sys.exit(f"{unexpected:g} calls through {way.name} had no token, and callgate decided {decided}")
    results.raw["quota tokens used"] = used


def _report(ways: dict[str, Way], results: report.Report) -> None:
    rows: list[tuple[report.Cell, ...]] = [
        (
            way.name,
            round(statistics.median(way.rates())),
            round(statistics.median(sample.server_cpu_us for sample in way.many), 1),
            direct.middle(way.alone),
        )
        for way in ways.values()
    ]
    columns = ("", "req/s", "cpu us", "alone p50/p99/p99.9 us")
    results.table(f"Envoy with quotas, 1 KiB call, HTTP/1.1: {MANY}, and alone", columns, rows)
    rate = report.ratio(ways[WITH].rates(), ways[WITHOUT].rates())
    results.headline("Envoy with quotas: rate beside Envoy without the filter", rate, "x", at_least=RATE)
    alone = report.ratio(ways[WITH].rates(), ways[ALONE_FILTER].rates())
    results.headline("Envoy with quotas: rate beside the filter without a service", alone, "x", at_least=RATE)
    results.raw["Envoy with quotas"] = {
        way.name: {
            "requests_per_second": [round(rate) for rate in way.rates()],
            "alone_latency_us": [sample.latency_us for sample in way.alone],
        }
        for way in ways.values()
    }
