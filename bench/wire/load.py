"""Load generators: h2load, ghz and `callgate bench`, each pinned to its core; every request must be allowed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from common import calls, machine, programs, report
from common import h2load as h2
from common.h2load import PERCENTILES, Sample, Shape
from google.protobuf import descriptor_pb2
from wire.contestants import METHOD, Transport

from callgate._proto.callgate.decision.v1 import decision_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from wire.contestants import Contestant

GHZ = machine.ROOT / "target/tools/ghz"


def h2load(
    contestant: Contestant, shape: Shape, size: int, requests: int, folder: Path, *, log: bool = False
) -> Sample:
    """Unary calls of the same bytes; latencies where a log is asked for, because logging costs throughput."""
    body = folder / f"body-{size}"
    body.write_bytes(calls.grpc_frame(size))
    if contestant.transport is Transport.SOCKET:
        url, base = f"http://localhost{METHOD}", f"unix:{contestant.address}"
    else:
        scheme = "https" if contestant.transport is Transport.TLS else "http"
        url, base = f"{scheme}://{contestant.address}{METHOD}", None
    sent = h2.Load(url, body, h2.GRPC, base)
    before = contestant.allowed()
    sample = h2.run(contestant.title, sent, shape, requests, contestant.program.cpu_seconds, logged=log)
    _check_count(contestant, before, requests)
    return sample


def ghz(contestant: Contestant, shape: Shape, size: int, requests: int, folder: Path) -> Sample:
    """Unary calls by ghz, which is slower than any of the servers: its own limit shows, and its latencies."""
    body = folder / f"message-{size}"
    body.write_bytes(calls.request(size).SerializeToString())
    # Described in binary, because the parser of a ghz that is not the newest knows no `optional` in proto3.
    described = descriptor_pb2.FileDescriptorSet()
    decision_pb2.DESCRIPTOR.CopyToProto(described.file.add())
    protoset = folder / "decision.protoset"
    protoset.write_bytes(described.SerializeToString())
    command = [str(GHZ), "--protoset", str(protoset)]
    command += ["--call", "callgate.decision.v1.DecisionService/Check", "--binary-file", str(body)]
    command += ["--total", str(requests), "--connections", str(shape.connections)]
    command += ["--concurrency", str(shape.connections * shape.streams), "--format", "json"]
    if contestant.transport is Transport.TLS:
        command += ["--cacert", str(contestant.authority)]
    else:
        command += ["--insecure", "--authority", "localhost"]
    command.append(f"unix:{contestant.address}" if contestant.transport is Transport.SOCKET else contestant.address)
    before, used = contestant.allowed(), contestant.program.cpu_seconds()
    said = json.loads(_run("ghz", command, contestant))
    if said["statusCodeDistribution"] != {"OK": requests}:
        sys.exit(f"ghz against {contestant.title} went wrong: {said['statusCodeDistribution']}")
    _check_count(contestant, before, requests)
    cpu_us = (contestant.program.cpu_seconds() - used) / requests * 1e6
    ordered = sorted(detail["latency"] / 1_000 for detail in said["details"])
    return Sample(said["rps"], cpu_us, {f"p{p:g}": report.percentile(ordered, p) for p in PERCENTILES})


def callgate_bench(
    contestant: Contestant,
    shape: Shape,
    method: str,
    folder: Path,
    *,
    seconds: float,
    batch: int = 64,
    rate: float | None = None,
) -> Sample:
    """Calls by `callgate bench` with any method: unary, batches, or one stream per connection."""
    lines = folder / "calls.jsonl"
    body = json.loads(calls.ARGUMENTS[100])
    lines.write_text(json.dumps({"grant": calls.GRANT, "tool": calls.TOOL, "args": body}) + "\n", encoding="utf-8")
    target = {
        Transport.TCP: contestant.address,
        Transport.TLS: f"https://{contestant.address}",
        Transport.SOCKET: f"unix:{contestant.address}",
    }[contestant.transport]
    command = [str(programs.CALLGATE), "bench", target, "--calls", str(lines), "--method", method, "--json"]
    command += ["--connections", str(shape.connections), "--streams", str(shape.streams)]
    command += ["--duration", f"{seconds:g}", "--warmup", "0", "--batch-size", str(batch)]
    command += ["--tls-ca", str(contestant.authority)] if contestant.transport is Transport.TLS else []
    command += ["--rate", f"{rate:g}"] if rate is not None else []
    before, used = contestant.allowed(), contestant.program.cpu_seconds()
    result: dict[str, Any] = json.loads(_run("callgate bench", command, contestant))["result"]
    cpu_seconds = contestant.program.cpu_seconds() - used
    decisions = sum(result["outcomes"].values())
    if result["errors"] or not decisions or result["outcomes"]["allow"] != decisions:
        sys.exit(f"callgate bench against {contestant.title}: {result['outcomes']}, errors {result['errors']}")
    after = contestant.allowed()
    # Calls still in flight at the end are decided and no longer measured.
    if before is not None and after is not None and after - before < decisions:
        sys.exit(f"{contestant.title} allowed {after - before} calls, {decisions} answers came")
    latency = {f"p{p:g}": float(result["latency_us"][f"p{p:g}"]) for p in PERCENTILES}
    return Sample(float(result["decisions_per_second"]), cpu_seconds / decisions * 1e6, latency)


def _run(name: str, command: list[str], contestant: Contestant) -> str:
    pinned = ["taskset", "-c", programs.LOAD_CORE, *command]
    done = subprocess.run(pinned, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{name} against {contestant.title} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _check_count(contestant: Contestant, before: int | None, requests: int) -> None:
    after = contestant.allowed()
    if before is not None and after is not None and after - before != requests:
        sys.exit(f"{contestant.title} allowed {after - before} of {requests} calls")
