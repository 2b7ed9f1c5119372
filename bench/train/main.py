"""Puts the installed callgate to the work that its users have, for a build that is optimised by a profile of it.

maturin runs this between the two builds of `maturin build --pgo`, with an instrumented callgate installed; what the
processes record goes to the folder of `LLVM_PROFILE_FILE`. The work is a mix of what callgate is asked: decisions in a
process, over gRPC one by one, in batches and streams, for proxies, and through the gateway; allowed, denied, limited.
It is not the work of the benches.

With `TRAINED=FILE` the merged profile is kept there as well, for other builds of the same tree.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from train.documents import GRANTS, POLICY, RATE_LIMITS, any_token, arguments, token, tool
from train.envoy import AUTHORIZATION, RATE_LIMIT, authorization_question, limit_question

import callgate
from callgate._callgate import hash_token

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = "2s"
DECISIONS, CALLS, QUESTIONS, AT_ONCE = 40_000, 4_000, 6_000, 32
START_SECONDS = 60.0


def in_process() -> None:
    """Decides in this process, with arguments as bytes and as Python values."""
    engine = callgate.Engine.from_dict(POLICY)
    chance = random.Random(1)
    for number in range(DECISIONS):
        given = arguments(chance)
        args = given if number % 4 == 0 else json.dumps(given).encode()
        grant, session = f"grant-{chance.randrange(3_000)}", f"s{chance.randrange(4)}"
        engine.check(grant=grant, tool=tool(chance), args=args, session=session, reserve=number % 8 == 0)


class Upstream(http.server.BaseHTTPRequestHandler):
    """An MCP server that answers every call alike."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers a message."""
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        result = {"content": [{"type": "text", "text": "done " * 40}], "isError": False}
        body = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": result}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def sidecar(folder: Path, upstream: int) -> Iterator[str]:
    """A sidecar with everything that is asked here; its address."""
    key = bytes(range(32))
    (folder / "grant.key").write_text(key.hex(), encoding="ascii")
    (folder / "grant.key").chmod(0o600)
    for name, document in (("policy", POLICY), ("limits", RATE_LIMITS)):
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    ports = [free_port() for _ in range(3)]
    address = f"127.0.0.1:{ports[0]}"
    configuration = {
        "state": str(folder),
        "listen": address,
        "socket": str(folder / "callgate.sock"),
        "admin": {"listen": f"127.0.0.1:{ports[1]}", "grpc_listen": f"127.0.0.1:{ports[2]}"},
        "counters": "memory",
        "servers": {"srv": {"policy": "trained", "upstream": {"url": f"http://127.0.0.1:{upstream}/mcp"}}},
        "policies": {"trained": str(folder / "policy.json")},
        "rate_limits": [str(folder / "limits.json")],
        "grants": [
            {"id": f"g{n}", "server": "srv", "policy": "trained", "token_hash": hash_token(key, token(n))}
            for n in range(GRANTS)
        ],
        "grant_key_file": str(folder / "grant.key"),
        "proxies": {"server": ["path"], "paths": ["/mcp/{server}"]},
    }
    path = folder / "callgate.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    command = [sys.executable, "-m", "callgate", "serve", "--config", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_SECONDS
        while not is_open(ports[0]):
            if process.poll() is not None or time.monotonic() > until:
                sys.exit("train: the sidecar did not start")
            time.sleep(0.05)
        yield address
    finally:
        # A profile is written when a process ends by itself.
        process.terminate()
        process.wait(START_SECONDS)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_open(port: int) -> bool:
    """True if somebody listens on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def over_grpc(address: str, folder: Path) -> None:
    """Decisions by each method, over TCP and the Unix socket."""
    chance = random.Random(2)
    lines = folder / "calls.jsonl"
    with lines.open("w", encoding="utf-8") as out:
        for _ in range(2_000):
            call = {"grant_token": any_token(chance), "tool": tool(chance), "args": arguments(chance)}
            out.write(json.dumps(call) + "\n")
    for target in (address, f"unix:{folder / 'callgate.sock'}"):
        for method in ("check", "check", "batch", "stream"):
            options = ["--calls", str(lines), "--method", method, "--duration", SECONDS, "--threads", "1"]
            command = [sys.executable, "-m", "callgate", "bench", *options, target]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def through_the_gateway(address: str) -> None:
    """Calls of tools as MCP clients send them."""
    chance = random.Random(3)
    host, _, port = address.partition(":")
    connections = [http.client.HTTPConnection(host, int(port), timeout=START_SECONDS) for _ in range(4)]
    for number in range(CALLS):
        message = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": tool(chance), "arguments": arguments(chance)},
        }
        headers = {
            "authorization": f"Bearer {any_token(chance)}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
        }
        connection = connections[number % len(connections)]
        connection.request("POST", "/mcp/srv", json.dumps(message), headers)
        answer = connection.getresponse()
        # A denial is the result of a tool: anything else trains for faults.
        if answer.status != http.HTTPStatus.OK:
            sys.exit(f"train: the gateway answered {answer.status}: {answer.read()!r}")
        answer.read()


def for_proxies(address: str) -> None:
    """Questions of Envoy: rate limits and external authorization."""
    chance = random.Random(4)
    with grpc.insecure_channel(address) as channel:
        for path, question in ((RATE_LIMIT, limit_question), (AUTHORIZATION, authorization_question)):
            ask = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
            for _ in range(QUESTIONS // AT_ONCE):
                for answer in [ask.future(question(chance)) for _ in range(AT_ONCE)]:
                    answer.result()


def trained() -> None:
    """Does all of it."""
    subprocess.run([sys.executable, "-m", "train.main", "in-process"], check=True)
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name, sidecar(Path(name), upstream.server_address[1]) as address:
        over_grpc(address, Path(name))
        through_the_gateway(address)
        for_proxies(address)
    upstream.shutdown()


def keep(kept: Path) -> None:
    """Merges what was recorded into a profile of its own."""
    recorded = Path(os.environ["LLVM_PROFILE_FILE"]).parent
    kept.parent.mkdir(parents=True, exist_ok=True)
    raw = [str(path) for path in recorded.glob("*.profraw")]
    subprocess.run([profdata(), "merge", "--output", str(kept), *raw], check=True)


def profdata() -> str:
    """The `llvm-profdata` of the compiler in use."""
    told = subprocess.run(["rustc", "--print", "target-libdir"], capture_output=True, text=True, check=True)
    found = Path(told.stdout.strip()).parent / "bin" / "llvm-profdata"
    return str(found) if found.exists() else shutil.which("llvm-profdata") or "llvm-profdata"


def main() -> None:
    """Trains; with `in-process`, does the part of one process."""
    if sys.argv[1:] == ["in-process"]:
        in_process()
        return
    trained()
    if kept := os.environ.get("TRAINED"):
        keep(Path(kept))


if __name__ == "__main__":
    main()
